"""The processes of a world that run Revline's own code: workers (derive, delivery, timers) and the door that takes input in.

What they run is the product's; only their wiring is here, as app wires the real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, Engine

from revline.connectors.stripe.reader import StripeReader
from revline.core.journal import JournalEntry
from revline.delivery.deciding import DATABASE_AWAY
from revline.delivery.loop import DeliveryLoop
from revline.delivery.service import Desk
from revline.derive.service import Derive
from revline.feedback.record import Asking
from revline.feedback.service import Feedback
from revline.intake.readings import Readings
from revline.intake.service import Intake
from revline.intake.values import Channel, Form, Input, WhenUnreadable
from revline.platform.bulk.runner import BulkRunner
from revline.platform.store.engine import is_transient
from revline.sim.world.database import WorldDatabase
from revline.sim.world.directory import SOURCE, WorldDirectory
from revline.sim.world.office import handlers_of
from revline.sim.world.plan import TIMING, TenantPlan, stream
from revline.sim.world.process import Process
from revline.sim.world.reading import SourceReading
from revline.subledger.posting import queries as posting

EPOCH: Final = 1
IDLE_SECONDS: Final = 0.5
TELLING_IDLE_SECONDS: Final = 0.9
FAILED_SECONDS: Final = 0.5
SWEEP_SECONDS: Final = 1.5
BULK_BATCH: Final = 2
BULK_PAUSE_SECONDS: Final = 0.3
BULK_IDLE_SECONDS: Final = 0.7


class Worker:
    """One worker process. `run` it as a task of its process."""

    def __init__(self, *, process: Process, engine: Engine, directory: WorldDirectory, seed: int) -> None:
        self.process = process
        self._database = WorldDatabase(engine=engine, process=process)
        self._directory = directory
        self._stopping = False
        owner = f"worker-{process.name}"
        asking = Asking(tells=directory.tells)
        self.derive = Derive(
            database=self._database,
            configurations=directory,
            clock=process.clock,
            owner=owner,
            epoch=EPOCH,
            lease=TIMING.lease,
            told=asking.derived,
        )
        self.feedback = Feedback(
            database=self._database,
            configurations=directory,
            clock=process.clock,
            owner=owner,
            epoch=EPOCH,
            lease=TIMING.lease,
        )
        self.delivery = DeliveryLoop(
            desk=Desk(
                database=self._database,
                directory=directory,
                journals=journals_by_id,
                clock=process.clock,
                owner=owner,
                epoch=EPOCH,
                uniform=stream(seed, f"pauses of {process.name}").uniform,
                timing=TIMING,
                told=asking.settled,
            ),
            blocking=process.blocking,
        )
        self._intake = intake_of(process=process, database=self._database, seed=seed)
        self._readings = Readings(database=self._database, intake=self._intake, clock=process.clock, owner=owner)
        self._bulk = BulkRunner(
            database=self._database,
            handlers=handlers_of(self._database),
            clock=process.clock,
            owner=owner,
            lease=TIMING.lease,
            batch=BULK_BATCH,
        )

    async def run(self, *, tenants: Mapping[str, TenantPlan]) -> None:
        """Work until asked to stop, or until the process ends."""
        plans = tenants.values()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._derives())
            group.create_task(self._sweeps(tuple(tenants)))
            if any(one.bulk for one in plans):
                group.create_task(self._acts())
            if any(one.tells for one in plans):
                group.create_task(self._tells())
            read = [one.tenant_id for one in plans if one.read]
            if read:
                group.create_task(self._reads(read))
            group.create_task(self.delivery.run())

    def stop(self) -> None:
        """End in good order."""
        self._stopping = True
        self.delivery.stop()

    async def _derives(self) -> None:
        while not self._stopping:
            try:
                result = await self.process.blocking(self.derive.turn)
            except DATABASE_AWAY:
                await asyncio.sleep(FAILED_SECONDS)
                continue
            if not result.roots:
                await asyncio.sleep(IDLE_SECONDS)

    async def _acts(self) -> None:
        while not self._stopping:
            try:
                treated = await self.process.blocking(self._bulk.turn)
            except DATABASE_AWAY:
                treated = 0
            await asyncio.sleep(BULK_PAUSE_SECONDS if treated else BULK_IDLE_SECONDS)

    async def _tells(self) -> None:
        while not self._stopping:
            try:
                roots = await self.process.blocking(self.feedback.turn)
            except DATABASE_AWAY:
                roots = 0
            if not roots:
                await asyncio.sleep(TELLING_IDLE_SECONDS)

    async def _reads(self, tenants: Sequence[str]) -> None:
        reading = SourceReading(
            process=self.process,
            database=self._database,
            directory=self._directory,
            readings=self._readings,
            readers={one: StripeReader(client=self._directory.source_client(tenant_id=one)) for one in tenants},
            owner=f"worker-{self.process.name}",
        )
        while not self._stopping:
            try:
                await reading.turn()
            except DATABASE_AWAY:
                await asyncio.sleep(FAILED_SECONDS)

    async def _sweeps(self, tenants: Sequence[str]) -> None:
        while not self._stopping:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.process.blocking(lambda: [self._intake.sweep_awaited(tenant_id=one) for one in tenants])
            except DATABASE_AWAY:
                continue


class Door:
    """The process that takes input in: what a server does with a webhook once its signature holds."""

    def __init__(self, *, process: Process, engine: Engine, directory: WorldDirectory, seed: int) -> None:
        self.process = process
        self._directory = directory
        self._intake = intake_of(process=process, database=WorldDatabase(engine=engine, process=process), seed=seed)

    async def accept(self, *, tenant_id: str, bodies: Sequence[bytes], form: Form) -> bool:
        """Whether the sender is told that they were taken in; if not, it sends them again."""
        channel = self._directory.channel(tenant_id=tenant_id, connection=SOURCE)
        assert isinstance(channel, Channel)
        now = self.process.clock.now() - self.process.skew
        inputs = [Input(body=body, content_type="application/json", received_at=now) for body in bodies]

        def take() -> None:
            self._intake.accept(
                channel=channel,
                inputs=inputs,
                actor="source:stripe",
                reason="webhook",
                form=form,
                when_unreadable=WhenUnreadable.KEEP,
            )

        try:
            await self.process.blocking(take)
        except Exception as failure:
            if is_transient(failure):
                return False
            raise
        return True


def intake_of(*, process: Process, database: WorldDatabase, seed: int) -> Intake:
    """Intake with ids of the seed's own."""
    return Intake(database=database, clock=process.clock, random_bytes=stream(seed, f"ids of {process.name}").randbytes)


def journals_by_id(connection: Connection, *, tenant_id: str, journal_ids: Sequence[str]) -> Mapping[str, JournalEntry]:
    """Delivery's port to posting: what the far side's own entries must equal."""
    found = posting.journals_by_id(connection, tenant_id=tenant_id, journal_ids=journal_ids)
    return {entry.journal_id: entry for entry in found}
