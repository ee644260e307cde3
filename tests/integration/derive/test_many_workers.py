"""Several workers derive while input comes in: the books are what the oracle computes, and no root is ever parked."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal

from revline.core.clock import Period
from revline.derive.service import Derive
from revline.platform.store.engine import Database
from revline.sim.oracle import books as oracle
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeProfile
from tests.harness import Harness
from tests.integration.derive.world import TENANT, facts_without_disposition, open_cases, rows

PROFILE = StripeProfile(account="many", customer_prefix="Many", invoices=30, customers=4)
WORKERS = 3


def test_three_workers_and_three_doors_end_in_the_books_the_oracle_computes(
    harness: Harness, database: Database
) -> None:
    month = generate(seed=5, month=Period(start=date(2026, 1, 1), end=date(2026, 2, 1)), profile=PROFILE)
    shares = [month.webhooks[start::WORKERS] for start in range(WORKERS)]
    workers = [
        Derive(database=database, configurations=harness.directory, clock=harness.clock, owner=f"worker-{n}", epoch=1)
        for n in range(WORKERS)
    ]

    def door(share: list[bytes]) -> None:
        harness.accept(TENANT, "stripe-us", share, batch=7)

    def worker(one: Derive) -> None:
        for _ in range(60):
            one.turn(limit=20)

    with ThreadPoolExecutor(max_workers=2 * WORKERS) as pool:
        under_way = [pool.submit(door, list(share)) for share in shares]
        under_way += [pool.submit(worker, one) for one in workers]
        for one in under_way:
            one.result(timeout=120)
    for _ in range(3):
        harness.derive_all()
        harness.intake.sweep_awaited(tenant_id=TENANT)
    harness.derive_all()
    assert open_cases(harness) == []
    assert rows(harness, "SELECT parked_code FROM lane WHERE tenant_id = :tenant AND parked_code <> ''") == []
    assert facts_without_disposition(harness) == 0
    totals = {key: (Decimal(one), Decimal(other)) for key, (one, other) in harness.totals(TENANT).items()}
    assert {key: both for key, both in totals.items() if any(both)} == expected(harness, month.webhooks)


def expected(harness: Harness, webhooks: Sequence[bytes]) -> dict[tuple[str, ...], tuple[Decimal, Decimal]]:
    found = oracle.expected(
        folder=harness.folder / TENANT, entity="aurora-us", webhooks=webhooks, balance_transactions=[]
    )
    return {
        (key.entity, key.book, key.account, key.currency, key.period): (balance.amount, balance.functional)
        for key, balance in found.items()
        if balance.amount or balance.functional
    }
