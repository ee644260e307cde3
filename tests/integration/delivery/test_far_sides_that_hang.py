"""What hangs at one far side stops no delivery, and no worker from ending."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from revline.core.documents import DocumentState
from revline.core.farside import ErpPeriod
from revline.core.problem import Problem
from revline.delivery.values import Timing
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, journal


class NeverTellsPeriods(FakeConnector):
    """Takes documents; whoever asks for its periods waits for ever."""

    async def periods(self, *, company: str) -> Sequence[ErpPeriod] | Problem:
        self.asked = True
        await asyncio.Event().wait()
        return ()


def test_periods_that_are_never_told_stop_neither_deliveries_nor_the_end(database: Database) -> None:
    connector = NeverTellsPeriods(FarSystem())
    world = World(database, connector, timing=Timing(periods=timedelta(0)))
    worker = world.worker()

    async def posted(name: str) -> None:
        world.write(journal(name))
        while world.state(name) is not DocumentState.POSTED:
            await asyncio.sleep(0.02)

    async def run() -> None:
        running = asyncio.create_task(worker.run())
        try:
            async with asyncio.timeout(20):
                await posted("first")
                while not getattr(connector, "asked", False):
                    await asyncio.sleep(0.02)
                await posted("second")
        finally:
            worker.stop()
            async with asyncio.timeout(10):
                await running

    asyncio.run(run())
