"""Reading sources: the loop that runs the lanes of re-reads, change streams and backfills.

A call is never made inside a unit of work: a lane is claimed, marked as calling (that is its slot of the capacity pool), the call
is made, then what it gave is taken in and the lane settled. Readings run beside each other, so that a source that hangs holds up
nobody else; their leases are renewed while they last. A lane whose worker died is due again when its lease has run out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar

from revline.app.directory import Directory
from revline.app.readers import Readers, SourceSide
from revline.connectors.sdk.source import SourceBusy
from revline.core.ids import derived_id
from revline.core.problem import Problem, problem
from revline.intake import following
from revline.intake.following import BACKFILL, CHANGES, Cursor
from revline.intake.readings import Page, Readings
from revline.intake.rereading import REREAD, Reread
from revline.intake.values import Channel
from revline.platform.logs import log
from revline.platform.store.engine import Database, is_transient
from revline.platform.work import capacity
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.budgets import Asked
from revline.platform.work.lanes import ClaimedLane, LaneKey, PoolRoom, called, full_jitter, retried
from revline.platform.work.pool_state import CameBack, PoolState

T = TypeVar("T")
KINDS: Final = (REREAD, CHANGES, BACKFILL)
LEASE: Final = timedelta(seconds=60)
RENEW_SECONDS: Final = 15.0
READING_LIMIT: Final = timedelta(minutes=2)
DRAIN_LIMIT: Final = timedelta(seconds=30)
UNDER_WAY_MAX: Final = 64
"""Readings at once; a source takes no more of them than its pool has slots."""
DATABASE_TURNS: Final = 2
"""Of the worker's database threads that readings may have at once, so that pages never keep delivery or derive waiting."""
LANES_PER_TURN: Final = 8
LANES_PER_TENANT: Final = 2
IDLE_SECONDS: Final = 0.2
NO_CAPACITY_PAUSE: Final = timedelta(milliseconds=250)
HELD_PAUSE: Final = timedelta(seconds=30)
"""Between looks at a listing or stream while too much of its tenant waits to be worked through."""
BACK_OFF: Final = timedelta(seconds=1)
BACK_OFF_MAX: Final = timedelta(minutes=5)
CHANGES_EVERY_DEFAULT: Final = timedelta(seconds=60)
HALVINGS_MAX: Final = 6


class EndingError(Exception):
    """The worker ends while a source is asked; nothing was taken in."""


class Blocking(Protocol):
    """Runs database code in a bounded pool of threads."""

    async def __call__(self, call: Callable[[], T], /) -> T: ...


class ReadingLoop:
    """Runs reading lanes. owner: this worker's id; every write is fenced by it. held: why a tenant's intake is held back, ""
    when it isn't."""

    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        readers: Readers,
        readings: Readings,
        owner: str,
        blocking: Blocking,
        uniform: Callable[[float, float], float],
        held: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._database, self._directory, self._readers, self._readings = database, directory, readers, readings
        self._owner, self._blocking, self._uniform, self._held_back = owner, blocking, uniform, held
        self._calls = 0
        self._database_turns = asyncio.Semaphore(DATABASE_TURNS)
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[LaneKey, ClaimedLane] = {}
        self._renew_at = 0.0
        self._followed: set[tuple[str, str]] = set()

    async def run(self, *, stopping: asyncio.Event) -> None:
        """Read until told to stop. A source that is asked then is waited for no longer: its lane is given back."""
        self._stopping = stopping
        try:
            while not stopping.is_set():
                try:
                    begun = await self._begin()
                    await self._renew_due()
                except Exception:  # noqa: BLE001 - a worker goes on; what failed is logged and tried again
                    log().exception("reading.turn_failed")
                    begun = 0
                if not begun:
                    await self._rest()
            if self._tasks:
                await asyncio.wait(set(self._tasks), timeout=DRAIN_LIMIT.total_seconds())
        finally:
            for task in set(self._tasks):
                task.cancel()
            await self._readers.close()

    async def turn(self) -> int:
        """Claim due lanes, fairly over tenants, and read what they ask for; gives how many lanes were claimed. For tests."""
        begun = await self._begin()
        while self._tasks:
            await asyncio.wait(set(self._tasks), timeout=RENEW_SECONDS)
            await self._renew_due()
        return begun

    async def _begin(self) -> int:
        """Claim what there is room for and begin its readings."""
        room = UNDER_WAY_MAX - len(self._tasks)
        claimed = await self._database_turn(partial(self._claim, room)) if room > 0 else ()
        for lane in claimed:
            self._held[lane.key] = lane
            task = asyncio.create_task(self._one(lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(claimed)

    async def _rest(self) -> None:
        """Until a reading ends, the worker does, or a moment has passed."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({stopping, *self._tasks}, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    async def _renew_due(self) -> None:
        """Keep the leases of what is under way. One that was taken over settles nothing, since its writes are fenced."""
        now = asyncio.get_running_loop().time()
        if not self._held or now < self._renew_at:
            return
        self._renew_at = now + RENEW_SECONDS
        held = tuple(self._held.values())
        await self._blocking(partial(work.renew, self._database, owner=self._owner, lanes=held, lease=LEASE))

    async def _database_turn(self, call: Callable[[], T], /) -> T:
        async with self._database_turns:
            return await self._blocking(call)

    def follow(self, *, tenant_id: str) -> int:
        """Timer: change streams that the configuration wants followed and that nobody follows yet are begun; gives how many."""
        begun = 0
        for name in self._readers.names(tenant_id=tenant_id):
            if (tenant_id, name) in self._followed:
                continue
            side = self._readers.side(tenant_id=tenant_id, connection=name)
            if isinstance(side, Problem) or side.changes_every is None or not side.reader.manifest.changes:
                continue
            with self._database.read(tenants=[tenant_id]) as connection:
                identity = following.cursor_id(tenant_id=tenant_id, source_connection=name, purpose=CHANGES)
                there = following.cursors_by_id(connection, tenant_id=tenant_id, cursor_ids=[identity])
            if not there:
                self._readings.begin_changes(tenant_id=tenant_id, source_connection=name, pool_id=side.pool_id)
                begun += 1
            self._followed.add((tenant_id, name))
        return begun

    def _claim(self, room: int) -> tuple[ClaimedLane, ...]:
        """Lanes that may call now, at most `room`. One without a slot or a token is given back for a moment."""
        found: list[ClaimedLane] = []
        with self._database.control() as connection:
            now = work_queries.moment(connection)
            pools = {kind: work_queries.pools_of(connection, kind=kind) for kind in KINDS}
            known = sorted({pool for of in pools.values() for pool in of})
            states = capacity.states(connection, pools=known, now=now)
        free = {pool: _calls_left(states[pool]) if pool in states else LANES_PER_TURN for pool in known}
        for kind in KINDS:
            rooms = [PoolRoom(pool_id=pool, lanes=min(free[pool], LANES_PER_TURN)) for pool in pools[kind]]
            limit = min(LANES_PER_TURN, room - len(found))
            if limit <= 0 or not any(one.lanes > 0 for one in rooms):
                continue
            claim = work.claim(
                self._database,
                kind=kind,
                owner=self._owner,
                limit=limit,
                lanes_per_tenant=LANES_PER_TENANT,
                lease=LEASE,
                pools=rooms,
            )
            for lane in claim.lanes:
                free[lane.pool_id] -= 1
            found += claim.lanes
        return tuple(found)

    async def _one(self, lane: ClaimedLane) -> None:
        """One lane, from its claim to its settling; nothing that fails here is silent."""
        try:
            await self._read(lane)
        except EndingError:
            await self._leave(partial(self._readings.give_back, lane=lane))
        except Exception as failure:  # noqa: BLE001 - it becomes a case, or is tried again when the lease has run out
            log().exception("reading.failed_here", tenant_id=lane.tenant_id, kind=lane.kind)
            if not is_transient(failure):
                await self._leave(partial(self._readings.give_up, lane=lane))
        finally:
            if self._held.get(lane.key) is lane:
                del self._held[lane.key]

    async def _leave(self, call: Callable[[], None]) -> None:
        try:
            await self._database_turn(call)
        except Exception:  # noqa: BLE001 - the lane is due again when its lease has run out
            log().exception("reading.not_given_back")

    async def _read(self, lane: ClaimedLane) -> None:
        entry: Reread | Cursor | None = await self._database_turn(partial(self._readings.entry_of, lane=lane))
        if entry is None:
            await self._database_turn(partial(self._readings.drop, lane=lane))
            return
        name = entry.source.connection if isinstance(entry, Reread) else entry.connection
        side = await self._database_turn(partial(self._readers.side, tenant_id=lane.tenant_id, connection=name))
        channel = await self._database_turn(partial(self._directory.channel, tenant_id=lane.tenant_id, connection=name))
        if isinstance(side, Problem) or isinstance(channel, Problem):
            why = side if isinstance(side, Problem) else channel
            assert isinstance(why, Problem)
            await self._failed(lane, entry, why)
            return
        if not await self._database_turn(partial(self._start, lane, side, patient=not isinstance(entry, Reread))):
            return
        if isinstance(entry, Reread):
            await self._reread(lane, entry, side, channel)
        else:
            await self._page(lane, entry, side, channel)

    def _start(self, lane: ClaimedLane, side: SourceSide, *, patient: bool) -> bool:
        """Take a slot and a token of the pool and mark the lane with its call, in one transaction. patient: a listing or stream,
        which comes again later while the tenant's intake is held back."""
        waits = patient and self._held_back(lane.tenant_id) != ""
        self._calls += 1
        call_id = derived_id("reading", self._owner, self._calls)
        with self._database.control() as connection:
            now = work_queries.moment(connection)
            work_record.hold(connection, owner=self._owner, lanes=[lane])
            capacity.ensure_pools(connection, limits=[side.limits()], now=now)
            ledgers = capacity.lock(connection, pools=[side.pool_id], owner=self._owner, now=now, fresh=LEASE / 2)
            ledger, asked = ledgers[side.pool_id], Asked(tenant_id=lane.tenant_id, kind_group=lane.kind_group)
            may = not waits and ledger.may(asked, slot=call_id)
            if may:
                ledger.take(asked, slot=call_id)
                capacity.spend(connection, ledgers=ledgers, now=now)
            later = retried(lane=lane, due_at=now + (HELD_PAUSE if waits else NO_CAPACITY_PAUSE), failed=False)
            change = called(lane=lane, call_id=call_id) if may else later
            held = work_record.change(connection, owner=self._owner, changes=[change], now=now)
        return may and bool(held)

    async def _reread(self, lane: ClaimedLane, entry: Reread, side: SourceSide, channel: Channel) -> None:
        reading = side.reader.read(object_kind=entry.object_kind, outside_id=entry.source.outside_id)
        answer = await self._within(reading)
        await self._tell(side, answer)
        if isinstance(answer, Problem):
            await self._failed(lane, entry, answer)
            return
        take = partial(self._readings.take_object, channel=channel, lane=lane, entry=entry, body=answer)
        await self._database_turn(take)

    async def _page(self, lane: ClaimedLane, entry: Cursor, side: SourceSide, channel: Channel) -> None:
        reader = side.reader
        # A page that took too long is asked for again with fewer objects, so that no listing stands still for its size.
        limit = max(1, reader.manifest.page_max >> min(lane.attempts, HALVINGS_MAX))
        if entry.purpose == CHANGES:
            page = await self._within(reader.changes_page(cursor=entry.cursor, limit=limit))
        else:
            page = await self._within(reader.list_page(object_kind=entry.object_kind, cursor=entry.cursor, limit=limit))
        now = await self._tell(side, page)
        if isinstance(page, Problem):
            if page.code == "source.cursor_expired" and entry.purpose == CHANGES and entry.cursor:
                over = partial(
                    self._readings.start_over,
                    lane=lane,
                    entry=entry,
                    object_kinds=reader.manifest.listed,
                    pool_id=side.pool_id,
                    now=now,
                )
                await self._database_turn(over)
            else:
                await self._failed(lane, entry, page)
            return
        got = Page(bodies=page.bodies, next_cursor=page.next_cursor, more=page.more, total=page.total)
        await self._database_turn(
            partial(
                self._readings.take_page,
                channel=channel,
                lane=lane,
                entry=entry,
                page=got,
                again_after=side.changes_every or CHANGES_EVERY_DEFAULT,
                now=now,
            )
        )

    async def _failed(self, lane: ClaimedLane, entry: Reread | Cursor, why: Problem) -> None:
        pause = full_jitter(attempts=lane.attempts, base=BACK_OFF, cap=BACK_OFF_MAX, uniform=self._uniform)
        log().warning("reading.failed", tenant_id=lane.tenant_id, code=why.code, kind=lane.kind)
        await self._database_turn(partial(self._readings.failed, lane=lane, entry=entry, why=why, pause=pause))

    async def _tell(self, side: SourceSide, answer: object) -> datetime:
        """Tell the pool whether the source answered, and whether it wants fewer calls of its account; gives database time."""
        lost = isinstance(answer, Problem) and answer.code == "source.unreachable"
        wait = answer.retry_after if isinstance(answer, SourceBusy) else None
        told = CameBack(answered=not lost, throttled_for=wait)
        return await self._database_turn(partial(self._report, side.pool_id, told))

    def _report(self, pool: str, told: CameBack) -> datetime:
        with self._database.control() as connection:
            now = work_queries.moment(connection)
            capacity.report(connection, came_back={pool: told}, now=now)
        return now

    async def _within(self, reading: Awaitable[T]) -> T | Problem:
        """The answer, or that it did not come within the bound. Raises EndingError when the worker ends first."""
        asked = asyncio.ensure_future(reading)
        stopping = asyncio.create_task(self._stopping.wait())
        limit = READING_LIMIT.total_seconds()
        try:
            await asyncio.wait({asked, stopping}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if not asked.done():
                asked.cancel()
        if asked.done():
            return asked.result()
        if self._stopping.is_set():
            raise EndingError
        return problem("source.unreachable", f"no answer within {limit:.0f} seconds")


def _calls_left(state: PoolState) -> int:
    """Calls a pool may begin now, by its slots and its tokens."""
    return min(state.free, int(state.tokens))
