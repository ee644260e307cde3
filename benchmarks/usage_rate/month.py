"""A month of usage events, written as compaction writes it: sorted within slices of receipt, partial aggregates beside."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from benchmarks.common import progress
from revline.core.clock import SystemClock
from revline.subledger.usage import columns
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.metering.kinds import Aggregation, Meter
from revline.subledger.usage.metering.partials import partial_specs
from revline.subledger.usage.metering.values import MeterCatalogue
from revline.subledger.usage.store import compacting
from revline.subledger.usage.store.merging import MergeLimits
from revline.subledger.usage.store.objects import FolderObjects
from revline.subledger.usage.store.values import DAY_MINUTES, Segment, SegmentFile, SegmentKind
from revline.subledger.usage.store.writing import Writer
from revline.subledger.usage.versions import UsageVersion, Window

MONTH: Final = Window(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC))
TYPES: Final = tuple(f"meter.{number}" for number in range(5))
FIELD: Final = UsageField(kind=FieldKind.DECIMAL, precision=18, scale=6, required=True)
COLUMN: Final = columns.field_column("amount", FIELD)
CATALOGUE: Final = MeterCatalogue(
    types={name: EventType(title=name, type=name, fields={"amount": FIELD}) for name in TYPES},
    meters={name: Meter(title=name, event_type=name, aggregation=Aggregation.SUM, field="amount") for name in TYPES},
)
SQL: Final = """
    SELECT CAST(0 AS SMALLINT) AS shard, number + 1 AS sequence,
        make_timestamptz($start + CAST(number * ($span / $events) AS BIGINT)) AS received_at,
        make_timestamptz($start + CAST(number * ($span / $events) AS BIGINT)) AS occurred_at,
        'meter.' || (hash(number + 7) % 5) AS type,
        'cus_' || lpad(CAST(hash(number) % $customers AS VARCHAR), 7, '0') AS subject,
        'gateway' AS source, CAST(uuid_of(number) AS VARCHAR) AS id,
        CAST(NULL AS VARCHAR) AS voids_source, CAST(NULL AS VARCHAR) AS voids_id, CAST(NULL AS VARCHAR) AS rest,
        TRUE AS typed, CAST((hash(number + 13) % 100000000) / 1000000.0 AS DECIMAL(18, 6)) AS amount__d18_6
    FROM range($first, $last) AS given(number)
    ORDER BY type, subject, occurred_at, shard, sequence
"""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A written month, read as the store gives it."""

    folder: Path
    events: int
    customers: int
    segments: tuple[Segment, ...]

    @property
    def version(self) -> UsageVersion:
        return UsageVersion(watermarks=((0, self.events),))

    @property
    def tail(self) -> pa.Table | None:
        return None

    @property
    def size_bytes(self) -> int:
        return sum(each.size_bytes for each in self.segments)

    @property
    def partial_bytes(self) -> int:
        return sum(each.partials_bytes for each in self.segments)

    def files(
        self,
        *,
        window: Window | None = None,
        types: Collection[str] | None = None,
        chosen: Callable[[Segment], bool] | None = None,
    ) -> tuple[SegmentFile, ...]:
        return tuple(
            SegmentFile(
                segment=each,
                path=str(self.folder / each.key),
                whole=True,
                partials_path=str(self.folder / each.partials_key) if each.partials_key else "",
            )
            for each in self.segments
            if (window is None or each.meets(window))
            and (types is None or set(types) & set(each.types))
            and (chosen is None or chosen(each))
        )


def write(folder: Path, *, events: int, customers: int) -> Made:
    """So many events over the month, spread evenly; each slice of receipt as one merge would write it."""
    limits = MergeLimits()
    writer = Writer(
        objects=FolderObjects(folder), clock=SystemClock(), random_bytes=os.urandom, segment_rows=limits.rows
    )
    specs = partial_specs(CATALOGUE, time_zones=["UTC"])
    segments: list[Segment] = []
    engine = duckdb.connect(":memory:", config={"memory_limit": "5GB", "temp_directory": str(folder / "sort")})
    try:
        engine.execute("CREATE MACRO uuid_of(n) AS format('{:016x}{:016x}', hash(n + 99), hash(n + 101))")
        for first in range(0, events, limits.job_rows):
            last = min(first + limits.job_rows, events)
            segments += writer.write(
                tenant_id="benchmark",
                tables=_slice(engine, events, customers, first, last),
                kind=SegmentKind.COMPACTED,
                erasure_epoch=0,
                specs=specs,
                minutes=(DAY_MINUTES,),
            )
            progress(f"  {last:,} events")
    finally:
        engine.close()
    return Made(folder=folder, events=events, customers=customers, segments=tuple(segments))


def _slice(engine: duckdb.DuckDBPyConnection, events: int, customers: int, first: int, last: int) -> Iterator[pa.Table]:
    start, end = (int(moment.timestamp()) * 1_000_000 for moment in (MONTH.start, MONTH.end))
    given = {
        "start": start, "span": float(end - start), "events": events, "customers": customers, "first": first, "last": last,
    }  # fmt: skip
    reader = engine.sql(SQL, params=given).to_arrow_reader(compacting.CHUNK_ROWS)
    for batch in reader:
        yield pa.table(batch).cast(_schema(batch.schema))


def _schema(found: pa.Schema) -> pa.Schema:
    moment = pa.timestamp("us", "UTC")
    return pa.schema([(each.name, moment if pa.types.is_timestamp(each.type) else each.type) for each in found])
