"""What localstripe sends, driven by the official library, ends as documents in an ERP: over a served API and a worker process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import stripe

from revline.connectors.simulated.launcher import SimulatedErp
from revline.intake import queries as fact_log
from revline.platform.store.engine import Database
from tests.harness import Harness
from tests.posted import COMPANY, birch_harness, open_cases, start_erp, states
from tests.real.running_localstripe import running_localstripe

pytestmark = [pytest.mark.real, pytest.mark.slow]

SECRET = "whsec_localstripe_books"
WAIT_SECONDS = 30


class Processes:
    """Revline's own processes over the test's database, as a user starts them."""

    def __init__(self, *, dsn: str, erp: SimulatedErp, folder: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REVLINE_")}
        self.environment = kept | {
            "REVLINE_DSN": dsn,
            "REVLINE_DATA_FOLDER": str(folder),
            "REVLINE_PORT": "0",
            "REVLINE_SECRET_DEMO_SIMULATED": erp.token,
            "REVLINE_SECRET_DEMO_SIGNING_BIRCH": SECRET,
        }
        self.log = folder / "server.log"
        self.server: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "revline", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=False, timeout=90)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def serve(self) -> str:
        """Starts the API on a free port; its address."""
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", "revline", "serve"]
            self.server = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline and self.server.poll() is None:
            found = re.search(r"serving on (http://\S+)", self.log.read_text())
            if found:
                return found.group(1)
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def stop(self) -> None:
        if self.server is not None:
            self.server.terminate()
            assert self.server.wait(timeout=WAIT_SECONDS) == 0, self.log.read_text()


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


@pytest.fixture
def processes(app_dsn: str, erp: SimulatedErp, tmp_path: Path) -> Iterator[Processes]:
    one = Processes(dsn=app_dsn, erp=erp, folder=tmp_path)
    yield one
    one.stop()


def arrived(harness: Harness, *, wanted: set[tuple[str, str]]) -> None:
    """Until the fact log holds these (event type, outside id); localstripe sends them a moment after its answer."""
    deadline = time.monotonic() + WAIT_SECONDS
    found: set[tuple[str, str]] = set()
    while time.monotonic() < deadline and not wanted <= found:
        with harness.database.read(tenants=["birch"]) as connection:
            facts = fact_log.facts_page(connection, tenant_id="birch", limit=1_000)
        found = {(fact.translated.event_type, fact.translated.source.outside_id) for fact in facts}
        time.sleep(0.05)
    assert wanted <= found


def test_its_customer_and_payouts_end_as_documents(
    app_dsn: str, harness: Harness, processes: Processes, erp: SimulatedErp
) -> None:
    base = processes.serve()
    path = processes.run("webhooks", "address", "stripe", "--tenant", "birch").strip()
    wrong = httpx2.post(f"{base}{path[:-4]}aaaa", content=b"{}", trust_env=False)
    unsigned = httpx2.post(f"{base}{path}", content=b"{}", trust_env=False)
    assert (wrong.status_code, wrong.json()["code"]) == (unsigned.status_code, unsigned.json()["code"])
    with running_localstripe() as running:
        running.send_webhooks_to(url=f"{base}{path}", secret=SECRET)
        client = running.client()
        customer, paid, failed = told_by(client)
        arrived(
            harness,
            wanted={("customer.created", customer), ("payout.paid", paid), ("payout.failed", failed)},
        )
    processes.run("worker", "--until-idle")
    assert open_cases(harness, "birch") == []
    # One customer; a deposit for each payout, and what takes the failed one back.
    assert states(harness, "birch") == {"posted": 4}
    chain = processes.run("trace", paid, "--tenant", "birch")
    assert "payout.paid" in chain
    assert "erp_record" in chain
    rows = {(row.account, row.currency): row for row in erp.trial_balance(company=COMPANY).rows}
    bank = rows["1000", "EUR"]
    assert (bank.currency_debit - bank.currency_credit, bank.debit - bank.credit) == (
        Decimal("96.80"),
        Decimal("108.54"),  # 96.80 at 1.1213
    )


def told_by(client: stripe.StripeClient) -> tuple[str, str, str]:
    """A customer, a payout that is paid and one that fails, made with the official library; their ids."""
    person: Any = {"name": "Example Alder", "email": "billing@alder.example"}
    paid: Any = {"amount": 9_680, "currency": "eur", "status": "paid"}
    failed: Any = {"amount": 1_210, "currency": "eur", "status": "failed"}
    return (
        client.v1.customers.create(person).id,
        client.v1.payouts.create(paid).id,
        client.v1.payouts.create(failed).id,
    )
