"""The configuration kind Meter: what is counted of one type of event. Pure; knows no price, no customer and no engine.

A meter gives a quantity for a customer, a window and a value of each group field. It changes nothing that is stored: a meter added
later counts what came before it.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

AGGREGATED_SCALE_MAX: Final = 18
GROUP_FIELDS_MAX: Final = 4
FILTERS_MAX: Final = 16
FILTER_VALUES_MAX: Final = 200
QUANTITY_SCALE: Final = 12
"""Digits after the point of what is not exact by nature (averages, interpolated percentiles, levels over time)."""


class Aggregation(StrEnum):
    """How events become one quantity. avg, percentile and weighted_sum are rounded once, at the meter's scale; all else is exact.

    latest: the value of the event that happened last; of several at one instant the greatest, so that arrival never decides.
    unique: how many different values. weighted_sum: a level over time: see `Level`. percentile: see `Method`.
    """

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    AVERAGE = "avg"
    LATEST = "latest"
    UNIQUE = "unique"
    WEIGHTED_SUM = "weighted_sum"
    PERCENTILE = "percentile"


class Rounding(StrEnum):
    """How a quantity is rounded: half away from zero, half to even, toward zero, away from zero, toward minus or plus infinity."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    DOWN = "down"
    UP = "up"
    FLOOR = "floor"
    CEILING = "ceiling"


class Comparison(StrEnum):
    """What a filter asks of a field. in, not_in: one of the values, none of them (a missing field is in none). at_least, below: a
    decimal against the one value. present, absent: whether the field is there."""

    IN = "in"
    NOT_IN = "not_in"
    AT_LEAST = "at_least"
    BELOW = "below"
    PRESENT = "present"
    ABSENT = "absent"


class Filter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition on one field. Values of a boolean are true and false, of a decimal plain decimals, of a time RFC 3339."""

    field: str
    comparison: Comparison = Comparison.IN
    values: tuple[str, ...] = ()


class BucketSize(StrEnum):
    """A stretch of the local clock. Minutes and hours are cut where the clock changes: an autumn night has two hours from 2 to 3.
    A day is a local date, of 23, 24 or 25 hours."""

    FIVE_MINUTES = "5m"
    QUARTER_HOUR = "15m"
    HOUR = "hour"
    DAY = "day"


class EmptyBuckets(StrEnum):
    """What a bucket without an event counts as: nothing at all, or zero."""

    SKIP = "skip"
    ZERO = "zero"


class Bucket(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """First one value a bucket, by `aggregation`; the meter's own aggregation is then of those values: the peak hour, the 95th
    percentile of five-minute sums, days with use.

    time_zone: IANA name in whose clock buckets are cut. A bucket is over all subjects of a customer together.
    """

    size: BucketSize
    aggregation: Aggregation
    time_zone: str = "UTC"
    empty: EmptyBuckets = EmptyBuckets.SKIP


class Method(StrEnum):
    """Which number a percentile of n sorted values is. nearest: the ceil(p·n)-th, always one that occurred. linear: at rank
    1 + p·(n-1), between its neighbours in proportion (what spreadsheets call inclusive)."""

    NEAREST = "nearest"
    LINEAR = "linear"


class Level(StrEnum):
    """What the field of a weighted sum says. absolute: the level from then on, of its subject and group. change: what is added to
    the level. The level before the first event is 0; what was before the window is carried in."""

    ABSOLUTE = "absolute"
    CHANGE = "change"


class Per(StrEnum):
    """What level times time is divided by: the window's length (the average level), or a second, minute, hour or 24 hours."""

    WINDOW = "window"
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Conversion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is sold by: the quantity times `multiply`, by `divide`, rounded once to `scale` digits after the point.

    Bytes into gibibytes begun: divide "1073741824", scale 0, rounding up. It is applied to the aggregate, never to an event.
    """

    multiply: str = "1"
    divide: str = "1"
    scale: int = 0
    rounding: Rounding = Rounding.HALF_UP


class Meter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is counted.

    event_type: name of the EventType document. field: what is aggregated ("" for count). filters: all must hold. group_by: fields
    (text or boolean) whose values make quantities of their own; a missing one counts as "". unit: what one is called.
    scale, rounding: of averages, percentiles and levels over time. percentile: "0.95". carry_over: of latest, a window without an
    event has the last value from before it. conversion: into the unit that is sold.
    """

    title: str
    event_type: str
    aggregation: Aggregation
    field: str = ""
    unit: str = "unit"
    filters: tuple[Filter, ...] = ()
    group_by: tuple[str, ...] = ()
    bucket: Bucket | None = None
    percentile: str = ""
    method: Method = Method.NEAREST
    level: Level = Level.ABSOLUTE
    per: Per = Per.WINDOW
    carry_over: bool = False
    scale: int = QUANTITY_SCALE
    rounding: Rounding = Rounding.HALF_UP
    conversion: Conversion | None = None


def plain_decimal(text: str) -> Decimal | None:
    """The number a plain decimal string says, or None: no exponent, no infinity, at most 38 digits."""
    digits = text.removeprefix("-")
    whole, _, fraction = digits.partition(".")
    ascii_digits = (whole + fraction).isascii() and whole.isdigit() and (fraction.isdigit() or "." not in digits)
    return Decimal(text) if ascii_digits and len(whole) + len(fraction) <= 38 else None
