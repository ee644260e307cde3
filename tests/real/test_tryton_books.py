"""A month of raw Stripe input of two companies through a worker into a real Tryton: its own books equal the independent judge's.

Two ways of asking it: the balance Tryton computes for each account, company and period, and the posted lines by second currency.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revline.connectors.tryton.client import TrytonClient
from revline.core.clock import Period
from revline.platform.store.engine import Database
from revline.sim.oracle import books as oracle
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from revline.sim.tryton import TrytonServer
from tests.harness import ADDRESSES, Harness
from tests.posted import open_cases, states, take_in, work_until_idle
from tests.real.running_tryton import DOLLARS, EUROS, TrytonSystem, running_tryton

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("tryton")]

JANUARY = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))
DOCUMENTS_MAX = 120
NONE = Decimal(0)
SOME = Decimal("0.1")
PROFILES = {
    "stripe-us": StripeProfile(
        account="trytonus", customer_prefix="Aurora US", invoices=9, customers=3, other_currency="EUR",
        other_share=Decimal("0.5"), families=("subscription", "hardware", ""), payout_days=15, declined_share=NONE,
        memo_refund_share=SOME, memo_balance_share=SOME, dispute_won_share=SOME,
        partial_share=NONE, payouts_failed=0,
    ),
    "stripe-de": StripeProfile(
        account="trytonde", customer_prefix="Aurora DE", currency="EUR", time_zone="Europe/Berlin", invoices=6,
        customers=2, families=("subscription", "hardware"), payout_days=31, declined_share=NONE, open_share=NONE,
        credit_share=SOME, dispute_lost_share=SOME, account_fees=1,
        refund_full_share=NONE, payouts_failed=0,
    ),
}  # fmt: skip
ENTITIES = {"stripe-us": "aurora-us", "stripe-de": "aurora-de"}
COMPANIES = {"aurora-us": (DOLLARS, "USD"), "aurora-de": (EUROS, "EUR")}


@pytest.fixture(scope="module")
def tryton() -> Iterator[TrytonServer]:
    with running_tryton() as server:
        yield server


@pytest.fixture
def harness(database: Database, tmp_path: Path, tryton: TrytonServer) -> Iterator[Harness]:
    addresses = {
        **ADDRESSES,
        "tryton_base_url": tryton.base_url,
        "tryton_database": tryton.database,
        "tryton_user": tryton.user,
    }
    one = Harness(database=database, folder=tmp_path / "configuration", addresses=addresses)
    one.apply()
    yield one
    one.close()


Lines = dict[tuple[str, str, str, str], tuple[Decimal, Decimal]]
"""(entity, neutral account, currency, period YYYY-MM) -> debits less credits in the currency and in the company's own."""


def of_the_oracle(harness: Harness, months: dict[str, StripeMonth]) -> Lines:
    found: Lines = {}
    for connection, month in months.items():
        computed = oracle.expected(
            folder=harness.folder / "aurora",
            entity=ENTITIES[connection],
            webhooks=month.webhooks,
            balance_transactions=month.balance_transactions,
            credit_movements=month.credit_movements,
        )
        for key, one in computed.items():
            found[key.entity, key.account, key.currency, key.period] = (one.amount, one.functional)
    return {key: pair for key, pair in found.items() if any(pair)}


class TrytonBooks:
    """Reads Tryton's books as its administrator. codes: company code -> account code -> neutral key."""

    def __init__(self, server: TrytonServer) -> None:
        self.server = server
        self.codes = {
            company: {code: neutral for neutral, code in accounts.items()}
            for company, accounts in server.accounts.items()
        }

    async def read(self) -> tuple[Lines, dict[tuple[str, str, str], Decimal]]:
        """Posted lines by currency; and Tryton's own balance by (entity, account, period) in the company's currency."""
        client = TrytonSystem(self.server).administrator()
        lines: Lines = {}
        balances: dict[tuple[str, str, str], Decimal] = {}
        try:
            for entity, (company, currency) in COMPANIES.items():
                found = await client.call(
                    "model.company.company.search", [["party.code", "=", company]], 0, 1, None, context={}
                )
                context = {"company": found[0], "companies": found, "language": "en"}
                lines |= await self._lines(client, context, entity, company, currency)
                balances |= await self._balances(client, context, entity, company)
        finally:
            await client.close()
        return lines, balances

    async def _lines(
        self, client: TrytonClient, context: dict[str, Any], entity: str, company: str, currency: str
    ) -> Lines:
        fields = ["account.code", "debit", "credit", "amount_second_currency", "second_currency.code"]
        fields.append("move.period.start_date")
        domain = [["move.state", "=", "posted"], ["move.company", "=", context["company"]]]
        rows = await client.call("model.account.move.line.search_read", domain, 0, None, None, fields, context=context)
        sums: dict[tuple[str, str, str, str], list[Decimal]] = defaultdict(lambda: [NONE, NONE])
        for row in rows:
            other = (row.get("second_currency.") or {}).get("code")
            functional = row["debit"] - row["credit"]
            account = self.codes[company][row["account."]["code"]]
            entry = sums[entity, account, other or currency, f"{row['move.']['period.']['start_date']:%Y-%m}"]
            entry[0] += row["amount_second_currency"] if other else functional
            entry[1] += functional
        return {key: (entry[0], entry[1]) for key, entry in sums.items() if any(entry)}

    async def _balances(
        self, client: TrytonClient, context: dict[str, Any], entity: str, company: str
    ) -> dict[tuple[str, str, str], Decimal]:
        domain = [["company", "=", context["company"]]]
        periods = await client.call(
            "model.account.period.search_read",
            [["fiscalyear.company", "=", context["company"]]],
            0,
            None,
            None,
            ["start_date", "fiscalyear"],
            context=context,
        )
        found: dict[tuple[str, str, str], Decimal] = {}
        for period in periods:
            if period["start_date"].year != JANUARY.start.year:
                continue
            asked = context | {"fiscalyear": period["fiscalyear"], "periods": [period["id"]], "posted": True}
            accounts = await client.call(
                "model.account.account.search_read", domain, 0, None, None, ["code", "balance"], context=asked
            )
            for account in accounts:
                if account["balance"]:
                    neutral = self.codes[company][account["code"]]
                    found[entity, neutral, f"{period['start_date']:%Y-%m}"] = account["balance"]
        return found


def test_two_companies_hold_what_the_oracle_computes(harness: Harness, tryton: TrytonServer) -> None:
    months = {name: generate(seed=17, month=JANUARY, profile=profile) for name, profile in PROFILES.items()}
    for connection, month in months.items():
        take_in(harness, "aurora", connection, month)
    work_until_idle(harness, secrets={"REVLINE_SECRET_DEMO_TRYTON": tryton.password}, limit_seconds=300)
    assert open_cases(harness, "aurora") == []
    found = states(harness, "aurora")
    assert set(found) == {"posted"}
    assert found["posted"] <= DOCUMENTS_MAX
    wanted = of_the_oracle(harness, months)
    lines, balances = asyncio.run(TrytonBooks(tryton).read())
    assert lines == wanted
    by_account: dict[tuple[str, str, str], Decimal] = defaultdict(lambda: NONE)
    for (entity, account, _, period), (_, functional) in wanted.items():
        by_account[entity, account, period] += functional
    assert balances == {key: amount for key, amount in by_account.items() if amount}
    assert {currency for entity, _, currency, _ in wanted if entity == "aurora-us"} == {"USD", "EUR"}
    assert {entity for entity, *_ in wanted} == set(COMPANIES)
    assert len(wanted) > 15
