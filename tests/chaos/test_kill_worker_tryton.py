"""A worker killed twice with a call to a real Tryton in flight: nothing lost, nothing twice, the books are the oracle's.

Tryton takes no idempotency key and its references are not unique, so all rests on mark, wait and look-up. The bound of the wait is
lowered for the test, and the tap proves that no killed call was done later than that.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from revline.intake.values import Form
from revline.platform.store.engine import Database
from revline.sim.judging import Balances, expected_balances
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from revline.sim.tryton import TrytonServer
from tests.chaos.judging import end_state
from tests.chaos.running import JANUARY, POLL_SECONDS, set_connection
from tests.chaos.tapping import Tap
from tests.chaos.workers import WAIT_LIMIT_SECONDS, WorkerProcess
from tests.harness import ADDRESSES, SECRETS, Harness, Outcome
from tests.real.running_tryton import DOLLARS, TrytonSystem, running_tryton

pytestmark = [pytest.mark.chaos, pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("tryton")]

TENANT, ENTITY, SOURCE = "aurora", "aurora-us", "stripe-us"
KILLS = 2
BOUND_SECONDS = 4
LEASE_SECONDS = 2
WRITES = re.compile(r"model\.account\.(invoice|move)\.(create|post|write)")
NONE = Decimal(0)
PROFILE = StripeProfile(
    account="aurus", customer_prefix="Aurora US", invoices=4, customers=2, families=("subscription", "hardware"),
    open_share=NONE, partial_share=NONE, uncollectible_share=NONE, declined_share=NONE, refund_failed_share=NONE,
    refund_share=NONE, payout_days=15, payouts_failed=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def tryton() -> Iterator[TrytonServer]:
    with running_tryton() as server:
        yield server


@pytest.fixture(scope="module")
def month() -> StripeMonth:
    return generate(seed=4, month=JANUARY, profile=PROFILE)


def accept(database: Database, folder: Path, server: TrytonServer, base_url: str, month: StripeMonth) -> Harness:
    addresses = {
        **ADDRESSES,
        "tryton_base_url": base_url,
        "tryton_database": server.database,
        "tryton_user": server.user,
    }
    harness = Harness(database=database, folder=folder / "configuration", addresses=addresses)
    settings = {"effectBoundSeconds": str(BOUND_SECONDS), "callTimeoutSeconds": "30"}
    set_connection(folder=harness.folder / TENANT, settings=settings)
    harness.apply()
    verdicts = harness.accept(TENANT, SOURCE, month.webhooks)
    verdicts += harness.accept(TENANT, SOURCE, month.balance_transactions, form=Form.OBJECT)
    assert {one.outcome for one in verdicts} <= {Outcome.ACCEPTED, Outcome.DUPLICATE}
    return harness


def model_of(call: str) -> str:
    return call.rpartition(".")[0]


class Stroke:
    """The worker's write of this number, of those to other models than these: once it has gone out, its answer is kept back."""

    def __init__(self, *, number: int, other_than: set[str]) -> None:
        self.call = ""
        self._left, self._other_than = number, other_than

    def strikes(self, call: str) -> bool:
        if self.call or not WRITES.fullmatch(call) or model_of(call) in self._other_than:
            return False
        self._left -= 1
        self.call = "" if self._left else call
        return bool(self.call)

    def wait(self, tap: Tap, worker: WorkerProcess) -> None:
        tap.strikes = self.strikes
        ends = time.monotonic() + WAIT_LIMIT_SECONDS
        while not self.call:
            worker.check()
            assert time.monotonic() < ends, f"only {tap.calls} were called:\n{worker.log()}"
            time.sleep(POLL_SECONDS)


def test_two_kills_with_a_call_in_flight_lose_and_double_nothing(
    tryton: TrytonServer,
    month: StripeMonth,
    database: Database,
    app_dsn: str,
    empty: Callable[[], None],
    tmp_path: Path,
) -> None:
    with Tap(target=tryton.base_url) as tap:
        calm = accept(database, tmp_path / "calm", tryton, tap.base_url, month)
        calm.derive_all()
        calm.close()
        undisturbed = end_state(database, tenant=TENANT)
        empty()
        harness = accept(database, tmp_path / "disturbed", tryton, tap.base_url, month)
        harness.close()
        environment = {
            **SECRETS,
            "REVLINE_DSN": app_dsn,
            "REVLINE_DATA_FOLDER": str(tmp_path / "data"),
            "REVLINE_LEASE_SECONDS": str(LEASE_SECONDS),
            "REVLINE_SECRET_DEMO_TRYTON": tryton.password,
        }
        chance, struck = random.Random(1), list[str]()
        for _ in range(KILLS):
            worker = WorkerProcess(folder=tmp_path, environment=environment)
            try:
                stroke = Stroke(number=chance.randrange(1, 4), other_than={model_of(call) for call in struck})
                stroke.wait(tap, worker)
                struck.append(stroke.call)
            finally:
                worker.kill()
        WorkerProcess(folder=tmp_path, environment=environment, until_idle=True).wait()
        cuts = list(tap.cuts)
    assert len(cuts) == KILLS, cuts
    assert [cut.method for cut in cuts] == struck
    assert all(cut.done_after_seconds is not None and cut.done_after_seconds < BOUND_SECONDS for cut in cuts), cuts
    state = end_state(database, tenant=TENANT)
    assert (state.journals, state.documents) == (undisturbed.journals, undisturbed.documents)
    assert {found[0] for found in state.states.values()} == {"posted"}
    assert state.states.keys() == undisturbed.states.keys()
    assert (state.cases, state.work_left, state.unanswered_attempts) == (0, 0, 0)
    assert 15 <= len(state.states) <= 25
    nothing_is_there_twice(database, tryton)
    folder = tmp_path / "disturbed" / "configuration" / TENANT
    assert asyncio.run(booked(tryton)) == expected_balances(folder=folder, entity=ENTITY, month=month)


@pytest.fixture
def empty(test_server: Any, database_name: str) -> Callable[[], None]:
    return lambda: test_server.empty(database_name)


def nothing_is_there_twice(database: Database, tryton: TrytonServer) -> None:
    """Every document's reference names one record in Tryton, and no record there has a reference of ours that isn't one."""
    with database.read(tenants=[TENANT]) as connection:
        rows = connection.execute(
            text("SELECT kind, external_reference FROM document WHERE tenant_id = :tenant"), {"tenant": TENANT}
        ).all()
    wanted = {
        model: sorted(row[1] for row in rows if row[0] in kinds)
        for model, kinds in {
            "party.party": {"customer"},
            "account.invoice": {"invoice", "credit_memo"},
            "account.move": {"journal"},
        }.items()
    }
    applications = sum(row[0] == "application" for row in rows)
    there, applied = asyncio.run(enumerated(tryton, {row[1] for row in rows}))
    assert there == wanted
    assert applied == applications > 0


async def enumerated(tryton: TrytonServer, ours: set[str]) -> tuple[dict[str, list[str]], int]:
    """References of ours in Tryton, as often as they are there, by model; and lines that pay invoices."""
    system = TrytonSystem(tryton)
    try:
        found: dict[str, list[str]] = {}
        fields = {"party.party": "code", "account.invoice": "reference", "account.move": "description"}
        for model, field in fields.items():
            rows = await system.rows(model, [], [field])
            found[model] = sorted(row[field] for row in rows if row[field] in ours)
        invoices = await system.rows("account.invoice", [["type", "=", "out"]], ["reference", "payment_lines"])
        return found, sum(len(row["payment_lines"]) for row in invoices if row["reference"] in ours)
    finally:
        await system.connector.close()


async def booked(tryton: TrytonServer) -> Balances:
    """Tryton's posted lines of the company, by account, currency and period."""
    system = TrytonSystem(tryton)
    domain = [["move.state", "=", "posted"], ["move.company.party.code", "=", DOLLARS]]
    fields = [
        "account.code", "debit", "credit", "amount_second_currency", "second_currency.code", "move.date",
    ]  # fmt: skip
    sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [NONE, NONE])
    try:
        for row in await system.rows("account.move.line", domain, fields):
            functional = row["debit"] - row["credit"]
            second = (row.get("second_currency.") or {}).get("code")
            key = (row["account."]["code"], second or "USD", str(row["move."]["date"])[:7])
            sums[key][0] += row["amount_second_currency"] if second else functional
            sums[key][1] += functional
    finally:
        await system.connector.close()
    return {key: (both[0], both[1]) for key, both in sums.items() if any(both)}
