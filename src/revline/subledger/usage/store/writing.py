"""Rows of a tenant become objects of the store, with partial aggregates beside them; no manifest names them yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import pyarrow as pa

from revline.core.clock import Clock
from revline.core.ids import uuid7
from revline.subledger.usage.store.objects import ObjectStore
from revline.subledger.usage.store.parquet import (
    ROW_GROUP_ROWS,
    SORTED_ROW_GROUP_ROWS,
    SegmentFileWriter,
    partials_bytes,
    parts_of,
)
from revline.subledger.usage.store.partials import partials_of
from revline.subledger.usage.store.values import PartialSpec, Segment, SegmentKind

PARTIALS_FROM_ROWS: Final = 10_000
"""Fewer rows are read as fast as their partial aggregates would be."""
PARTIALS_SHARE: Final = 0.5
"""Partial aggregates that would have more rows than this share of the events save nothing."""


class Writer:
    """Writes segments for whoever makes them. segment_rows: at most in one file."""

    def __init__(
        self, *, objects: ObjectStore, clock: Clock, random_bytes: Callable[[int], bytes], segment_rows: int
    ) -> None:
        self._objects, self._clock, self._random_bytes = objects, clock, random_bytes
        self._segment_rows = segment_rows

    def write(
        self,
        *,
        tenant_id: str,
        tables: Iterable[pa.Table],
        kind: SegmentKind,
        erasure_epoch: int,
        specs: Sequence[PartialSpec] = (),
        minutes: Sequence[int] = (),
    ) -> tuple[Segment, ...]:
        """Durable files of these plain rows, in their order; all tables have the same columns. minutes: buckets of partial
        aggregates beside the specs' own. Raises OSError."""
        found: list[Segment] = []
        row_group_rows = SORTED_ROW_GROUP_ROWS if kind is SegmentKind.COMPACTED else ROW_GROUP_ROWS
        making, partials = SegmentFileWriter(row_group_rows=row_group_rows), _Partials(specs, minutes)

        def end() -> None:
            nonlocal making, partials
            if making.rows:
                found.append(self._put(tenant_id, kind, erasure_epoch, making, partials))
            making, partials = SegmentFileWriter(row_group_rows=row_group_rows), _Partials(specs, minutes)

        for table in tables:
            for part in parts_of(table, rows=self._segment_rows):
                if making.rows and making.rows + len(part) > self._segment_rows:
                    end()
                making.add(part)
                partials.add(part)
        end()
        return tuple(found)

    def _put(
        self, tenant_id: str, kind: SegmentKind, erasure_epoch: int, making: SegmentFileWriter, partials: _Partials
    ) -> Segment:
        segment_id = str(uuid7(now=self._clock.now(), random_bytes=self._random_bytes))
        key = f"tenants/{tenant_id}/{segment_id}.parquet"
        segment, body = making.finish(segment_id=segment_id, key=key, kind=kind, erasure_epoch=erasure_epoch)
        self._objects.put(key=key, body=memoryview(body))
        made = partials.made(making.rows)
        if made is None:
            return segment
        key, body = key.replace(".parquet", "-partials.parquet"), partials_bytes(made)
        self._objects.put(key=key, body=memoryview(body))
        return msgspec.structs.replace(
            segment,
            partials_key=key,
            partials_bytes=body.size,
            partials=partials.spec_ids,
            buckets=partials.buckets,
        )


class _Partials:
    """Partial aggregates of a file in the making."""

    def __init__(self, specs: Sequence[PartialSpec], minutes: Sequence[int]) -> None:
        self._specs, self._minutes = specs, minutes
        self._parts: list[pa.Table] = []
        self._few: list[pa.Table] = []
        self._rows = 0

    @property
    def spec_ids(self) -> tuple[str, ...]:
        return tuple(one.spec_id for one in sorted(set(self._specs)))

    @property
    def buckets(self) -> tuple[int, ...]:
        return tuple(sorted({one.minutes for one in self._specs} | set(self._minutes)))

    def add(self, table: pa.Table) -> None:
        """Rows of the file. Nothing is computed before there are enough of them."""
        self._rows += len(table)
        if not self._specs:
            return
        self._few.append(table)
        if self._rows >= PARTIALS_FROM_ROWS:
            for one in self._few:
                found = partials_of(one, specs=self._specs, minutes=self._minutes)
                self._parts += [] if found is None else [found]
            self._few = []

    def made(self, rows: int) -> pa.Table | None:
        """All of them, in order; None when they are not worth keeping. Two rows of one bucket, from two tables, add up when they
        are read."""
        if not self._parts:
            return None
        found = pa.concat_tables(self._parts)
        if len(found) > PARTIALS_SHARE * rows * max(len(self.buckets), 1):
            return None
        if len(self._parts) == 1:
            return found
        return found.sort_by([(name, "ascending") for name in ("spec", "minutes", "bucket", "subject")])
