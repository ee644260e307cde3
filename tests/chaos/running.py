"""Revline's worker as a real process over a clean database, with a simulated ERP beside it: started, killed, started again.

When to kill is a plan drawn from a seed. Whether a kill struck a call in flight is not claimed but read from the simulated
ERP's append-only file: it writes `client_gone` when the caller of a call is no longer there to be answered.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from sqlalchemy import text

from revline.connectors.sdk.effects import FILE_NAME, Effect
from revline.connectors.simulated.faults import Fault, FaultRule
from revline.connectors.simulated.launcher import SimulatedErp
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.wire import Kind
from revline.core.clock import Period
from revline.intake.values import Form
from revline.platform.store.engine import Database
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from tests.harness import ADDRESSES, SECRETS, Harness, Outcome
from tests.rehearsal import add_missing_mapping, birch_books

TENANT: Final = "birch"
JANUARY: Final = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))
PROFILE: Final = StripeProfile(
    account="birch",
    customer_prefix="Birch",
    invoices=45,
    customers=12,
    families=("subscription", "usage", "hardware", ""),
)
IDEMPOTENCY: Final = {Mode.UNIQUE: "unique_reference", Mode.LOOKUP: "lookup"}
SETTINGS: Final = {"slots": "2", "batchMax": "5", "effectBoundSeconds": "5", "callTimeoutSeconds": "10"}
"""Small calls and few at once, so that a month is many calls; a bound that no call outlasts after its caller died."""
LEASE_SECONDS: Final = 1
ANSWER_SECONDS: Final = Decimal("0.12")
BEFORE_SECONDS: Final = Decimal("0.2")
LATE_SECONDS: Final = Decimal("3.5")
"""Longer than a lease and a start: the next worker is at work when the effect comes, and must still be waiting."""
WAIT_LIMIT_SECONDS: Final = 90.0
POLL_SECONDS: Final = 0.004


class Moment(StrEnum):
    """Where a worker is when it is killed. deriving: some journals are written, others not. effects: right after the ERP
    committed something, the answer still on its way. any: some time after it began to send. late: a call is with the ERP, which
    carries it out only when the next worker is at work."""

    DERIVING = "deriving"
    EFFECTS = "effects"
    ANY = "any"
    LATE = "late"


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """One kill. count: journals or effects to wait for since the process began. pause_seconds: from then to the kill."""

    moment: Moment
    count: int
    pause_seconds: float = 0.0


def plan_of(*, seed: int, kills: int) -> tuple[Kill, ...]:
    """The first kill strikes derive, the last a call that takes effect late; of the others four in five a call in flight."""
    chance = random.Random(seed)
    plan = [Kill(moment=Moment.DERIVING, count=chance.randrange(1, 60), pause_seconds=chance.uniform(0, 0.05))]
    while len(plan) < kills - 1:
        if chance.random() < 0.8:
            plan.append(Kill(moment=Moment.EFFECTS, count=chance.randrange(1, 16)))
        else:
            plan.append(Kill(moment=Moment.ANY, count=1, pause_seconds=chance.uniform(0, 0.4)))
    return (*plan, Kill(moment=Moment.LATE, count=1))


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """A kill that was made. unanswered: calls that carried documents and whose caller was gone, by the ERP's own file.
    late_seconds: how long after the kill the last of them took effect."""

    kill: Kill
    unanswered: int
    late_seconds: float


class WorkerProcess:
    """`revline worker` in a process of its own. Whoever starts one ends it by `kill` or `wait`."""

    def __init__(self, *, folder: Path, environment: Mapping[str, str], until_idle: bool = False) -> None:
        # Without compiled modules every start would take a third longer.
        dropped = ("REVLINE_", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        self._log_path = folder / "worker.log"
        command = [sys.executable, "-m", "revline", "worker", *(["--until-idle"] if until_idle else [])]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(command, env={**kept, **environment}, stdout=log, stderr=log)

    def kill(self) -> None:
        """As a power cut would."""
        self._process.kill()
        self._process.wait()

    def wait(self) -> None:
        """Until it ends by itself, in order and in bounded time."""
        try:
            code = self._process.wait(timeout=WAIT_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker did not come to an end:\n{self.log()}") from None
        assert code == 0, self.log()

    def check(self) -> None:
        """AssertionError when it ended where it should run."""
        assert self._process.poll() is None, f"the worker ended by itself:\n{self.log()}"

    def log(self) -> str:
        """The end of what it wrote."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")[-3_000:]


class EffectsTail:
    """The ERP's file as it grows."""

    def __init__(self, *, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._offset = 0
        self._decoder = msgspec.json.Decoder(Effect)

    def new(self) -> list[Effect]:
        """Whole lines since the last time."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [self._decoder.decode(line) for line in whole.splitlines()]


class Rehearsal:
    """A reduced month accepted, and everything a worker needs to post it. Use as a context manager."""

    def __init__(
        self,
        *,
        database: Database,
        dsn: str,
        folder: Path,
        month: StripeMonth,
        mode: Mode = Mode.UNIQUE,
        two_step: tuple[Kind, ...] = (),
    ) -> None:
        self.database, self.folder, self.month = database, folder, month
        self.erp = SimulatedErp(folder=folder / "erp", mode=mode)
        self._dsn, self._two_step = dsn, two_step
        self._stack = ExitStack()

    @property
    def configuration(self) -> Path:
        """The configuration folder that was applied."""
        return self.folder / "configuration"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(self.erp)
            self.erp.set_up(body=msgspec.structs.replace(birch_books(), two_step=self._two_step))
            self._tail = EffectsTail(folder=self.erp.folder)
            self._accept(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _accept(self, stack: ExitStack) -> None:
        addresses = {**ADDRESSES, "simulated_base_url": self.erp.base_url}
        harness = Harness(database=self.database, folder=self.configuration, addresses=addresses)
        stack.callback(harness.close)
        add_missing_mapping(folder=self.configuration)
        settings = {**SETTINGS, "idempotency": IDEMPOTENCY[self.erp.mode]}
        settings |= {"twoStep": "invoice"} if self._two_step else {}
        set_connection(folder=self.configuration / TENANT, settings=settings)
        harness.apply()
        verdicts = harness.accept(TENANT, "stripe", self.month.webhooks)
        verdicts += harness.accept(TENANT, "stripe", self.month.balance_transactions, form=Form.OBJECT)
        refused = [one for one in verdicts if one.outcome not in {Outcome.ACCEPTED, Outcome.DUPLICATE}]
        assert refused == []

    def disturb(self, *, seed: int, lost_percent: int) -> None:
        """Every answer takes its time, some calls take effect a little late, some answers are lost."""
        rules = [
            FaultRule(fault=Fault.SLOW_ANSWER, seconds=str(ANSWER_SECONDS), count=None),
            FaultRule(fault=Fault.SLOW, seconds=str(BEFORE_SECONDS), percent=20, seed=seed, count=None),
            FaultRule(fault=Fault.ANSWER_LOST, percent=lost_percent, seed=seed + 1, count=None),
        ]
        self._add_faults(rules)

    def _add_faults(self, rules: Sequence[FaultRule]) -> None:
        for rule in rules:
            for operation in ("*.create", "*.batch", "*.post", "*.post-batch"):
                self.erp.add_fault(rule=msgspec.structs.replace(rule, operation=operation))

    def run_out(self) -> None:
        """A worker that ends when nothing is left to do."""
        self._worker(until_idle=True).wait()

    def kill_one(self, kill: Kill) -> bool:
        """Start a worker, kill it at its moment. False when it had nothing left to do before that came."""
        if kill.moment is Moment.LATE:
            self.erp.lift_faults()
            self._add_faults([FaultRule(fault=Fault.SLOW, seconds=str(LATE_SECONDS))])
        self._tail.new()
        worker = self._worker()
        try:
            came = self._wait_for(kill, worker)
            self._tail.new()
        finally:
            worker.kill()
        self._killed_at = datetime.now(UTC)
        return came

    def look(self, kill: Kill) -> Killed:
        """What the ERP's file says of the last kill, once no call is unanswered."""
        self._until(lambda: self.erp.counters().in_flight == 0)
        lines = self._tail.new()
        gone = {one.received_order for one in lines if one.type == "client_gone" and self._is_ours(one.request_id)}
        effects = [one.at for one in lines if one.type == "effect" and one.received_order in gone]
        late = max(effects, default=self._killed_at) - self._killed_at
        return Killed(kill=kill, unanswered=len(gone), late_seconds=late.total_seconds())

    def _is_ours(self, request_id: str) -> bool:
        """Calls that carry documents name one; the ERP itself numbers the others."""
        return not request_id.startswith("call-")

    def _wait_for(self, kill: Kill, worker: WorkerProcess) -> bool:
        seen = [0]

        def came() -> bool:
            worker.check()
            if kill.moment is Moment.DERIVING:
                return self._count("journal") >= kill.count
            if kill.moment is Moment.LATE:
                return any(one.fired and not one.lifted for one in self.erp.counters().faults)
            seen[0] += sum(one.type == "effect" for one in self._tail.new())
            return seen[0] >= kill.count

        found = self._until(came, or_else=self._all_posted)
        time.sleep(kill.pause_seconds if found else 0)
        return found

    def _until(self, came: Callable[[], bool], or_else: Callable[[], bool] = lambda: False) -> bool:
        ends = time.monotonic() + WAIT_LIMIT_SECONDS
        for turn in _turns():
            if came():
                return True
            if turn % 100 == 99 and or_else():
                return False
            if time.monotonic() > ends:
                break
            time.sleep(POLL_SECONDS)
        raise AssertionError("what was waited for did not come")

    def _all_posted(self) -> bool:
        with self.database.control() as connection:
            left = connection.execute(text("SELECT count(*) FROM lane WHERE pending > 0 OR requested > read_through"))
            return not left.scalar_one()

    def _count(self, table: str) -> int:
        with self.database.read(tenants=[TENANT]) as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    def _worker(self, *, until_idle: bool = False) -> WorkerProcess:
        environment = {
            **SECRETS,
            "REVLINE_DSN": self._dsn,
            "REVLINE_DATA_FOLDER": str(self.folder / "data"),
            "REVLINE_LEASE_SECONDS": str(LEASE_SECONDS),
            "REVLINE_SECRET_DEMO_SIMULATED": self.erp.token,
        }
        return WorkerProcess(folder=self.folder, environment=environment, until_idle=until_idle)


def set_connection(*, folder: Path, settings: Mapping[str, str]) -> None:
    """Add settings to the connection of a tenant's ERP, as a person would in the file."""
    path = folder / "20-connections.yaml"
    written = path.read_text(encoding="utf-8")
    added = "".join(f'{name}: "{value}", ' for name, value in settings.items())
    assert written.count("settings: {baseUrl") == 1
    path.write_text(written.replace("settings: {baseUrl", f"settings: {{{added}baseUrl"), encoding="utf-8")


def month_of(*, seed: int) -> StripeMonth:
    """The reduced month of a seed."""
    return generate(seed=seed, month=JANUARY, profile=PROFILE)


def _turns() -> Iterator[int]:
    yield from range(10_000_000)
