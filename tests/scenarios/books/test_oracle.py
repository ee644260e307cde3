"""A month of raw Stripe input in; the books that an independent judge computes from the same files out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from revline.core.clock import Period
from revline.intake.values import Form
from revline.platform.store.engine import Database
from revline.sim.oracle import books as oracle
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from tests.harness import Harness, Outcome

JANUARY = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))
SOME = Decimal("0.06")
AFTERMATH: dict[str, Any] = {
    "credit_share": SOME, "memo_void_share": SOME, "memo_refund_share": SOME, "memo_balance_share": SOME,
    "dispute_won_share": SOME, "dispute_lost_share": SOME, "inquiry_share": SOME, "account_fees": 2, "subscriptions": 4,
}  # fmt: skip
US = StripeProfile(
    account="aurus", customer_prefix="Aurora US", invoices=40, customers=10, other_currency="EUR",
    other_share=Decimal("0.3"), families=("subscription", "hardware", ""), **AFTERMATH,
)  # fmt: skip
DE = StripeProfile(
    account="aurde", customer_prefix="Aurora DE", currency="EUR", time_zone="Europe/Berlin", invoices=30,
    families=("subscription", "hardware"), **AFTERMATH,
)  # fmt: skip


@pytest.fixture
def harness(database: Database, tmp_path: Path) -> Iterator[Harness]:
    one = Harness(database=database, folder=tmp_path / "configuration")
    one.apply()
    yield one
    one.close()


def feed(harness: Harness, tenant_id: str, connection: str, month: StripeMonth) -> None:
    verdicts = harness.accept(tenant_id, connection, month.webhooks)
    verdicts += harness.accept(tenant_id, connection, month.listed(), form=Form.OBJECT)
    refused = [verdict for verdict in verdicts if verdict.outcome not in {Outcome.ACCEPTED, Outcome.DUPLICATE}]
    assert refused == []


def expected(harness: Harness, entity: str, month: StripeMonth) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    found = oracle.expected(
        folder=harness.folder / "aurora",
        entity=entity,
        webhooks=month.webhooks,
        balance_transactions=month.balance_transactions,
        credit_movements=month.credit_movements,
    )
    return {
        (key.entity, key.book, key.account, key.currency, key.period): (balance.amount, balance.functional)
        for key, balance in found.items()
    }


def test_journals_equal_what_the_oracle_computes_from_the_raw_files(harness: Harness) -> None:
    american, german = (generate(seed=7, month=JANUARY, profile=profile) for profile in (US, DE))
    feed(harness, "aurora", "stripe-us", american)
    feed(harness, "aurora", "stripe-de", german)
    harness.derive_all()
    wanted = expected(harness, "aurora-us", american) | expected(harness, "aurora-de", german)
    got = {key: (Decimal(one), Decimal(other)) for key, (one, other) in harness.totals("aurora").items()}
    assert got == wanted
    assert len(wanted) > 20
    touched = {key[2] for key, amounts in wanted.items() if any(amounts)}
    assert touched >= {"customer_credit_balance", "dispute_fees", "processing_fees", "credit_notes_contra_revenue"}
