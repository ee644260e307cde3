"""From a query's answer to quantities: the one division and rounding a meter names, in whole numbers. Knows no engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from revline.subledger.usage.metering.aggregates import Aggregate, Part
from revline.subledger.usage.metering.exact import converted, decimal_of, rounded
from revline.subledger.usage.metering.kinds import Aggregation, EmptyBuckets, Meter, Method, Per
from revline.subledger.usage.metering.routing import Slots
from revline.subledger.usage.metering.values import Metered

PER_MICROS = {
    Per.SECOND: 1_000_000,
    Per.MINUTE: 60_000_000,
    Per.HOUR: 3_600_000_000,
    Per.DAY: 86_400_000_000,
}
MOMENT = pa.timestamp("us", "UTC")
WIDEST = 38


class TooLargeError(Exception):
    """A quantity has more than 38 digits."""


def metered(*, name: str, meter: Meter, aggregate: Aggregate, answer: pa.Table, groups: int, slots: Slots) -> Metered:
    """One meter's quantities out of an answer, in order of customer, window and group. Raises TooLargeError."""
    if aggregate.type:
        answer = answer.filter(pc.equal(answer["type"], aggregate.type))
    parts = {part: answer[column] for part, column in aggregate.parts.items()}
    if aggregate.filtered:
        some = pc.greater(parts[Part.EVENTS], 0)
        answer = answer.filter(some)
        parts = {part: column.filter(some) for part, column in parts.items()}
    scale = quantity_scale(meter, aggregate.scale)
    table = pa.table(
        {
            "slot": answer["slot"].cast(pa.int64()),
            **{f"g{place}": answer[f"g{place}"].cast(pa.string()) for place in range(groups)},
            "quantity": _quantities(meter, aggregate, parts, answer["slot"], scale, slots),
            "events": parts[Part.EVENTS].cast(pa.int64()),
            "sequences": _wide(pc.fill_null(parts[Part.SEQUENCES], 0), 0),
        }
    )
    order = [("slot", "ascending"), *((f"g{place}", "ascending") for place in range(groups))]
    table = table.sort_by(order)
    return Metered(
        meter=name,
        scale=scale,
        unit=meter.unit,
        group_by=meter.group_by,
        table=pa.table({**slots.described(table["slot"]), "group": _groups(table, groups), **_rest(table)}),
    )


def quantity_scale(meter: Meter, stored: int) -> int:
    """Digits after the point of a meter's quantities. stored: of the values its query gives."""
    if meter.conversion:
        return meter.conversion.scale
    interpolated = meter.aggregation is Aggregation.PERCENTILE and meter.method is Method.LINEAR
    if interpolated or meter.aggregation in {Aggregation.AVERAGE, Aggregation.WEIGHTED_SUM}:
        return meter.scale
    if meter.aggregation in {Aggregation.COUNT, Aggregation.UNIQUE}:
        return 0
    return stored


def _rest(table: pa.Table) -> dict[str, Any]:
    return {name: table[name].combine_chunks() for name in ("quantity", "events", "sequences")}


def _groups(table: pa.Table, groups: int) -> pa.Array:
    if not groups:
        return pa.ListArray.from_arrays(pa.array([0] * (len(table) + 1), pa.int32()), pa.array([], pa.string()))
    columns = [table[f"g{place}"].to_pylist() for place in range(groups)]
    return pa.array([list(each) for each in zip(*columns, strict=True)], pa.list_(pa.string()))


def _wide(column: pa.ChunkedArray, scale: int) -> pa.ChunkedArray:
    """A column as decimal(38, scale); whole numbers and wider decimals too."""
    wanted = pa.decimal128(WIDEST, scale)
    if column.type == wanted:
        return column
    if pa.types.is_integer(column.type):
        column = column.cast(pa.decimal128(20, 0))
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid as error:
        raise TooLargeError(str(error)) from error


def _quantities(
    meter: Meter,
    aggregate: Aggregate,
    parts: dict[Part, pa.ChunkedArray],
    slot: pa.ChunkedArray,
    scale: int,
    slots: Slots,
) -> pa.ChunkedArray:
    exact = Part.VALUE in parts and meter.aggregation not in {Aggregation.AVERAGE, Aggregation.WEIGHTED_SUM}
    zeros = meter.bucket is not None and meter.bucket.empty is EmptyBuckets.ZERO
    if meter.conversion is None and not zeros:
        if meter.aggregation is Aggregation.COUNT and Part.VALUE not in parts:
            return _wide(parts[Part.EVENTS], 0)
        if exact:
            column = parts[Part.VALUE]
            return _wide(pc.fill_null(_wide(column, scale), pa.scalar(Decimal(0), pa.decimal128(WIDEST, scale))), scale)
    value = _finisher(meter, zeros=zeros, slots=slots)
    rows = zip(*(_column(parts.get(part), len(slot)) for part in Part), slot.to_pylist(), strict=True)
    found = [_unscaled(meter, value(dict(zip(Part, row[:-1], strict=True)), row[-1]), scale) for row in rows]
    try:
        return pa.chunked_array([pa.array(found, pa.decimal128(WIDEST, scale))])
    except pa.ArrowInvalid as error:
        raise TooLargeError(str(error)) from error


def _column(column: pa.ChunkedArray | None, length: int) -> Sequence[Any]:
    return [None] * length if column is None else column.to_pylist()


def _unscaled(meter: Meter, value: Fraction, scale: int) -> Decimal:
    if meter.conversion:
        return decimal_of(converted(value, meter.conversion), scale)
    return decimal_of(rounded(value, scale=scale, rounding=meter.rounding), scale)


def _finisher(meter: Meter, *, zeros: bool, slots: Slots) -> Callable[[dict[Part, Any], int], Fraction]:
    """What makes the exact quantity of one row."""

    def plain(row: dict[Part, Any], slot: int) -> Fraction:
        del slot
        return Fraction(row[Part.VALUE] if row[Part.VALUE] is not None else 0)

    def extreme(row: dict[Part, Any], slot: int) -> Fraction:
        value = plain(row, slot)
        if not zeros or row[Part.TOTAL] <= row[Part.NUMBER]:
            return value
        return max(value, Fraction(0)) if meter.aggregation is Aggregation.MAX else min(value, Fraction(0))

    def average(row: dict[Part, Any], slot: int) -> Fraction:
        number = int(max(row[Part.TOTAL], row[Part.NUMBER]) if zeros else row[Part.NUMBER])
        return plain(row, slot) / number if number else Fraction(0)

    def count(row: dict[Part, Any], slot: int) -> Fraction:
        del slot
        return Fraction(row[Part.EVENTS] if row[Part.VALUE] is None else row[Part.VALUE])

    def level(row: dict[Part, Any], slot: int) -> Fraction:
        span = slots.micros(slot) if meter.per is Per.WINDOW else PER_MICROS[meter.per]
        return plain(row, slot) / span

    def percentile(row: dict[Part, Any], slot: int) -> Fraction:
        del slot
        if row[Part.LOW] is None:
            return Fraction(0)
        low, high = Fraction(row[Part.LOW]), Fraction(row[Part.HIGH])
        if meter.method is Method.NEAREST:
            return low
        return low + (high - low) * (Fraction(meter.percentile) * (int(row[Part.NUMBER]) - 1) % 1)

    match meter.aggregation:
        case Aggregation.AVERAGE:
            return average
        case Aggregation.COUNT:
            return count
        case Aggregation.WEIGHTED_SUM:
            return level
        case Aggregation.PERCENTILE:
            return percentile
        case Aggregation.MIN | Aggregation.MAX:
            return extreme
        case _:
            return plain
