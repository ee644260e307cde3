"""Quantities of meters: every aggregation against a walk over every event, on DuckDB and on ClickHouse's engine, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from revline.subledger.usage.events import VOID_TYPE
from revline.subledger.usage.metering import compiling
from revline.subledger.usage.metering.compiling import can_share
from revline.subledger.usage.metering.kinds import (
    Aggregation,
    Bucket,
    BucketSize,
    Comparison,
    Conversion,
    EmptyBuckets,
    Filter,
    Level,
    Meter,
    Method,
    Per,
    Rounding,
)
from revline.subledger.usage.metering.partials import partial_specs
from revline.subledger.usage.metering.ports import Boxes
from revline.subledger.usage.metering.subjects import SubjectMapping
from revline.subledger.usage.metering.values import CustomerWindow, MeterCatalogue
from revline.subledger.usage.versions import Window
from tests.usage_metering import MARCH, TYPES, Event, Stored, asked, clickhouse_boxes, customer, directory
from tests.usage_metering_reference import expected

ANNA, BEN, CY = "anna", "ben", "cy"
PEOPLE = directory([ANNA, BEN, CY])


def meter(aggregation: Aggregation, field: str = "", **more: Any) -> Meter:
    if aggregation is Aggregation.WEIGHTED_SUM:
        return Meter(title="m", event_type="seats", aggregation=aggregation, field="level", **more)
    return Meter(title="m", event_type="calls", aggregation=aggregation, field=field, **more)


def bucketed(outer: Aggregation, inner: Aggregation, size: BucketSize, **more: Any) -> Meter:
    zone, empty = more.pop("zone", "Europe/Berlin"), more.pop("empty", EmptyBuckets.SKIP)
    field = more.pop("field", "" if inner is Aggregation.COUNT else "tokens")
    bucket = Bucket(size=size, aggregation=inner, time_zone=zone, empty=empty)
    return meter(outer, field, bucket=bucket, **more)


METERS: dict[str, Meter] = {
    "count": meter(Aggregation.COUNT),
    "sum": meter(Aggregation.SUM, "tokens"),
    "sum of wide numbers": meter(Aggregation.SUM, "wide"),
    "min": meter(Aggregation.MIN, "tokens"),
    "max": meter(Aggregation.MAX, "tokens"),
    "average": meter(Aggregation.AVERAGE, "tokens"),
    "average, rounded to even": meter(Aggregation.AVERAGE, "tokens", scale=1, rounding=Rounding.HALF_EVEN),
    "latest": meter(Aggregation.LATEST, "tokens"),
    "latest, carried over": meter(Aggregation.LATEST, "tokens", carry_over=True),
    "unique people": meter(Aggregation.UNIQUE, "user"),
    "unique numbers": meter(Aggregation.UNIQUE, "tokens"),
    "unique times": meter(Aggregation.UNIQUE, "until"),
    "sum by region": meter(Aggregation.SUM, "tokens", group_by=("region",)),
    "count by region and cache": meter(Aggregation.COUNT, group_by=("region", "cached")),
    "unique by region": meter(Aggregation.UNIQUE, "user", group_by=("region",)),
    "sum in eu": meter(Aggregation.SUM, "tokens", filters=(Filter(field="region", values=("eu",)),)),
    "count outside eu": meter(
        Aggregation.COUNT, filters=(Filter(field="region", comparison=Comparison.NOT_IN, values=("eu", "us")),)
    ),
    "count of large": meter(
        Aggregation.COUNT, filters=(Filter(field="tokens", comparison=Comparison.AT_LEAST, values=("2.5",)),)
    ),
    "max of small cached": meter(
        Aggregation.MAX,
        "tokens",
        filters=(
            Filter(field="tokens", comparison=Comparison.BELOW, values=("3",)),
            Filter(field="cached", values=("true",)),
        ),
    ),
    "count with a user": meter(Aggregation.COUNT, filters=(Filter(field="user", comparison=Comparison.PRESENT),)),
    "count without a user": meter(Aggregation.COUNT, filters=(Filter(field="user", comparison=Comparison.ABSENT),)),
    "count until a time": meter(
        Aggregation.COUNT,
        filters=(Filter(field="until", comparison=Comparison.BELOW, values=("2026-03-15T12:00:00+01:00",)),),
    ),
    "90th percentile": meter(Aggregation.PERCENTILE, "tokens", percentile="0.9"),
    "median, interpolated": meter(Aggregation.PERCENTILE, "tokens", percentile="0.5", method=Method.LINEAR, scale=3),
    "percentile by region": meter(
        Aggregation.PERCENTILE, "tokens", percentile="0.333333", method=Method.LINEAR, group_by=("region",)
    ),
    "thousands begun": meter(
        Aggregation.SUM, "tokens", conversion=Conversion(divide="1000", scale=0, rounding=Rounding.UP)
    ),
    "average in thirds": meter(
        Aggregation.AVERAGE, "tokens", conversion=Conversion(divide="3", scale=4, rounding=Rounding.HALF_UP)
    ),
    "peak hour": bucketed(Aggregation.MAX, Aggregation.SUM, BucketSize.HOUR),
    "days with use": bucketed(Aggregation.COUNT, Aggregation.COUNT, BucketSize.DAY),
    "sum of daily maxima": bucketed(Aggregation.SUM, Aggregation.MAX, BucketSize.DAY),
    "least day, empty ones too": bucketed(Aggregation.MIN, Aggregation.SUM, BucketSize.DAY, empty=EmptyBuckets.ZERO),
    "average day, empty ones too": bucketed(
        Aggregation.AVERAGE, Aggregation.COUNT, BucketSize.DAY, empty=EmptyBuckets.ZERO
    ),
    "average of daily users": bucketed(Aggregation.AVERAGE, Aggregation.UNIQUE, BucketSize.DAY, field="user"),
    "last day's minimum": bucketed(Aggregation.LATEST, Aggregation.MIN, BucketSize.DAY),
    "95th percentile of five minutes": bucketed(
        Aggregation.PERCENTILE, Aggregation.SUM, BucketSize.FIVE_MINUTES, percentile="0.95"
    ),
    "99.9th of all quarter hours": bucketed(
        Aggregation.PERCENTILE,
        Aggregation.SUM,
        BucketSize.QUARTER_HOUR,
        percentile="0.999",
        method=Method.LINEAR,
        empty=EmptyBuckets.ZERO,
        zone="Asia/Kathmandu",
    ),
    "peak hour on Lord Howe": bucketed(Aggregation.MAX, Aggregation.SUM, BucketSize.HOUR, zone="Australia/Lord_Howe"),
    "peak hour by region": bucketed(Aggregation.MAX, Aggregation.COUNT, BucketSize.HOUR, group_by=("region",)),
    "average level": meter(Aggregation.WEIGHTED_SUM),
    "level hours": meter(Aggregation.WEIGHTED_SUM, per=Per.HOUR, scale=6),
    "level of changes": meter(Aggregation.WEIGHTED_SUM, level=Level.CHANGE, per=Per.DAY),
}
FAST = (Phase.explicit, Phase.reuse, Phase.generate)
"""A failing world is not made smaller: every try of one asks forty meters."""
STORED_SCALE = {"tokens": 3, "wide": 10}


def scale_of(one: Meter) -> int:
    """Digits after the point that a meter's quantity has."""
    counted = {Aggregation.COUNT, Aggregation.UNIQUE}
    if one.conversion:
        return one.conversion.scale
    if one.aggregation in {Aggregation.AVERAGE, Aggregation.WEIGHTED_SUM} or (
        one.aggregation is Aggregation.PERCENTILE and one.method is Method.LINEAR
    ):
        return one.scale
    if one.aggregation in counted or (one.bucket and one.bucket.aggregation in counted):
        return 0
    return STORED_SCALE.get(one.field, 0)


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boxes]:
    session = pytest.importorskip("chdb.session").Session()
    try:
        yield clickhouse_boxes(session, tmp_path_factory.mktemp("given"))
    finally:
        session.close()


moments = st.integers(-10 * 86400, 40 * 86400).map(
    lambda each: MARCH.start + timedelta(seconds=each)
) | st.sampled_from(
    [
        MARCH.start,
        MARCH.end,
        MARCH.end - timedelta(microseconds=1),
        datetime(2026, 3, 29, 0, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 3, 28, 23, 30, tzinfo=UTC),
    ]
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "tokens": st.decimals("-999", "9999", places=3),
        "wide": st.decimals("-99999999999999999999", "99999999999999999999", places=10),
        "region": st.sampled_from(["eu", "us", "", "ü'\\\""]),
        "user": st.sampled_from(["u1", "u2", "u3"]),
        "cached": st.booleans(),
        "until": st.datetimes(datetime(2026, 3, 1), datetime(2026, 4, 1)).map(lambda each: each.replace(tzinfo=UTC)),  # noqa: DTZ001
    },
)
subjects = st.sampled_from([ANNA, BEN, CY, "nobody"])
calls = st.builds(Event, subject=subjects, at=moments, fields=fields)
levels = st.builds(
    Event,
    subject=subjects,
    at=moments,
    type=st.just("seats"),
    fields=st.fixed_dictionaries({}, optional={"level": st.decimals("-50", "500", places=2)}),
)
voids = st.builds(
    Event,
    subject=subjects,
    at=moments,
    type=st.just(VOID_TYPE),
    voids=st.integers(1, 40).map(lambda each: f"e{each}"),
)
amends = st.builds(
    Event, subject=subjects, at=moments, fields=fields, voids=st.integers(1, 40).map(lambda each: f"e{each}")
)
unknown = st.builds(Event, subject=subjects, at=moments, fields=fields, typed=st.just(False))
events = st.lists(calls | levels | calls | levels | voids | amends | unknown, max_size=30)


def filled(folder: Path, parts: tuple[list[Event], list[Event], list[Event], bool]) -> Stored:
    stored = Stored(folder)
    stored.seal(parts[0], ordered=parts[3])
    stored.seal(parts[1], ordered=True)
    stored.keep(parts[2])
    return stored


@pytest.fixture(params=[200, 0], ids=["few subjects", "many subjects"])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many subjects are few: with many, events are summed before they meet their customers."""
    monkeypatch.setattr(compiling, "FEW_SUBJECTS", request.param)
    return int(request.param)


@settings(max_examples=8, phases=FAST, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.tuples(events, events, events, st.booleans()))
def test_every_meter_is_what_a_walk_over_every_event_gives(
    parts: tuple[list[Event], list[Event], list[Event], bool], tmp_path: Path, few: int
) -> None:
    stored = filled(tmp_path, parts)
    everyone = {customer(name): [MARCH] for name in (ANNA, BEN, CY)}
    found = asked(stored, METERS, people=PEOPLE)
    for name, one in METERS.items():
        assert found[name] == expected(stored, one, people=PEOPLE, windows=everyone, scale=scale_of(one)), name


@settings(max_examples=3, phases=FAST, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.tuples(events, events, events, st.booleans()))
def test_clickhouse_gives_the_same_quantities_bit_for_bit(
    parts: tuple[list[Event], list[Event], list[Event], bool], tmp_path: Path, clickhouse: Boxes, few: int
) -> None:
    stored = filled(tmp_path, parts)
    ours, theirs = asked(stored, METERS, people=PEOPLE), asked(stored, METERS, people=PEOPLE, boxes=clickhouse)
    for name in METERS:
        assert ours[name] == theirs[name], name


@settings(max_examples=8, phases=FAST, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.tuples(events, events, events, st.booleans()),
    cuts=st.lists(moments, min_size=2, max_size=4, unique=True),
    mapped=st.tuples(moments, moments),
)
def test_customers_with_windows_of_their_own_and_subjects_that_moved(
    parts: tuple[list[Event], list[Event], list[Event], bool],
    cuts: list[datetime],
    mapped: tuple[datetime, datetime],
    tmp_path: Path,
) -> None:
    stored = filled(tmp_path, parts)
    edges = sorted(cuts)
    windows = [Window(start=a, end=b) for a, b in pairwise(edges)]
    own = {customer(ANNA): windows, customer(BEN): [MARCH]}
    people = directory(
        [ANNA, BEN, CY],
        [
            SubjectMapping(subject="nobody", connection="", customer=customer(ANNA)),
            SubjectMapping(
                subject=CY,
                connection="",
                customer=customer(BEN),
                window=Window(start=min(mapped), end=max(mapped) + timedelta(microseconds=1)),
            ),
        ],
    )
    flat = {name: one for name, one in METERS.items() if one.aggregation is not Aggregation.WEIGHTED_SUM}
    asked_for = [CustomerWindow(customer=who, window=each) for who, found in own.items() for each in found]
    found = asked(stored, flat, people=people, window=None, customers=asked_for)
    for name, one in flat.items():
        wanted = expected(stored, one, people=people, windows=own, scale=scale_of(one))
        assert found[name] == wanted, name


def test_a_version_is_answered_the_same_whatever_came_since(tmp_path: Path) -> None:
    stored = Stored(tmp_path)
    stored.seal([Event(subject=ANNA, at=MARCH.start, fields={"tokens": Decimal(number)}) for number in range(10)])
    stored.until = 6
    assert asked(stored, {"sum": METERS["sum"]}, people=PEOPLE)["sum"] == {
        (ANNA, MARCH.start): (Decimal("15.000"), 6, 21)
    }


@settings(max_examples=15, phases=FAST, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.tuples(events, events, events, st.booleans()),
    shape=st.tuples(st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]), st.booleans(), st.booleans()),
)
def test_partial_aggregates_give_what_events_give(
    parts: tuple[list[Event], list[Event], list[Event], bool], shape: tuple[str, bool, bool], tmp_path: Path
) -> None:
    zone, days, own = shape
    ahead = {name: one for name, one in METERS.items() if can_share(one)}
    later = {"sum", "count by region and cache"}
    specs = partial_specs(
        MeterCatalogue(types=TYPES, meters={name: one for name, one in ahead.items() if name not in later}),
        time_zones=[zone],
    )
    stored = Stored(tmp_path)
    stored.seal(parts[0], specs=specs, minutes=(1440,) if days else ())
    stored.seal(parts[1], ordered=True, specs=specs if parts[3] else ())
    stored.keep(parts[2])
    start, end = (datetime(2026, month, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC) for month in (3, 4))
    windows = [Window(start=start, end=start + timedelta(hours=36)), Window(start=start + timedelta(hours=36), end=end)]
    if own:
        wanted = {customer(ANNA): windows, customer(BEN): [Window(start=start, end=end)]}
        asked_for = [CustomerWindow(customer=who, window=each) for who, found in wanted.items() for each in found]
        found = asked(stored, ahead, people=PEOPLE, window=None, customers=asked_for)
    else:
        wanted = {customer(name): [Window(start=start, end=end)] for name in (ANNA, BEN, CY)}
        found = asked(stored, ahead, people=PEOPLE, window=Window(start=start, end=end))
    for name, one in ahead.items():
        assert found[name] == expected(stored, one, people=PEOPLE, windows=wanted, scale=scale_of(one)), name


def test_clickhouse_reads_files_of_several_folders(tmp_path: Path, clickhouse: Boxes) -> None:
    stored = Stored(tmp_path)
    for _ in range(3):
        stored.seal([Event(subject=ANNA, at=MARCH.start, fields={"tokens": Decimal(1)})] * 2)
    stored.move(tmp_path / "another folder")
    found = asked(stored, {"sum": METERS["sum"]}, people=PEOPLE, boxes=clickhouse)
    assert found["sum"] == {(ANNA, MARCH.start): (Decimal("6.000"), 6, 21)}
