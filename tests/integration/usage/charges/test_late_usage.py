"""Late, corrected and voided usage of closed periods: by the named policy, explained down to the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from revline.platform.store.engine import Database
from revline.subledger.usage.charges.acts import ChargeActs
from revline.subledger.usage.charges.state import Decision, period_id
from tests.integration.usage.charges.world import ADA, CALLS, TENANT, Shop, amounts, policy

Open = Callable[..., Shop]


@pytest.fixture
def opened(database: Database, tmp_path: Path) -> Iterator[Open]:
    shops: list[Shop] = []

    def make(**given: Any) -> Shop:
        shops.append(Shop(database, tmp_path / "configuration", CALLS, policy(**given)))
        return shops[-1]

    yield make
    for one in shops:
        one.close()


def january_closed(shop: Shop) -> None:
    """Fifty calls in January for 5.00, accrued, and the period closed on the fourth of February."""
    shop.use("2026-01-15", "50")
    shop.rate("2026-02-01", hours=1)
    shop.rate("2026-02-04", hours=1)
    assert amounts(shop.lines()) == {("ada", "usage", "calls", "2026-01"): "5.00"}


def acts_of(shop: Shop) -> ChargeActs:
    return ChargeActs(database=shop.database, setups=shop.setups, clock=shop.harness.clock)


def test_while_the_books_of_its_month_are_open_late_usage_is_revenue_of_that_month(opened: Open) -> None:
    shop = opened()
    january_closed(shop)
    shop.use("2026-01-20", "10")
    shop.rate("2026-02-05")
    assert shop.books() == {"2026-01": {"revenue_usage": "-6.00", "unbilled_receivable": "6.00"}}


def test_once_the_books_are_closed_late_usage_counts_in_the_first_open_month(opened: Open) -> None:
    shop = opened(booksCloseAfterDays=5)
    january_closed(shop)
    shop.use("2026-01-20", "10")
    shop.rate("2026-02-10")
    assert shop.books() == {
        "2026-01": {"revenue_usage": "-5.00", "unbilled_receivable": "5.00"},
        "2026-02": {"revenue_usage": "-1.00", "unbilled_receivable": "1.00"},
    }
    assert [day for day, _, _ in shop.journals()] == ["2026-01-31"] * 2 + ["2026-02-01"] * 2


def test_a_policy_may_count_it_in_the_month_it_was_made_in_all_the_same(opened: Open) -> None:
    shop = opened(booksCloseAfterDays=5, late="adjust_original")
    january_closed(shop)
    shop.use("2026-01-20", "10")
    shop.rate("2026-02-10")
    assert amounts(shop.lines())["ada", "adjustment", "calls", "2026-02"] == "1.00"
    assert shop.books() == {"2026-01": {"revenue_usage": "-6.00", "unbilled_receivable": "6.00"}}


def test_a_person_closes_books_too(opened: Open) -> None:
    shop = opened()
    january_closed(shop)
    closed = acts_of(shop).close_books(
        tenant_id=TENANT, entity="birch-us", through=date(2026, 1, 31), actor="person:ada", reason="January is closed"
    )
    assert closed is None
    shop.use("2026-01-20", "10")
    shop.rate("2026-02-10")
    assert shop.books()["2026-02"] == {"revenue_usage": "-1.00", "unbilled_receivable": "1.00"}


def test_a_period_is_never_reopened_a_second_batch_is_borne_by_the_period_then_open(opened: Open) -> None:
    shop = opened()
    january_closed(shop)
    shop.use("2026-01-20", "10")
    shop.rate("2026-02-05")
    shop.rate("2026-03-05")
    shop.use("2026-01-21", "100")
    shop.rate("2026-03-10")
    assert amounts(shop.lines()) == {
        ("ada", "usage", "calls", "2026-01"): "5.00",
        ("ada", "adjustment", "calls", "2026-02"): "1.00",
        ("ada", "adjustment", "calls", "2026-03"): "7.00",
    }
    assert [(line.kind, line.revision) for line in shop.lines()].count(("usage", 1)) == 1


def test_usage_of_a_closed_period_that_is_voided_gives_its_amount_back(opened: Open) -> None:
    shop = opened()
    wrong = shop.use("2026-01-10", "40")
    january_closed_with_ninety = {("ada", "usage", "calls", "2026-01"): "9.00"}
    shop.use("2026-01-15", "50")
    shop.rate("2026-02-01", hours=1)
    shop.rate("2026-02-04", hours=1)
    assert amounts(shop.lines()) == january_closed_with_ninety
    shop.usage.void(wrong)
    shop.rate("2026-02-05")
    (line,) = [each for each in shop.lines() if each.kind == "adjustment"]
    assert (line.quantity, line.amount, line.events) == ("-40", "-4.00", -1)
    assert shop.books() == {"2026-01": {"revenue_usage": "-5.00", "unbilled_receivable": "5.00"}}


def test_held_late_usage_counts_for_nothing_until_a_person_approves_it(opened: Open) -> None:
    shop = opened(late="hold")
    january_closed(shop)
    shop.use("2026-01-20", "10")
    shop.rate("2026-02-05")
    (held,) = shop.charges(held=True)
    assert (str(held.amount), held.revision, shop.cases()) == ("1.00", 1, ["usage.late_held"])
    assert shop.books() == {"2026-01": {"revenue_usage": "-5.00", "unbilled_receivable": "5.00"}}
    approved = acts_of(shop).decide(
        tenant_id=TENANT,
        charge_id=held.charge_id,
        revision=1,
        decision=Decision.APPROVE,
        actor="person:ada",
        reason="ok",
    )
    assert approved is None
    shop.work()
    assert amounts(shop.lines(held=False))["ada", "adjustment", "calls", "2026-02"] == "1.00"
    assert shop.cases() == []
    assert shop.books() == {"2026-01": {"revenue_usage": "-6.00", "unbilled_receivable": "6.00"}}
    shop.use("2026-01-21", "10")
    shop.rate("2026-02-06")
    (again,) = shop.charges(held=True)
    assert (str(again.amount), again.revision) == ("1.00", 3)


def test_what_was_refused_is_never_charged_and_not_asked_again(opened: Open) -> None:
    shop = opened(late="hold")
    january_closed(shop)
    shop.use("2026-01-20", "10")
    shop.rate("2026-02-05")
    (held,) = shop.charges(held=True)
    acts_of(shop).decide(
        tenant_id=TENANT,
        charge_id=held.charge_id,
        revision=1,
        decision=Decision.REFUSE,
        actor="person:ada",
        reason="no",
    )
    shop.work()
    shop.rate("2026-02-07")
    assert shop.cases() == []
    assert amounts(shop.lines(held=False)) == {("ada", "usage", "calls", "2026-01"): "5.00"}


def test_usage_after_the_policys_last_day_is_charged_to_nobody_and_told(opened: Open) -> None:
    shop = opened(lateDaysMax=30)
    january_closed(shop)
    shop.use("2026-01-20", "10")
    shop.rate("2026-03-15")
    assert amounts(shop.lines()) == {("ada", "usage", "calls", "2026-01"): "5.00"}
    assert shop.cases() == ["usage.too_late"]


def test_a_person_closes_a_period_that_no_policy_closes(opened: Open) -> None:
    shop = opened(closeAfterDays=None)
    shop.use("2026-01-15", "50")
    shop.rate("2026-03-01")
    shop.use("2026-01-16", "10")
    shop.rate("2026-03-02")
    (line,) = shop.charges()
    assert line.revision == 2
    identity = period_id(tenant_id=TENANT, customer=ADA, window=line.subject.window)
    closed = acts_of(shop).close_period(tenant_id=TENANT, period_id=identity, actor="person:ada", reason="billed")
    assert closed is None
    shop.work()
    shop.use("2026-01-17", "10")
    shop.rate("2026-03-03")
    assert [(each.kind, each.amount) for each in shop.lines()] == [("usage", "6.00"), ("adjustment", "1.00")]


def test_a_price_raised_after_the_close_does_not_reach_back(opened: Open) -> None:
    shop = opened()
    january_closed(shop)
    shop.configure(CALLS.replace('"0.10"', '"0.90"'), policy())
    shop.use("2026-01-20", "10")
    shop.use("2026-02-02", "10")
    shop.rate("2026-02-05")
    assert amounts(shop.lines()) == {
        ("ada", "usage", "calls", "2026-01"): "5.00",
        ("ada", "adjustment", "calls", "2026-02"): "1.00",
        ("ada", "usage", "calls", "2026-02"): "9.00",
    }


def test_the_adjustment_says_what_was_charged_and_what_it_is_now(opened: Open) -> None:
    shop = opened()
    january_closed(shop)
    shop.use("2026-01-20", "60")
    shop.rate("2026-02-05")
    (line,) = [each for each in shop.charges() if each.subject.origin is not None]
    told = msgspec.json.decode(line.explanation)
    assert (told["was"]["amount"], told["now"]["amount"], told["amount"]) == ("5.00", "10.50", "5.50")
    assert (told["was"]["events"], told["now"]["events"]) == (1, 2)
