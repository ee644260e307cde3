"""A month of raw Stripe input in; the ERP's own trial balance out, equal to the cent to what an independent judge computes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace
from ruamel.yaml import YAML

from revline.connectors.simulated.launcher import SimulatedErp
from revline.core.clock import Period
from revline.delivery import queries as deliveries
from revline.platform.store.engine import Database
from revline.sim.oracle import books as oracle
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from tests.harness import Harness
from tests.posted import COMPANY, birch_harness, open_cases, start_erp, states, take_in, work_until_idle

Balances = dict[tuple[str, str, str], tuple[Decimal, Decimal]]
"""(neutral account, currency, period) -> debits less credits in the currency and in the functional currency, zeros left out."""
MONTHS = (
    Period(start=date(2025, 12, 1), end=date(2026, 1, 1)),
    Period(start=date(2026, 1, 1), end=date(2026, 2, 1)),
)
SOME = Decimal("0.04")
PROFILE = StripeProfile(
    account="birch",
    customer_prefix="Birch",
    invoices=55,
    customers=20,
    other_currency="EUR",
    other_share=Decimal("0.35"),
    families=("subscription", "usage", "hardware", ""),
    credit_share=SOME,
    memo_void_share=SOME,
    memo_refund_share=SOME,
    memo_balance_share=SOME,
    dispute_won_share=SOME,
    dispute_lost_share=SOME,
    inquiry_share=SOME,
    account_fees=1,
    subscriptions=3,
)


@pytest.fixture
def erp(tmp_path: Path) -> Iterator[SimulatedErp]:
    one = start_erp(tmp_path / "erp")
    yield one
    one.stop()


@pytest.fixture
def harness(database: Database, tmp_path: Path, erp: SimulatedErp) -> Iterator[Harness]:
    one = birch_harness(database=database, folder=tmp_path / "configuration", erp=erp)
    yield one
    one.close()


def of_the_oracle(folder: Path, months: list[StripeMonth]) -> Balances:
    found = oracle.expected(
        folder=folder,
        entity="birch-us",
        webhooks=[body for month in months for body in month.webhooks],
        balance_transactions=[line for month in months for line in month.balance_transactions],
        credit_movements=[line for month in months for line in month.credit_movements],
    )
    return without_zeros({(k.account, k.currency, k.period): (one.amount, one.functional) for k, one in found.items()})


def of_the_erp(erp: SimulatedErp, folder: Path) -> Balances:
    """Account codes are led back to neutral keys by the mapping file, read as data."""
    mapping = YAML(typ="safe", pure=True).load((folder / "40-mapping.yaml").read_text(encoding="utf-8"))
    neutral = {code: key for key, code in mapping["spec"]["accounts"].items()}
    return without_zeros(
        {
            (neutral[row.account], row.currency, row.period): (
                row.currency_debit - row.currency_credit,
                row.debit - row.credit,
            )
            for row in erp.trial_balance(company=COMPANY).rows
        }
    )


def of_revline(harness: Harness) -> Balances:
    totals = harness.totals("birch")
    return without_zeros({key[2:]: (Decimal(one), Decimal(two)) for key, (one, two) in totals.items()})


def read_back(harness: Harness, folder: Path) -> Balances:
    """What delivery kept of the entries the ERP answered with, document by document."""
    mapping = YAML(typ="safe", pure=True).load((folder / "40-mapping.yaml").read_text(encoding="utf-8"))
    neutral = {code: key for key, code in mapping["spec"]["accounts"].items()}
    sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    with harness.database.read(tenants=["birch"]) as connection:
        for one in deliveries.account_totals(connection, tenant_id="birch"):
            entry = sums[neutral[one.account], one.currency, one.period]
            entry[0] += one.currency_amount
            entry[1] += one.debit - one.credit
    return without_zeros({key: (entry[0], entry[1]) for key, entry in sums.items()})


def without_zeros(balances: Balances) -> Balances:
    return {key: pair for key, pair in balances.items() if any(pair)}


@pytest.mark.slow
def test_the_erp_holds_what_the_oracle_computes_from_the_raw_files(harness: Harness, erp: SimulatedErp) -> None:
    months = [
        generate(seed=11, month=month, profile=replace(PROFILE, account=f"birch{month.start:%m}")) for month in MONTHS
    ]
    for month in months:
        take_in(harness, "birch", "stripe", month)
    work_until_idle(harness, secrets={"REVLINE_SECRET_DEMO_SIMULATED": erp.token})
    assert open_cases(harness, "birch") == []
    assert set(states(harness, "birch")) == {"posted"}
    folder = harness.folder / "birch"
    wanted = of_the_oracle(folder, months)
    assert {currency for _, currency, _ in wanted} == {"USD", "EUR"}
    assert {period for _, _, period in wanted} == {"2025-12", "2026-01"}
    assert of_the_erp(erp, folder) == wanted
    assert of_revline(harness) == wanted
    assert read_back(harness, folder) == wanted
