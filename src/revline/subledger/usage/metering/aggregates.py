"""Each aggregation as SQL: which exact parts a query gives, and what `finishing` must know of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from fractions import Fraction

import msgspec

from revline.subledger.usage import columns
from revline.subledger.usage.metering.clocks import bucket_number
from revline.subledger.usage.metering.dialects import Dialect
from revline.subledger.usage.metering.fields import FieldValue
from revline.subledger.usage.metering.kinds import Aggregation, EmptyBuckets, Level, Meter, Method
from revline.subledger.usage.versions import Window


class Part(StrEnum):
    """A column of an answer. events, sequences: of the events counted. value: the sum, or the number itself. number: how many
    values there are. total: of buckets, the empty ones too. low, high: the values around a percentile's rank."""

    EVENTS = "events"
    SEQUENCES = "sequences"
    VALUE = "value"
    NUMBER = "number"
    TOTAL = "total"
    LOW = "low"
    HIGH = "high"


class Aggregate(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer's columns make one meter's quantities. parts: column by part. scale: of the values. type: rows of this event
    type only, "" for all. filtered: rows without events are of other meters."""

    parts: Mapping[Part, str]
    scale: int
    type: str = ""
    filtered: bool = False


def plain_components(dialect: Dialect, *, aggregation: Aggregation, value: FieldValue | None) -> Mapping[Part, str]:
    """SQL of each part of an aggregation in a plain group-by. An event without the field counts as an event, its value as none."""
    parts = {Part.EVENTS: "count(*)", Part.SEQUENCES: dialect.total_integer(f"e.{columns.SEQUENCE}")}
    if value is None:
        return parts
    sql = value.sql
    match aggregation:
        case Aggregation.SUM:
            parts[Part.VALUE] = dialect.total(sql, precision=value.precision, scale=value.scale)
        case Aggregation.AVERAGE:
            parts[Part.VALUE] = dialect.total(sql, precision=value.precision, scale=value.scale)
            parts[Part.NUMBER] = f"count({sql})"
        case Aggregation.MIN:
            parts[Part.VALUE] = f"min({sql})"
        case Aggregation.MAX:
            parts[Part.VALUE] = f"max({sql})"
        case Aggregation.UNIQUE:
            parts[Part.VALUE] = f"count(DISTINCT {sql})"
        case Aggregation.LATEST:
            parts[Part.VALUE] = last_of(dialect, f"e.{columns.OCCURRED_AT}", sql)
        case _:
            raise ValueError(f"{aggregation.value} is no column of a plain group-by")
    return parts


def merging(dialect: Dialect, aggregation: Aggregation, part: Part, column: str, scale: int) -> str:
    """SQL that makes one of several subjects' part."""
    if part is not Part.VALUE:
        return dialect.total_integer(column)
    if aggregation in {Aggregation.MIN, Aggregation.MAX}:
        return f"{aggregation.value}({column})"
    return dialect.total(column, precision=38, scale=scale)


def last_of(dialect: Dialect, moment: str, value: str) -> str:
    """The value at the greatest moment; of several then the greatest, so that arrival never decides."""
    null = f"CASE WHEN {value} IS NOT NULL THEN {dialect.pair(moment, value)} END"
    if dialect.name == "clickhouse":  # a tuple can't be null there
        return f"if(count({value}) = 0, NULL, {dialect.part(f'maxIf({dialect.pair(moment, value)}, {value} IS NOT NULL)', 2)})"
    return dialect.part(f"max({null})", 2)


def bucketed_sql(
    dialect: Dialect,
    *,
    meter: Meter,
    value: FieldValue | None,
    events: str,
    where: str,
    keyed: Sequence[str],
    window: Window,
) -> tuple[str, Aggregate]:
    """Meters that need a group-by of their own: unique, percentile, and everything over buckets."""
    names = [each.rpartition(" AS ")[2] for each in keyed]
    scale = value.scale if value else 0
    keys = ", ".join(["slot", *names])
    if meter.bucket is None:
        if meter.aggregation is Aggregation.UNIQUE:
            parts = plain_components(dialect, aggregation=meter.aggregation, value=value)
            asked = ", ".join(f"{sql} AS {part}" for part, sql in parts.items())
            select = ", ".join(["e.slot AS slot", *keyed])
            sql = f"SELECT {select}, {asked} FROM ({events}) e{where} GROUP BY {keys}"
            return sql, Aggregate(parts={part: part.value for part in parts}, scale=0)
        assert value is not None, "the check of a meter asks for a field"
        asked = ", ".join(["e.slot AS slot", *keyed, "1 AS events", "e.sequence AS sequences", f"{value.sql} AS value"])
        rows = f"SELECT {asked} FROM ({events}) e{where}"
        return _percentile_sql(dialect, meter, rows, keys, scale, buckets="")
    bucket = meter.bucket
    number = bucket_number(
        dialect, moment=f"e.{columns.OCCURRED_AT}", size=bucket.size, window=window, time_zone=bucket.time_zone
    )
    if bucket.aggregation in {Aggregation.COUNT, Aggregation.UNIQUE}:
        scale = 0
    parts = dict(plain_components(dialect, aggregation=bucket.aggregation, value=value))
    inner_value = parts.get(Part.VALUE, "count(*)")
    empty = "any_value" if dialect.name == "duckdb" else "any"
    rows = (
        f"SELECT {', '.join(['e.slot AS slot', *keyed])}, {number} AS bucket, {parts[Part.EVENTS]} AS events,"
        f" {parts[Part.SEQUENCES]} AS sequences, {inner_value} AS value, {empty}(e.buckets) AS buckets"
        f" FROM ({events}) e{where} GROUP BY {keys}, bucket"
    )
    if meter.aggregation is Aggregation.PERCENTILE:
        return _percentile_sql(dialect, meter, rows, keys, scale, buckets=f"{empty}(v.buckets)")
    return _over_buckets(dialect, meter, rows, keys, scale, empty)


def _over_buckets(
    dialect: Dialect, meter: Meter, rows: str, keys: str, scale: int, anything: str
) -> tuple[str, Aggregate]:
    how = {
        Aggregation.COUNT: "count(b.value)",
        Aggregation.MIN: "min(b.value)",
        Aggregation.MAX: "max(b.value)",
        Aggregation.SUM: dialect.total("b.value", precision=38, scale=scale),
        Aggregation.AVERAGE: dialect.total("b.value", precision=38, scale=scale),
        Aggregation.LATEST: last_of(dialect, "b.bucket", "b.value"),
    }[meter.aggregation]
    sql = (
        f"SELECT {keys}, {dialect.total_integer('b.events')} AS events, {dialect.total_integer('b.sequences')} AS sequences,"
        f" {how} AS value, count(b.value) AS number, {anything}(b.buckets) AS total FROM ({rows}) b GROUP BY {keys}"
    )
    scale = 0 if meter.aggregation is Aggregation.COUNT else scale
    parts = (Part.EVENTS, Part.SEQUENCES, Part.VALUE, Part.NUMBER, Part.TOTAL)
    return sql, Aggregate(parts={part: part.value for part in parts}, scale=scale)


def _percentile_sql(
    dialect: Dialect, meter: Meter, rows: str, keys: str, scale: int, *, buckets: str
) -> tuple[str, Aggregate]:
    """The values around a rank, found by counting in whole numbers. Empty buckets are zeros between what is below and the rest."""
    zeros = meter.bucket is not None and meter.bucket.empty is EmptyBuckets.ZERO
    gathered = (
        f"SELECT {keys}, {dialect.total_integer('v.events')} AS events, {dialect.total_integer('v.sequences')} AS sequences,"
        f" {dialect.gathered('v.value')} AS found{f', {buckets} AS buckets' if zeros else ''} FROM ({rows}) v GROUP BY {keys}"
    )
    there = dialect.how_many("found")
    counted = (
        f"SELECT *, {there} AS there, {'greatest(buckets - ' + there + ', 0)' if zeros else '0'} AS zeros,"
        f" {dialect.how_many_below_zero('found') if zeros else '0'} AS below FROM ({gathered}) g"
    )
    share = Fraction(meter.percentile)
    n = "(there + zeros)"
    if meter.method is Method.NEAREST:
        low = high = dialect.whole_part(f"{n} * {share.numerator} + {share.denominator - 1}", str(share.denominator))
    else:
        low = dialect.whole_part(f"({n} - 1) * {share.numerator}", str(share.denominator)) + " + 1"
        high = f"least({low} + 1, {n})"
    ranked = f"SELECT *, {low} AS first, {high} AS second FROM ({counted}) c"

    def at(rank: str) -> str:
        plain = dialect.at("found", f"least(greatest({rank}, 1), there)")
        if not zeros:
            return plain
        zero = f"CASE WHEN {rank} <= below THEN {dialect.at('found', f'greatest({rank}, 1)')}"
        return f"{zero} WHEN {rank} <= below + zeros THEN 0 ELSE {dialect.at('found', f'{rank} - zeros')} END"

    sql = (
        f"SELECT {keys}, events, sequences, CASE WHEN {n} > 0 THEN {at('first')} END AS low,"
        f" CASE WHEN {n} > 0 THEN {at('second')} END AS high, {n} AS number FROM ({ranked}) r"
    )
    parts = (Part.EVENTS, Part.SEQUENCES, Part.LOW, Part.HIGH, Part.NUMBER)
    return sql, Aggregate(parts={part: part.value for part in parts}, scale=scale)


def level_sql(
    dialect: Dialect,
    *,
    meter: Meter,
    value: FieldValue | None,
    events: str,
    where: str,
    keyed: Sequence[str],
    window: Window,
) -> tuple[str, Aggregate]:
    """Meters that count what was before the window: a level over time, and a last value that is carried over."""
    del window
    assert value is not None, "the check of a meter asks for a field"
    names = [each.rpartition(" AS ")[2] for each in keyed]
    keys = ", ".join(["slot", *names])
    moment = f"e.{columns.OCCURRED_AT}"
    within = f"{moment} >= e.begins"
    select = ", ".join(["e.slot AS slot", *keyed])
    events_within = f"count(*) FILTER (WHERE {within}) AS events"
    sequences = f"coalesce({dialect.total_integer(f'CASE WHEN {within} THEN e.sequence END')}, 0) AS sequences"
    plain = {part: part.value for part in (Part.EVENTS, Part.SEQUENCES, Part.VALUE)}
    if meter.aggregation is Aggregation.LATEST:
        last = last_of(dialect, moment, value.sql)
        sql = f"SELECT {select}, {events_within}, {sequences}, {last} AS value FROM ({events}) e{where} GROUP BY {keys}"
        return sql, Aggregate(parts=plain, scale=value.scale)
    if meter.level is Level.CHANGE:
        ends = dialect.since_1970("e.ends")
        start = f"greatest({dialect.since_1970(moment)}, {dialect.since_1970('e.begins')})"
        area = dialect.times(value.sql, f"{ends} - {start}", scale=value.scale)
        total = dialect.total(area, precision=38, scale=value.scale)
        sql = (
            f"SELECT {select}, {events_within}, {sequences}, {total} AS value FROM ({events}) e{where} GROUP BY {keys}"
        )
        return sql, Aggregate(parts=plain, scale=value.scale)
    area = _absolute_level_sql(
        dialect, value=value, events=events, where=where, keyed=keyed, counted=f"{events_within}, {sequences}"
    )
    return area, Aggregate(parts=plain, scale=value.scale)


def _absolute_level_sql(
    dialect: Dialect, *, value: FieldValue, events: str, where: str, keyed: Sequence[str], counted: str
) -> str:
    """Level times microseconds, summed over subjects.

    A level holds from its event to the next one of its subject and group. Of what was before the window only the last counts, so
    it is put at the window's start; of several at one instant the greatest stands.
    """
    keys = ", ".join(["slot", *(each.rpartition(" AS ")[2] for each in keyed)])
    select, moment = ", ".join(["e.slot AS slot", *keyed]), f"e.{columns.OCCURRED_AT}"
    begins = dialect.since_1970("e.begins")
    ends, happened = dialect.since_1970("e.ends"), dialect.since_1970(moment)
    level = last_of(dialect, moment, value.sql)
    points = (
        f"SELECT {select}, e.subject AS subject, max({ends}) AS ends,"
        f" CASE WHEN {value.sql} IS NOT NULL THEN greatest({happened}, {begins}) END AS point,"
        f" {counted}, {level} AS level FROM ({events}) e{where} GROUP BY {keys}, subject, point"
    )
    each = f"PARTITION BY {keys}, subject, point IS NULL"
    steps = (
        f"SELECT *, row_number() OVER w AS place, count(*) OVER ({each}) AS places,"
        f" max(point) OVER ({each} ORDER BY point ROWS BETWEEN 1 FOLLOWING AND 1 FOLLOWING) AS later"
        f" FROM ({points}) p WINDOW w AS ({each} ORDER BY point)"
    )
    until = "CASE WHEN place < places THEN later ELSE ends END"
    total = dialect.total(
        dialect.times("level", f"{until} - point", scale=value.scale), precision=38, scale=value.scale
    )
    return (
        f"SELECT {keys}, {dialect.total_integer('s.events')} AS events, {dialect.total_integer('s.sequences')} AS sequences,"
        f" {total} AS value FROM ({steps}) s GROUP BY {keys}"
    )
