"""What is wrong with a Meter document, place by place. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Context, Decimal
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from revline.core.problem import FieldError
from revline.platform.config.registry import Specs
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.metering.kinds import (
    AGGREGATED_SCALE_MAX,
    FILTER_VALUES_MAX,
    FILTERS_MAX,
    GROUP_FIELDS_MAX,
    Aggregation,
    Comparison,
    Filter,
    Meter,
    plain_decimal,
)

IN_BUCKET: Final = frozenset(
    {
        Aggregation.COUNT,
        Aggregation.SUM,
        Aggregation.MIN,
        Aggregation.MAX,
        Aggregation.LATEST,
        Aggregation.UNIQUE,
    }
)
OVER_BUCKETS: Final = frozenset(
    {
        Aggregation.COUNT,
        Aggregation.SUM,
        Aggregation.MIN,
        Aggregation.MAX,
        Aggregation.AVERAGE,
        Aggregation.LATEST,
        Aggregation.PERCENTILE,
    }
)
EXACT: Final = Context(prec=100)
LEVEL_PRECISION_MAX: Final = 22
"""A level of more digits, times the microseconds of years, would pass 38 digits."""


def check_meter(name: str, spec: Meter, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a meter: its event type, its fields, what its aggregation needs."""
    del name
    found = others.get(EventType, {}).get(spec.event_type)
    if found is None:
        known = ", ".join(sorted(others.get(EventType, {}))[:10]) or "none yet"
        return (
            FieldError(
                pointer="spec.eventType",
                detail=f"there is no EventType document {spec.event_type[:40]!r}",
                instead=f"one of: {known}",
            ),
        )
    return (
        *_field(spec, found),
        *_groups(spec, found),
        *_filters(spec, found),
        *_percentile(spec),
        *_bucket(spec),
        *_numbers(spec),
    )


def aggregated(spec: Meter) -> Aggregation:
    """What is done to events themselves: the bucket's aggregation where there is one."""
    return spec.bucket.aggregation if spec.bucket else spec.aggregation


def _missing(pointer: str, field: str, event_type: EventType) -> FieldError:
    return FieldError(
        pointer=pointer,
        detail=f"events of {event_type.type} have no field {field[:40]!r}",
        instead=f"one of: {', '.join(sorted(event_type.fields)[:20]) or 'none: add it to the EventType'}",
    )


def _field(spec: Meter, event_type: EventType) -> Iterator[FieldError]:
    how = aggregated(spec)
    if how is Aggregation.COUNT:
        if spec.field:
            yield FieldError(pointer="spec.field", detail="a count counts events, not a field", instead="leave it out")
        return
    field = event_type.fields.get(spec.field)
    if field is None:
        yield _missing("spec.field", spec.field, event_type)
    elif how is not Aggregation.UNIQUE and field.kind is not FieldKind.DECIMAL:
        yield FieldError(
            pointer="spec.field",
            detail=f"{spec.field} is a {field.kind.value}; {how.value} needs a decimal",
            instead="a decimal field, or the aggregation unique",
        )
    elif how is Aggregation.WEIGHTED_SUM and field.precision > LEVEL_PRECISION_MAX:
        yield FieldError(
            pointer="spec.field",
            detail=f"a level of {field.precision} digits over time would not fit 38 digits",
            instead=f"a field of at most {LEVEL_PRECISION_MAX} digits",
        )


def _groups(spec: Meter, event_type: EventType) -> Iterator[FieldError]:
    if len(spec.group_by) > GROUP_FIELDS_MAX or len(set(spec.group_by)) != len(spec.group_by):
        yield FieldError(
            pointer="spec.groupBy",
            detail="too many fields, or one twice",
            instead=f"at most {GROUP_FIELDS_MAX} different fields",
        )
    for index, name in enumerate(spec.group_by):
        pointer, field = f"spec.groupBy[{index}]", event_type.fields.get(name)
        if field is None:
            yield _missing(pointer, name, event_type)
        elif field.kind not in {FieldKind.TEXT, FieldKind.BOOLEAN} or field.personal:
            yield FieldError(
                pointer=pointer,
                detail=f"lines can't be made by {name}: it is {'personal' if field.personal else field.kind.value}",
                instead="a text that names no person, or a boolean",
            )


def _filters(spec: Meter, event_type: EventType) -> Iterator[FieldError]:
    if len(spec.filters) > FILTERS_MAX:
        yield FieldError(pointer="spec.filters", detail="too many filters", instead=f"at most {FILTERS_MAX}")
    for index, one in enumerate(spec.filters):
        pointer, field = f"spec.filters[{index}]", event_type.fields.get(one.field)
        if field is None:
            yield _missing(f"{pointer}.field", one.field, event_type)
            continue
        yield from _filter_values(pointer, one, field)


def _filter_values(pointer: str, one: Filter, field: UsageField) -> Iterator[FieldError]:
    ordered = one.comparison in {Comparison.AT_LEAST, Comparison.BELOW}
    wanted = {Comparison.PRESENT: (0, 0), Comparison.ABSENT: (0, 0)}.get(
        one.comparison, (1, 1 if ordered else FILTER_VALUES_MAX)
    )
    if not wanted[0] <= len(one.values) <= wanted[1]:
        yield FieldError(
            pointer=f"{pointer}.values",
            detail=f"{len(one.values)} values for {one.comparison.value}",
            instead=f"{wanted[0]} to {wanted[1]}",
        )
    if ordered and field.kind not in {FieldKind.DECIMAL, FieldKind.TIME}:
        yield FieldError(
            pointer=f"{pointer}.comparison",
            detail=f"{one.field} is a {field.kind.value} and has no order",
            instead="in, not_in, present or absent",
        )
    for value in one.values:
        if not fits(value, field):
            yield FieldError(
                pointer=f"{pointer}.values",
                detail=f"{value[:40]!r} is no {field.kind.value} that {one.field} can hold",
                instead=_example(field),
            )


def fits(value: str, field: UsageField) -> bool:
    """Whether a field can hold what a filter's value says."""
    match field.kind:
        case FieldKind.DECIMAL:
            number = plain_decimal(value)
            if number is None:
                return False
            scaled = number.scaleb(field.scale, context=EXACT)
            return scaled == scaled.to_integral_value() and abs(scaled) < 10**field.precision
        case FieldKind.BOOLEAN:
            return value in {"true", "false"}
        case FieldKind.TIME:
            try:
                return datetime.fromisoformat(value).tzinfo is not None
            except ValueError:
                return False
        case FieldKind.TEXT:
            return True


def _example(field: UsageField) -> str:
    return {
        FieldKind.DECIMAL: 'a plain decimal such as "12.5"',
        FieldKind.BOOLEAN: "true or false",
        FieldKind.TIME: "2026-01-31T09:00:00Z",
        FieldKind.TEXT: "a text",
    }[field.kind]


def _percentile(spec: Meter) -> Iterator[FieldError]:
    number = plain_decimal(spec.percentile) if spec.percentile else None
    if spec.aggregation is Aggregation.PERCENTILE:
        if number is None or not Decimal(0) < number <= Decimal(1) or len(spec.percentile) > 8:
            yield FieldError(
                pointer="spec.percentile",
                detail=f"{spec.percentile[:20]!r} is no share above 0 and up to 1",
                instead='"0.95"; at most six digits after the point',
            )
    elif spec.percentile:
        yield FieldError(pointer="spec.percentile", detail="only a percentile has one", instead="leave it out")


def _bucket(spec: Meter) -> Iterator[FieldError]:
    if spec.carry_over and (spec.aggregation is not Aggregation.LATEST or spec.bucket):
        yield FieldError(
            pointer="spec.carryOver",
            detail="only a latest value without buckets is carried over",
            instead="aggregation: latest, or leave it out (a weighted sum always carries its level in)",
        )
    if spec.bucket is None:
        return
    if spec.bucket.aggregation not in IN_BUCKET or spec.aggregation not in OVER_BUCKETS:
        yield FieldError(
            pointer="spec.bucket.aggregation",
            detail=f"{spec.aggregation.value} over buckets of {spec.bucket.aggregation.value} is not exact",
            instead=f"in a bucket {_listed(IN_BUCKET)}; over buckets {_listed(OVER_BUCKETS)}",
        )
    try:
        ZoneInfo(spec.bucket.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield FieldError(
            pointer="spec.bucket.timeZone",
            detail=f"{spec.bucket.time_zone[:40]!r} is no time zone",
            instead="an IANA name such as Europe/Berlin",
        )


def _listed(names: frozenset[Aggregation]) -> str:
    return ", ".join(sorted(each.value for each in names))


def _numbers(spec: Meter) -> Iterator[FieldError]:
    scales = [("spec.scale", spec.scale)]
    if spec.conversion:
        scales.append(("spec.conversion.scale", spec.conversion.scale))
        for name in ("multiply", "divide"):
            number = plain_decimal(getattr(spec.conversion, name))
            if number is None or number <= 0:
                yield FieldError(
                    pointer=f"spec.conversion.{name}", detail="not a plain decimal above zero", instead='"1024"'
                )
    for pointer, scale in scales:
        if not 0 <= scale <= AGGREGATED_SCALE_MAX:
            yield FieldError(
                pointer=pointer,
                detail=f"{scale} digits after the point",
                instead=f"0 to {AGGREGATED_SCALE_MAX}",
            )
