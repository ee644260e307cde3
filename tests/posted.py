"""A month of raw input taken all the way: accepted, derived and delivered by a real worker into a simulated ERP's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from revline.app.directory import Directory
from revline.app.processes import is_idle
from revline.app.worker import Worker
from revline.connectors.simulated.launcher import SimulatedErp
from revline.connectors.simulated.setup import Account, CompanySetup, SetupBody
from revline.core.clock import SystemClock
from revline.core.money import Rounding
from revline.delivery import queries as deliveries
from revline.intake.values import Form, Outcome
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from revline.platform.tenancy.secrets import SecretResolver
from revline.sim.stripe_month import StripeMonth
from tests.harness import ADDRESSES, SECRETS, Harness
from tests.rehearsal import BIRCH_ACCOUNTS, add_missing_mapping

WORKER_LIMIT_SECONDS = 120
COMPANY = "BIRCH-US"
EURO_RATES = """\
apiVersion: revline/v1
kind: RateTable
metadata: {name: eur-usd, tenant: birch}
spec:
  source: treasury
  from: EUR
  to: USD
  rates:
    - {effectiveFrom: 2025-12-01, rate: "1.0837"}
    - {effectiveFrom: 2026-01-15, rate: "1.1213"}
"""


def start_erp(folder: Path, *, currency: str = "USD") -> SimulatedErp:
    """A simulated ERP with Birch's company in it. The caller stops it."""
    erp = SimulatedErp(folder=folder)
    erp.start()
    accounts = (Account(code="1100", kind="receivable"), *(Account(code=code) for code in BIRCH_ACCOUNTS))
    company = CompanySetup(
        code=COMPANY, functional_currency=currency, accounts=accounts, rounding=Rounding.HALF_UP, first_period="2025-11"
    )
    erp.set_up(body=SetupBody(companies=(company,)))
    return erp


def birch_harness(*, database: Database, folder: Path, erp: SimulatedErp) -> Harness:
    """Birch configured whole: the account the demonstration leaves out is there, and a rate for euros."""
    harness = Harness(database=database, folder=folder, addresses={**ADDRESSES, "simulated_base_url": erp.base_url})
    add_missing_mapping(folder=folder)
    (folder / "birch" / "60-rates.yaml").write_text(EURO_RATES, encoding="utf-8")
    harness.apply()
    return harness


def take_in(harness: Harness, tenant_id: str, connection: str, month: StripeMonth) -> None:
    """Every webhook and all that only a listing tells of; nothing may be refused."""
    verdicts = harness.accept(tenant_id, connection, month.webhooks)
    verdicts += harness.accept(tenant_id, connection, month.listed(), form=Form.OBJECT)
    refused = [verdict for verdict in verdicts if verdict.outcome not in {Outcome.ACCEPTED, Outcome.DUPLICATE}]
    assert refused == []


def work_until_idle(
    harness: Harness, *, secrets: Mapping[str, str], limit_seconds: float = WORKER_LIMIT_SECONDS
) -> None:
    """A worker of its own, with the real clock, until nothing is due or under way."""
    reading = Database(dsn=harness.database.engine.url.render_as_string(hide_password=False), pool_size=2)
    clock = SystemClock()
    worker = Worker(
        database=harness.database,
        directory=Directory(
            database=reading,
            registry=harness.registry,
            secrets=SecretResolver(folder=None, environment={**SECRETS, **secrets}),
            clock=clock,
        ),
        intake=harness.intake,
        clock=clock,
        owner=f"worker-{datetime.now(UTC).timestamp()}",
        epoch=1,
        version="test",
        seed=1,
    )
    try:
        asyncio.run(asyncio.wait_for(worker.run(until=partial(is_idle, harness.database)), timeout=limit_seconds))
    finally:
        reading.dispose()


def open_cases(harness: Harness, tenant_id: str) -> list[tuple[str, str]]:
    """(code, detail) of what can't go on."""
    with harness.database.read(tenants=[tenant_id]) as connection:
        return [(one.code, one.detail) for one in cases.cases(connection, tenant_id=tenant_id)]


def states(harness: Harness, tenant_id: str) -> dict[str, int]:
    """Documents by state."""
    with harness.database.read(tenants=[tenant_id]) as connection:
        found: dict[str, int] = {}
        for count in deliveries.counts(connection, tenant_id=tenant_id):
            found[count.state] = found.get(count.state, 0) + count.documents
        return found


__all__ = ["COMPANY", "birch_harness", "open_cases", "start_erp", "states", "take_in", "work_until_idle"]
