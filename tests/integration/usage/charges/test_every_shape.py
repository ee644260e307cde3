"""Prices that need more of their meter than one number: a fee of each payment, a price by the hour, one for each combination."""

from __future__ import annotations

from pathlib import Path

from revline.app.subscribed import SubscriptionFacts
from revline.platform.store.engine import Database
from revline.subledger.usage.charges.so_far import LiveCost, SoFar
from tests.integration.usage.charges.world import ADA, BOB, TENANT, Shop, at, policy

BY_REGION = """
---
apiVersion: revline/v1
kind: Meter
metadata: {name: machines, tenant: birch}
spec: {title: Machine hours, eventType: api-call, aggregation: sum, field: calls, unit: hour, groupBy: [region]}
"""


def price(name: str, meter: str, model: str) -> str:
    return f"""
---
apiVersion: revline/v1
kind: UsagePrice
metadata: {{name: {name}, tenant: birch}}
spec:
  title: {name}
  meter: {meter}
  entity: birch-us
  terms:
    currency: USD
    model: {model}
"""


FEES = price(
    "fees", "calls", '{percentage: {percent: "2.9", fixedAmount: "0.30", freeTransactions: 1, maximum: "20.00"}}'
)
POWER = price(
    "power",
    "storage",
    '{timeOfDay: {bands: [{name: day, start: "08:00", end: "20:00", unitAmount: "0.30"}], otherwise: "0.10"}}',
)
ONLY_EU = '{matrix: {fields: [region], cells: [{values: [eu], unitAmount: "0.40"}]}}'
ANYWHERE = '{matrix: {fields: [region], cells: [{values: [eu], unitAmount: "0.40"}], otherwise: "0.20"}}'
MACHINES = price("machines", "machines", ONLY_EU)


def test_each_payment_owes_its_own_fee_in_the_order_of_time(database: Database, tmp_path: Path) -> None:
    shop = Shop(database, tmp_path / "configuration", FEES, policy())
    for day, paid in (("2026-01-07", "1000"), ("2026-01-05", "50"), ("2026-01-06", "100")):
        shop.use(day, paid)
    shop.rate("2026-01-10")

    assert [(one.price, one.quantity, one.amount) for one in shop.lines()] == [("fees", "1150", "23.20")]
    shop.close()


def test_an_hour_has_the_price_of_its_band_and_is_rated_anew_with_late_usage(
    database: Database, tmp_path: Path
) -> None:
    shop = Shop(database, tmp_path / "configuration", POWER, policy())
    shop.usage.use(ADA, "storage", at("2026-01-02", 8), "10")
    shop.usage.use(ADA, "storage", at("2026-01-02", 20), "5")
    shop.rate("2026-01-03")
    shop.usage.use(ADA, "storage", at("2026-01-02", 7), "2")
    shop.rate("2026-01-04")

    (line,) = shop.charges()
    assert shop.revisions(line) == [(1, "3.50"), (2, "3.70")]
    assert (str(line.quantity), line.events) == ("17", 3)
    assert b"day: 10 at 0.30 = 3.00" in line.explanation
    shop.close()


def test_use_that_no_cell_prices_is_a_case_and_nobody_elses_problem(database: Database, tmp_path: Path) -> None:
    shop = Shop(database, tmp_path / "configuration", BY_REGION, MACHINES, POWER, policy())
    shop.usage.use(ADA, "machines", at("2026-01-02", 9), "3", group=("eu",))
    shop.usage.use(ADA, "machines", at("2026-01-02", 9), "1", group=("us",))
    shop.usage.use(ADA, "storage", at("2026-01-02", 9), "1")
    shop.rate("2026-01-03")
    assert [one.price for one in shop.lines()] == ["power"]
    assert shop.cases() == ["usage.price_unmatched"]

    shop.configure(BY_REGION, price("machines", "machines", ANYWHERE), POWER, policy())
    shop.rate("2026-01-04")
    assert {one.price: one.amount for one in shop.lines()} == {"machines": "1.40", "power": "0.30"}
    assert shop.cases() == []
    shop.close()


BY_PLAN = price("plan", "calls", '{perUnit: {unitAmount: "0.50"}}').replace(
    "  meter:", "  appliesTo: {subscriptionPrices: [billing/price_gold]}\n  meter:"
)
FOR_ALL = price("list", "calls", '{perUnit: {unitAmount: "1.00"}}')


def subscription(customer: str, **fields: object) -> dict[str, object]:
    return {
        "outside_id": f"sub_{customer}",
        "customer": customer,
        "status": "active",
        "currency": "USD",
        "created_at": "2026-01-01T12:00:00Z",
        "items": [{"outside_id": "si_1", "price": "price_gold"}],
        **fields,
    }


def test_who_subscribed_pays_the_price_of_the_subscription_and_others_the_list_price(
    database: Database, tmp_path: Path
) -> None:
    shop = Shop(database, tmp_path / "configuration", BY_PLAN, FOR_ALL, policy())
    shop.tell("subscription", subscription("ada"))
    for customer in (ADA, BOB):
        shop.use("2026-01-05", "10", customer=customer)
    shop.rate("2026-01-06")
    assert sorted((one.customer, one.price, one.amount) for one in shop.lines()) == [
        ("ada", "plan", "5.00"),
        ("bob", "list", "10.00"),
    ]

    shop.go("2026-01-20")
    shop.tell("subscription", subscription("ada", status="ended", ended_at="2026-01-20T12:00:00Z"))
    shop.use("2026-01-21", "10")
    shop.use("2026-02-03", "10")
    shop.rate("2026-02-04")
    ada = [(one.month, one.price, one.amount) for one in shop.lines() if one.customer == "ada"]
    assert sorted(ada) == [("2026-01", "plan", "10.00"), ("2026-02", "list", "10.00")], "February ran without it"
    shop.close()


def test_what_a_customer_costs_so_far_is_known_without_writing_anything(database: Database, tmp_path: Path) -> None:
    shop = Shop(database, tmp_path / "configuration", BY_PLAN, FOR_ALL, POWER, policy())
    shop.tell("subscription", subscription("ada"))
    shop.use("2026-01-05", "10")
    shop.use("2026-01-05", "3", meter="storage")
    shop.use("2026-02-05", "7")
    shop.go("2026-01-06")
    live = LiveCost(
        database=database,
        setups=shop.setups,
        meters=shop.usage,
        versions=shop.usage,
        clock=shop.harness.clock,
        subscriptions=SubscriptionFacts(setups=shop.setups),
    )
    found = live.so_far(tenant_id=TENANT, customer=ADA)

    assert isinstance(found, SoFar)
    assert {line.subject.price: (str(line.quantity), str(line.amount)) for line in found.lines} == {
        "plan": ("10.000000", "5.00"),
        "power": ("3.000000", "0.90"),
    }
    assert shop.charges() == ()
    nobody = live.so_far(tenant_id=TENANT, customer=BOB)
    assert isinstance(nobody, SoFar)
    assert {line.subject.price: str(line.amount) for line in nobody.lines} == {"list": "0.00", "power": "0.00"}
    shop.close()


def test_a_price_changed_within_an_open_period_leaves_no_use_charged_twice_or_never(
    database: Database, tmp_path: Path
) -> None:
    shop = Shop(database, tmp_path / "configuration", FOR_ALL, policy())
    shop.use("2026-01-05", "10")
    shop.use("2026-01-20", "7")
    shop.rate("2026-01-21")
    assert [(one.price, one.amount) for one in shop.lines()] == [("list", "17.00")]

    raised = price("raised", "calls", '{perUnit: {unitAmount: "2.00"}}')
    shop.configure(
        FOR_ALL.replace("  meter:", "  effectiveTo: 2026-01-11\n  meter:"),
        raised.replace("  meter:", "  effectiveFrom: 2026-01-11\n  meter:"),
        policy(),
    )
    shop.rate("2026-01-22")
    assert sorted((one.price, one.quantity, one.amount) for one in shop.lines() if one.amount != "0.00") == [
        ("list", "10", "10.00"),
        ("raised", "7", "14.00"),
    ]
    shop.close()
