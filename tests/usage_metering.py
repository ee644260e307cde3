"""Events, files and the naive reference that tests of metering share. The reference walks every event in plain Python."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from revline.core.ids import SourceObject
from revline.subledger.usage import columns
from revline.subledger.usage.events import VOID_TYPE
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.metering.answering import Answering
from revline.subledger.usage.metering.dialects import Bound, ClickHouse
from revline.subledger.usage.metering.duck import DuckBoxes, EngineLimits
from revline.subledger.usage.metering.kinds import (
    Meter,
)
from revline.subledger.usage.metering.ports import Boxes
from revline.subledger.usage.metering.subjects import KnownCustomer, SubjectDirectory, SubjectMapping
from revline.subledger.usage.metering.values import CustomerWindow, Demand, MeterCatalogue
from revline.subledger.usage.store.layout import column_type, plain_table
from revline.subledger.usage.store.parquet import SegmentFileWriter, partials_bytes
from revline.subledger.usage.store.partials import partials_of
from revline.subledger.usage.store.values import PartialSpec, Segment, SegmentFile, SegmentKind
from revline.subledger.usage.versions import UsageVersion, Window

MARCH = Window(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC))
CALLS = EventType(
    title="API calls",
    type="api.call",
    fields={
        "tokens": UsageField(kind=FieldKind.DECIMAL, precision=18, scale=3),
        "wide": UsageField(kind=FieldKind.DECIMAL, precision=30, scale=10),
        "region": UsageField(kind=FieldKind.TEXT),
        "user": UsageField(kind=FieldKind.TEXT, personal=True),
        "cached": UsageField(kind=FieldKind.BOOLEAN),
        "until": UsageField(kind=FieldKind.TIME),
    },
)
SEATS = EventType(
    title="Seats",
    type="seats",
    fields={"level": UsageField(kind=FieldKind.DECIMAL, precision=12, scale=2)},
)
TYPES = {"calls": CALLS, "seats": SEATS}


NUMBERS = count()


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One stored event of a test."""

    subject: str
    at: datetime
    type: str = "api.call"
    id: str = ""
    fields: Mapping[str, Any] = {}
    voids: str = ""
    typed: bool = True


def customer(name: str) -> SourceObject:
    """A customer on the connection crm."""
    return SourceObject(connection="crm", kind="customer", outside_id=name)


def directory(
    names: Iterable[str], mappings: Iterable[SubjectMapping] = (), parents: Mapping[str, str] | None = None
) -> SubjectDirectory:
    """Customers known by their outside ids."""
    parents = parents or {}
    known = [KnownCustomer(customer=customer(name), parent=parents.get(name, "")) for name in names]
    return SubjectDirectory(customers=known, mappings=mappings)


def table_of(events: Sequence[tuple[int, Event]], types: Mapping[str, EventType] = TYPES) -> pa.Table:
    """Events with their sequences as stored columns of shard 0."""
    by_type = {each.type: each for each in types.values()}
    rows: dict[str, list[Any]] = defaultdict(list)
    names = sorted(
        {
            columns.field_column(name, by_type[each.type].fields[name])
            for _, each in events
            if each.type in by_type and each.typed
            for name in each.fields
        }
    )
    for sequence, each in events:
        common = {
            columns.SHARD: 0,
            columns.SEQUENCE: sequence,
            columns.RECEIVED_AT: each.at,
            columns.OCCURRED_AT: each.at,
            columns.TYPE: each.type,
            columns.SUBJECT: each.subject,
            columns.SOURCE: "test",
            columns.ID: each.id or f"e{sequence}",
            columns.VOIDS_SOURCE: "test" if each.voids else None,
            columns.VOIDS_ID: each.voids or None,
            columns.REST: None,
            columns.TYPED: each.typed,
        }
        for name, value in common.items():
            rows[name].append(value)
        described_by = by_type.get(each.type) if each.typed else None
        own = (
            {columns.field_column(name, described_by.fields[name]): value for name, value in each.fields.items()}
            if described_by
            else {}
        )
        for name in names:
            rows[name].append(own.get(name))
    order = [*columns.COMMON, *names]
    return pa.table({name: pa.array(rows[name], column_type(name)) for name in order})


class Stored:
    """A reading of files written into a folder, and a tail."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._files, self._last = folder, list[tuple[Segment, str]](), 0
        self.tail: pa.Table | None = None
        self.events: list[tuple[int, Event]] = []
        self.until: int | None = None

    @property
    def version(self) -> UsageVersion:
        return UsageVersion(watermarks=((0, self._last if self.until is None else self.until),))

    def seal(
        self,
        events: Sequence[Event],
        *,
        ordered: bool = False,
        types: Mapping[str, EventType] = TYPES,
        specs: Sequence[PartialSpec] = (),
        minutes: Sequence[int] = (),
    ) -> None:
        """A file of these events, in order of receipt, or sorted as a compacted one, with partial aggregates of these specs."""
        if not events:
            return
        numbered = self._numbered(events)
        if ordered:
            numbered = sorted(numbered, key=lambda each: (each[1].type, each[1].subject, each[1].at))
        table = table_of(numbered, types)
        path = self._folder / f"{next(NUMBERS)}.parquet"  # a name is never used twice: engines remember what they read
        making = SegmentFileWriter(row_group_rows=64)
        making.add(table)
        segment, body = making.finish(segment_id=path.stem, key=path.name, kind=SegmentKind.SEALED, erasure_epoch=0)
        path.write_bytes(body)
        partials = partials_of(plain_table([table]), specs=specs, minutes=minutes) if specs else None
        if partials is not None:
            ahead = self._folder / f"{path.stem}-partials.parquet"
            ahead.write_bytes(partials_bytes(partials))
            segment = msgspec.structs.replace(
                segment,
                partials_key=str(ahead),
                partials=tuple(each.spec_id for each in specs),
                buckets=tuple(sorted({each.minutes for each in specs} | set(minutes))),
            )
        self._files.append((segment, str(path)))

    def move(self, folder: Path) -> None:
        """The last file stands in another folder."""
        folder.mkdir()
        segment, path = self._files[-1]
        self._files[-1] = (segment, str(Path(path).rename(folder / Path(path).name)))

    def keep(self, events: Sequence[Event], *, types: Mapping[str, EventType] = TYPES) -> None:
        """Events that are in no file."""
        if events:
            self.tail = table_of(self._numbered(events), types)

    def files(
        self,
        *,
        window: Window | None = None,
        types: Collection[str] | None = None,
        chosen: Callable[[Segment], bool] | None = None,
    ) -> tuple[SegmentFile, ...]:
        """As the store answers."""
        return tuple(
            SegmentFile(
                segment=segment,
                path=path,
                whole=segment.within(self.version),
                partials_path=segment.partials_key if segment.within(self.version) else "",
            )
            for segment, path in self._files
            if segment.touches(self.version)
            and (window is None or segment.meets(window))
            and (types is None or set(types) & set(segment.types))
            and (chosen is None or chosen(segment))
        )

    def _numbered(self, events: Sequence[Event]) -> list[tuple[int, Event]]:
        found = [(self._last + place, each) for place, each in enumerate(events, 1)]
        self._last += len(events)
        self.events += found
        return found

    def counted(self) -> list[tuple[int, Event]]:
        """What is in: events of the version that no void or amendment of it names, voids themselves aside."""
        version = [(number, each) for number, each in self.events if number <= self.version.until(0)]
        out = {each.voids for _, each in version if each.voids}
        return [
            (number, each)
            for number, each in version
            if each.typed and each.type != VOID_TYPE and (each.id or f"e{number}") not in out
        ]


duck_boxes = DuckBoxes(limits=EngineLimits(memory_megabytes=512, threads=1))
"""DuckDB, small."""


class ClickHouseBox:
    """The same queries on ClickHouse's engine: tables it is given become views over Parquet files."""

    def __init__(self, session: Any, folder: Path) -> None:
        self._session, self._folder = session, folder

    def dialect(self) -> ClickHouse:
        return ClickHouse()

    def give(self, name: str, table: pa.Table) -> None:
        path = self._folder / f"given-{next(NUMBERS)}.parquet"
        path.write_bytes(parquet_bytes_of(table))
        described_fields = ClickHouse().files([str(path)], fields=[each for each in table.column_names if "__" in each])
        relation = described_fields if name == "tail" else f"file('{path}', Parquet, '{_structure(table)}')"
        self._session.query(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM {relation}")

    def ask(self, sql: str, parameters: Mapping[str, Bound]) -> pa.Table:
        return self._session.query(sql, "ArrowTable", params={name: str(each) for name, each in parameters.items()})


def parquet_bytes_of(table: pa.Table) -> bytes:
    stream = pa.BufferOutputStream()
    pq.write_table(table, stream, store_schema=False)
    return stream.getvalue().to_pybytes()


def _structure(table: pa.Table) -> str:
    kinds = {
        pa.string(): "String",
        pa.int16(): "Int16",
        pa.int32(): "Int32",
        pa.int64(): "Int64",
        pa.bool_(): "Bool",
        pa.timestamp("us", "UTC"): "DateTime64(6, \\'UTC\\')",
    }
    return ", ".join(f"{field.name} {kinds[field.type]}" for field in table.schema)


def clickhouse_boxes(session: Any, folder: Path) -> Boxes:
    """ClickHouse boxes on one session."""

    @contextmanager
    def boxes(*, paths: Iterable[str]) -> Iterator[ClickHouseBox]:
        del paths
        yield ClickHouseBox(session, folder)

    return boxes


def asked(
    stored: Stored,
    meters: Mapping[str, Meter],
    *,
    people: SubjectDirectory,
    window: Window | None = MARCH,
    customers: Sequence[CustomerWindow] = (),
    boxes: Boxes = duck_boxes,
    types: Mapping[str, EventType] = TYPES,
    partials: bool = True,
) -> dict[str, dict[tuple[Any, ...], tuple[Decimal, int, int]]]:
    """Quantity, events and sequences by customer, window start and group, of each meter."""
    answering = Answering(
        reading=stored,
        catalogue=MeterCatalogue(types=types, meters=meters),
        directory=people,
        boxes=boxes,
        partials=partials,
    )
    demands = [Demand(meter=name, window=window, customers=tuple(customers)) for name in meters]
    return {
        name: {
            (row["outside_id"], row["window_start"], *row["group"]): (
                row["quantity"],
                row["events"],
                int(row["sequences"]),
            )
            for row in each.table.to_pylist()
        }
        for name, each in answering.quantities(demands).items()
    }
