"""Compaction: small segments of a tenant's month become few, sorted by type, subject and time, with partial aggregates by day
beside those by hour. The rows stay the same; a version reads the same events before and after.

The sort is DuckDB's and spills to disk beyond its memory; rows stream through. A kill leaves files nobody names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Final

import duckdb
import msgspec
import pyarrow as pa

from revline.core.clock import Clock
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.work import service as work
from revline.platform.work.lanes import finished
from revline.subledger.usage import columns
from revline.subledger.usage.store import queries, record
from revline.subledger.usage.store.layout import plain_table
from revline.subledger.usage.store.merging import MergeLimits, merges, months_of
from revline.subledger.usage.store.objects import ObjectStore
from revline.subledger.usage.store.values import (
    DAY_MINUTES,
    PartialSpec,
    Segment,
    SegmentKind,
)
from revline.subledger.usage.store.writing import Writer
from revline.subledger.usage.versions import Window

CHUNK_ROWS: Final = 256 * 1024
MEMORY: Final = "768MB"
LEASE: Final = timedelta(minutes=10)
MERGES_PER_TURN: Final = 4
ORDER: Final = (columns.TYPE, columns.SUBJECT, columns.OCCURRED_AT, columns.SHARD, columns.SEQUENCE)


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """What compaction did to a tenant."""

    merged: int = 0
    made: int = 0
    rows: int = 0


class Compactor:
    """Merges segments. scratch: a folder for what a sort doesn't hold in memory."""

    def __init__(
        self,
        *,
        database: Database,
        objects: ObjectStore,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        specs: Callable[[str], Sequence[PartialSpec]],
        scratch: Path,
        limits: MergeLimits | None = None,
    ) -> None:
        self._database, self._objects, self._clock, self._specs = database, objects, clock, specs
        self._scratch, self._limits = scratch, limits or MergeLimits()
        self._writer = Writer(objects=objects, clock=clock, random_bytes=random_bytes, segment_rows=self._limits.rows)

    def turn(self, *, owner: str) -> int:
        """Claim tenants whose segments changed and merge what is due; gives how many segments were merged."""
        claim = work.claim(
            self._database, kind=record.COMPACT_LANE, owner=owner, limit=1, lanes_per_tenant=1, lease=LEASE
        )
        done = 0
        for lane in claim.lanes:
            found = self.compact(tenant_id=lane.tenant_id, most=MERGES_PER_TURN)
            again = claim.now if found.merged else None
            work.settle(self._database, owner=owner, changes=[finished(lane=lane, again_at=again)])
            done += found.merged
        return done

    def compact(
        self,
        *,
        tenant_id: str,
        everything: bool = False,
        most: int = 1_000,
        actor: str = "worker:usage-compact",
        reason: str = "small segments of a month become one",
    ) -> Compacted:
        """Merge what is due of a tenant, at most so many groups. everything: whatever is small or not sorted. Raises OSError and
        the database's errors; what was published before stays."""
        with self._database.read(tenants=[tenant_id]) as connection:
            manifest = queries.manifest_of(connection, tenant_id=tenant_id)
        found = Compacted()
        for group in merges(manifest.segments, limits=self._limits, everything=everything)[:most]:
            made = self._merge(tenant_id, group, manifest.erasure_epoch)
            if not self._publish(tenant_id, group, made, actor, reason):
                break
            found = Compacted(
                merged=found.merged + len(group), made=found.made + len(made), rows=found.rows + _rows(group)
            )
        return found

    def _merge(self, tenant_id: str, group: Sequence[Segment], epoch: int) -> tuple[Segment, ...]:
        made: list[Segment] = []
        with ExitStack() as held:
            paths = [
                str(held.enter_context(self._objects.at_hand(key=one.key, size_bytes=one.size_bytes))) for one in group
            ]
            engine = held.enter_context(_engine(self._scratch))
            expected = engine.execute(
                f"SELECT count(*), sum({columns.SEQUENCE}) FROM read_parquet($1, union_by_name = true)", [paths]
            ).fetchall()[0]
            seen = [0, 0]
            for month in months_of(group):
                made += self._writer.write(
                    tenant_id=tenant_id,
                    tables=_sorted(engine, paths, _names(group), month, seen),
                    kind=SegmentKind.COMPACTED,
                    erasure_epoch=epoch,
                    specs=self._specs(tenant_id),
                    minutes=(DAY_MINUTES,),
                )
        if tuple(map(int, expected)) != tuple(seen) or _rows(made) != _rows(group):
            raise ValueError(f"a merge of {_rows(group)} rows came to {seen}, not {expected}: nothing was published")
        return tuple(made)

    def _publish(
        self, tenant_id: str, group: Sequence[Segment], made: Sequence[Segment], actor: str, reason: str
    ) -> bool:
        """False when a segment was replaced by another process meanwhile."""
        with self._database.unit(
            tenants=[tenant_id], kind="usage_compact", actor=actor, reason=reason, recorded_at=self._clock.now()
        ) as unit:
            names = [one.segment_id for one in group]
            moved = queries.epoch_of(unit.connection, tenant_id=tenant_id) != made[0].erasure_epoch
            if moved or record.lock_live(unit, tenant_id=tenant_id, segments=names) != frozenset(names):
                log().info("usage.merged_elsewhere", tenant_id=tenant_id)
                return False
            record.publish(unit, tenant_id=tenant_id, act="compact", added=made, replaced=group)
        return True


def _rows(segments: Sequence[Segment]) -> int:
    return sum(one.rows for one in segments)


def _names(group: Sequence[Segment]) -> tuple[str, ...]:
    fields = {name for one in group for name in one.columns} - set(columns.COMMON)
    return (*columns.COMMON, *sorted(fields))


def _engine(scratch: Path) -> duckdb.DuckDBPyConnection:
    scratch.mkdir(parents=True, exist_ok=True)
    return duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": MEMORY,
            "temp_directory": str(scratch),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )


def _sorted(
    engine: duckdb.DuckDBPyConnection, paths: list[str], names: Sequence[str], month: Window, seen: list[int]
) -> Iterator[pa.Table]:
    """The rows of a month in order, in tables of the stored columns. seen: rows and the sum of their sequences are added to it."""
    chosen = ", ".join(f'"{name}"' for name in names)
    found = engine.sql(
        f"SELECT {chosen} FROM read_parquet($1, union_by_name = true)"
        f" WHERE {columns.OCCURRED_AT} >= $2 AND {columns.OCCURRED_AT} < $3 ORDER BY {', '.join(ORDER)}",
        params=[paths, month.start, month.end],
    )
    for batch in found.to_arrow_reader(CHUNK_ROWS):
        table = plain_table([pa.Table.from_batches([batch])])
        seen[0] += len(table)
        seen[1] += int(table[columns.SEQUENCE].to_numpy().sum())
        if len(table):
            yield table
