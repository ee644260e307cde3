"""Reading sources: what was not pushed is asked for. Readers of configured connections, and the loop that runs the lanes of
re-reads, change streams and backfills.

A call is never made inside a unit of work: a lane is claimed, marked as calling (that is its slot of the capacity pool), the call
is made, then what it gave is taken in and the lane settled. A lane whose worker died is due again when its lease has run out.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache, partial
from typing import Final, Protocol, TypeVar

import msgspec

from revline.app.directory import Directory, entry_of, pool_id
from revline.connectors.sdk.source import SourceReader
from revline.core.clock import Clock
from revline.core.ids import derived_id
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.intake import following
from revline.intake.following import BACKFILL, CHANGES, Cursor
from revline.intake.readings import Page, Readings
from revline.intake.rereading import REREAD, Reread
from revline.intake.values import Channel
from revline.platform.config.documents import Configuration
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.tenancy.kinds import Connection
from revline.platform.tenancy.secrets import SecretResolver
from revline.platform.work import capacity
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.capacity import PoolLimits, Wanted
from revline.platform.work.lanes import ClaimedLane, PoolRoom, called, full_jitter, retried

T = TypeVar("T")
READERS: Final = "revline.readers"
KINDS: Final = (REREAD, CHANGES, BACKFILL)
LEASE: Final = timedelta(minutes=3)
"""Longer than any one reading may take, since nobody renews it."""
READING_LIMIT: Final = timedelta(minutes=2)
LANES_PER_TURN: Final = 8
LANES_PER_TENANT: Final = 2
IDLE_SECONDS: Final = 0.2
NO_CAPACITY_PAUSE: Final = timedelta(milliseconds=250)
BACK_OFF: Final = timedelta(seconds=1)
BACK_OFF_MAX: Final = timedelta(minutes=5)
CHANGES_EVERY: Final = "changesEverySeconds"
"""Setting of a source connection: how often its change stream is looked at; the stream is followed when it is set."""
CHANGES_EVERY_DEFAULT: Final = timedelta(seconds=60)
FOLLOW_SECONDS: Final = 5.0


@cache
def _factory(connector: str) -> Callable[..., SourceReader] | None:
    """The factory of a connector's reader, or None. Kept: looking through what is installed takes milliseconds."""
    return entry_of(READERS, connector)


class SourceSide(msgspec.Struct, frozen=True, kw_only=True):
    """A connection that can be read. changes_every: None when nobody configured its change stream to be followed."""

    reader: SourceReader
    pool_id: str
    changes_every: timedelta | None

    def limits(self) -> PoolLimits:
        """What the source allows, for its capacity pool."""
        manifest = self.reader.manifest
        per_second = Decimal(manifest.bucket_per_second)
        return PoolLimits(
            pool_id=self.pool_id,
            slots=manifest.slots,
            bucket_per_second=per_second,
            bucket_burst=max(1, int(per_second)),
        )


class Readers:
    """Readers by connection, made of the active configuration and kept while it stays the same. Safe for threads."""

    def __init__(self, *, directory: Directory, secrets: SecretResolver, clock: Clock, seed: int | None = None) -> None:
        self._directory, self._secrets, self._clock = directory, secrets, clock
        self._random = random.Random(seed)  # noqa: S311 - jitter only
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, str], SourceReader] = {}

    def side(self, *, tenant_id: str, connection: str) -> SourceSide | Problem:
        """The reader of a connection; `source.not_readable` when its connector has none."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if isinstance(configuration, Problem):
            return configuration
        document = configuration.get(Connection, connection)
        if document is None:
            detail = f"tenant {tenant_id} has no source connection {connection[:60]!r}"
            return problem("connection.unknown", detail, field=connection)
        reader = self._reader(tenant_id, connection, document.digest, document.spec)
        if isinstance(reader, Problem):
            return reader
        every = document.spec.settings.get(CHANGES_EVERY, "")
        return SourceSide(
            reader=reader,
            pool_id=pool_id(tenant_id=tenant_id, name=connection, pool=document.spec.pool),
            changes_every=timedelta(seconds=int(every)) if every.isdecimal() and len(every) < 7 else None,
        )

    def names(self, *, tenant_id: str) -> tuple[str, ...]:
        """The tenant's connections that can be read, sorted."""
        configuration = self._directory.configuration(tenant_id=tenant_id)
        if not isinstance(configuration, Configuration):
            return ()
        found = configuration.all(Connection).items()
        return tuple(sorted(name for name, document in found if _factory(document.spec.connector)))

    async def close(self) -> None:
        """Let go of every reader."""
        for reader in self._made.values():
            await reader.close()
        self._made.clear()

    def _reader(self, tenant_id: str, name: str, digest: str, spec: Connection) -> SourceReader | Problem:
        key = (tenant_id, name, digest)
        with self._lock:
            if key not in self._made:
                factory = _factory(spec.connector)
                if factory is None:
                    detail = f"connection {name} has connector {spec.connector}, which reads nothing"
                    return problem("source.not_readable", detail, field=name)
                secrets = self._secrets.resolve_all(spec.secrets)
                if isinstance(secrets, Problem):
                    return secrets
                revealed = {secret: value.reveal() for secret, value in secrets.items()}
                try:
                    self._made[key] = factory(
                        connection=spec, secrets=revealed, transport=None, clock=self._clock, random=self._random
                    )
                except (KeyError, ValueError) as error:
                    detail = f"connection {name}: {type(error).__name__}: {error}"
                    return problem("connection.unusable", detail, field=name)
            return self._made[key]


class Blocking(Protocol):
    """Runs database code in a bounded pool of threads."""

    async def __call__(self, call: Callable[[], T], /) -> T: ...


class ReadingLoop:
    """Runs reading lanes. owner: this worker's id; every write is fenced by it."""

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
    ) -> None:
        self._database, self._directory, self._readers, self._readings = database, directory, readers, readings
        self._owner, self._blocking, self._uniform = owner, blocking, uniform
        self._calls = 0

    async def run(self, *, stopping: asyncio.Event) -> None:
        """Read until told to stop; what is under way then is finished."""
        try:
            while not stopping.is_set():
                try:
                    done = await self.turn()
                except Exception:  # noqa: BLE001 - a worker goes on; what failed is logged and tried again
                    log().exception("reading.turn_failed")
                    done = 0
                if not done:
                    await _pause(stopping, IDLE_SECONDS)
        finally:
            await self._readers.close()

    async def turn(self) -> int:
        """Claim due lanes, fairly over tenants, and read what they ask for; gives how many lanes were claimed."""
        claimed, now = await self._blocking(self._claim)
        await asyncio.gather(*(self._one(lane, now) for lane in claimed))
        return len(claimed)

    def follow(self, *, tenant_id: str) -> int:
        """Timer: change streams that the configuration wants followed and that nobody follows yet are begun; gives how many."""
        begun = 0
        for name in self._readers.names(tenant_id=tenant_id):
            side = self._readers.side(tenant_id=tenant_id, connection=name)
            if isinstance(side, Problem) or side.changes_every is None or not side.reader.manifest.changes:
                continue
            with self._database.read(tenants=[tenant_id]) as connection:
                identity = following.cursor_id(tenant_id=tenant_id, source_connection=name, purpose=CHANGES)
                there = following.cursors_by_id(connection, tenant_id=tenant_id, cursor_ids=[identity])
            if not there:
                self._readings.begin_changes(tenant_id=tenant_id, source_connection=name, pool_id=side.pool_id)
                begun += 1
        return begun

    def _claim(self) -> tuple[tuple[ClaimedLane, ...], datetime]:
        """Lanes that may call now. One without a slot or a token is given back for a moment."""
        found: list[ClaimedLane] = []
        with self._database.control() as connection:
            now = work_queries.moment(connection)
            pools = {kind: work_queries.pools_of(connection, kind=kind) for kind in KINDS}
            known = sorted({pool for of in pools.values() for pool in of})
            states = capacity.states(connection, pools=known, now=now)
        free = {pool: states[pool].free if pool in states else LANES_PER_TURN for pool in known}
        for kind in KINDS:
            rooms = [PoolRoom(pool_id=pool, lanes=min(free[pool], LANES_PER_TURN)) for pool in pools[kind]]
            if not any(room.lanes > 0 for room in rooms):
                continue
            claim = work.claim(
                self._database,
                kind=kind,
                owner=self._owner,
                limit=LANES_PER_TURN,
                lanes_per_tenant=LANES_PER_TENANT,
                lease=LEASE,
                pools=rooms,
            )
            now = claim.now
            for lane in claim.lanes:
                free[lane.pool_id] -= 1
            found += claim.lanes
        return tuple(found), now

    async def _one(self, lane: ClaimedLane, now: datetime) -> None:
        """One lane, from its claim to its settling."""
        load = self._readings.reread_of if lane.kind == REREAD else self._readings.cursor_of
        entry: Reread | Cursor | None = await self._blocking(partial(load, lane=lane))
        if entry is None:
            await self._blocking(partial(self._readings.drop, lane=lane))
            return
        name = entry.source.connection if isinstance(entry, Reread) else entry.connection
        side = await self._blocking(partial(self._readers.side, tenant_id=lane.tenant_id, connection=name))
        channel = await self._blocking(partial(self._directory.channel, tenant_id=lane.tenant_id, connection=name))
        if isinstance(side, Problem) or isinstance(channel, Problem):
            why = side if isinstance(side, Problem) else channel
            assert isinstance(why, Problem)
            await self._failed(lane, entry, why, now)
            return
        if not await self._blocking(partial(self._start, lane, side)):
            return
        if isinstance(entry, Reread):
            await self._reread(lane, entry, side, channel, now)
        else:
            await self._page(lane, entry, side, channel, now)

    def _start(self, lane: ClaimedLane, side: SourceSide) -> bool:
        """Take a slot and a token of the pool and mark the lane with its call, in one transaction."""
        self._calls += 1
        call_id = derived_id("reading", self._owner, self._calls)
        with self._database.control() as connection:
            now = work_queries.moment(connection)
            work_record.hold(connection, owner=self._owner, lanes=[lane])
            capacity.ensure_pools(connection, limits=[side.limits()], now=now)
            granted = capacity.take(connection, wanted={side.pool_id: Wanted(slots=1, calls=1)}, now=now)[side.pool_id]
            may = granted.slots > 0 and granted.calls > 0
            later = retried(lane=lane, due_at=now + NO_CAPACITY_PAUSE, failed=False)
            change = called(lane=lane, call_id=call_id) if may else later
            held = work_record.change(connection, owner=self._owner, changes=[change], now=now)
        return may and bool(held)

    async def _reread(
        self, lane: ClaimedLane, entry: Reread, side: SourceSide, channel: Channel, now: datetime
    ) -> None:
        reading = side.reader.read(object_kind=entry.object_kind, outside_id=entry.source.outside_id)
        answer = await _within(reading)
        await self._tell(side, answer)
        if isinstance(answer, Problem):
            await self._failed(lane, entry, answer, now)
            return
        take = partial(self._readings.take_object, channel=channel, lane=lane, entry=entry, body=answer)
        await self._blocking(take)

    async def _page(self, lane: ClaimedLane, entry: Cursor, side: SourceSide, channel: Channel, now: datetime) -> None:
        reader = side.reader
        limit = reader.manifest.page_max
        if entry.purpose == CHANGES:
            page = await _within(reader.changes_page(cursor=entry.cursor, limit=limit))
        else:
            page = await _within(reader.list_page(object_kind=entry.object_kind, cursor=entry.cursor, limit=limit))
        await self._tell(side, page)
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
                await self._blocking(over)
            else:
                await self._failed(lane, entry, page, now)
            return
        got = Page(bodies=page.bodies, next_cursor=page.next_cursor, more=page.more, total=page.total)
        await self._blocking(
            partial(
                self._readings.take_page,
                channel=channel,
                lane=lane,
                entry=entry,
                page=got,
                again_after=side.changes_every or CHANGES_EVERY_DEFAULT,
                claimed_at=now,
            )
        )

    async def _failed(self, lane: ClaimedLane, entry: Reread | Cursor, why: Problem, now: datetime) -> None:
        pause = full_jitter(attempts=lane.attempts, base=BACK_OFF, cap=BACK_OFF_MAX, uniform=self._uniform)
        log().warning("reading.failed", tenant_id=lane.tenant_id, code=why.code, kind=lane.kind)
        await self._blocking(partial(self._readings.failed, lane=lane, entry=entry, why=why, due_at=now + pause))

    async def _tell(self, side: SourceSide, answer: object) -> None:
        """Tell the pool's breaker whether the source answered."""
        lost = isinstance(answer, Problem) and answer.code == "source.unreachable"
        await self._blocking(partial(self._report, side.pool_id, lost))

    def _report(self, pool: str, lost: bool) -> None:  # noqa: FBT001 - called through a partial
        with self._database.control() as connection:
            now = work_queries.moment(connection)
            answered: Sequence[str] = () if lost else (pool,)
            capacity.report(connection, answered=answered, failed=(pool,) if lost else (), now=now)


async def _within(reading: Awaitable[T]) -> T | Problem:
    """The answer, or that it did not come within the bound."""
    try:
        async with asyncio.timeout(READING_LIMIT.total_seconds()):
            return await reading
    except TimeoutError:
        return problem("source.unreachable", f"no answer within {READING_LIMIT.total_seconds():.0f} seconds")


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), timeout=seconds)
    except TimeoutError:
        return


define(
    code="source.not_readable",
    title="This connection can't be read",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Name a connection whose connector reads its source (`revline sources list`); others take pushes and imports only.",
)
