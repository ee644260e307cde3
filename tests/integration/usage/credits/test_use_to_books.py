"""From usage to charge lines to credits to the books: what credits pay is due nowhere else, and revenue is what they had cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from revline.app.crediting import keeper_of
from revline.app.runtime import HOPS
from revline.doors.tracing import trace_of
from revline.platform.lineage.walk import Reference
from revline.platform.store.engine import Database
from revline.subledger.usage.credits.hops import CreditHops
from tests.integration.usage.charges.world import CALLS, STORAGE, Shop, amounts, at, policy

PROMISE = """
---
apiVersion: revline/v1
kind: Commitment
metadata: {name: promise, tenant: birch}
spec:
  {title: A promise, connection: billing, customer: ada, currency: USD, promised: "20.00", startsOn: 2026-01-01,
   endsOn: 2027-01-01}
"""


class CreditShop(Shop):
    """The tenant that charges usage, with a worker that keeps its credits."""

    def settle(self, day: str, hours: int = 1) -> None:
        """Rated, settled and rated again, until nothing is due: credits change lines, and lines credits."""
        keeper = keeper_of(
            database=self.database, directory=self.harness.directory, clock=self.harness.clock, owner="test"
        )
        self.go(day, hours)
        for _ in range(10):
            self.rate()
            keeper.sweep(tenant_id="birch")
            settled = keeper.turn()
            self.harness.derive_all()
            if not settled:
                return
        raise AssertionError("it does not end")


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Iterator[CreditShop]:
    one = CreditShop(database, tmp_path / "configuration")
    yield one
    one.close()


def grant(shop: Shop, amount: str = "100.00", cost: str = "80.00", **more: str) -> None:
    shop.tell(
        "credit_grant",
        {
            "outside_id": "g",
            "customer": "ada",
            "currency": "USD",
            "amount": amount,
            "cost": cost,
            "granted_at": at("2026-01-01").isoformat(),
            "method": "bank_transfer",
            **more,
        },
    )
    shop.harness.derive_all()


def test_use_that_credits_pay_is_revenue_at_what_they_had_cost(shop: CreditShop) -> None:
    grant(shop)
    shop.use("2026-01-15", "50")
    shop.settle("2026-01-20")
    assert amounts(shop.lines()) == {
        ("ada", "usage", "calls", "2026-01"): "5.00",
        ("ada", "credit", "g", "2026-01"): "-5.00",
    }
    assert shop.books() == {"2026-01": {"cash": "80.00", "deferred_revenue": "-80.00"}}
    shop.settle("2026-02-01")
    assert shop.books() == {"2026-01": {"cash": "80.00", "deferred_revenue": "-76.00", "revenue_usage": "-4.00"}}


def test_late_use_draws_more_and_the_accrual_follows(shop: CreditShop) -> None:
    grant(shop, amount="6.00", cost="3.00")
    shop.use("2026-01-15", "50")
    shop.settle("2026-02-01")
    shop.use("2026-01-16", "50")
    shop.settle("2026-02-02")
    assert amounts(shop.lines()) == {
        ("ada", "usage", "calls", "2026-01"): "10.00",
        ("ada", "credit", "g", "2026-01"): "-6.00",
    }
    # 4.00 are due in money and 6.00 were paid by credits that had cost 3.00.
    assert shop.books() == {"2026-01": {"cash": "3.00", "revenue_usage": "-7.00", "unbilled_receivable": "4.00"}}


def test_a_promise_is_charged_beside_what_credits_pay(shop: CreditShop) -> None:
    shop.configure(CALLS, STORAGE, policy(), PROMISE)
    grant(shop)
    shop.use("2026-01-15", "50")
    shop.settle("2026-02-01")
    assert amounts(shop.lines()) == {
        ("ada", "usage", "calls", "2026-01"): "5.00",
        ("ada", "credit", "g", "2026-01"): "-5.00",
        ("ada", "commitment", "promise", "2026-01"): "15.00",
    }
    assert shop.books()["2026-01"]["unbilled_receivable"] == "15.00"


def test_credits_that_end_free_the_next_months_use_to_be_due_in_money(shop: CreditShop) -> None:
    grant(shop, expires_at=at("2026-02-01").isoformat())
    shop.use("2026-01-15", "50")
    shop.use("2026-02-15", "20")
    shop.settle("2026-03-01")
    assert amounts(shop.lines()) == {
        ("ada", "usage", "calls", "2026-01"): "5.00",
        ("ada", "credit", "g", "2026-01"): "-5.00",
        ("ada", "usage", "calls", "2026-02"): "2.00",
    }
    assert shop.books() == {
        "2026-01": {
            "breakage_revenue": "-76.00",
            "cash": "80.00",
            "revenue_usage": "-4.00",
        },
        "2026-02": {"revenue_usage": "-2.00", "unbilled_receivable": "2.00"},
    }
    assert shop.cases() == []


def test_credits_that_become_known_after_a_period_closed_pay_none_of_it(shop: CreditShop) -> None:
    shop.use("2026-01-15", "50")
    shop.settle("2026-02-01")
    shop.settle("2026-02-10")
    grant(shop)
    shop.use("2026-02-15", "20")
    shop.settle("2026-03-01")
    assert amounts(shop.lines()) == {
        ("ada", "usage", "calls", "2026-01"): "5.00",
        ("ada", "usage", "calls", "2026-02"): "2.00",
        ("ada", "credit", "g", "2026-02"): "-2.00",
    }
    assert shop.books()["2026-01"]["unbilled_receivable"] == "5.00"
    assert shop.cases() == []


def test_what_paid_a_closed_period_pays_it_still_and_a_voided_grant_is_told(shop: CreditShop) -> None:
    grant(shop)
    shop.use("2026-01-15", "50")
    shop.settle("2026-02-01")
    shop.settle("2026-02-10")
    grant(shop, amount="3.00", cost="3.00")
    shop.settle("2026-02-11")
    assert ("ada", "credit", "g", "2026-01") in amounts(shop.lines())
    assert shop.cases() == ["credits.closed_changed"], "it is less now than it had paid"


def test_late_use_of_a_closed_period_is_paid_where_it_is_borne(shop: CreditShop) -> None:
    grant(shop)
    shop.use("2026-01-15", "50")
    shop.settle("2026-02-01")
    shop.settle("2026-02-10")
    shop.use("2026-01-20", "30")
    shop.settle("2026-02-12")
    shop.settle("2026-03-01")
    found = amounts(shop.lines())
    assert found["ada", "adjustment", "calls", "2026-02"] == "3.00"
    assert found["ada", "credit", "g", "2026-02"] == "-3.00"
    assert shop.cases() == []


def test_a_grant_leads_to_its_journals_and_a_charge_to_what_paid_it(shop: CreditShop) -> None:
    grant(shop)
    shop.use("2026-01-15", "50")
    shop.settle("2026-02-01")
    services: Any = SimpleNamespace(database=shop.database, hops=HOPS)
    found = trace_of(services, tenant_id="birch", value="g")
    assert found is not None
    kinds = [one["kind"] for one in found["records"]]
    assert {"fact", "credit_grant", "credit_entry", "accounting_event", "journal"} <= set(kinds)
    titles = [one["title"] for one in found["records"] if one["kind"] == "credit_entry"]
    assert sorted(titles) == ["drawn: 5.00 USD of g, cost 4.00", "granted: 100.00 USD of g, cost 80.00"]
    (line,) = [one for one in shop.charges() if one.subject.kind.value == "usage"]
    with shop.database.read(tenants=["birch"]) as connection:
        start = Reference(kind="charge", record_id=line.charge_id)
        hops = CreditHops().hops(connection, tenant_id="birch", reference=start)
        (entry,) = [hop.derived for hop in hops]
        up = {hop.source.kind for hop in CreditHops().hops(connection, tenant_id="birch", reference=entry)}
    assert up == {"credit_grant", "charge", "credit_entry"}


def test_a_customer_without_credits_gives_nobody_work(shop: CreditShop) -> None:
    shop.use("2026-01-15", "50")
    shop.rate("2026-01-20")
    assert shop.rows("SELECT count(*) FROM lane WHERE tenant_id = :tenant AND kind = 'credits'") == [(0,)]
