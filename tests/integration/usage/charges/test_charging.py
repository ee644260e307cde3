"""From usage to charge lines to journal lines: an open period follows its usage, at the cost of what was touched."""

from __future__ import annotations

import pytest

from revline.core.problem import problem
from revline.subledger.usage.charges.acts import retry_handler
from tests.integration.usage.charges.world import ADA, BOB, TENANT, Shop, amounts, seen


def test_usage_of_a_month_becomes_a_line_by_the_tiers_of_its_price(shop: Shop) -> None:
    for day in range(1, 6):
        shop.use(f"2026-01-{day:02d}", "30")
    shop.rate("2026-01-10")
    (line,) = shop.charges()
    assert (str(line.quantity), str(line.amount), line.events) == ("150", "12.50", 5)
    assert b"graduated" in line.explanation or b"tier" in line.explanation


def test_later_usage_revises_the_line_and_what_did_not_change_is_not_written(shop: Shop) -> None:
    shop.use("2026-01-02", "10")
    shop.use("2026-01-02", "3", customer=BOB, meter="storage")
    shop.rate("2026-01-03")
    shop.use("2026-01-03", "5")
    shop.rate("2026-01-04")
    shop.rate("2026-01-05")
    assert sorted((one.customer, one.amount, one.revision) for one in shop.lines()) == [
        ("ada", "1.50", 2),
        ("bob", "6.00", 1),
    ]


def test_only_what_was_touched_is_asked_of_meters(shop: Shop) -> None:
    shop.use("2026-01-02", "10")
    shop.use("2026-01-02", "3", meter="storage")
    shop.use("2026-01-02", "4", customer=BOB)
    shop.rate("2026-01-03")
    shop.usage.asked.clear()
    shop.use("2026-01-02", "1", meter="storage")
    shop.rate("2026-01-04")
    asked = [(demand.meter, each.customer) for demand in shop.usage.asked for each in demand.customers]
    assert asked == [("storage", ADA)]


def test_a_voided_event_is_taken_out(shop: Shop) -> None:
    shop.use("2026-01-02", "10")
    wrong = shop.use("2026-01-02", "100")
    shop.rate("2026-01-03")
    shop.usage.void(wrong)
    shop.rate("2026-01-04")
    assert [(one.quantity, one.amount, one.events) for one in shop.lines()] == [("10", "1.00", 1)]


def test_usage_is_accrued_when_its_month_has_ended_and_revenue_is_of_that_month(shop: Shop) -> None:
    shop.use("2026-01-15", "50")
    shop.rate("2026-01-20")
    assert shop.books() == {}
    shop.rate("2026-02-01", hours=1)
    assert shop.books() == {"2026-01": {"revenue_usage": "-5.00", "unbilled_receivable": "5.00"}}
    shop.use("2026-01-31", "10")
    shop.rate("2026-02-02")
    assert shop.books() == {"2026-01": {"revenue_usage": "-6.00", "unbilled_receivable": "6.00"}}
    assert [day for day, _, _ in shop.journals()] == ["2026-01-31"] * 4


def test_a_period_closes_after_its_grace_and_late_usage_is_adjusted_in_the_next_one(shop: Shop) -> None:
    shop.use("2026-01-15", "50")
    shop.rate("2026-02-01", hours=1)
    shop.rate("2026-02-04", hours=1)
    shop.use("2026-01-20", "60")
    shop.use("2026-02-02", "10")
    shop.rate("2026-02-06")
    assert amounts(shop.lines()) == {
        ("ada", "usage", "calls", "2026-01"): "5.00",
        ("ada", "adjustment", "calls", "2026-02"): "5.50",
        ("ada", "usage", "calls", "2026-02"): "1.00",
    }
    # 50 calls were charged, 110 were made: 10.50 less 5.00; nobody closed January's books, so it is revenue of January.
    assert shop.books()["2026-01"] == {"revenue_usage": "-10.50", "unbilled_receivable": "10.50"}


def test_the_same_ticks_give_the_same_lines_whatever_order_customers_are_computed_in(shop: Shop) -> None:
    for day in (2, 9, 16):
        shop.use(f"2026-01-{day:02d}", "40")
        shop.use(f"2026-01-{day:02d}", "7", customer=BOB, meter="storage")
    shop.rate("2026-01-20")
    once = [seen(charge) for charge in shop.charges()]
    shop.rate("2026-01-21")
    assert [seen(charge) for charge in shop.charges()] == once


def test_a_customer_whose_connection_takes_no_facts_is_a_case_and_loses_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.use("2026-01-02", "10")
    with monkeypatch.context() as patch:
        patch.setattr(type(shop.harness.directory), "channel", lambda *_, **__: problem("connection.unknown", "gone"))
        shop.rate("2026-01-03")
    assert (shop.charges(), shop.cases()) == ((), ["usage.connection_gone"])
    retry = retry_handler(database=shop.database, clock=shop.harness.clock)
    retry(tenant_id=TENANT, subject_ids=["billing/ada"], actor="person:ada", reason="configured again")
    shop.work()
    assert (amounts(shop.lines()), shop.cases()) == ({("ada", "usage", "calls", "2026-01"): "1.00"}, [])


def test_what_is_due_by_time_makes_one_tick_and_nothing_makes_none(shop: Shop) -> None:
    shop.use("2026-01-02", "10")
    shop.rate("2026-01-31")
    ticks = "SELECT count(*) FROM usage_tick WHERE tenant_id = :tenant"
    shop.go("2026-02-01", hours=1)
    assert shop.ticker.sweep(tenant_id=TENANT) == 1
    ((before,),) = shop.rows(ticks)
    for _ in range(3):
        assert shop.ticker.sweep(tenant_id=TENANT) == 0
    assert shop.rows(ticks) == [(before,)]
    shop.work()
    shop.go("2026-02-01", hours=2)
    assert shop.ticker.sweep(tenant_id=TENANT) == 0
