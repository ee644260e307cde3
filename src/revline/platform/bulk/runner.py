"""Goes through the frozen sets of running acts: a batch of one act in one unit of work, with the outcome of each record of it.

What is done and that it is done commit together, so a worker that dies does no record twice. Between batches the act's lane is
given back: other tenants' acts get their turn, and whoever stopped the act is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from revline.core.clock import Clock
from revline.core.problem import Problem
from revline.platform.bulk import queries, record
from revline.platform.bulk.ports import Handler
from revline.platform.bulk.record import Treated
from revline.platform.bulk.service import LANE_KIND
from revline.platform.bulk.values import BulkAct, BulkItem, BulkState, Outcome, Subject
from revline.platform.logs import log
from revline.platform.store.engine import Database, is_transient
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.lanes import ClaimedLane, finished

BATCH: Final = 50
ACTS_PER_TURN: Final = 4
HELD_PAUSE: Final = timedelta(seconds=30)
"""What people do to many records waits while too much of their tenant waits to be worked through."""


class BulkRunner:
    """One worker's runner. owner: unique to its process. batch: records in one unit of work. held: why a tenant's acts wait, ""
    when they don't."""

    def __init__(
        self,
        *,
        database: Database,
        handlers: Mapping[str, Handler],
        clock: Clock,
        owner: str,
        lease: timedelta = work.DEFAULT_LEASE,
        batch: int = BATCH,
        held: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._database, self._handlers, self._clock = database, handlers, clock
        self._owner, self.lease, self._batch, self._held = owner, lease, batch, held

    def turn(self) -> int:
        """One batch of each of a few acts; gives how many records were treated or acts ended, 0 when nothing was due."""
        claim = work.claim(
            self._database,
            kind=LANE_KIND,
            owner=self._owner,
            limit=ACTS_PER_TURN,
            lanes_per_tenant=1,
            lease=self.lease,
        )
        return sum(self._run(lane, claim.now) for lane in claim.lanes)

    def _run(self, lane: ClaimedLane, now: datetime) -> int:
        if self._held(lane.tenant_id):
            work.settle(self._database, owner=self._owner, changes=[finished(lane=lane, again_at=now + HELD_PAUSE)])
            return 0
        with self._database.read(tenants=[lane.tenant_id]) as connection:
            act = queries.act(connection, tenant_id=lane.tenant_id, act_id=lane.lane_id)
            items = (
                queries.items(
                    connection,
                    tenant_id=lane.tenant_id,
                    act_id=act.act_id,
                    after=act.treated,
                    limit=self._batch,
                )
                if act is not None and act.state is BulkState.RUNNING
                else ()
            )
        if act is None or not items:
            return self._end(lane, act)
        try:
            return self._treat(lane, act, items, now)
        except Exception as failure:
            if is_transient(failure):
                raise
            log().exception("bulk.batch_failed", tenant_id=lane.tenant_id, act_id=lane.lane_id)
        return sum(self._alone(lane, act, item, now, last=item is items[-1]) for item in items)

    def _alone(self, lane: ClaimedLane, act: BulkAct, item: BulkItem, now: datetime, *, last: bool) -> int:
        """One record in a unit of its own; one that our own code fails on is failed, and the others go on."""
        try:
            return self._treat(lane, act, [item], now, release=last)
        except Exception as failure:
            if is_transient(failure):
                raise
            log().exception("bulk.record_failed", tenant_id=lane.tenant_id, act_id=lane.lane_id)
            return self._treat(lane, act, [item], now, release=last, failed=True)

    def _treat(
        self,
        lane: ClaimedLane,
        act: BulkAct,
        items: Sequence[BulkItem],
        now: datetime,
        *,
        release: bool = True,
        failed: bool = False,
    ) -> int:
        subjects = [Subject(item.subject_kind, item.subject_id) for item in items]
        handler, reason = self._handlers[act.kind], f"{act.reason} (act {act.act_id})"
        why: Mapping[Subject, Problem] = {}
        if not failed:
            why = handler.before(
                tenant_id=lane.tenant_id, subjects=subjects, given=act.filter, actor=act.author, reason=reason
            )
        now_here = self._clock.now()
        with self._database.unit(
            tenants=[lane.tenant_id], kind=act.kind, actor=act.author, reason=reason, recorded_at=now_here
        ) as unit:
            if not work_record.hold(unit.connection, owner=self._owner, lanes=[lane]):
                return 0
            standing = record.lock(unit, tenant_id=lane.tenant_id, act_id=act.act_id)
            treated = 0
            ends = True
            if standing is not None and standing.state is BulkState.RUNNING and standing.treated == items[0].number - 1:
                left = [] if failed else [subject for subject in subjects if subject not in why]
                if left:
                    why = {**why, **handler.act(unit, tenant_id=lane.tenant_id, subjects=left)}
                outcomes = [_treated(item, subject, why, failed) for item, subject in zip(items, subjects, strict=True)]
                counts = record.write_outcomes(unit, tenant_id=lane.tenant_id, act_id=act.act_id, treated=outcomes)
                treated = len(items)
                ends = standing.treated + treated >= act.records
                record.write_state(
                    unit,
                    tenant_id=lane.tenant_id,
                    act_id=act.act_id,
                    state=BulkState.DONE if ends else BulkState.RUNNING,
                    before=standing,
                    told=ends,
                    done=standing.done + counts[Outcome.DONE],
                    refused=standing.refused + counts[Outcome.REFUSED],
                    failed=standing.failed + counts[Outcome.FAILED],
                )
            if release:
                change = finished(lane=lane, again_at=None if ends else now)
                work_record.change(unit.connection, owner=self._owner, changes=[change], now=now)
        return treated

    def _end(self, lane: ClaimedLane, act: BulkAct | None) -> int:
        """Nothing to do for it: it was stopped, or it has ended."""
        work.settle(self._database, owner=self._owner, changes=[finished(lane=lane)])
        return 0 if act is None else 1


def _treated(item: BulkItem, subject: Subject, why: Mapping[Subject, Problem], failed: bool) -> Treated:  # noqa: FBT001
    refused = why.get(subject)
    if failed:
        return Treated(number=item.number, subject=subject, outcome=Outcome.FAILED, problem_code="internal.unexpected",
                       problem_detail="Revline's own code failed on it; the operator's log has the place")  # fmt: skip
    if refused is not None:
        return Treated(number=item.number, subject=subject, outcome=Outcome.REFUSED, problem_code=refused.code,
                       problem_detail=refused.detail)  # fmt: skip
    return Treated(number=item.number, subject=subject, outcome=Outcome.DONE)
