"""What customers owe by their open items is what the books' receivable holds, per entity and currency."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from revline.core.clock import Period
from revline.intake.values import Form
from revline.platform.store.engine import Database
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeProfile
from revline.subledger.receivables import queries as receivables
from tests.harness import Harness

SOME = Decimal("0.05")
JANUARY = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))


@pytest.fixture
def harness(database: Database, tmp_path: Path) -> Iterator[Harness]:
    one = Harness(database=database, folder=tmp_path / "configuration")
    one.apply()
    yield one
    one.close()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_open_items_are_the_receivable(harness: Harness, seed: int) -> None:
    profile = StripeProfile(
        account=f"items{seed}", customer_prefix="Items", invoices=30, customers=8, other_currency="EUR",
        other_share=Decimal("0.4"), families=("subscription", "hardware", ""),
        credit_share=SOME, memo_void_share=SOME, memo_refund_share=SOME,
        memo_balance_share=SOME, dispute_won_share=SOME, dispute_lost_share=SOME,
    )  # fmt: skip
    month = generate(seed=seed, month=JANUARY, profile=profile)
    harness.accept("aurora", "stripe-us", month.webhooks)
    harness.accept("aurora", "stripe-us", month.listed(), form=Form.OBJECT)
    harness.derive_all()
    held: dict[tuple[str, str], Decimal] = {}
    for (entity, _, account, currency, _), (amount, _) in harness.totals("aurora").items():
        if account == "accounts_receivable":
            held[entity, currency] = held.get((entity, currency), Decimal(0)) + Decimal(amount)
    with harness.database.read(tenants=["aurora"]) as connection:
        owed = receivables.owed_by_entity(connection, tenant_id="aurora")
    assert {key for key, amount in held.items() if amount}, "a month without anything owed shows nothing"
    assert owed == held
