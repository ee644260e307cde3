"""One world from its beginning until nothing is left to do: processes, sources, ERPs and people under one seed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Engine

from revline.connectors.simulated import control
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.setup import Account, CompanySetup, SetupBody
from revline.connectors.simulated.simulator import Simulator
from revline.connectors.simulated.wire import Kind
from revline.platform.config.tables import configuration_version
from revline.platform.tenancy.record import register_tenant
from revline.platform.work.cell import open_cell
from revline.sim.judging import Expectation
from revline.sim.world.database import WorldDatabase
from revline.sim.world.directory import COMPANY, TOKEN, Compiled, WorldDirectory
from revline.sim.world.network import ErpTransport, HeldEffects, SimulatedErp, Wires
from revline.sim.world.office import Office
from revline.sim.world.people import People
from revline.sim.world.plan import BEGINNING, LEASE, LIMIT_SECONDS, Breaks, Plan, TenantPlan, plan_of, stream
from revline.sim.world.process import Process, Weather, belonging
from revline.sim.world.quiet import Standing, standing_of
from revline.sim.world.source import SimulatedSource, SourceTransport
from revline.sim.world.story import Story, story_of
from revline.sim.world.time import SimulatedLoop, SimulatedTime
from revline.sim.world.trace import Trace
from revline.sim.world.turns import Turns
from revline.sim.world.working import Door, Worker

LOOK_SECONDS: Final = 0.6
ACCOUNTS: Final = (
    *("1000", "1010", "1050", "1150", "1160", "1170"),
    *("2200", "2300", "2400", "2450"),
    *("4000", "4010", "4100", "4900", "4910", "4920"),
    *("6100", "6110", "6500"),
)


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What worlds stand on: one server's database, compiled configuration, threads; shared by every seed of a run."""

    engine: Engine
    compiled: Compiled
    turns: Turns
    expectation: Expectation


class Lived(msgspec.Struct, frozen=True, kw_only=True):
    """A world that has ended. quiet: nothing was left to do; standing: what is left. failures: errors of Revline's own that ended a
    worker. seconds: simulated. happened: crashes, stalls and faults, counted. aside: by tenant, documents that a person took out of
    their lanes for a while."""

    plan: Plan
    stories: Mapping[str, Story]
    erps: Mapping[str, SimulatedErp]
    sources: Mapping[str, SimulatedSource]
    quiet: bool
    standing: Standing
    failures: tuple[str, ...]
    seconds: float
    happened: Mapping[str, int]
    aside: Mapping[str, frozenset[str]]
    digest: str
    commits: int
    calls: int


def live(*, ground: Ground, seed: int, say: Callable[[str], None] | None = None) -> Lived:
    """Run the world of a seed. say: hears its timeline."""
    world = World(ground=ground, plan=plan_of(seed=seed), say=say)
    loop = SimulatedLoop(time=world.time)
    loop.set_task_factory(belonging)
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(world.run())
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        asyncio.set_event_loop(None)
        loop.close()


class World:
    """The parts of one world and how they come and go."""

    def __init__(self, *, ground: Ground, plan: Plan, say: Callable[[str], None] | None) -> None:
        self.ground, self.plan = ground, plan
        self.time = SimulatedTime(start=BEGINNING)
        self.trace = Trace(time=self.time, say=say)
        self.weather = Weather(seed=plan.seed, breaks=plan.breaks)
        self.wires = Wires(seed=plan.seed, network=plan.network, trace=self.trace)
        self.tenants = {one.tenant_id: one for one in plan.tenants}
        self.stories = {one.tenant_id: story_of(seed=plan.seed, tenant=one) for one in plan.tenants}
        self.erps = {one.tenant_id: self._erp(one) for one in plan.tenants}
        self.sources = {
            one.tenant_id: SimulatedSource(
                name=f"source-{one.tenant_id[-1]}", story=self.stories[one.tenant_id], time=self.time, tells=one.tells
            )
            for one in plan.tenants
            if one.read or one.tells
        }
        self.failures: list[str] = []
        self._chance = stream(plan.seed, "comings and goings")
        self.people = People(
            plan=plan,
            time=self.time,
            trace=self.trace,
            wires=self.wires,
            erps=self.erps,
            offices=lambda: self._office,
            failed=lambda failure: self.failures.append(words_of(failure)),
        )
        self._born: Counter[str] = Counter()
        self._workers: dict[str, Worker] = {}
        self._door: Door | None = None
        self._office: Office | None = None
        self._over = False
        self._told = 0

    async def run(self) -> Lived:
        """Until nothing is left to do, or far too long has passed."""
        self._configure()
        for number in range(self.plan.workers):
            self._hire(f"w{number + 1}")
        self._open_door()
        self._open_office()
        others = [asyncio.get_running_loop().create_task(one) for one in self._others()]
        quiet = await self._until_quiet()
        self._over = True
        for task in others:
            task.cancel()
        for worker in tuple(self._workers.values()):
            worker.process.weather.over = True
            worker.process.die("with its world")
        await asyncio.sleep(0)
        return Lived(
            plan=self.plan,
            stories=self.stories,
            erps=self.erps,
            sources=self.sources,
            quiet=quiet,
            standing=self._look(),
            failures=tuple(self.failures),
            seconds=self.time.seconds,
            happened=dict(self.weather.happened + self.wires.fell),
            aside={name: self.people.aside(name) for name in self.tenants},
            digest=self.trace.digest,
            commits=self.weather.commits,
            calls=sum(sum(erp.simulator.calls.values()) for erp in self.erps.values()),
        )

    def _others(self) -> list[Any]:
        told = [self._tell(story) for story in self.stories.values()]
        told += [source.happen() for source in self.sources.values()]
        return [*told, *self.people.tasks(), self._drain(self.plan.breaks), self._end_faults()]

    # -- processes

    def _process(self, name: str, skew: float, died: Callable[[Process], None]) -> Process:
        self._born[name] += 1
        return Process(
            name=name if self._born[name] == 1 else f"{name}.{self._born[name]}",
            time=self.time,
            weather=self.weather,
            turns=self.ground.turns,
            trace=self.trace,
            skew=timedelta(seconds=skew),
            died=died,
        )

    def _directory(self, process: Process) -> WorldDirectory:
        return WorldDirectory(
            compiled=self.ground.compiled,
            tenants=self.tenants,
            transports={
                name: ErpTransport(wires=self.wires, process=process, erp=erp) for name, erp in self.erps.items()
            },
            sources={
                name: SourceTransport(wires=self.wires, process=process, source=source)
                for name, source in self.sources.items()
            },
            process=process,
            seed=self.plan.seed,
        )

    def _hire(self, name: str) -> None:
        """A worker begins, with an owner's name that no worker had before."""
        if self._over:
            return
        skew = self.plan.skews[int(name[1:]) - 1]
        process = self._process(name, skew, partial(self._replace, name))
        worker = Worker(
            process=process, engine=self.ground.engine, directory=self._directory(process), seed=self.plan.seed
        )
        self._workers[name] = worker
        task = process.start(worker.run(tenants=self.tenants), name="worker")
        task.add_done_callback(partial(self._ended, name, worker))

    def _replace(self, name: str, process: Process) -> None:
        pause = self._chance.uniform(0.1, LEASE.total_seconds() * 1.4)
        if not self._over:
            asyncio.get_running_loop().call_later(pause, self._hire, name)

    def _ended(self, name: str, worker: Worker, task: asyncio.Task[Any]) -> None:
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self.failures.append(words_of(failure))
            self.trace.tell(worker.process.name, f"ended by an error of its own: {self.failures[-1]}")
        if not worker.process.dead and not self._over:
            worker.process.die("in good order" if failure is None else "of it")

    def _open_door(self) -> None:
        if self._over:
            return
        process = self._process("door", 0.0, lambda _: self._close_door())
        self._door = Door(
            process=process, engine=self.ground.engine, directory=self._directory(process), seed=self.plan.seed
        )

    def _close_door(self) -> None:
        self._door = None
        if not self._over:
            asyncio.get_running_loop().call_later(self._chance.uniform(0.1, 1.0), self._open_door)

    def _open_office(self) -> None:
        if self._over:
            return
        process = self._process("office", 0.0, lambda _: self._close_office())
        self._office = Office(process=process, engine=self.ground.engine, seed=self.plan.seed)

    def _close_office(self) -> None:
        self._office = None
        if not self._over:
            asyncio.get_running_loop().call_later(self._chance.uniform(0.1, 1.0), self._open_office)

    # -- what happens around them

    async def _tell(self, story: Story) -> None:
        """The source sends, and sends again what nobody said was taken in."""
        for arrival in story.arrivals:
            await asyncio.sleep(max(0.0, arrival.seconds - self.time.seconds))
            taken = False
            while not taken:
                door = self._door
                if door is not None:
                    self.trace.tell(story.tenant_id, f"sends {len(arrival.bodies)} {arrival.form}s")
                    work = door.accept(tenant_id=arrival.tenant_id, bodies=arrival.bodies, form=arrival.form)
                    task = door.process.start(work, name="accept")
                    await asyncio.wait([task])
                    taken = not task.cancelled() and task.result()
                if not taken:
                    await asyncio.sleep(self._chance.uniform(0.1, 0.6))
        self._told += 1

    async def _drain(self, breaks: Breaks) -> None:
        """A worker is asked to end in good order, as when a new version is rolled out."""
        for _ in range(breaks.drains):
            await asyncio.sleep(self._chance.uniform(1, 7))
            worker = self._workers.get(f"w{self._chance.randint(1, self.plan.workers)}")
            if worker is not None and not worker.process.dead:
                self.trace.tell(worker.process.name, "is asked to end")
                self.weather.happened["drain"] += 1
                worker.stop()

    async def _end_faults(self) -> None:
        await asyncio.sleep(self.plan.faults_end)
        self.trace.tell("world", "nothing goes wrong any more")
        self.weather.over = self.wires.over = True
        for name, erp in self.erps.items():
            erp.simulator.faults.lift()
            for rule in _lasting(self.tenants[name]):
                erp.simulator.faults.add(rule=rule)

    async def _until_quiet(self) -> bool:
        looks = 0
        while self.time.seconds < LIMIT_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            standing = self._look()
            done = self._told == len(self.stories) and self.people.done
            looks = looks + 1 if done and standing.quiet else 0
            if looks >= standing.looks_wanted:
                return True
        return False

    def _look(self) -> Standing:
        with self.ground.engine.begin() as connection:
            return standing_of(connection, tenants=tuple(self.tenants), now=self.time.now())

    # -- the beginning

    def _configure(self) -> None:
        process = self._process("admin", 0.0, lambda _: None)
        database = WorldDatabase(engine=self.ground.engine, process=process)
        with database.control() as connection:
            open_cell(connection)
        for tenant_id in self.tenants:
            with database.unit(
                tenants=[tenant_id],
                kind="configuration",
                actor="person:admin",
                reason="the world begins",
                recorded_at=self.time.now(),
            ) as unit:
                register_tenant(unit.connection, tenant_id=tenant_id, created_at=self.time.now())
                unit.record(
                    configuration_version,
                    tenant_id=tenant_id,
                    version=1,
                    digest=self.ground.compiled.configuration.digest,
                    actor=unit.actor,
                    reason=unit.reason,
                    activated_at=self.time.now(),
                )

    def _erp(self, tenant: TenantPlan) -> SimulatedErp:
        simulator = Simulator(mode=tenant.mode, clock=self.time, token=TOKEN, control_token="unused")  # noqa: S106
        simulator.file = effects = HeldEffects()
        known = [code for code in ACCOUNTS if code != tenant.forgotten]
        accounts = (Account(code="1100", kind="receivable"), *(Account(code=code) for code in known))
        company = CompanySetup(code=COMPANY, functional_currency="USD", accounts=accounts, first_period="2025-11")
        two_step = (Kind.INVOICES,) if tenant.two_step else ()
        control.set_up(ledger=simulator.ledger, body=SetupBody(companies=(company,), two_step=two_step))
        for rule in tenant.rules:
            simulator.faults.add(rule=rule)
        return SimulatedErp(name=f"erp-{tenant.tenant_id[-1]}", simulator=simulator, effects=effects)


def _lasting(tenant: TenantPlan) -> list[Any]:
    """What is no fault but how this ERP is: searches that lag."""
    return [rule for rule in tenant.rules if rule.fault == "lookup_lag" and tenant.mode is Mode.LOOKUP]


def words_of(failure: BaseException) -> str:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return f"{type(failure).__name__}: {str(failure)[:200]}"
