"""The examples of docs/explanation/usage-meters.md, one by one; and what a meter document may not say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revline.subledger.usage.events import VOID_TYPE
from revline.subledger.usage.kinds import EventType
from revline.subledger.usage.metering.checks import check_meter
from revline.subledger.usage.metering.clocks import buckets_in
from revline.subledger.usage.metering.kinds import (
    Aggregation,
    Bucket,
    BucketSize,
    Conversion,
    EmptyBuckets,
    Filter,
    Level,
    Meter,
    Method,
    Per,
    Rounding,
)
from revline.subledger.usage.metering.subjects import SubjectMapping
from revline.subledger.usage.versions import Window
from tests.usage_metering import MARCH, TYPES, Event, Stored, asked, customer, directory

ANNA = "anna"
PEOPLE = directory([ANNA, "ben"])


def meter(aggregation: Aggregation, field: str = "tokens", **more: Any) -> Meter:
    kind = "seats" if field == "level" else "calls"
    return Meter(title="m", event_type=kind, aggregation=aggregation, field=field, **more)


def quantity(folder: Path, events: list[Event], one: Meter, *, window: Window = MARCH, people: Any = PEOPLE) -> Decimal:
    stored = Stored(folder)
    stored.seal(events)
    ((amount, _, _),) = asked(stored, {"m": one}, people=people, window=window)["m"].values()
    return amount


def tokens(value: str, at: datetime, **more: Any) -> Event:
    return Event(subject=ANNA, at=at, fields={"tokens": Decimal(value)}, **more)


def level(value: str, at: datetime, subject: str = ANNA) -> Event:
    return Event(subject=subject, at=at, type="seats", fields={"level": Decimal(value)})


THREE = [tokens(value, MARCH.start + timedelta(hours=number)) for number, value in enumerate(("2", "3", "7"))]
TEN = [tokens(str(number), MARCH.start + timedelta(hours=number)) for number in range(1, 11)]
DISK = [level("100", datetime(2026, 1, 5, tzinfo=UTC)), level("300", datetime(2026, 3, 16, tzinfo=UTC))]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [("sum", "12"), ("min", "2"), ("max", "7"), ("avg", "4"), ("latest", "7"), ("unique", "3")],
)
def test_each_aggregation_of_three_values(aggregation: str, expected: str, tmp_path: Path) -> None:
    assert quantity(tmp_path, THREE, meter(Aggregation(aggregation))) == Decimal(expected)


def test_a_percentile_is_a_value_that_occurred_or_lies_between_two(tmp_path: Path) -> None:
    ninth = meter(Aggregation.PERCENTILE, percentile="0.9")
    between = meter(Aggregation.PERCENTILE, percentile="0.9", method=Method.LINEAR)
    assert quantity(tmp_path, TEN, ninth) == Decimal(9)
    assert quantity(tmp_path, TEN, between) == Decimal("9.1")


def test_a_level_holds_until_the_next_one_and_is_carried_into_the_window(tmp_path: Path) -> None:
    assert quantity(tmp_path, DISK, meter(Aggregation.WEIGHTED_SUM, "level")) == Decimal("203.225806451613")
    assert quantity(tmp_path, DISK, meter(Aggregation.WEIGHTED_SUM, "level", per=Per.HOUR)) == Decimal(151_200)


def test_changes_add_up_to_a_level(tmp_path: Path) -> None:
    changes = [level("100", datetime(2026, 1, 5, tzinfo=UTC)), level("200", datetime(2026, 3, 16, tzinfo=UTC))]
    assert quantity(
        tmp_path, changes, meter(Aggregation.WEIGHTED_SUM, "level", per=Per.HOUR, level=Level.CHANGE)
    ) == Decimal(151_200)


def test_a_level_starts_anew_with_a_new_customer(tmp_path: Path) -> None:
    since = Window(start=datetime(2026, 3, 21, tzinfo=UTC), end=datetime(2200, 1, 1, tzinfo=UTC))
    moved = directory(
        [ANNA, "ben"], [SubjectMapping(subject="disk", connection="", customer=customer("ben"), window=since)]
    )
    events = [level("100", datetime(2026, 1, 5, tzinfo=UTC), "disk"), level("10", since.start, "disk")]
    days = meter(Aggregation.WEIGHTED_SUM, "level", per=Per.DAY)
    assert quantity(tmp_path, events, days, people=moved) == Decimal(110)


def test_an_autumn_night_has_two_hours_from_two_to_three(tmp_path: Path) -> None:
    night = Window(start=datetime(2026, 10, 24, 22, tzinfo=UTC), end=datetime(2026, 10, 25, 23, tzinfo=UTC))
    events = [tokens("5", datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for hour in (0, 1)]
    hours = Bucket(size=BucketSize.HOUR, aggregation=Aggregation.SUM, time_zone="Europe/Berlin")
    days = Bucket(size=BucketSize.DAY, aggregation=Aggregation.SUM, time_zone="Europe/Berlin")
    assert quantity(tmp_path, events, meter(Aggregation.MAX, bucket=hours), window=night) == Decimal(5)
    assert quantity(tmp_path, events, meter(Aggregation.MAX, bucket=days), window=night) == Decimal(10)


@pytest.mark.parametrize(
    ("zone", "month", "hours"),
    [("UTC", 3, 744), ("Europe/Berlin", 3, 743), ("Europe/Berlin", 10, 745), ("Asia/Kathmandu", 3, 744)],
)
def test_a_month_has_as_many_hours_as_its_clock(zone: str, month: int, hours: int) -> None:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only here

    start, end = (datetime(2026, number, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC) for number in (month, month + 1))
    assert buckets_in(window=Window(start=start, end=end), size=BucketSize.HOUR, time_zone=zone) == hours
    assert buckets_in(window=Window(start=start, end=end), size=BucketSize.DAY, time_zone=zone) == 31


def test_empty_days_count_as_zero_where_that_is_said(tmp_path: Path) -> None:
    def least(empty: EmptyBuckets) -> Meter:
        return meter(Aggregation.AVERAGE, bucket=Bucket(size=BucketSize.DAY, aggregation=Aggregation.SUM, empty=empty))

    events = [tokens("31", MARCH.start), tokens("31", MARCH.start + timedelta(days=1))]
    assert quantity(tmp_path, events, least(EmptyBuckets.SKIP)) == Decimal(31)
    assert quantity(tmp_path, events, least(EmptyBuckets.ZERO)) == Decimal(2)


def test_gibibytes_begun_are_of_the_window_not_of_each_event(tmp_path: Path) -> None:
    begun = Conversion(divide="1073741824", scale=0, rounding=Rounding.UP)
    events = [tokens("1073741824", MARCH.start), tokens("1", MARCH.start + timedelta(hours=1))]
    assert quantity(tmp_path, events, meter(Aggregation.SUM, conversion=begun)) == Decimal(2)


def test_taking_an_amendment_back_does_not_bring_back_what_it_replaced(tmp_path: Path) -> None:
    moment = MARCH.start
    first, amended = tokens("5", moment, id="a"), tokens("6", moment, id="b", voids="a")
    void = Event(subject=ANNA, at=moment, type=VOID_TYPE, voids="b")
    other = tokens("1", moment)
    assert quantity(tmp_path, [first, amended, other], meter(Aggregation.SUM)) == Decimal(7)
    assert quantity(tmp_path, [void, other, amended, first], meter(Aggregation.SUM)) == Decimal(1)


def test_a_void_cant_be_voided(tmp_path: Path) -> None:
    void = Event(subject=ANNA, at=MARCH.start, type=VOID_TYPE, voids="a", id="v")
    again = Event(subject=ANNA, at=MARCH.start, type=VOID_TYPE, voids="v")
    events = [tokens("5", MARCH.start, id="a"), void, again, tokens("1", MARCH.start)]
    assert quantity(tmp_path, events, meter(Aggregation.SUM)) == Decimal(1)


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        (meter(Aggregation.SUM, "bytes"), "spec.field"),
        (meter(Aggregation.SUM, "region"), "spec.field"),
        (Meter(title="m", event_type="calls", aggregation=Aggregation.COUNT, field="tokens"), "spec.field"),
        (Meter(title="m", event_type="missing", aggregation=Aggregation.COUNT), "spec.eventType"),
        (meter(Aggregation.SUM, group_by=("user",)), "spec.groupBy[0]"),
        (meter(Aggregation.SUM, group_by=("tokens",)), "spec.groupBy[0]"),
        (meter(Aggregation.SUM, filters=(Filter(field="tokens", values=("1e3",)),)), "spec.filters[0].values"),
        (meter(Aggregation.SUM, filters=(Filter(field="tokens", values=("1.0001",)),)), "spec.filters[0].values"),
        (meter(Aggregation.PERCENTILE), "spec.percentile"),
        (meter(Aggregation.PERCENTILE, percentile="1.5"), "spec.percentile"),
        (meter(Aggregation.WEIGHTED_SUM, "wide"), "spec.field"),
        (meter(Aggregation.SUM, carry_over=True), "spec.carryOver"),
        (
            meter(Aggregation.SUM, bucket=Bucket(size=BucketSize.DAY, aggregation=Aggregation.AVERAGE)),
            "spec.bucket.aggregation",
        ),
        (
            meter(
                Aggregation.SUM,
                bucket=Bucket(size=BucketSize.DAY, aggregation=Aggregation.SUM, time_zone="Mars/Olympus"),
            ),
            "spec.bucket.timeZone",
        ),
        (meter(Aggregation.SUM, conversion=Conversion(divide="0")), "spec.conversion.divide"),
    ],
)
def test_what_a_meter_may_not_say_is_refused_at_its_place(spec: Meter, pointer: str) -> None:
    assert pointer in [each.pointer for each in check_meter("m", spec, {EventType: TYPES})]


def test_a_meter_that_is_all_right_has_nothing_wrong() -> None:
    good = meter(
        Aggregation.SUM, group_by=("region", "cached"), filters=(Filter(field="tokens", values=("1.25", "-3")),)
    )
    assert check_meter("m", good, {EventType: TYPES}) == ()
