"""The worker process: derive, delivery and timers in one asyncio loop, database code in a bounded pool of threads.

SIGTERM or SIGINT drains: nothing more is claimed, calls under way come back and are written, the rest is given back.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from sqlalchemy import Connection

from revline.app.crediting import keeper_of
from revline.app.directory import Directory
from revline.app.enumerating import ListingLoop
from revline.app.feeding import FeedbackDirectory
from revline.app.keeping import Keeper
from revline.app.readers import Readers
from revline.app.reading import ReadingLoop
from revline.app.usage_billing import BillingDirectory, telling_of
from revline.app.usage_tools import UsageTools
from revline.core.clock import Clock
from revline.core.ids import derived_id
from revline.core.journal import JournalEntry
from revline.core.problem import Problem
from revline.delivery.closing import run_closings
from revline.delivery.enumerating import Enumeration
from revline.delivery.loop import DeliveryLoop
from revline.delivery.service import Desk
from revline.delivery.values import LANE_KIND as DELIVERY
from revline.delivery.values import Timing
from revline.derive.ports import Told
from revline.derive.service import LANE_KIND as DERIVE
from revline.derive.service import Derive
from revline.feedback.service import Feedback
from revline.intake.readings import Readings
from revline.intake.service import Intake
from revline.platform.bulk.ports import Handler
from revline.platform.bulk.runner import BulkRunner
from revline.platform.logs import log
from revline.platform.store.engine import Database, is_transient
from revline.platform.store.unit import Unit
from revline.platform.tenancy import queries as tenancy
from revline.platform.work import queries as work_queries
from revline.platform.work import service as work
from revline.platform.work.cell import read_epoch
from revline.platform.work.pressure import BacklogLimits, Pressure, sample_backlog
from revline.subledger.posting import queries as posting
from revline.subledger.usage.commitments import Commitment
from revline.subledger.usage.outward.record import LANE_KIND as BILLING
from revline.subledger.usage.outward.shadow import Asking as Comparing
from revline.subledger.usage.outward.shadow import Shadow
from revline.subledger.usage.rating.kinds import UsagePrice

if TYPE_CHECKING:
    from revline.subledger.usage.charges.service import Charging
    from revline.subledger.usage.charges.ticking import Ticker

T = TypeVar("T")
DATABASE_THREADS: Final = 6
IDLE_SECONDS: Final = 0.05
FEEDBACK_IDLE_SECONDS: Final = 0.5
CREDITS_IDLE_SECONDS: Final = 0.5
BILLING_IDLE_SECONDS: Final = 0.5
BULK_PAUSE_SECONDS: Final = 0.05
BULK_IDLE_SECONDS: Final = 0.5
USAGE_IDLE_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 0.2
WATCHES_IN_A_ROW: Final = 5
SWEEP_SECONDS: Final = 2.0
CLOSING_IDLE_SECONDS: Final = 1.0
CHARGING_IDLE_SECONDS: Final = 1.0


class Worker:
    """One worker. owner: unique to this process; every lease and write is fenced by it. epoch: of the cell. steady: as `Desk`.
    bulk: acts on many records by kind. keeper: its housekeeping, if it does any. usage: what reads usage, charges it and compares
    it with what billing bills. files: keeps up files of usage; gives how many were merged."""

    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        intake: Intake,
        clock: Clock,
        owner: str,
        epoch: int,
        version: str,
        timing: Timing | None = None,
        seed: int | None = None,
        readers: Readers | None = None,
        steady: Clock | None = None,
        bulk: Mapping[str, Handler] | None = None,
        keeper: Keeper | None = None,
        backlog: BacklogLimits | None = None,
        usage: UsageTools | None = None,
        files: Callable[[], int] | None = None,
    ) -> None:
        self._database, self._directory, self._intake = database, directory, intake
        self._owner, self._version, self._clock, self._keeper = owner, version, clock, keeper
        self._shadow: Shadow | None = None
        self._billing, self._files = BillingDirectory(directory), files
        self.telling = telling_of(database=database, directory=directory, clock=clock, owner=owner, epoch=epoch)
        self._backlog, self._pressure = backlog or BacklogLimits(), Pressure(database=database)
        self._stopping = asyncio.Event()
        self._usage = usage
        self._charging: tuple[Ticker, Charging] | None = None
        self._threads = ThreadPoolExecutor(max_workers=DATABASE_THREADS, thread_name_prefix="database")
        uniform = random.Random(seed).uniform  # noqa: S311 - jitter only
        pauses = timing or Timing()
        told = FeedbackDirectory(directory)
        self._readings = Readings(database=database, intake=intake, clock=clock, owner=owner)
        self.feedback = Feedback(
            database=database, configurations=told, clock=clock, owner=owner, epoch=epoch, lease=pauses.lease
        )
        self.derive = self._derive_of(clock, epoch, pauses, told)
        self.credits = keeper_of(database=database, directory=directory, clock=clock, owner=owner)
        self.delivery = self._delivery_loop(clock, epoch, uniform, pauses, told, steady)
        self.bulk = self._bulk_of(bulk or {}, clock, pauses)
        self.reading = None if readers is None else self._reading_loop(readers, uniform)
        self.listing = ListingLoop(
            database=database,
            directory=directory,
            enumeration=Enumeration(database=database, clock=clock, owner=owner),
            owner=owner,
            blocking=self.blocking,
            uniform=uniform,
        )

    def _delivery_loop(
        self,
        clock: Clock,
        epoch: int,
        uniform: Callable[[float, float], float],
        pauses: Timing,
        told: FeedbackDirectory,
        steady: Clock | None,
    ) -> DeliveryLoop:
        desk = Desk(
            database=self._database,
            directory=self._directory,
            journals=journals_by_id,
            clock=clock,
            owner=self._owner,
            epoch=epoch,
            uniform=uniform,
            timing=pauses,
            told=told.asking().settled,
            steady=steady,
        )
        return DeliveryLoop(desk=desk, blocking=self.blocking)

    def _bulk_of(self, handlers: Mapping[str, Handler], clock: Clock, pauses: Timing) -> BulkRunner:
        return BulkRunner(
            database=self._database,
            handlers=handlers,
            clock=clock,
            owner=self._owner,
            lease=pauses.lease,
            held=self._pressure.held,
        )

    def _derive_of(self, clock: Clock, epoch: int, pauses: Timing, told: FeedbackDirectory) -> Derive:
        return Derive(
            database=self._database,
            configurations=self._directory,
            clock=clock,
            owner=self._owner,
            epoch=epoch,
            lease=pauses.lease,
            told=each_hears(told.asking().derived, Comparing(compares=self._billing).derived),
        )

    def _reading_loop(self, readers: Readers, uniform: Callable[[float, float], float]) -> ReadingLoop:
        return ReadingLoop(
            database=self._database,
            directory=self._directory,
            readers=readers,
            readings=self._readings,
            owner=self._owner,
            blocking=self.blocking,
            uniform=uniform,
            held=self._pressure.held,
        )

    async def blocking(self, call: Callable[[], T], /) -> T:
        """Run database code in the bounded pool."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def run(self, *, until: Callable[[], bool] | None = None) -> None:
        """Work until `stop()` or a signal; with `until`, also stop when it says so (asked when nothing was due)."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.stop)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._derive())
                for one in self._turns():
                    group.create_task(one)
                group.create_task(self._timers())
                if self._keeper is not None:
                    group.create_task(self._keep(self._keeper))
                if self.reading is not None:
                    group.create_task(self.reading.run(stopping=self._stopping))
                group.create_task(self.listing.run(stopping=self._stopping))
                group.create_task(self.delivery.run())
                group.create_task(self._watch(until))
        finally:
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signum)
            await self._directory.close()
            self._threads.shutdown(wait=True)

    def stop(self) -> None:
        """Drain and end."""
        self._stopping.set()
        self.delivery.stop()

    def _turns(self) -> Iterator[Coroutine[None, None, None]]:
        """What is done turn after turn beside derivation and delivery."""
        repeat = self._repeat
        yield repeat(self.feedback.turn, failed="feedback.turn_failed", idle=FEEDBACK_IDLE_SECONDS)
        yield repeat(self.credits.turn, failed="credits.turn_failed", idle=CREDITS_IDLE_SECONDS)
        yield repeat(self.telling.turn, failed="usage_telling.turn_failed", idle=BILLING_IDLE_SECONDS)
        yield repeat(self.bulk.turn, failed="bulk.turn_failed", idle=BULK_IDLE_SECONDS, busy=BULK_PAUSE_SECONDS)
        closings = partial(run_closings, self._database, owner=self._owner, clock=self._clock)
        yield repeat(closings, failed="closing.turn_failed", idle=CLOSING_IDLE_SECONDS, busy=IDLE_SECONDS)
        if self._usage is not None:
            charge, compare = partial(self._charge_once, self._usage), partial(self._compare_once, self._usage)
            yield repeat(charge, failed="charging.turn_failed", idle=CHARGING_IDLE_SECONDS, busy=IDLE_SECONDS)
            yield repeat(compare, failed="usage_billing.turn_failed", idle=BILLING_IDLE_SECONDS)
        if self._files is not None:
            yield repeat(self._files, failed="usage.files_failed", idle=USAGE_IDLE_SECONDS, busy=IDLE_SECONDS)

    async def _derive(self) -> None:
        while not self._stopping.is_set():
            try:
                result = await self.blocking(self.derive.turn)
            except Exception:  # noqa: BLE001 - a worker goes on; what failed is logged and tried again
                log().exception("derive.turn_failed")
                await self._pause(1.0)
                continue
            if not result.roots:
                await self._pause(IDLE_SECONDS)

    def _charge_once(self, usage: UsageTools) -> int:
        """What reads usage is heavy, so it is loaded once some tenant has prices."""
        with self._database.control() as connection:
            tenants = tenancy.active_tenants(connection)
        charged = [tenant_id for tenant_id in tenants if charges_usage(self._directory, tenant_id)]
        if not charged:
            return 0
        if self._charging is None:
            made = usage.charging(owner=self._owner)
            if isinstance(made, Problem):
                log().error("charging.unavailable", code=made.code)
                return 0
            self._charging = made
        ticker, charging = self._charging
        sweep_each(charged, ticker.sweep)
        return charging.turn()

    def _compare_once(self, usage: UsageTools) -> int:
        """As heavy, so it is loaded once there is something to compare."""
        if self._shadow is None:
            with self._database.control() as connection:
                if not work_queries.has_lanes(connection, kind=BILLING):
                    return 0
            made = usage.shadow(owner=self._owner)
            if isinstance(made, Problem):
                log().error("usage_billing.unavailable", code=made.code)
                return 0
            self._shadow = made
        return self._shadow.turn()

    async def _repeat(self, turn: Callable[[], int], *, failed: str, idle: float, busy: float = 0.0) -> None:
        """Turn after turn. failed: what is logged when one fails. idle, busy: seconds of pause after one that found nothing, and
        after one that did: what people do to many records at once leaves room for what is due by itself."""
        while not self._stopping.is_set():
            try:
                done = await self.blocking(turn)
            except Exception:  # noqa: BLE001 - a worker goes on; what failed is logged and tried again
                log().exception(failed)
                done = 0
            await self._pause(busy if done else idle)

    async def _keep(self, keeper: Keeper) -> None:
        while not self._stopping.is_set():
            try:
                await self.blocking(keeper.turn)
            except Exception:  # noqa: BLE001 - a worker goes on; what failed is logged and tried again
                log().exception("keeping.failed")
            await self._pause(keeper.retention.every.total_seconds())

    async def _timers(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.blocking(self._sweep)
            except Exception:  # noqa: BLE001 - a worker goes on; what failed is logged and tried again
                log().exception("worker.sweep_failed")
            await self._pause(SWEEP_SECONDS)

    def _sweep(self) -> None:
        work.beat(self._database, process_id=self._owner, role="worker", version=self._version)
        sample_backlog(self._database, derive=DERIVE, deliver=DELIVERY, limits=self._backlog)
        with self._database.control() as connection:
            tenants = tenancy.active_tenants(connection)
            epoch = read_epoch(connection)
        self.derive.epoch = self.feedback.epoch = self.telling.epoch = epoch
        self.delivery.desk.hear(epoch)
        sweep_each(tenants, self._intake.sweep_awaited)
        sweep_each(tenants, self._readings.sweep)
        sweep_each(tenants, self.credits.sweep)
        sweep_each(tenants, self.listing.follow)
        if self.reading is not None:
            sweep_each(tenants, self.reading.follow)

    async def _watch(self, until: Callable[[], bool] | None) -> None:
        in_a_row = 0
        while not self._stopping.is_set():
            await self._pause(WATCH_SECONDS)
            if until is not None:
                # What waits is woken a moment after what it waited for has ended, so one look is not enough.
                in_a_row = in_a_row + 1 if await self.blocking(until) else 0
                if in_a_row >= WATCHES_IN_A_ROW:
                    self.stop()

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), timeout=seconds)
        except TimeoutError:
            return


def each_hears(*told: Told) -> Told:
    """Tells every one of them that roots were derived."""

    def hear(unit: Unit, /, *, tenant_id: str, root_ids: Collection[str]) -> None:
        for one in told:
            one(unit, tenant_id=tenant_id, root_ids=root_ids)

    return hear


def charges_usage(directory: Directory, tenant_id: str) -> bool:
    """Whether a tenant has anything that usage is charged by."""
    configuration = directory.configuration(tenant_id=tenant_id)
    return not isinstance(configuration, Problem) and bool(
        configuration.all(UsagePrice) or configuration.all(Commitment)
    )


class Sweep(Protocol):
    """A timer's work for one tenant; gives how much there was."""

    def __call__(self, *, tenant_id: str) -> int: ...


def sweep_each(tenants: Sequence[str], sweep: Sweep) -> None:
    """Every tenant's turn, also after one failed. Raises what a database raises that is away: then no turn would do."""
    for tenant_id in tenants:
        try:
            sweep(tenant_id=tenant_id)
        except Exception as failure:
            if is_transient(failure):
                raise
            log().exception("worker.tenant_sweep_failed", tenant_id=tenant_id)


def journals_by_id(connection: Connection, *, tenant_id: str, journal_ids: Sequence[str]) -> Mapping[str, JournalEntry]:
    """Delivery's port to posting: what the far side's own entries must equal."""
    found = posting.journals_by_id(connection, tenant_id=tenant_id, journal_ids=journal_ids)
    return {entry.journal_id: entry for entry in found}


def new_owner(*, host: str, process_id: int, started: str) -> str:
    """A worker's id: short, unique to the process, and no name of a machine in it."""
    return f"w{derived_id('worker', host, process_id, started)[:12]}"
