"""The delivery worker: an asyncio loop that makes the calls its desk marked and brings back what came of them.

Database turns run through a port (a bounded thread pool, or inline in a simulation) and never while a call of the same slot is
being started. It knows neither SQL nor any wire.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from revline.core.farside import NotSent
from revline.core.sending import MAY_SEND
from revline.delivery.calling import look_up, results_of, submit
from revline.delivery.deciding import DATABASE_AWAY
from revline.delivery.housekeeping import archive_finished, refresh_periods
from revline.delivery.marking import Call
from revline.delivery.plan import SlotLoad
from revline.delivery.ports import Blocking
from revline.delivery.service import Desk, Turn, lease_ended
from revline.delivery.sweeping import Sweeper
from revline.delivery.telling import Teller
from revline.delivery.values import FarSide, Result
from revline.platform.logs import log

DRAIN_LIMIT: Final = timedelta(seconds=30)
DATABASE_PAUSE_SECONDS: Final = 1.0
PERIODS_AT_ONCE: Final = 8


class DeliveryLoop:
    """One worker's loop over one desk. Run `run()` until `stop()`; `turn()` is one round, for tests and simulation."""

    def __init__(self, *, desk: Desk, blocking: Blocking) -> None:
        self.desk = desk
        self.posted = 0
        self._blocking = blocking
        self._channels: dict[str, dict[str, deque[Call]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._results: list[Result] = []
        self._came_back = asyncio.Event()
        self._stopping = False
        self._broken: BaseException | None = None
        self._far_sides: dict[tuple[str, str, str], FarSide] = {}
        self._timers: dict[str, datetime] = {}
        self._turned_at: datetime | None = None
        self._periods: asyncio.Task[None] | None = None
        self._sweeper = Sweeper(database=desk.database, actor=desk.owner)
        self._teller = Teller(database=desk.database, actor=desk.owner, timing=desk.timing)

    def stop(self) -> None:
        """End after the calls under way: nothing more is claimed, calls that wait on a slot aren't made."""
        self._stopping = True
        self._came_back.set()

    async def run(self) -> None:
        """Deliver until `stop()`; then drain, in bounded time, and give back what is left."""
        while not self._stopping:
            try:
                done = await self.turn()
                await self._timers_due()
            except DATABASE_AWAY as error:
                log().warning("delivery.database_away", exc_info=error)
                await asyncio.sleep(DATABASE_PAUSE_SECONDS)
                continue
            if done.busy:
                await asyncio.sleep(self._pause_seconds())
            else:
                await self._until_something_comes_back()
        await self.drain()

    async def turn(self) -> Turn:
        """One database turn with what came back so far; starts the calls it marked.

        A slot that failed in our own code ends the worker: what it had marked is then found out by the next owner.
        """
        if self._broken is not None:
            raise self._broken
        began = self.desk.steady.now()
        results, self._results = self._results, []
        self._came_back.clear()
        load = {
            pool: [SlotLoad(slot=slot, waiting=len(calls)) for slot, calls in slots.items()]
            for pool, slots in self._channels.items()
        }
        work = partial(self.desk.turn, results=results, load=load, claim=not self._stopping)
        try:
            done = await self._blocking(work)
        except BaseException:
            self._results = [*results, *self._results]
            raise
        if self._turned_at is not None:
            self.desk.pace.turned(turn=self.desk.steady.now() - began, round_took=began - self._turned_at)
        self._turned_at = began if done.busy else None
        self.posted += done.posted
        for call in done.calls:
            self._start(call)
        return done

    async def settled(self) -> None:
        """Until every call under way has come back (its result is written by the next turn)."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
            await asyncio.sleep(0)
        if self._broken is not None:
            raise self._broken

    async def drain(self) -> None:
        """Let calls under way end, write what came back, give back the other lanes."""
        self._stopping = True
        if self._periods is not None:
            self._periods.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=DRAIN_LIMIT.total_seconds())
        try:
            if self._results:
                await self.turn()
            await self._blocking(self.desk.release)
        except DATABASE_AWAY as error:
            log().warning("delivery.not_drained", exc_info=error)
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _pause_seconds(self) -> float:
        queues = ((pool, len(calls)) for pool, slots in self._channels.items() for calls in slots.values())
        return self.desk.pace.pause_seconds(queues=queues)

    async def _until_something_comes_back(self) -> None:
        try:
            await asyncio.wait_for(self._came_back.wait(), timeout=self.desk.timing.idle.total_seconds())
        except TimeoutError:
            return

    def _start(self, call: Call) -> None:
        for ready in call.members:
            standing = ready.head.loaded.standing
            company = ready.head.far.mapping.company
            self._far_sides[standing.tenant_id, standing.connection, company] = ready.head.far
        waiting = self._channels.setdefault(call.pool_id, {}).get(call.slot)
        if waiting is not None:
            waiting.append(call)
            return
        self._channels[call.pool_id][call.slot] = deque([call])
        task = asyncio.create_task(self._work_slot(call.pool_id, call.slot))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._broken = task.exception()
            self._came_back.set()

    async def _work_slot(self, pool_id: str, slot: str) -> None:
        waiting = self._channels[pool_id][slot]
        while waiting:
            began = self.desk.steady.now()
            found = await self._make(waiting[0])
            self.desk.pace.called(pool_id=pool_id, took=self.desk.steady.now() - began)
            self._results.extend(found)
            waiting.popleft()
            self._came_back.set()
        del self._channels[pool_id][slot]

    async def _make(self, call: Call) -> list[Result]:
        ours = partial(self._all_ours, call)
        if self._stopping or not ours():
            return results_of(call, [NotSent(problem=lease_ended())] * len(call.members))
        if call.members[0].prepared is None:
            # A question may be asked by whoever likes; what the slot's last call might send is none of its business.
            MAY_SEND.set(None)
            return await look_up(call)
        MAY_SEND.set(ours)
        return results_of(call, await submit(call))

    def _all_ours(self, call: Call) -> bool:
        return all(self.desk.still_ours(ready.head.loaded.lane) for ready in call.members)

    async def _timers_due(self) -> None:
        desk, timing = self.desk, self.desk.timing
        await self._timer("sweep", timing.sweep, lambda: self._sweeper.sweep(recorded_at=desk.clock.now()))
        await self._timer("archive", timing.archive, lambda: archive_finished(
            desk.database, before=desk.clock.now() - timing.archive_after
        ))  # fmt: skip
        await self._timer("tell", timing.tell, lambda: self._teller.tell(recorded_at=desk.clock.now()))
        if (self._periods is None or self._periods.done()) and self._is_due("periods", timing.periods):
            self._periods = asyncio.create_task(self._read_periods())

    async def _read_periods(self) -> None:
        """Beside the turns, and several at once: a far side that hangs keeps neither deliveries nor other periods waiting."""
        at_once = asyncio.Semaphore(PERIODS_AT_ONCE)

        async def read(of: tuple[str, str, str], far: FarSide) -> None:
            desk, (tenant, connection, company) = self.desk, of
            async with at_once:
                found = refresh_periods(
                    database=desk.database,
                    blocking=self._blocking,
                    connector=far.connector,
                    tenant_id=tenant,
                    connection=connection,
                    company=company,
                    actor=desk.owner,
                    clock=desk.clock,
                )
                try:
                    await asyncio.wait_for(found, timeout=far.connector.manifest.call_timeout.total_seconds() * 2)
                except Exception as error:  # noqa: BLE001 - periods are read again soon
                    log().warning("delivery.periods_not_read", tenant_id=tenant, connection=connection, exc_info=error)

        far_sides = sorted(self._far_sides.items(), key=lambda item: item[0])
        await asyncio.gather(*(read(of, far) for of, far in far_sides))

    async def _timer(self, name: str, every: timedelta, work: Callable[[], Any]) -> None:
        if self._is_due(name, every):
            await self._blocking(work)

    def _is_due(self, name: str, every: timedelta) -> bool:
        now = self.desk.steady.now()
        if name in self._timers and now < self._timers[name]:
            return False
        self._timers[name] = now + every
        return True
