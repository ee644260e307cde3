"""Reads a tenant's source in a worker: its log of events again and again, and its lists when asked. Only the wiring is here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from revline.connectors.stripe.reader import StripeReader
from revline.core.problem import Problem
from revline.intake.following import BACKFILL, CHANGES, Cursor
from revline.intake.readings import Page, Readings
from revline.intake.values import Channel
from revline.platform.store.engine import Database
from revline.platform.work import queries as work_queries
from revline.platform.work import service as work
from revline.platform.work.lanes import ClaimedLane
from revline.sim.world.directory import SOURCE, WorldDirectory
from revline.sim.world.plan import TIMING
from revline.sim.world.process import Process

IDLE_SECONDS: Final = 0.7
AGAIN: Final = timedelta(seconds=2)
PAUSE: Final = timedelta(seconds=0.4)
PAGE_MAX: Final = 10


class SourceReading:
    """One worker's. readers: by tenant, of those whose source is read."""

    def __init__(
        self,
        *,
        process: Process,
        database: Database,
        directory: WorldDirectory,
        readings: Readings,
        readers: Mapping[str, StripeReader],
        owner: str,
    ) -> None:
        self._process, self._database, self._directory = process, database, directory
        self._readings, self._readers, self._owner = readings, readers, owner

    async def turn(self) -> None:
        """Read a page of each lane that is due; the first turn of a source has its log followed."""
        for lane in await self._process.blocking(self._claim):
            await self._page(lane)
        await asyncio.sleep(IDLE_SECONDS)

    def _claim(self) -> Sequence[ClaimedLane]:
        claimed: list[ClaimedLane] = []
        for kind in (CHANGES, BACKFILL):
            given = work.claim(
                self._database, kind=kind, owner=self._owner, limit=2, lanes_per_tenant=1, lease=2 * TIMING.lease
            )
            claimed += given.lanes
        return claimed

    async def _page(self, lane: ClaimedLane) -> None:
        process, readings = self._process, self._readings
        entry = await process.blocking(lambda: readings.entry_of(lane=lane))
        assert isinstance(entry, Cursor)
        reader = self._readers[lane.tenant_id]
        if entry.purpose == CHANGES:
            page = await reader.changes_page(cursor=entry.cursor, limit=PAGE_MAX)
        else:
            page = await reader.list_page(object_kind=entry.object_kind, cursor=entry.cursor, limit=PAGE_MAX)
        if isinstance(page, Problem):
            await process.blocking(lambda: readings.failed(lane=lane, entry=entry, why=page, pause=PAUSE))
            return
        channel = self._directory.channel(tenant_id=lane.tenant_id, connection=SOURCE)
        assert isinstance(channel, Channel)
        got = Page(bodies=page.bodies, next_cursor=page.next_cursor, more=page.more, total=page.total)
        await process.blocking(lambda: self._take(lane, entry, channel, got))

    def _take(self, lane: ClaimedLane, entry: Cursor, channel: Channel, page: Page) -> None:
        with self._database.control() as connection:
            now = work_queries.moment(connection)
        self._readings.take_page(channel=channel, lane=lane, entry=entry, page=page, again_after=AGAIN, now=now)
