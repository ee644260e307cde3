"""A reduced month accepted over a clean database, a simulated ERP beside it, workers at work in it, and blows struck.

Whether a blow struck a call in flight is not claimed but known from the proxy on the way to the ERP: the caller went away while
its call was not answered.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
from sqlalchemy import text

from revline.connectors.sdk.effects import FILE_NAME, Effect
from revline.connectors.simulated.faults import Fault as ErpFault
from revline.connectors.simulated.faults import FaultRule
from revline.connectors.simulated.launcher import SimulatedErp
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.wire import Kind
from revline.core.clock import Period
from revline.delivery.values import Timing
from revline.intake.values import Form
from revline.platform.store.engine import Database
from revline.platform.work import queries as work
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from tests.chaos.breaking import Proxy, holder_of
from tests.chaos.judging import ENDLESS
from tests.chaos.planning import Blow, Fault, Moment, Plan, Stroke
from tests.chaos.workers import SKEW_FILE, WAIT_LIMIT_SECONDS, Crew, WorkerProcess
from tests.harness import ADDRESSES, SECRETS, Harness, Outcome
from tests.rehearsal import add_missing_mapping, birch_books

TENANT: Final = "birch"
JANUARY: Final = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))
PROFILE: Final = StripeProfile(
    account="birch",
    customer_prefix="Birch",
    invoices=50,
    customers=24,
    families=("subscription", "usage", "hardware", ""),
)
WORKERS: Final = 2
IDEMPOTENCY: Final = {
    Mode.KEY: "key",
    Mode.UNIQUE: "unique_reference",
    Mode.LOOKUP: "lookup",
    Mode.NEITHER: "neither",
}
BOUND_SECONDS: Final = 5
CALL_TIMEOUT_SECONDS: Final = 3
SETTINGS: Final = {
    "slots": "4",
    "batchMax": "3",
    "effectBoundSeconds": str(BOUND_SECONDS),
    "callTimeoutSeconds": str(CALL_TIMEOUT_SECONDS),
}
"""Small calls and few at once, so that a month is many calls; a bound that no call outlasts after its caller died."""
LEASE_SECONDS: Final = 3
"""Longer than a turn takes on a machine that others use too, or no lease would hold for one."""
ANSWER_SECONDS: Final = Decimal("0.25")
BEFORE_SECONDS: Final = Decimal("0.2")
LATE_SECONDS: Final = BOUND_SECONDS - 1
"""Longer than a lease: another worker is at it when the effect comes, and must still be waiting."""
BROKEN_PERCENT: Final = 6
JUMP_SECONDS: Final = 3_600
POLL_SECONDS: Final = 0.004
WAKE_SECONDS: Final = Timing().sweep.total_seconds() * 2
CALLS: Final = ("*.create", "*.batch", "*.post", "*.post-batch")


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """Where stories are told. empty: makes the database clean again. crash: PostgreSQL stops at once and is back after so many
    seconds; None where the server is not the story's own."""

    database: Database
    dsn: str
    folder: Path
    empty: Callable[[], None]
    crash: Callable[[float], None] | None = None


class Struck(msgspec.Struct, frozen=True, kw_only=True):
    """A blow that was struck. unanswered: request ids of calls with documents that its worker was waiting for."""

    stroke: Stroke
    at: datetime
    unanswered: tuple[str, ...]


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
    """A reduced month accepted, and everything workers need to post it. Use as a context manager."""

    module = "revline"

    def __init__(self, *, stand: Stand, folder: Path, month: StripeMonth, plan: Plan) -> None:
        self.stand, self.folder, self.month, self.plan = stand, folder, month, plan
        self.erp = SimulatedErp(folder=folder / "erp", mode=plan.variant.mode)
        self._chance = random.Random(plan.seed)
        self._stack = ExitStack()
        self._slow_rules: list[str] = []
        self._stopped: tuple[int, Mapping[int, str]] | None = None
        self._skews = [0.0] * WORKERS
        self._still_since = 0.0
        self._holders: dict[int, int] = {}

    @property
    def configuration(self) -> Path:
        """The configuration folder that was applied."""
        return self.folder / "configuration"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(self.erp)
            self.proxy = self.aimed_at = stack.enter_context(Proxy(target=self.erp.base_url))
            two_step = (Kind.INVOICES,) if self.plan.two_step else ()
            self.erp.set_up(body=msgspec.structs.replace(birch_books(), two_step=two_step))
            self._tail = EffectsTail(folder=self.erp.folder)
            self._accept(stack)
            self.crew = self._crew()
            stack.callback(self.crew.kill_all)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _accept(self, stack: ExitStack) -> None:
        addresses = {**ADDRESSES, "simulated_base_url": self.proxy.base_url}
        harness = Harness(database=self.stand.database, folder=self.configuration, addresses=addresses)
        stack.callback(harness.close)
        add_missing_mapping(folder=self.configuration)
        settings = {**SETTINGS, "idempotency": IDEMPOTENCY[self.erp.mode]}
        settings |= {"twoStep": "invoice"} if self.plan.two_step else {}
        settings |= {"lookupLagSeconds": str(self.plan.variant.lookup_lag_seconds)}
        set_connection(folder=self.configuration / TENANT, settings=settings)
        self.configure()
        harness.apply()
        self.take_in(harness)

    def configure(self) -> None:
        """What else is written into the configuration folder before it is applied."""

    def take_in(self, harness: Harness) -> None:
        """Accept the month, as its webhooks and listings tell it."""
        verdicts = harness.accept(TENANT, "stripe", self.month.webhooks)
        verdicts += harness.accept(TENANT, "stripe", self.month.balance_transactions, form=Form.OBJECT)
        refused = [one for one in verdicts if one.outcome not in {Outcome.ACCEPTED, Outcome.DUPLICATE}]
        assert refused == []

    def disturb(self) -> None:
        """Every answer takes its time, some calls take effect a little late, some answers are lost, look-up lags."""
        seed, lag = self.plan.seed, self.plan.variant.lookup_lag_seconds
        self._add_fault(FaultRule(fault=ErpFault.SLOW_ANSWER, seconds=str(ANSWER_SECONDS), count=None))
        slow = FaultRule(fault=ErpFault.SLOW, seconds=str(BEFORE_SECONDS), percent=20, seed=seed, count=None)
        self._slow_rules = self._add_fault(slow)
        if self.plan.lost_percent:
            lost = FaultRule(fault=ErpFault.ANSWER_LOST, percent=self.plan.lost_percent, seed=seed + 1, count=None)
            self._add_fault(lost)
        if lag:
            rule = FaultRule(fault=ErpFault.LOOKUP_LAG, operation="*.search", seconds=str(lag), count=None)
            self.erp.add_fault(rule=rule)
        if self.plan.fault is Fault.NETWORK:
            self.proxy.disturb(seed=seed, percent=BROKEN_PERCENT)

    def _add_fault(self, rule: FaultRule) -> list[str]:
        return [self.erp.add_fault(rule=msgspec.structs.replace(rule, operation=operation)) for operation in CALLS]

    def run_out(self) -> None:
        """One worker that ends when nothing is left to do."""
        environment = self._environment(0)
        WorkerProcess(folder=self.folder, environment=environment, until_idle=True).wait()

    def strike(self, stroke: Stroke) -> Struck | None:
        """Wait for a blow's moment and strike. None when the workers had nothing left to do before it came."""
        if stroke.moment is Moment.LATE:
            for rule_id in self._slow_rules:
                self.erp.lift_faults(rule_id=rule_id)
            self._late = self._add_fault(FaultRule(fault=ErpFault.SLOW, seconds=str(LATE_SECONDS)))
        self._tail.new()
        if not self._wait_for(stroke):
            return None
        time.sleep(stroke.pause_seconds)
        at = datetime.now(UTC)
        unanswered: tuple[str, ...] = ()
        match stroke.blow:
            case Blow.KILL | Blow.PAUSE:
                place, held = self._stopped or self._stop(self._chance.randrange(WORKERS))
                act = self._kill if stroke.blow is Blow.KILL else self._pause
                unanswered = act(place, held)
            case Blow.RESTART:
                assert self.stand.crash is not None
                self.stand.crash(stroke.pause_seconds)
            case Blow.BREAK:
                self.proxy.break_next(stroke.breaks)
        self._stopped = None
        return Struck(stroke=stroke, at=at, unanswered=unanswered)

    def finish(self) -> None:
        """Until nothing is left to do; then the workers are drained, and each must end in order."""

        def done() -> bool:
            self.crew.check()
            return self.idle()

        self._until(done)
        self.crew.end()

    def idle(self) -> bool:
        """Nothing is left, or what is left has stood still for longer than it takes until a lost wake-up is made good."""
        with self.stand.database.control() as connection:
            left = [count for count in work.counts(connection) if count.kind not in ENDLESS]
        if any(not count.parked_code and not count.waiting for count in left):
            self._still_since = time.monotonic()
        return not left or time.monotonic() - self._still_since > WAKE_SECONDS

    def _kill(self, place: int, held: Mapping[int, str]) -> tuple[str, ...]:
        self.crew.kill(place)
        # The proxy hears of the death a moment later.
        self._until(lambda: held.keys().isdisjoint(self.aimed_at.unanswered()))
        self.aimed_at.holding = False
        self.crew.replace(place)
        return tuple(request_id for request_id in held.values() if request_id in self.aimed_at.abandoned)

    def _pause(self, place: int, held: Mapping[int, str]) -> tuple[str, ...]:
        """Past the lease, and past the moment another worker looks up or sends again what this one has in hand."""
        # The answers come while it is stopped.
        self.aimed_at.holding = False
        if self.plan.fault is Fault.CLOCK:
            # Back, so that by its own clock the stopped worker's leases hold for another hour.
            self._set_skew(place, self._skews[place] - JUMP_SECONDS)
        until_looked_up = CALL_TIMEOUT_SECONDS + BOUND_SECONDS + self.plan.variant.lookup_lag_seconds
        waited = until_looked_up if self.plan.lookup_only else 1
        time.sleep(LEASE_SECONDS + waited + self._chance.uniform(1.0, 2.0))
        self.crew.members[place].resume()
        return tuple(held.values())

    def _stop(self, place: int) -> tuple[int, Mapping[int, str]]:
        """Stop a worker where it is; which one, and the marked calls that it waits for, by its port."""
        member = self.crew.members[place]
        member.pause()
        calls = self.aimed_at.unanswered().items()
        return place, {port: call.request_id for port, call in calls if self._holder(port) == member.process_id}

    def _stop_caller(self, *, waiting_seconds: float) -> bool:
        """Stop a worker that has waited so long for an answer, or longer; false when there is none."""
        before = time.monotonic() - waiting_seconds
        by_process = {member.process_id: place for place, member in enumerate(self.crew.members)}
        for port, call in self.aimed_at.unanswered().items():
            place = by_process.get(self._holder(port)) if call.since <= before else None
            if place is None:
                continue
            self._stopped = self._stop(place)
            if port in self._stopped[1]:
                return True
            self.crew.members[place].resume()
            self._stopped = None
        return False

    def _holder(self, port: int) -> int:
        """The worker process behind a connection, 0 for none. Looked up once each: a call is short, and looking is slow."""
        held = self._holders.get(port, 0)
        if held not in {member.process_id for member in self.crew.members}:
            processes = [member.process_id for member in self.crew.members]
            held = self._holders[port] = holder_of(port=port, processes=processes) or 0
        return held

    def _wait_for(self, stroke: Stroke) -> bool:
        seen = [0]

        def came() -> bool:
            self.crew.check()
            if stroke.moment is Moment.DERIVING:
                return self._count("journal") >= stroke.count
            if stroke.moment is Moment.LATE:
                late = [one for one in self.erp.counters().faults if one.rule_id in self._late]
                return any(one.fired for one in late) and self._stop_caller(waiting_seconds=LATE_SECONDS / 4)
            seen[0] += sum(one.type == "effect" for one in self._tail.new())
            for port in self.aimed_at.unanswered():
                self._holder(port)
            if seen[0] < stroke.count:
                return False
            aims = stroke.moment is Moment.CALL and stroke.blow in {Blow.KILL, Blow.PAUSE}
            self.aimed_at.holding = aims
            return not aims or self._stop_caller(waiting_seconds=0)

        found = self._until(came, or_else=self.idle)
        self.aimed_at.holding = found and self._stopped is not None
        return found

    def _until(self, came: Callable[[], bool], or_else: Callable[[], bool] = lambda: False) -> bool:
        ends = time.monotonic() + WAIT_LIMIT_SECONDS
        turn = 0
        self._still_since = time.monotonic()
        while time.monotonic() < ends:
            if came():
                return True
            turn += 1
            if turn % 50 == 0 and or_else():
                return False
            time.sleep(POLL_SECONDS)
        raise AssertionError("what was waited for did not come:\n" + "\n".join(one.log() for one in self.crew.members))

    def _count(self, table: str) -> int:
        with self.stand.database.read(tenants=[TENANT]) as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    def _crew(self) -> Crew:
        skewed = self.plan.fault is Fault.CLOCK
        for place in range(WORKERS):
            self._set_skew(place, self._chance.uniform(-JUMP_SECONDS, JUMP_SECONDS))
        return Crew(
            folder=self.folder,
            environments=[self._environment(place) for place in range(WORKERS)],
            module="tests.chaos.skewed" if skewed else self.module,
        )

    def _environment(self, place: int) -> Mapping[str, str]:
        return {
            **SECRETS,
            "REVLINE_DSN": self.stand.dsn,
            "REVLINE_DATA_FOLDER": str(self.folder / "data"),
            "REVLINE_LEASE_SECONDS": str(LEASE_SECONDS),
            "REVLINE_SECRET_DEMO_SIMULATED": self.erp.token,
            **self.secrets(),
            SKEW_FILE: str(self._skew_file(place)),
        }

    def secrets(self) -> Mapping[str, str]:
        """What else the workers find in their environment."""
        return {}

    def _skew_file(self, place: int) -> Path:
        return self.folder / f"skew-{place + 1}"

    def _set_skew(self, place: int, seconds: float) -> None:
        self._skews[place] = seconds
        fresh = self._skew_file(place).with_suffix(".new")
        fresh.write_text(str(seconds), encoding="ascii")
        fresh.rename(self._skew_file(place))


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
