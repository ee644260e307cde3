"""Quantities from partial aggregates: which meters can be made of them, which files' rows they stand for, and the query over them.

Whole days come from day buckets, what is left of a window from shorter ones; a file without them, the waiting rows and subjects
with events that were taken back are read event by event, and both answers are put together exactly.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from revline.subledger.usage import columns
from revline.subledger.usage.kinds import EventType
from revline.subledger.usage.metering.aggregates import Aggregate, Part
from revline.subledger.usage.metering.clocks import SECOND, stretches
from revline.subledger.usage.metering.compiling import Compiled, can_share
from revline.subledger.usage.metering.dialects import MICROSECOND, Dialect, literal, micros
from revline.subledger.usage.metering.kinds import Aggregation, Meter
from revline.subledger.usage.metering.ports import Box
from revline.subledger.usage.metering.values import MeterCatalogue
from revline.subledger.usage.store.values import (
    DAY_MINUTES,
    HOUR_MINUTES,
    QUARTER_MINUTES,
    Condition,
    PartialFilter,
    PartialSpec,
    SegmentFile,
)
from revline.subledger.usage.versions import Window

MINUTE: Final = 60 * SECOND
BASES: Final = (HOUR_MINUTES, QUARTER_MINUTES)
WIDEST: Final = 38
STORED: Final = {
    Aggregation.SUM: "sum(p.total)",
    Aggregation.AVERAGE: "sum(p.total)",
    Aggregation.MIN: "min(p.smallest)",
    Aggregation.MAX: "max(p.largest)",
}
JOINED: Final = {
    Aggregation.SUM: "sum(b.value)",
    Aggregation.AVERAGE: "sum(b.value)",
    Aggregation.MIN: "min(b.value)",
    Aggregation.MAX: "max(b.value)",
}


class PartialFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files whose rows are read as partial aggregates. base: minutes of their buckets. days: they have days too."""

    base: int
    days: bool
    paths: tuple[str, ...]


def partial_spec(meter: Meter, event_type: EventType, *, minutes: int = HOUR_MINUTES) -> PartialSpec | None:
    """What has to be aggregated ahead for a meter, or None for one that needs its events: unique, percentile, levels, buckets and
    last values."""
    if not can_share(meter) or meter.aggregation is Aggregation.LATEST:
        return None

    def column(name: str) -> str:
        return columns.field_column(name, event_type.fields[name])

    return PartialSpec(
        event_type=event_type.type,
        value=column(meter.field) if meter.field else "",
        filters=tuple(
            PartialFilter(column=column(each.field), condition=Condition(each.comparison.value), values=each.values)
            for each in meter.filters
        ),
        groups=tuple(column(name) for name in meter.group_by),
        minutes=minutes,
    )


def partial_specs(catalogue: MeterCatalogue, *, time_zones: Collection[str] = ()) -> tuple[PartialSpec, ...]:
    """What to aggregate ahead for every meter. time_zones: those billing periods are cut in; one that is not whole hours from UTC
    needs quarter hours."""
    minutes = HOUR_MINUTES if all(_whole_hours(zone) for zone in time_zones) else QUARTER_MINUTES
    found = (partial_spec(meter, catalogue.type_of(name), minutes=minutes) for name, meter in catalogue.meters.items())
    return tuple(sorted({each for each in found if each is not None}))


def _whole_hours(time_zone: str) -> bool:
    recent = Window(start=datetime(2020, 1, 1, tzinfo=UTC), end=datetime(2030, 1, 1, tzinfo=UTC))
    return all(each.offset % (HOUR_MINUTES * MINUTE) == 0 for each in stretches(window=recent, time_zone=time_zone))


def parted(
    files: Sequence[SegmentFile], *, meters: Mapping[str, tuple[Meter, EventType]], edges: Collection[Window]
) -> tuple[tuple[PartialFiles, ...], tuple[SegmentFile, ...]]:
    """Files that can be read as partial aggregates for all these meters, and the rest. edges: every window that is asked for."""
    groups: dict[tuple[int, bool], list[str]] = {}
    rest: list[SegmentFile] = []
    wanted = {
        base: [partial_spec(meter, of_type, minutes=base) for meter, of_type in meters.values()] for base in BASES
    }
    for file in files:
        base = next((base for base in BASES if _usable(file, wanted[base]) and _aligned(edges, base)), None)
        if base is None:
            rest.append(file)
        else:
            groups.setdefault((base, DAY_MINUTES in file.segment.buckets), []).append(file.partials_path)
    return (
        tuple(
            PartialFiles(base=base, days=days, paths=tuple(sorted(paths)))
            for (base, days), paths in sorted(groups.items())
        ),
        tuple(rest),
    )


def _usable(file: SegmentFile, specs: Sequence[PartialSpec | None]) -> bool:
    """Whether the file's partial aggregates hold these, of every row: none of its columns is the same field at another scale."""
    if not file.whole or not file.partials_path:
        return False
    has = set(file.segment.columns)
    for spec in specs:
        if spec is None or spec.spec_id not in file.segment.partials:
            return False
        if spec.event_type not in file.segment.types:
            continue
        if not spec.columns <= has:
            return False
        names = {column.rpartition("__")[0] for column in spec.columns}
        if any(column.rpartition("__")[0] in names for column in has - spec.columns - set(columns.COMMON)):
            return False
    return True


def _aligned(edges: Collection[Window], base: int) -> bool:
    return all(not micros(moment) % (base * MINUTE) for window in edges for moment in (window.start, window.end))


def partials_sql(
    dialect: Dialect,
    *,
    files: PartialFiles,
    meters: Mapping[str, tuple[Meter, EventType]],
    window: Window,
    uniform: bool,
    apart: bool,
    groups: int,
) -> str:
    """The rows of partial aggregates summed by slot, spec and group; without subjects that are apart, if any are."""
    specs = {_spec(each, files.base).spec_id for each in meters.values()}
    asked = {STORED[meter.aggregation] for meter, _ in meters.values() if meter.aggregation in STORED}
    keys = ["r.slot AS slot", "p.spec AS spec", *(f"p.group_{place + 1} AS g{place}" for place in range(groups))]
    averages = any(meter.aggregation is Aggregation.AVERAGE for meter, _ in meters.values())
    given = [
        "sum(p.events) AS events",
        "sum(p.sequences) AS sequences",
        f"sum({'p.with_value' if averages else 'p.events'}) AS number",
        *(f"{sql} AS {_named(sql)}" for sql in sorted(asked)),
    ]
    named = ", ".join(dialect.text(each) for each in sorted(specs))
    if uniform:
        on, when = "", _buckets(dialect, files, window)
    else:
        on = " AND p.bucket >= r.begins AND p.bucket < r.ends"
        inside = f"p.bucket >= {dialect.moment(window.start)} AND p.bucket < {dialect.moment(window.end)}"
        when = f"p.minutes = {files.base} AND {inside}"
    places = ", ".join(str(place + 1) for place in range(len(keys)))
    paths = ", ".join(literal(path) for path in files.paths)
    if uniform and not apart:  # summed by subject first, so that few rows meet their customers
        inner = ["p.subject AS subject", *keys[1:]]
        names = [each.rpartition(" AS ")[2] for each in (*keys[1:], *given)]
        outer = [f"i.{name} AS {name}" for name in names[: len(keys) - 1]]
        outer += [f"{_over(name)}(i.{name}) AS {name}" for name in names[len(keys) - 1 :]]
        sums = (
            f"SELECT {', '.join([*inner, *given])} FROM read_parquet([{paths}]) p"
            f" WHERE p.spec IN ({named}) AND ({when}) GROUP BY {places}"
        )
        join = f"SELECT {', '.join(['r.slot AS slot', *outer])} FROM ({sums}) i INNER JOIN routes r"
        return f"{join} ON i.subject = r.subject GROUP BY {places}"
    return (
        f"SELECT {', '.join([*keys, *given])} FROM read_parquet([{paths}]) p INNER JOIN"
        f" (SELECT * FROM routes WHERE NOT apart) r ON p.subject = r.subject{on}"
        f" WHERE p.spec IN ({named}) AND ({when}) GROUP BY {places}"
    )


def _over(name: str) -> str:
    return {"min_p_smallest": "min", "max_p_largest": "max"}.get(name, "sum")


def _named(sql: str) -> str:
    return sql.replace("(", "_").replace(")", "").replace(".", "_")


def _spec(each: tuple[Meter, EventType], base: int) -> PartialSpec:
    found = partial_spec(each[0], each[1], minutes=base)
    assert found is not None, "files were chosen by what every meter has"
    return found


def _buckets(dialect: Dialect, files: PartialFiles, window: Window) -> str:
    """Days where a whole day of UTC is within the window, shorter buckets on both sides of them."""
    day = timedelta(days=1)
    first = window.start + (-micros(window.start) % (DAY_MINUTES * MINUTE)) * MICROSECOND
    last = window.end - (micros(window.end) % (DAY_MINUTES * MINUTE)) * MICROSECOND
    start, end = dialect.moment(window.start), dialect.moment(window.end)
    if not files.days or last - first < day:
        return f"p.minutes = {files.base} AND p.bucket >= {start} AND p.bucket < {end}"
    parts = [
        f"(p.minutes = {DAY_MINUTES} AND p.bucket >= {dialect.moment(first)} AND p.bucket < {dialect.moment(last)})"
    ]
    if window.start < first:
        parts.append(f"(p.minutes = {files.base} AND p.bucket >= {start} AND p.bucket < {dialect.moment(first)})")
    if last < window.end:
        parts.append(f"(p.minutes = {files.base} AND p.bucket >= {dialect.moment(last)} AND p.bucket < {end})")
    return " OR ".join(parts)


def joined(
    box: Box,
    *,
    name: str,
    meter: tuple[Meter, EventType],
    scale: int,
    aggregates: Sequence[tuple[PartialFiles, pa.Table]],
    events: tuple[Compiled, pa.Table] | None,
    groups: int,
) -> tuple[Aggregate, pa.Table]:
    """One meter's answer out of partial aggregates and of events read one by one."""
    tables = [_of_partials(meter, files, answer, scale, groups) for files, answer in aggregates]
    if events is not None:
        compiled, answer = events
        tables.append(_of_events(compiled.meters[name], answer, scale, groups))
    parts = [Part.EVENTS, Part.SEQUENCES, Part.NUMBER]
    parts += [Part.VALUE] if meter[0].aggregation in STORED else []
    aggregate = Aggregate(parts={part: part.value for part in parts}, scale=scale)
    if len(tables) == 1:
        return aggregate, tables[0]
    box.give("answers", pa.concat_tables(tables))
    keys = ", ".join(["slot", *(f"g{place}" for place in range(groups))])
    value = f", {JOINED[meter[0].aggregation]} AS value" if meter[0].aggregation in STORED else ""
    sql = (
        f"SELECT {keys}, sum(b.events) AS events, sum(b.sequences) AS sequences, sum(b.number) AS number{value}"
        f" FROM answers b GROUP BY {keys}"
    )
    return aggregate, box.ask(sql, {})


def _of_partials(
    meter: tuple[Meter, EventType], files: PartialFiles, answer: pa.Table, scale: int, groups: int
) -> pa.Table:
    answer = answer.filter(pc.equal(answer["spec"], _spec(meter, files.base).spec_id))
    found = {name: answer[name] for name in ("slot", *(f"g{place}" for place in range(groups)))}
    found |= _counts(answer["events"], answer["sequences"], answer["number"])
    if meter[0].aggregation in STORED:
        found["value"] = _scaled(answer[_named(STORED[meter[0].aggregation])], scale)
    return pa.table(found)


def _of_events(aggregate: Aggregate, answer: pa.Table, scale: int, groups: int) -> pa.Table:
    if aggregate.type:
        answer = answer.filter(pc.equal(answer["type"], aggregate.type))
    parts = {part: answer[column] for part, column in aggregate.parts.items()}
    found = {name: answer[name] for name in ("slot", *(f"g{place}" for place in range(groups)))}
    found |= _counts(parts[Part.EVENTS], parts[Part.SEQUENCES], parts.get(Part.NUMBER, parts[Part.EVENTS]))
    if Part.VALUE in parts:
        found["value"] = parts[Part.VALUE].cast(pa.decimal128(WIDEST, scale))
    table = pa.table(found)
    return table.filter(pc.greater(table["events"], 0)) if aggregate.filtered else table


def _counts(events: pa.ChunkedArray, sequences: pa.ChunkedArray, number: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
    wide = pa.decimal128(WIDEST, 0)
    return {
        "events": events.cast(pa.int64()),
        "sequences": pc.fill_null(sequences if sequences.type == wide else sequences.cast(wide), pa.scalar(0, wide)),
        "number": number.cast(pa.int64()),
    }


def _scaled(column: pa.ChunkedArray, scale: int) -> pa.ChunkedArray:
    """Whole numbers read as decimals of a scale: the same digits."""
    wanted = pa.decimal128(WIDEST, scale)
    chunks = [
        pa.Array.from_buffers(wanted, len(each), each.buffers(), each.null_count, each.offset) for each in column.chunks
    ]
    return pa.chunked_array(chunks, wanted)
