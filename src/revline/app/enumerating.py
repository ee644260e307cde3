"""Listing far systems: the loop that runs the lanes of enumeration, a page a call, on the pools' capacity and in nobody's way.

A call is never made inside a unit of work: a lane is claimed, marked as calling, the page asked for, then kept. A lane whose
worker died is due again when its lease has run out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from revline.app.directory import Directory
from revline.core.clock import Clock
from revline.core.farside import ChangedPage
from revline.core.ids import derived_id
from revline.core.problem import Problem, problem
from revline.delivery.enumerating import LANE_KIND, PAGE_RECORDS, Enumeration, ErpListing, cursor_of, places_of
from revline.delivery.plan import limits_of
from revline.delivery.ports import Blocking
from revline.delivery.values import FarSide
from revline.platform.cases.service import RetryHandler
from revline.platform.logs import log
from revline.platform.store.engine import Database, is_transient
from revline.platform.work import capacity
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.budgets import Asked
from revline.platform.work.lanes import ClaimedLane, PoolRoom, called, full_jitter, retried
from revline.platform.work.pool_state import CameBack

LEASE: Final = timedelta(minutes=3)
LANES_PER_TURN: Final = 4
CALL_LIMIT: Final = timedelta(minutes=2)
"""Shorter than a lease, so that none needs renewing."""
IDLE_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 20.0
"""Between two looks at what of a tenant is due to be listed again."""
NO_CAPACITY_PAUSE: Final = timedelta(seconds=1)
BACK_OFF: Final = timedelta(seconds=5)
BACK_OFF_MAX: Final = timedelta(minutes=10)


class Asking:
    """What doors ask for: listings of one connection."""

    def __init__(self, *, database: Database, directory: Directory, clock: Clock) -> None:
        self._directory = directory
        self._enumeration = Enumeration(database=database, clock=clock)

    def __call__(
        self, *, tenant_id: str, connection: str, since: datetime | None, actor: str, reason: str
    ) -> int | Problem:
        """How many kinds of records will be listed. Problem `connection.unknown`, or that the far side can't be listed."""
        sides = self._directory.far_sides_of(tenant_id=tenant_id, connection=connection)
        if not sides:
            return problem("connection.unknown", f"no Mapping leads to a far side called {connection[:60]!r}")
        asked = self._enumeration.ask(
            tenant_id=tenant_id,
            places=places_of(connection=connection, far_sides=sides),
            far_sides=sides,
            since=since,
            actor=actor,
            reason=reason,
        )
        return asked if isinstance(asked, Problem) else len(asked)


def retry_handler(asking: Asking) -> RetryHandler:
    """How a case of a record is tried again that belongs to no document: its connection is listed anew."""

    def retry(*, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str) -> int:
        started = 0
        for connection in sorted({subject.partition("/")[0] for subject in subject_ids}):
            asked = asking(tenant_id=tenant_id, connection=connection, since=None, actor=actor, reason=reason)
            started += 0 if isinstance(asked, Problem) else 1
        return started

    return retry


class ListingLoop:
    """Runs enumeration lanes. owner: this worker's id; every write is fenced by it."""

    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        enumeration: Enumeration,
        owner: str,
        blocking: Blocking,
        uniform: Callable[[float, float], float],
    ) -> None:
        self._database, self._directory, self._enumeration = database, directory, enumeration
        self._owner, self._blocking, self._uniform = owner, blocking, uniform
        self._calls = 0
        self._followed: set[tuple[str, int]] = set()
        self._look_at: dict[str, float] = {}

    async def run(self, *, stopping: asyncio.Event) -> None:
        """List until told to stop; a page under way then is not waited for longer than its call."""
        while not stopping.is_set():
            try:
                listed = await self.turn()
            except Exception:  # noqa: BLE001 - a worker goes on; what failed is logged and tried again
                log().exception("listing.turn_failed")
                listed = 0
            if not listed:
                try:
                    await asyncio.wait_for(stopping.wait(), timeout=IDLE_SECONDS)
                except TimeoutError:
                    continue

    async def turn(self) -> int:
        """Claim due lanes, fairly over tenants, and list a page of each; gives how many."""
        claimed = await self._blocking(self._claim)
        for lane in claimed:
            try:
                await self._one(lane)
            except Exception as failure:
                log().exception("listing.failed_here", tenant_id=lane.tenant_id)
                if is_transient(failure):
                    raise
        return len(claimed)

    def follow(self, *, tenant_id: str) -> int:
        """Timer: what the configuration lets list and nobody lists yet is begun, and what is due again is asked for; how many."""
        now = time.monotonic()
        if now < self._look_at.get(tenant_id, 0.0):
            return 0
        self._look_at[tenant_id] = now + LOOK_SECONDS
        return self._begin(tenant_id) + self._enumeration.wake_due(tenant_id=tenant_id)

    def _begin(self, tenant_id: str) -> int:
        version, entities = self._directory.erp_entities(tenant_id=tenant_id)
        if (tenant_id, version) in self._followed:
            return 0
        begun = 0
        for connection in sorted({name for name, _ in entities}):
            sides = self._directory.far_sides_of(tenant_id=tenant_id, connection=connection)
            places = places_of(connection=connection, far_sides=sides)
            begun += self._enumeration.begin(tenant_id=tenant_id, places=places) if places else 0
        self._followed.add((tenant_id, version))
        return begun

    def _claim(self) -> tuple[ClaimedLane, ...]:
        with self._database.control() as connection:
            pools = work_queries.pools_of(connection, kind=LANE_KIND)
        rooms = [PoolRoom(pool_id=pool, lanes=1) for pool in pools]
        if not rooms:
            return ()
        claim = work.claim(
            self._database,
            kind=LANE_KIND,
            owner=self._owner,
            limit=LANES_PER_TURN,
            lanes_per_tenant=1,
            lease=LEASE,
            pools=rooms,
        )
        return claim.lanes

    async def _one(self, lane: ClaimedLane) -> None:
        entry = await self._blocking(partial(self._enumeration.entry_of, lane))
        if entry is None:
            await self._blocking(partial(self._enumeration.drop, lane=lane))
            return
        far = await self._blocking(
            partial(
                self._directory.far_side, tenant_id=lane.tenant_id, connection=entry.connection, entity=entry.entity
            )
        )
        if isinstance(far, Problem):
            await self._failed(lane, entry, far)
            return
        if not await self._blocking(partial(self._start, lane, far)):
            return
        page = await self._page(entry, far)
        lost = isinstance(page, Problem) and page.code == "erp.unreachable"
        await self._blocking(partial(self._report, far.pool_id, lost))
        if isinstance(page, Problem):
            await self._failed(lane, entry, page)
        else:
            await self._blocking(partial(self._enumeration.take_page, lane=lane, entry=entry, page=page, far=far))

    async def _page(self, entry: ErpListing, far: FarSide) -> ChangedPage | Problem:
        asking = far.connector.list_changed(
            record_kind=entry.record_kind, company=entry.company, cursor=cursor_of(entry), limit=PAGE_RECORDS
        )
        try:
            return await asyncio.wait_for(asking, timeout=CALL_LIMIT.total_seconds())
        except TimeoutError:
            return problem("erp.unreachable", f"no page within {CALL_LIMIT.total_seconds():.0f} seconds")
        except Exception as error:  # noqa: BLE001 - see the log; the page is asked for again
            log().error("listing.connector_failed", connector=far.connector.manifest.connector, exc_info=error)
            return problem("erp.unreachable", f"the connector failed: {type(error).__name__}")

    def _start(self, lane: ClaimedLane, far: FarSide) -> bool:
        """Take a slot and a token of the pool and mark the lane with its call, in one transaction."""
        self._calls += 1
        call_id = derived_id("listing", self._owner, self._calls)
        pool = far.pool_id
        with self._database.control() as connection:
            now = work_queries.moment(connection)
            work_record.hold(connection, owner=self._owner, lanes=[lane])
            if pool not in capacity.states(connection, pools=[pool], now=now):
                capacity.ensure_pools(connection, limits=[limits_of(far)], now=now)
            ledgers = capacity.lock(connection, pools=[pool], owner=self._owner, now=now, fresh=LEASE / 2)
            ledger, asked = ledgers[pool], Asked(tenant_id=lane.tenant_id, kind_group=lane.kind_group)
            may = ledger.may(asked, slot=call_id)
            if may:
                ledger.take(asked, slot=call_id)
                capacity.spend(connection, ledgers=ledgers, now=now)
            later = retried(lane=lane, due_at=now + NO_CAPACITY_PAUSE, failed=False)
            change = called(lane=lane, call_id=call_id) if may else later
            held = work_record.change(connection, owner=self._owner, changes=[change], now=now)
        return may and bool(held)

    def _report(self, pool: str, lost: bool) -> None:  # noqa: FBT001 - called through a partial
        with self._database.control() as connection:
            now = work_queries.moment(connection)
            capacity.report(connection, came_back={pool: CameBack(answered=not lost)}, now=now)

    async def _failed(self, lane: ClaimedLane, entry: ErpListing, why: Problem) -> None:
        pause = full_jitter(attempts=lane.attempts, base=BACK_OFF, cap=BACK_OFF_MAX, uniform=self._uniform)
        log().warning("listing.failed", tenant_id=lane.tenant_id, code=why.code)
        await self._blocking(partial(self._enumeration.failed, lane=lane, entry=entry, why=why, pause=pause))
