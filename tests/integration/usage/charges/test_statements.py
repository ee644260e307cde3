"""A customer's statement: commitments and prepaid credits beside its usage, and the line that bills it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revline.app.crediting import CreditDirectory, charged
from revline.core.canonical import CreditGrant
from revline.platform.store.engine import Database
from revline.subledger.usage.charges import record
from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.credits.running import CreditKeeper
from revline.subledger.usage.credits.service import CreditDesk, Wanted
from tests.harness import counted_bytes
from tests.integration.usage.charges.world import ADA, CALLS, TENANT, Shop, amounts, policy

PROMISE = """
---
apiVersion: revline/v1
kind: Commitment
metadata: {name: promise, tenant: birch}
spec:
  {title: A promise, connection: billing, customer: ada, currency: USD, promised: "20.00", startsOn: 2026-01-01,
   endsOn: 2027-01-01, productFamily: api}
"""
PLAN = """
---
apiVersion: revline/v1
kind: CreditPlan
metadata: {name: prepaid, tenant: birch}
spec: {title: Prepaid credits, currency: USD, amount: "3.00"}
"""
Open = Callable[..., Shop]


@pytest.fixture
def opened(database: Database, tmp_path: Path) -> Iterator[Open]:
    shops: list[Shop] = []

    def make(*documents: str, **given: Any) -> Shop:
        shops.append(Shop(database, tmp_path / "configuration", CALLS, policy(**given), *documents))
        return shops[-1]

    yield make
    for one in shops:
        one.close()


def keeper_of(shop: Shop) -> CreditKeeper:
    return CreditKeeper(
        database=shop.database, setups=CreditDirectory(shop.harness.directory), channels=shop.harness.directory,
        clock=shop.harness.clock, random_bytes=counted_bytes(), owner="test", charges=charged,
    )  # fmt: skip


def test_what_was_promised_and_not_used_is_a_line_of_its_own_when_the_month_has_ended(opened: Open) -> None:
    shop = opened(PROMISE)
    shop.use("2026-01-10", "50")
    shop.rate("2026-01-20")
    assert amounts(shop.lines()).get(("ada", "commitment", "promise", "2026-01"), "0.00") == "0.00"
    shop.rate("2026-02-01", hours=1)
    assert amounts(shop.lines())["ada", "commitment", "promise", "2026-01"] == "15.00"
    assert shop.books()["2026-01"]["unbilled_receivable"] == "20.00"


def test_a_promise_is_charged_also_when_nothing_was_used(opened: Open) -> None:
    shop = opened(PROMISE)
    shop.rate("2026-01-20")
    shop.rate("2026-02-01", hours=1)
    assert amounts(shop.lines())["ada", "commitment", "promise", "2026-01"] == "20.00"


def test_credits_pay_a_line_and_revenue_is_whole_whoever_pays(opened: Open) -> None:
    shop = opened(PLAN)
    desk = CreditDesk(
        database=shop.database, intake=shop.harness.intake, channels=shop.harness.directory,
        setups=CreditDirectory(shop.harness.directory), clock=shop.harness.clock, random_bytes=counted_bytes(),
        charges=charged,
    )  # fmt: skip
    granted = desk.grant(
        tenant_id=TENANT,
        wanted=Wanted(customer=ADA, plan="prepaid", outside_id="g1", method="bank_transfer"),
        actor="person:ada",
        reason="sold",
    )
    assert isinstance(granted, CreditGrant), granted
    keeper = keeper_of(shop)
    shop.work()
    keeper.turn()
    shop.use("2026-01-10", "50")
    shop.rate("2026-01-20")
    for day in ("2026-02-01", "2026-02-02"):
        shop.rate(day, hours=1)
        keeper.sweep(tenant_id=TENANT)
        keeper.turn()
        shop.work()
    lines = amounts(shop.lines())
    assert lines["ada", "usage", "calls", "2026-01"] == "5.00"
    assert [amount for (_, kind, _, _), amount in lines.items() if kind == "credit"] == ["-3.00"]
    january = shop.books()["2026-01"]
    assert january["unbilled_receivable"] == "2.00"
    assert -sum(Decimal(amount) for account, amount in january.items() if account.startswith("revenue")) == 5


def test_the_invoice_that_bills_a_line_reverses_its_accrual_and_a_void_gives_it_back(opened: Open) -> None:
    shop = opened()
    shop.use("2026-01-10", "50")
    shop.rate("2026-02-04", hours=1)
    (line,) = shop.charges()
    billing = Billing(charge_id=line.charge_id, day=date(2026, 2, 5))
    for said, left in ((billing, "0"), (billing, "0"), (None, "5.00")):
        with shop.database.unit(
            tenants=[TENANT], kind="bill", actor="test", reason="an invoice", recorded_at=shop.harness.clock.now()
        ) as unit:
            record.ask(unit, tenant_id=TENANT, customers=[ADA])
            record.write_billings(unit, tenant_id=TENANT, billings={line.charge_id: said})
        shop.work()
        books = shop.books()
        accrued = sum(Decimal(month.get("unbilled_receivable", "0")) for month in books.values())
        assert accrued == Decimal(left), books
        assert books["2026-01"]["unbilled_receivable"] == "5.00"


def test_a_period_over_two_months_is_accrued_by_what_was_used_in_each(opened: Open) -> None:
    shop = opened()
    shop.configure(CALLS.replace("  terms:", "  billing: {interval: month, anchor: 2026-01-15}\n  terms:"), policy())
    shop.use("2026-01-20", "80")
    shop.use("2026-02-10", "40")
    shop.rate("2026-02-01", hours=1)
    assert shop.books() == {"2026-01": {"revenue_usage": "-8.00", "unbilled_receivable": "8.00"}}
    shop.rate("2026-02-16")
    assert shop.books() == {
        "2026-01": {"revenue_usage": "-8.00", "unbilled_receivable": "8.00"},
        "2026-02": {"revenue_usage": "-3.00", "unbilled_receivable": "3.00"},
    }
    shop.use("2026-01-25", "10")
    shop.rate("2026-02-17")
    assert shop.books()["2026-01"]["unbilled_receivable"] == "9.00"
    assert shop.books()["2026-02"]["unbilled_receivable"] == "2.50"
