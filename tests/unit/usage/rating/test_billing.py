"""Billing periods, parts of them, and who pays which price."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.core.ids import SourceObject
from revline.subledger.usage.calendar import instant_of
from revline.subledger.usage.rating.billing import Subscribed, charged_periods, period_at, share_of
from revline.subledger.usage.rating.conventions import Conventions, PeriodEnd, ProrationBy
from revline.subledger.usage.rating.inputs import WHOLE, Share
from revline.subledger.usage.rating.kinds import AppliesTo, Billing, Interval, UsagePrice
from revline.subledger.usage.rating.models import Band, PerUnit, Weekday
from revline.subledger.usage.rating.week import band_at, cut_by_week, week_of
from revline.subledger.usage.versions import Window
from tests.unit.usage.rating.terms import DAY_AND_NIGHT, D, terms

BERLIN = "Europe/Berlin"


def days(start: date, end: date, zone: str = BERLIN) -> Window:
    return Window(start=instant_of(day=start, time_zone=zone), end=instant_of(day=end, time_zone=zone))


MARCH = days(date(2026, 3, 1), date(2026, 4, 1))
"""743 hours: the clock is set forward on the 29th."""


def price(**fields: object) -> UsagePrice:
    made = {
        "title": "Calls",
        "meter": "calls",
        "entity": "de",
        "terms": terms(PerUnit(unit_amount=D(1)), currency="EUR"),
    }
    return UsagePrice(**{**made, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("billing", "day", "start", "end"),
    [
        (Billing(), date(2026, 2, 28), date(2026, 2, 1), date(2026, 3, 1)),
        (Billing(interval_count=3), date(2026, 5, 20), date(2026, 4, 1), date(2026, 7, 1)),
        (Billing(anchor=date(2026, 1, 31)), date(2026, 2, 27), date(2026, 1, 31), date(2026, 2, 28)),
        (Billing(anchor=date(2026, 1, 31)), date(2026, 3, 30), date(2026, 2, 28), date(2026, 3, 31)),
        (Billing(anchor=date(2026, 1, 31)), date(2025, 12, 31), date(2025, 12, 31), date(2026, 1, 31)),
        (Billing(interval=Interval.WEEK), date(2026, 11, 22), date(2026, 11, 16), date(2026, 11, 23)),
        (
            Billing(interval=Interval.YEAR, anchor=date(2024, 2, 29)),
            date(2026, 2, 27),
            date(2025, 2, 28),
            date(2026, 2, 28),
        ),
        (Billing(interval=Interval.DAY), date(2026, 3, 29), date(2026, 3, 29), date(2026, 3, 30)),
    ],
)
def test_a_period_is_cut_from_its_anchor(billing: Billing, day: date, start: date, end: date) -> None:
    noon = instant_of(day=day, time_zone=BERLIN) + timedelta(hours=11)

    assert period_at(billing=billing, moment=noon, time_zone=BERLIN) == days(start, end)


@settings(max_examples=100, deadline=None)
@given(
    st.builds(
        Billing,
        interval=st.sampled_from(Interval),
        interval_count=st.integers(1, 5),
        anchor=st.none() | st.dates(date(2000, 1, 1), date(2030, 1, 1)),
    ),
    st.datetimes(datetime(2001, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001 - made aware below
    st.sampled_from([BERLIN, "America/New_York", "Pacific/Apia", "UTC", "Africa/Cairo"]),
)
def test_periods_follow_each_other_without_gaps(billing: Billing, naive: datetime, zone: str) -> None:
    moment = naive.replace(tzinfo=UTC)
    here = period_at(billing=billing, moment=moment, time_zone=zone)

    assert here.start <= moment < here.end
    assert period_at(billing=billing, moment=here.end, time_zone=zone).start == here.end
    assert period_at(billing=billing, moment=here.start - timedelta(seconds=1), time_zone=zone).end == here.start


CUSTOMER = SourceObject(connection="stripe-us", kind="customer", outside_id="cus_1")


def charged(
    prices: dict[str, UsagePrice], *subscribed: Subscribed, within: Window = MARCH, customer: SourceObject = CUSTOMER
) -> list[tuple[str, Window, str]]:
    """Each price with its windows and the part that is charged."""
    found = charged_periods(prices=prices, customer=customer, subscribed=subscribed, time_zone=BERLIN, within=within)
    return [(name, each.window, f"{each.share.part}/{each.share.whole}") for name, each in found]


def test_a_price_is_charged_for_the_part_of_a_period_it_is_in_force() -> None:
    cut = price(effective_from=date(2026, 3, 17), effective_to=date(2026, 4, 11))

    assert charged({"calls": cut}, within=days(date(2026, 1, 1), date(2026, 6, 1))) == [
        ("calls", days(date(2026, 3, 17), date(2026, 4, 1)), "15/31"),
        ("calls", days(date(2026, 4, 1), date(2026, 4, 11)), "10/30"),
    ]


def test_where_a_nearer_price_is_not_in_force_the_next_one_is_charged() -> None:
    """No day of use is left without a price when a customer gets one of its own for some days."""
    own = AppliesTo(customers=("stripe-us/cus_1",))
    prices = {
        "all": price(),
        "own": price(applies_to=own, effective_from=date(2026, 3, 11), effective_to=date(2026, 3, 21)),
    }

    assert charged(prices) == [
        ("all", days(date(2026, 3, 1), date(2026, 3, 11)), "10/31"),
        ("all", days(date(2026, 3, 21), date(2026, 4, 1)), "11/31"),
        ("own", days(date(2026, 3, 11), date(2026, 3, 21)), "10/31"),
    ]


def test_a_subscription_brings_its_price_for_every_period_it_ran_in() -> None:
    prices = {"all": price(), "plan": price(applies_to=AppliesTo(subscription_prices=("stripe-us/price_1",)))}
    ran = Subscribed(
        price="stripe-us/price_1",
        start=instant_of(day=date(2026, 2, 10), time_zone=BERLIN),
        end=instant_of(day=date(2026, 3, 17), time_zone=BERLIN),
    )
    found = charged(prices, ran, within=days(date(2026, 1, 1), date(2026, 5, 1)))

    assert [(name, window.start.month, part) for name, window, part in found] == [
        ("all", 12, "1/1"),
        ("all", 3, "1/1"),
        ("plan", 1, "1/1"),
        ("plan", 2, "1/1"),
    ], "January and April for everyone, February and March by the subscription (months of the first instant in UTC)"


@pytest.mark.parametrize(
    ("by", "share"),
    [
        (ProrationBy.NONE, WHOLE),
        (ProrationBy.DAY, Share(part=15, whole=31)),
        (ProrationBy.SECOND, Share(part=359 * 3600, whole=743 * 3600, unit="seconds")),
        (ProrationBy.THIRTY_DAY_MONTH, Share(part=14, whole=30)),
    ],
)
def test_a_part_is_measured_as_the_price_says(by: ProrationBy, share: Share) -> None:
    part = days(date(2026, 3, 17), date(2026, 4, 1))

    assert share_of(conventions=Conventions(proration=by), whole=MARCH, part=part, time_zone=BERLIN) == share


def test_the_day_a_part_ends_on_counts_only_where_it_is_wanted() -> None:
    part = days(date(2026, 3, 1), date(2026, 3, 17))
    counted = {
        each: share_of(conventions=Conventions(period_end=each), whole=MARCH, part=part, time_zone=BERLIN).part
        for each in PeriodEnd
    }

    assert counted == {PeriodEnd.EXCLUDED: 16, PeriodEnd.INCLUDED: 17}


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([ProrationBy.DAY, ProrationBy.SECOND, ProrationBy.THIRTY_DAY_MONTH]),
    st.lists(st.integers(0, 743 * 3600), max_size=5),
)
def test_parts_that_follow_each_other_are_the_whole(by: ProrationBy, cuts: list[int]) -> None:
    edges = [MARCH.start, *sorted(MARCH.start + timedelta(seconds=each) for each in cuts), MARCH.end]
    parts = [Window(start=start, end=end) for start, end in pairwise(edges)]
    rules = Conventions(proration=by)

    found = [share_of(conventions=rules, whole=MARCH, part=part, time_zone=BERLIN).fraction for part in parts]
    assert sum(found, Fraction(0)) == 1


def test_the_price_that_names_a_customer_stands_before_the_one_of_its_subscription_and_the_one_for_all() -> None:
    prices = {
        "all": price(),
        "other": price(product="support"),
        "plan": price(applies_to=AppliesTo(subscription_prices=("stripe-us/price_1",))),
        "own": price(applies_to=AppliesTo(customers=("stripe-us/cus_1",))),
        "gone": price(applies_to=AppliesTo(customers=("stripe-us/cus_2",)), effective_to=date(2026, 3, 1)),
    }

    def of(customer: str, *subscribed: str) -> list[str]:
        who = SourceObject(connection="stripe-us", kind="customer", outside_id=customer)
        return [name for name, _, _ in charged(prices, *(Subscribed(price=each) for each in subscribed), customer=who)]

    assert of("cus_1", "stripe-us/price_1") == ["other", "own"]
    assert of("cus_2", "stripe-us/price_1") == ["other", "plan"]
    assert of("cus_2") == ["all", "other"]


WEEK = week_of(bands=DAY_AND_NIGHT.bands, otherwise="otherwise")


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)),  # noqa: DTZ001 - made aware below
    st.integers(1, 20 * 24 * 60),
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.data(),
)
def test_a_period_is_cut_where_the_band_changes(naive: datetime, minutes: int, zone: str, data: st.DataObject) -> None:
    start = naive.replace(tzinfo=UTC)
    window = Window(start=start, end=start + timedelta(minutes=minutes))
    pieces = cut_by_week(week=WEEK, window=window, time_zone=zone)

    assert [piece.window.start for piece in pieces] == [start, *(piece.window.end for piece in pieces[:-1])]
    assert pieces[-1].window.end == window.end
    assert all(one.band != two.band for one, two in pairwise(pieces))
    moment = start + timedelta(seconds=data.draw(st.integers(0, minutes * 60 - 1)))
    (held,) = (piece.band for piece in pieces if piece.window.start <= moment < piece.window.end)
    assert held == band_at(week=WEEK, local=moment.astimezone(ZoneInfo(zone)))


def test_a_night_of_twenty_five_hours_is_cut_by_what_the_clock_shows() -> None:
    sunday = (Band(name="early", start="02:00", end="02:30", days=(Weekday.SUNDAY,), unit_amount=D(1)),)
    pieces = cut_by_week(
        week=week_of(bands=sunday, otherwise="rest"),
        window=days(date(2026, 10, 25), date(2026, 10, 26)),
        time_zone=BERLIN,
    )
    early = [piece.window for piece in pieces if piece.band == "early"]

    assert [(each.start.hour, each.start.minute, each.end.minute) for each in early] == [(0, 0, 30), (1, 0, 30)]
