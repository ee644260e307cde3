"""Billing's invoices of metered use, compared with what was used: findings, cases by cause, and what takes an accrual back."""

from __future__ import annotations

from decimal import Decimal

import pytest

from revline.core.ids import SourceObject
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.outward.record import request_comparison
from revline.subledger.usage.outward.values import Cause, Direction
from revline.subledger.usage.versions import UsageVersion, Window
from tests.integration.usage.billing.world import SOURCE, TENANT, World


def billed(world: World, *, billed_quantity: str, used: str | None, **price: object) -> str:
    """A customer who was billed for a month, and what our meter says; gives the customer."""
    customer = world.stripe.customer()
    world.stripe.subscribe(customer, world.stripe.price(**(price or {"unit_amount": "10"})))
    world.stripe.pass_days(20)
    world.stripe.use(customer, billed_quantity)
    world.stripe.pass_days(12)
    if used is not None:
        world.used[customer] = Decimal(used)
    world.run()
    return customer


def test_a_line_that_bills_what_was_used_needs_nobody(world: World) -> None:
    customer = billed(world, billed_quantity="100", used="100")
    (found,) = world.findings(all=True)
    assert (found.finding.direction, found.finding.billed_amount, found.finding.expected_amount) == (
        Direction.EQUAL,
        Decimal("10.00"),
        Decimal("10.00"),
    )
    window = found.finding.subject.window
    assert (found.finding.subject.customer.outside_id, (window.end - window.start).days) == (customer, 31)
    assert world.cases() == {}
    assert {one.window for one in world.asked} == {window}


def test_use_that_billing_missed_is_leakage_with_its_money(world: World) -> None:
    billed(world, billed_quantity="90", used="100")
    (found,) = world.findings()
    assert (found.finding.cause, found.finding.difference) == (Cause.QUANTITY, Decimal("-1.00"))
    assert world.cases() == {"usage.billed_quantity": ("open", "1.00")}
    (total,) = world.totals()
    assert (total.direction, total.findings, total.difference, total.billed) == (
        "leakage",
        1,
        Decimal("-1.00"),
        Decimal("9.00"),
    )


@pytest.mark.parametrize("mode", ["graduated", "volume"])
def test_tiered_prices_are_rated_as_billing_rates_them(world: World, mode: str) -> None:
    tiers = [
        {"up_to": "100", "unit_amount_decimal": "1.25", "flat_amount": "500"},
        {"up_to": "inf", "unit_amount_decimal": "0.333"},
    ]
    billed(world, billed_quantity="1251", used="1251", billing_scheme="tiered", tiers_mode=mode, tiers=tiers)
    (found,) = world.findings(all=True)
    assert (found.finding.direction, found.finding.tolerated) == (Direction.EQUAL, True)
    assert found.finding.expected_quantity == found.finding.billed_quantity == 1251


def test_packages_are_rated_as_billing_rates_them(world: World) -> None:
    package = {"divide_by": "100", "round": "up"}
    billed(world, billed_quantity="101", used="101", unit_amount="700", transform_quantity=package)
    (found,) = world.findings(all=True)
    assert (found.finding.direction, found.finding.billed_amount) == (Direction.EQUAL, Decimal("14.00"))


def test_a_price_of_ours_instead_of_billings_shows_another_price(world: World) -> None:
    customer = world.stripe.customer()
    price = world.stripe.price(unit_amount="12")
    world.stripe.subscribe(customer, price)
    world.stripe.use(customer, "100")
    world.stripe.pass_days(32)
    world.used[customer] = Decimal(100)
    ours = """
apiVersion: revline/v1
kind: UsagePrice
metadata: {name: calls, tenant: aurora}
spec:
  title: Calls
  meter: calls
  entity: aurora-us
  terms: {currency: USD, unit: call, model: {perUnit: {unitAmount: "0.10"}}}
"""
    (world.folder / TENANT / "91-price.yaml").write_text(ours, encoding="utf-8")
    world.configure(prices={price: "calls"})
    world.run()
    (found,) = world.findings()
    assert (found.finding.subject.price, found.finding.cause, found.finding.difference) == (
        "calls",
        Cause.PRICE,
        Decimal("2.00"),
    )


def test_a_bill_for_what_nobody_used(world: World) -> None:
    billed(world, billed_quantity="5", used=None)
    assert [one.finding.cause for one in world.findings()] == [Cause.BILLED_WITHOUT_USAGE]
    assert world.cases() == {"usage.billed_unused": ("open", "0.50")}


def test_a_meter_nobody_knows_is_a_case_until_it_is_named(world: World) -> None:
    world.configure(meters={})
    customer = billed(world, billed_quantity="5", used="5")
    assert [one.finding.cause for one in world.findings()] == [Cause.UNKNOWN_METER]
    assert world.cases() == {"usage.billed_unmetered": ("open", "0.50")}
    world.configure()
    again(world, customer)
    assert (world.findings(), world.cases()["usage.billed_unmetered"][0]) == ([], "resolved")


def test_lines_of_licensed_prices_are_left_alone(world: World) -> None:
    recurring = {"interval": "month"}
    customer = world.stripe.customer()
    world.stripe.subscribe(customer, world.stripe.price(unit_amount="1000", recurring=recurring))
    world.stripe.pass_days(32)
    world.run()
    assert world.findings(all=True) == []


def test_a_tolerance_keeps_a_small_difference_from_people(world: World) -> None:
    world.configure(tolerance={"amount": "1.00"})
    billed(world, billed_quantity="90", used="100")
    assert (world.findings(), world.cases()) == ([], {})
    (found,) = world.findings(all=True)
    assert found.finding.tolerated


def test_use_that_comes_after_the_invoice_is_late_and_not_a_wrong_quantity(world: World) -> None:
    customer = billed(world, billed_quantity="100", used="100")
    world.used[customer] = Decimal(130)
    again(world, customer)
    (found,) = world.findings()
    assert [(part.cause, part.amount) for part in found.finding.parts] == [(Cause.LATE_USAGE, Decimal("-3.00"))]


def test_a_difference_that_is_mended_closes_its_case(world: World) -> None:
    customer = billed(world, billed_quantity="90", used="100")
    world.used[customer] = Decimal(90)
    again(world, customer)
    assert world.cases() == {"usage.billed_quantity": ("resolved", "1.00")}
    assert world.findings() == []


def test_a_voided_invoice_bills_nothing_any_more(world: World) -> None:
    customer = billed(world, billed_quantity="90", used="100")
    (found,) = world.findings()
    window = found.finding.subject.window
    world.charges.append(charge(world, customer, window, "10.00", price=found.finding.subject.price))
    again(world, customer)
    assert [one is not None for one in world.billings.values()] == [True]
    world.stripe.void()
    world.run()
    assert [one is not None for one in world.billings.values()] == [False]
    assert [one.finding.cause for one in world.findings()] == [Cause.USED_WITHOUT_BILL]
    assert world.cases()["usage.billed_quantity"][0] == "resolved"


def test_messages_in_any_order_and_twice_come_to_the_same(world: World) -> None:
    customer = world.stripe.customer()
    world.stripe.subscribe(customer, world.stripe.price(unit_amount="10"))
    world.stripe.use(customer, "90")
    world.stripe.pass_days(32)
    world.used[customer] = Decimal(100)
    told = world.stripe.news()
    world.harness.accept(TENANT, SOURCE, [*told[::-1], *told])
    world.run()
    (found,) = world.findings()
    assert (found.finding.difference, len(world.cases())) == (Decimal("-1.00"), 1)


def charge(world: World, customer: str, window: Window, amount: str, price: str = "calls") -> Charge:
    subject = ChargeSubject(
        customer=SourceObject(connection=SOURCE, kind="customer", outside_id=customer),
        kind=ChargeKind.USAGE,
        price=price,
        window=window,
    )
    return Charge(
        charge_id=subject.charge_id(TENANT), revision=1, subject=subject, entity="aurora-us", product_family="",
        meter="calls", unit="call", quantity=Decimal(100), currency="USD", amount=Decimal(amount), events=1,
        usage_version=UsageVersion(watermarks=()), configuration=1, digest="",
    )  # fmt: skip


def test_a_charge_nothing_bills_waits_for_its_deadline_and_is_then_a_case(world: World) -> None:
    billed(world, billed_quantity="100", used="100")
    customer = world.stripe.customer("Bob")
    world.run()
    end = world.harness.clock.now()
    window = Window(start=end.replace(day=1), end=end)
    world.charges.append(charge(world, customer, window, "10.00"))
    again(world, customer)
    assert world.findings() == []
    world.later(days=3)
    again(world, customer)
    (found,) = world.findings()
    assert (found.finding.cause, found.finding.charges) == (
        Cause.USED_WITHOUT_BILL,
        (world.charges[0].charge_id,),
    )
    assert world.cases() == {"usage.used_unbilled": ("open", "10.00")}


def test_a_charge_of_just_the_window_is_what_is_expected_and_its_line_takes_its_accrual_back(world: World) -> None:
    customer = billed(world, billed_quantity="90", used="100")
    (found,) = world.findings()
    price = found.finding.subject.price
    one = charge(world, customer, found.finding.subject.window, "10.00", price=price)
    world.charges.append(one)
    again(world, customer)
    (found,) = world.findings()
    assert (found.finding.charges, found.finding.difference) == ((one.charge_id,), Decimal("-1.00"))
    link = world.billings[one.charge_id]
    assert link is not None
    assert (link.day.isoformat(), link.cleared) == ("2026-01-31", Decimal(0))


def again(world: World, customer: str) -> None:
    """Compare a customer once more, as when its charges changed."""
    source = SourceObject(connection=SOURCE, kind="customer", outside_id=customer)
    with world.database.unit(
        tenants=[TENANT], kind="test", actor="test", reason="a test", recorded_at=world.harness.clock.now()
    ) as unit:
        request_comparison(unit, tenant_id=TENANT, customers=[source])
    world.run()
