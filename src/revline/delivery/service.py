"""The database side of a delivery worker: one turn settles what came back, claims, decides and marks, and says what to call.

A turn is synchronous and never spans a call. The loop around it is `loop.py`. Everything a turn keeps in memory can be lost:
leases run out, and the next owner finds marked documents as they stand in the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.delivery import marking, settling, waiting
from revline.delivery.commits import DOCUMENTS_PER_COMMIT, TENANTS_PER_COMMIT, call_parts, settlement_parts
from revline.delivery.deciding import DATABASE_AWAY, Decider
from revline.delivery.marking import Call, Ready
from revline.delivery.outcome import settle, unsettled
from revline.delivery.pace import Pace
from revline.delivery.pauses import Uniform
from revline.delivery.plan import UNKNOWN_POOL_LANES, Plan, SlotLoad, plan_calls
from revline.delivery.ports import Directory, Journals, Told, nobody
from revline.delivery.settlements import Settlement, unwritable
from revline.delivery.values import LANE_KIND, Decided, Later, Looked, Result, Timing
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.work import capacity
from revline.platform.work import queries as work_queries
from revline.platform.work import service as work_service
from revline.platform.work.epochs import Epoch
from revline.platform.work.lanes import ClaimedLane, LaneKey, retried


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn did. calls: to be made now. busy: there was something to do, so the next turn comes soon."""

    calls: tuple[Call, ...]
    settled: int
    posted: int
    claimed: int
    busy: bool


class Desk:
    """One worker's desk. owner: unique per process. epoch: the cell's when it begins. uniform: randomness for pauses.

    steady: tells how long leases still hold, so that a clock which is set doesn't; without one, `clock` does.
    """

    def __init__(
        self,
        *,
        database: Database,
        directory: Directory,
        journals: Journals,
        clock: Clock,
        owner: str,
        epoch: int,
        uniform: Uniform,
        timing: Timing | None = None,
        told: Told = nobody,
        steady: Clock | None = None,
    ) -> None:
        self.database, self.told = database, told
        self.clock, self.owner = clock, owner
        self.steady = steady or clock
        self.timing = timing or Timing()
        self.uniform = uniform
        self.owned_until: dict[LaneKey, tuple[ClaimedLane, datetime]] = {}
        """Lanes held, and until when by this process's own steady clock, counted from before the claim was sent."""
        self._ready: list[tuple[datetime, Ready]] = []
        self.pace = Pace(lease=self.timing.lease, pause=self.timing.turn)
        self._plans = Plan(pace=self.pace)
        self._decider = Decider(
            database=database,
            directory=directory,
            journals=journals,
            plans=self._plans,
            epoch=Epoch(number=epoch),
            timing=self.timing,
            uniform=uniform,
        )
        self._slot_number = 0
        self._heard: Epoch | None = None

    @property
    def epoch(self) -> Epoch:
        """The cell's epoch as this desk knows it."""
        return self._decider.epoch

    def hear(self, epoch: Epoch) -> None:
        """Go by this epoch from the next turn on. From any thread."""
        self._heard = epoch

    def _follow(self, epoch: Epoch | None) -> None:
        """What was decided in another epoch and is not marked yet is decided anew."""
        if epoch is not None and epoch != self.epoch:
            self._decider.epoch = epoch
            self.release()

    def still_ours(self, lane: ClaimedLane) -> bool:
        """Whether this very claim's lease surely still holds; asked right before a call."""
        held = self.owned_until.get(lane.key)
        return held is not None and held[0].fence == lane.fence and self.steady.now() < held[1]

    def turn(
        self,
        *,
        results: Sequence[Result],
        load: Mapping[str, Sequence[SlotLoad]],
        claim: bool = True,
    ) -> Turn:
        """One round. load: per pool, the slots this process holds and how many calls wait on each."""
        self._follow(self._heard)
        self._heard = None
        settled, posted = self.settle(results) if results else (0, 0)
        self._renew()
        lanes, now = self._claim() if claim else ((), self._moment())
        try:
            posted += self._decide(lanes, now=now)
        except BaseException:
            self._forget(lanes)
            raise
        calls = self._mark(load, now=now) if claim else ()
        busy = bool(results or lanes or calls)
        return Turn(calls=calls, settled=settled, posted=posted, claimed=len(lanes), busy=busy)

    def settle(self, results: Sequence[Result]) -> tuple[int, int]:
        """Write results, many in a commit, and wake what waited; gives how many were written and posted."""
        now = self._moment()
        found = [self._settlement(one, now) for one in results]
        return len(found), sum(self._write(part, now=now) for part in settlement_parts(found))

    def _moment(self) -> datetime:
        with self.database.control() as connection:
            return work_queries.moment(connection)

    def release(self) -> None:
        """Give back every lane that is not in a call. For a worker that ends."""
        ready = [entry.head.loaded.lane for _, entry in self._ready]
        self._ready = []
        self._give_back(ready, due_at=None)

    def _settlement(self, result: Result, now: datetime) -> Settlement:
        if isinstance(result, Looked) and result.asked.epoch != self.epoch.number:
            result = Decided(head=result.head, decision=Later(due_at=now))
        try:
            return settle(result=result, now=now, timing=self.timing, uniform=self.uniform)
        except Exception as error:  # noqa: BLE001 - what can't be understood of one answer must not lose the others
            lane = result.head.loaded.lane
            log().error("delivery.unsettled", tenant_id=lane.tenant_id, lane_id=lane.lane_id, exc_info=error)
            return unsettled(result=result)

    def _forget(self, lanes: Sequence[ClaimedLane]) -> None:
        """Lanes nobody works on must not be renewed: their leases run out, and whoever claims them next goes on."""
        keys = {lane.key for lane in lanes}
        for key in keys:
            self.owned_until.pop(key, None)
        self._ready = [entry for entry in self._ready if entry[1].head.loaded.lane.key not in keys]

    def _write(self, part: Sequence[Settlement], *, now: datetime) -> int:
        try:
            written = settling.write(
                self.database,
                owner=self.owner,
                epoch=self.epoch.number,
                settlements=part,
                now=now,
                recorded_at=self.clock.now(),
                told=self.told,
            )
        except DATABASE_AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - one document that can't be written must not hold up the others of its commit
            if len(part) == 1:
                lane = part[0].head.loaded.lane
                log().error("delivery.unwritable", tenant_id=lane.tenant_id, lane_id=lane.lane_id, exc_info=error)
                instead = unwritable(part[0])
                if instead is not None:
                    return self._write([instead], now=now)
                self.owned_until.pop(lane.key, None)
                return 0
            return sum(self._write([one], now=now) for one in part)
        for one in part:
            self.owned_until.pop(one.head.loaded.lane.key, None)
        for lost in written.lost:
            log().warning("delivery.lease_lost", tenant_id=lost.tenant_id, lane_id=lost.lane_id)
        waiting.wake(self.database, actor=self.owner, finished=written.waited_for, recorded_at=self.clock.now())
        return written.posted

    def _renew(self) -> None:
        local = self.steady.now()
        due = [lane for lane, until in self.owned_until.values() if until - local < self.timing.lease * 2 / 3]
        if not due:
            return
        kept = work_service.renew(self.database, owner=self.owner, lanes=due, lease=self.timing.lease)
        for lane in due:
            if lane.key in kept:
                self.owned_until[lane.key] = (lane, local + self.timing.lease)
            else:
                self.owned_until.pop(lane.key, None)
        self._ready = [entry for entry in self._ready if entry[1].head.loaded.lane.key in self.owned_until]

    def _claim(self) -> tuple[tuple[ClaimedLane, ...], datetime]:
        local = self.steady.now()
        held: dict[str, int] = {}
        for lane, _ in self.owned_until.values():
            held[lane.pool_id] = held.get(lane.pool_id, 0) + 1
        with self.database.control() as connection:
            now = work_queries.moment(connection)
            pools = self._plans.watched | set(held)
            seen = capacity.views(connection, pools=pools, now=now, fresh=self.timing.lease / 2, closed_too=True)
            self._plans.see(seen)
            rooms = self._plans.rooms(owner=self.owner, held=held)
            lanes = work_service.claim_on(
                connection,
                kind=LANE_KIND,
                owner=self.owner,
                limit=DOCUMENTS_PER_COMMIT,
                lease=self.timing.lease,
                pools=rooms.pools,
                others=UNKNOWN_POOL_LANES,
                full=rooms.full,
                tenants_max=TENANTS_PER_COMMIT,
                now=now,
            )
        for lane in lanes:
            self.owned_until[lane.key] = (lane, local + self.timing.lease)
        return lanes, now

    def _decide(self, lanes: Sequence[ClaimedLane], *, now: datetime) -> int:
        if not lanes:
            return 0
        found = self._decider.decide(lanes, now=now)
        self._give_back(found.strays, due_at=now + self.timing.retry_cap)
        at = self.steady.now()
        self._ready += [(at, entry) for entry in found.ready]
        self._make_pools(now)
        posted = sum(self._write(part, now=now) for part in settlement_parts(found.settlements))
        if found.waits:
            waiting.park(
                self.database,
                owner=self.owner,
                waiting=found.waits,
                timing=self.timing,
                now=now,
                recorded_at=self.clock.now(),
            )
            for one in found.waits:
                self.owned_until.pop(one.head.loaded.lane.key, None)
        return posted

    def _make_pools(self, now: datetime) -> None:
        limits = self._plans.new_limits()
        if limits:
            with self.database.control() as connection:
                capacity.ensure_pools(connection, limits=limits, now=now)

    def _mark(self, load: Mapping[str, Sequence[SlotLoad]], *, now: datetime) -> tuple[Call, ...]:
        if not self._ready:
            return ()
        since = {entry.head.loaded.lane.key: at for at, entry in self._ready}
        planned = plan_calls(
            ready=[entry for _, entry in self._ready],
            load=load,
            plan=self._plans,
            owner=self.owner,
            new_slot=self._new_slot,
        )
        made: list[Call] = []
        left = list(planned.left)
        heard: Epoch | None = None
        for part in call_parts(planned.calls):
            if heard is not None:
                left += [ready for call in part for ready in call.members]
                continue
            marked = marking.mark(
                self.database,
                owner=self.owner,
                epoch=self.epoch.number,
                calls=part,
                now=now,
                recorded_at=self.clock.now(),
                fresh=self.timing.lease / 2,
            )
            made += marked.calls
            left += marked.unmarked
            self._give_back(marked.lost, due_at=None)
            heard = None if marked.epoch.number == self.epoch.number else marked.epoch
        oldest = self.steady.now() - self.timing.lease / 5
        waited = [(since[entry.head.loaded.lane.key], entry) for entry in left]
        stale = [entry.head.loaded.lane for at, entry in waited if at < oldest]
        self._give_back(stale, due_at=now + self.timing.retry_base)
        self._ready = [(at, entry) for at, entry in waited if at >= oldest]
        self._follow(heard)
        return tuple(made)

    def _give_back(self, lanes: Sequence[ClaimedLane], *, due_at: datetime | None) -> None:
        if not lanes:
            return
        with self.database.control() as connection:
            at = due_at or work_queries.moment(connection)
        changes = [retried(lane=lane, due_at=at, failed=False) for lane in lanes]
        work_service.settle(self.database, owner=self.owner, changes=changes)
        for lane in lanes:
            self.owned_until.pop(lane.key, None)

    def _new_slot(self) -> str:
        self._slot_number += 1
        return f"{self.owner}/{self._slot_number}"


def lease_ended() -> Problem:
    """Why a marked call was not made."""
    return problem("erp.busy", "the lease ended, or the worker does, before the call began")
