"""What billing is still to be told of a customer's charges: the difference, once, in a minute no other report has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revline.core.ids import SourceObject
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.outward.kinds import Measure, Report, UsageBilling
from revline.subledger.usage.outward.ports import BillingConnection
from revline.subledger.usage.outward.telling import Due, Told, after_telling, due_tellings, minute_for
from revline.subledger.usage.versions import UsageVersion, Window

ADA = SourceObject(connection="stripe", kind="customer", outside_id="cus_ada")
MARCH = Window(start=datetime(2026, 3, 1, tzinfo=UTC), end=datetime(2026, 4, 1, tzinfo=UTC))
NOON = datetime(2026, 3, 10, 12, 0, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def charge(quantity: str, *, revision: int = 1, price: str = "calls", amount: str = "1.00", **given: object) -> Charge:
    subject = ChargeSubject(customer=ADA, kind=ChargeKind.USAGE, price=price, window=MARCH)
    made = Charge(
        charge_id=subject.charge_id("acme"), revision=revision, subject=subject, entity="us", product_family="",
        meter="calls", unit="call", quantity=Decimal(quantity), currency="USD", amount=Decimal(amount), events=1,
        usage_version=UsageVersion(watermarks=()), configuration=1, digest="",
    )  # fmt: skip
    return msgspec.structs.replace(made, **given)


def billing(measure: Measure = Measure.QUANTITY, *, entity: str = "us", **given: object) -> BillingConnection:
    reports = {"calls": Report(meter="api_calls", measure=measure)}
    spec = msgspec.structs.replace(UsageBilling(connection="stripe", reports=reports), **given)
    return BillingConnection(name="stripe", spec=spec, entity=entity)


def due(*charges: Charge, told: dict[str, Told] | None = None, now: datetime = NOON, **given: object) -> Due:
    how = given.pop("how", billing())
    assert isinstance(how, BillingConnection)
    return due_tellings(tenant_id="acme", billing=how, charges=charges, told=told or {}, now=now, **given)  # type: ignore[arg-type]


def test_what_was_never_told_is_told_whole() -> None:
    (one,) = due(charge("1250.500")).tellings
    assert (one.value, one.total, one.ordinal, one.report.meter) == (
        Decimal("1250.5"),
        Decimal("1250.5"),
        0,
        "api_calls",
    )
    assert one.at == NOON.replace(second=0)


def test_groups_of_one_price_are_told_as_one() -> None:
    (one,) = due(charge("1", charge_id="b"), charge("2", charge_id="a", revision=3)).tellings
    assert (one.value, one.charges) == (Decimal(3), (("a", 3), ("b", 1)))


def test_money_is_told_in_smallest_units() -> None:
    (one,) = due(charge("7", amount="12.34"), how=billing(Measure.AMOUNT)).tellings
    assert one.value == 1234


@pytest.mark.parametrize(("quantity", "value"), [("12", "2"), ("7", "-3")])
def test_only_the_difference_is_told_of_what_was_told_before(quantity: str, value: str) -> None:
    (first,) = due(charge("10")).tellings
    told = {first.target_id: after_telling(first, before=None, now=NOON)}
    later = NOON + timedelta(hours=2)
    (second,) = due(charge(quantity, revision=2), told=told, now=later).tellings
    assert (second.value, second.total, second.ordinal) == (Decimal(value), Decimal(quantity), 1)
    assert due(charge("10", revision=2), told=told, now=later).tellings == ()


def test_less_use_is_a_case_where_the_meter_takes_no_negative_values() -> None:
    (first,) = due(charge("10")).tellings
    told = {first.target_id: after_telling(first, before=None, now=NOON)}
    found = due(charge("7"), told=told, now=NOON + timedelta(hours=2), how=billing(negatives=False))
    assert [one.problem.code for one in found.untold] == ["usage.report_final"]


def test_a_window_that_runs_is_told_of_no_more_often_than_it_says_and_at_once_when_it_ends() -> None:
    (first,) = due(charge("10")).tellings
    told = {first.target_id: after_telling(first, before=None, now=NOON)}
    soon = due(charge("11"), told=told, now=NOON + MINUTE)
    assert (soon.tellings, soon.again_at) == ((), NOON + timedelta(hours=1))
    assert due(charge("11"), told=told, now=NOON + timedelta(hours=1)).tellings[0].value == 1
    ended = due(charge("11"), told=told, now=MARCH.end + MINUTE).tellings[0]
    assert ended.at == MARCH.end - MINUTE


def test_what_a_finished_invoice_bills_is_told_no_more() -> None:
    assert due(charge("10"), billed=frozenset({("calls", MARCH)})) == Due()


def test_held_charges_other_prices_and_other_connections_customers_are_not_told() -> None:
    assert due(charge("10", held=True), charge("10", price="other")) == Due()
    elsewhere = msgspec.structs.replace(billing(), name="stripe-de")
    assert due(charge("10"), how=elsewhere) == Due()
    assert len(due(charge("10"), how=msgspec.structs.replace(elsewhere, entity="")).tellings) == 1


def test_minutes_lie_whole_within_the_window() -> None:
    cut = Window(start=datetime(2026, 3, 1, 10, 33, 12, tzinfo=UTC), end=datetime(2026, 4, 1, 10, 33, 12, tzinfo=UTC))
    assert minute_for(window=cut, now=cut.start, told=None) == cut.start.replace(minute=34, second=0)
    assert minute_for(window=cut, now=cut.end, told=None) == cut.end.replace(minute=32, second=0)
    short = Window(start=cut.start, end=cut.start + timedelta(seconds=80))
    assert minute_for(window=short, now=cut.end, told=None) is None


@given(st.lists(st.integers(min_value=0, max_value=50), min_size=1, max_size=30))
def test_no_two_reports_share_a_minute(gaps: list[int]) -> None:
    now, told, taken = MARCH.end - timedelta(minutes=300), None, set()
    for ordinal, gap in enumerate(gaps):
        now += timedelta(minutes=gap)
        at = minute_for(window=MARCH, now=now, told=told)
        assert at is not None
        assert at not in taken
        assert MARCH.start <= at <= min(now, MARCH.end - MINUTE)
        taken.add(at)
        told = Told(told=Decimal(ordinal), ordinal=ordinal, first_at=min(taken), last_at=max(taken), told_at=now)
