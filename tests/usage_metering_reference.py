"""What meters come to, found by walking every event in plain Python: the reference that queries are compared with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from revline.core.ids import SourceObject
from revline.subledger.usage.kinds import EventType
from revline.subledger.usage.metering.exact import decimal_of, rounded
from revline.subledger.usage.metering.kinds import (
    Aggregation,
    BucketSize,
    Comparison,
    EmptyBuckets,
    Level,
    Meter,
    Method,
    Per,
)
from revline.subledger.usage.metering.subjects import SubjectDirectory
from revline.subledger.usage.versions import Window
from tests.usage_metering import TYPES, Event, Stored


def expected(
    stored: Stored,
    meter: Meter,
    *,
    people: SubjectDirectory,
    windows: Mapping[SourceObject, Sequence[Window]],
    types: Mapping[str, EventType] = TYPES,
    scale: int | None = None,
) -> dict[tuple[Any, ...], tuple[Decimal, int, int]]:
    """The same by walking every event."""
    event_type = types[meter.event_type]
    rows: dict[tuple[Any, ...], list[tuple[int, Event]]] = defaultdict(list)
    bounds: dict[tuple[Any, ...], Window] = {}
    level = meter.carry_over or meter.aggregation is Aggregation.WEIGHTED_SUM
    for number, event in stored.counted():
        if event.type != event_type.type or not _passes(meter, event):
            continue
        for route in people.routes_of(subject=event.subject, connection=event_type.subject):
            for window in windows.get(route.customer, ()):
                inside = route.window.start <= event.at < route.window.end and event.at < window.end
                if inside and (event.at >= window.start or level):
                    group = tuple(_text(event.fields.get(name)) for name in meter.group_by)
                    key = (route.customer.outside_id, window.start, *group)
                    rows[key].append((number, event))
                    bounds[key] = window
    return {
        key: (
            _quantity(meter, found, bounds[key], people, event_type, scale),
            sum(1 for _, event in found if event.at >= bounds[key].start),
            sum(number for number, event in found if event.at >= bounds[key].start),
        )
        for key, found in rows.items()
    }


def _passes(meter: Meter, event: Event) -> bool:
    for one in meter.filters:
        value = event.fields.get(one.field)
        texts = [_text(value)] if value is not None else []
        match one.comparison:
            case Comparison.PRESENT:
                good = value is not None
            case Comparison.ABSENT:
                good = value is None
            case Comparison.IN:
                good = any(_same(value, each) for each in one.values) if texts else False
            case Comparison.NOT_IN:
                good = not any(_same(value, each) for each in one.values) if texts else True
            case Comparison.AT_LEAST:
                good = value is not None and value >= _like(value, one.values[0])
            case Comparison.BELOW:
                good = value is not None and value < _like(value, one.values[0])
        if not good:
            return False
    return True


def _like(value: Any, text: str) -> Any:
    return datetime.fromisoformat(text) if isinstance(value, datetime) else Decimal(text)


def _same(value: Any, text: str) -> bool:
    return value == Decimal(text) if isinstance(value, Decimal) else _text(value) == text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _plain(how: Aggregation, values: Sequence[tuple[Any, Any]], events: int) -> Fraction:
    """An exact aggregate of (time, value) pairs."""
    numbers = [value for _, value in values]
    match how:
        case Aggregation.COUNT:
            return Fraction(events)
        case Aggregation.UNIQUE:
            return Fraction(len(set(numbers)))
        case _ if not numbers:
            return Fraction(0)
        case Aggregation.SUM:
            return sum((Fraction(each) for each in numbers), Fraction(0))
        case Aggregation.MIN:
            return Fraction(min(numbers))
        case Aggregation.MAX:
            return Fraction(max(numbers))
        case Aggregation.AVERAGE:
            return sum((Fraction(each) for each in numbers), Fraction(0)) / len(numbers)
        case Aggregation.LATEST:
            return Fraction(max(values)[1])
    raise AssertionError(how)


def _percentile(meter: Meter, values: Sequence[Fraction]) -> Fraction:
    if not values:
        return Fraction(0)
    ordered, share = sorted(values), Fraction(meter.percentile)
    if meter.method is Method.NEAREST:
        rank = -(-len(ordered) * share.numerator // share.denominator)
        return ordered[max(rank, 1) - 1]
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _quantity(
    meter: Meter,
    found: Sequence[tuple[int, Event]],
    window: Window,
    people: SubjectDirectory,
    event_type: EventType,
    scale: int | None,
) -> Decimal:
    pairs = [(event.at, event.fields[meter.field]) for _, event in found if meter.field in event.fields]
    if meter.aggregation is Aggregation.WEIGHTED_SUM:
        value = _level(meter, found, window, people, event_type)
    elif meter.bucket:
        value = _bucketed(meter, found, window)
    elif meter.aggregation is Aggregation.PERCENTILE:
        value = _percentile(meter, [Fraction(each) for _, each in pairs])
    else:
        value = _plain(meter.aggregation, pairs, len(found))
    if meter.conversion:
        value *= Fraction(meter.conversion.multiply) / Fraction(meter.conversion.divide)
        digits, rounding = meter.conversion.scale, meter.conversion.rounding
    else:
        digits, rounding = (12 if scale is None else scale), meter.rounding
    return decimal_of(rounded(value, scale=digits, rounding=rounding), digits)


def bucket_of(moment: datetime, size: BucketSize, zone: ZoneInfo) -> Any:
    """Which bucket a moment is in, by the local clock."""
    local = moment.astimezone(zone)
    if size is BucketSize.DAY:
        return local.date()
    minutes = {BucketSize.FIVE_MINUTES: 5, BucketSize.QUARTER_HOUR: 15, BucketSize.HOUR: 60}[size]
    floor = local.replace(minute=local.minute - local.minute % minutes, second=0, microsecond=0, tzinfo=None)
    return (floor - (local.utcoffset() or timedelta()), local.utcoffset())


def all_buckets(window: Window, size: BucketSize, zone: ZoneInfo) -> set[Any]:
    """Every bucket of a window, minute by minute."""
    found, moment = set(), window.start
    while moment < window.end:
        found.add(bucket_of(moment, size, zone))
        moment += timedelta(minutes=5) - timedelta(minutes=moment.minute % 5, seconds=moment.second)
    return found


def _bucketed(meter: Meter, found: Sequence[tuple[int, Event]], window: Window) -> Fraction:
    assert meter.bucket
    zone = ZoneInfo(meter.bucket.time_zone)
    inside: dict[Any, list[Event]] = defaultdict(list)
    for _, event in found:
        inside[bucket_of(event.at, meter.bucket.size, zone)].append(event)
    values = {
        bucket: _plain(
            meter.bucket.aggregation,
            [(each.at, each.fields[meter.field]) for each in events if meter.field in each.fields],
            len(events),
        )
        for bucket, events in inside.items()
        if meter.bucket.aggregation in {Aggregation.COUNT, Aggregation.UNIQUE}
        or any(meter.field in each.fields for each in events)
    }
    if meter.aggregation is Aggregation.COUNT:
        return Fraction(len(values))
    if meter.aggregation is Aggregation.LATEST:
        return Fraction(values[max(values)]) if values else Fraction(0)
    numbers = list(values.values())
    if meter.bucket.empty is EmptyBuckets.ZERO:
        missing = len(all_buckets(window, meter.bucket.size, zone)) - len(numbers)
        numbers += [Fraction(0)] * missing
    if meter.aggregation is Aggregation.PERCENTILE:
        return _percentile(meter, numbers)
    return _plain(meter.aggregation, [(0, each) for each in numbers], len(numbers))


def _level(
    meter: Meter,
    found: Sequence[tuple[int, Event]],
    window: Window,
    people: SubjectDirectory,
    event_type: EventType,
) -> Fraction:
    def micros(span: timedelta) -> int:
        return span // timedelta(microseconds=1)

    per = {Per.SECOND: 10**6, Per.MINUTE: 60 * 10**6, Per.HOUR: 3600 * 10**6, Per.DAY: 86400 * 10**6}.get(
        meter.per, micros(window.end - window.start)
    )
    area = Fraction(0)
    by_subject: dict[str, list[tuple[datetime, Decimal]]] = defaultdict(list)
    for _, event in found:
        if meter.field in event.fields:
            by_subject[event.subject].append((event.at, event.fields[meter.field]))
    for subject, points in by_subject.items():
        (route,) = people.routes_of(subject=subject, connection=event_type.subject)
        start, end = max(window.start, route.window.start), min(window.end, route.window.end)
        if meter.level is Level.CHANGE:
            area += sum(Fraction(value) * micros(end - max(at, start)) for at, value in points)
            continue
        steps = sorted(points)
        for place, (at, value) in enumerate(steps):
            until = steps[place + 1][0] if place + 1 < len(steps) else end
            area += Fraction(value) * max(micros(max(until, start) - max(at, start)), 0)
    return area / per
