"""The priority of the close: documents of a period that is being closed go first, with all that they wait for.

A closing is a row with an end, so nothing goes first for ever because somebody forgot. New documents of its days are put on
their lanes with the close's priority; those that wait already get it from a level lane's passes, a page at a time, and lose it by
the same passes when the closing is over. The order within a lane never changes: a document only pulls forward what stands
before it. What share of the slots goes with it is the capacity pool's budget.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
from sqlalchemy import Connection, select, text

from revline.core.clock import Clock, Period
from revline.core.documents import Document
from revline.core.ids import lane_id
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.delivery.tables import FINISHED_SQL, closing_change, closing_period
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import record as work_record
from revline.platform.work import service as work
from revline.platform.work.lanes import (
    PRIORITY_CLOSE,
    PRIORITY_NORMAL,
    ClaimedLane,
    LaneKey,
    finished,
)

LANE_KIND: Final = "closing"
PAGE: Final = 500
LANES_PER_TURN: Final = 4
AGAIN_AFTER: Final = timedelta(seconds=60)
"""While a closing lasts, what came to stand before its documents meanwhile is found by another pass."""
LONGEST: Final = timedelta(days=92)
CLOSINGS_MAX: Final = 100

define(
    code="closing.unknown",
    title="This period is not being closed",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="List what goes first: `revline close-priority list`.",
)
define(
    code="closing.invalid",
    title="Nothing can go first so",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Correct the named values.",
)

# The page's documents with what they wait for, up to a few steps back: a master record that isn't there yet holds all of it up.
_PAGE: Final = text(
    f"""
    WITH RECURSIVE page AS (
        SELECT state.document_id, state.lane_id FROM document_state AS state
        WHERE state.tenant_id = :tenant AND state.entity = :entity AND NOT state.archived
          AND state.state NOT IN ({FINISHED_SQL}) AND state.accounting_date >= :start_day
          AND state.accounting_date < :end_day AND state.document_id > :after
        ORDER BY state.document_id LIMIT {PAGE}
    ), needed (document_id, lane_id, depth) AS (
        SELECT page.document_id, page.lane_id, 0 FROM page
        UNION
        SELECT state.document_id, state.lane_id, needed.depth + 1
        FROM needed
        JOIN document_predecessor AS link ON link.tenant_id = :tenant AND link.document_id = needed.document_id
        JOIN document_state AS state ON state.tenant_id = :tenant AND state.document_id = link.predecessor_id
        WHERE needed.depth < 6 AND NOT state.archived AND state.state NOT IN ({FINISHED_SQL})
    )
    SELECT DISTINCT needed.lane_id, (SELECT max(page.document_id) FROM page) AS last FROM needed ORDER BY needed.lane_id
    """
)


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """A period of an entity whose documents go first until a moment. days: [start, end)."""

    entity: str
    start_day: date
    end_day: date
    until: datetime
    ended: bool

    def lasts(self, now: datetime) -> bool:
        """Whether its documents go first now."""
        return not self.ended and now < self.until

    def holds(self, document: Document) -> bool:
        """Whether a document is of its entity and days."""
        day = document.accounting_date
        return document.entity == self.entity and day is not None and self.start_day <= day < self.end_day


_known: WeakKeyDictionary[Unit, dict[str, tuple[Closing, ...]]] = WeakKeyDictionary()


def begin_closing(
    database: Database,
    *,
    tenant_id: str,
    entity: str,
    period: Period,
    until: datetime,
    actor: str,
    reason: str,
    recorded_at: datetime,
) -> Closing | Problem:
    """Let the documents of a period go first until a moment, at most 92 days ahead; a second time moves the moment. The caller
    checked the entity."""
    if not recorded_at < until <= recorded_at + LONGEST:
        wrong = FieldError(pointer="until", detail="is out of bounds", instead=f"within {LONGEST.days} days from now")
        return problem("closing.invalid", "the end is not within bounds", errors=(wrong,))
    made = Closing(entity=entity, start_day=period.start, end_day=period.end, until=until, ended=False)
    with database.unit(
        tenants=[tenant_id], kind="close_priority", actor=actor, reason=reason, recorded_at=recorded_at
    ) as unit:
        if len(closings(unit.connection, tenant_id=tenant_id, lasting_at=recorded_at)) >= CLOSINGS_MAX:
            return problem("closing.invalid", f"{CLOSINGS_MAX} periods go first already; end some")
        _write(unit, tenant_id, made)
    return made


def end_closing(
    database: Database, *, tenant_id: str, entity: str, start_day: date, actor: str, reason: str, recorded_at: datetime
) -> Closing | Problem:
    """Let them take their turn again. `closing.unknown` when they don't go first."""
    with database.unit(
        tenants=[tenant_id], kind="close_priority", actor=actor, reason=reason, recorded_at=recorded_at
    ) as unit:
        for one in closings(unit.connection, tenant_id=tenant_id):
            if (one.entity, one.start_day) == (entity, start_day) and not one.ended:
                ended = msgspec.structs.replace(one, ended=True)
                _write(unit, tenant_id, ended)
                return ended
    return problem("closing.unknown", f"no documents of {entity[:60]!r} from {start_day.isoformat()} on go first")


def closings(connection: Connection, *, tenant_id: str, lasting_at: datetime | None = None) -> tuple[Closing, ...]:
    """What goes or went first, newest days first, at most `CLOSINGS_MAX`; those that aren't ended come before the others.

    lasting_at: only those that go first then.
    """
    row = closing_period.c
    statement = (
        select(row.entity, row.start_day, row.end_day, row.until, row.ended)
        .where(row.tenant_id == tenant_id, *([] if lasting_at is None else [~row.ended, row.until > lasting_at]))
        .order_by(row.ended, row.start_day.desc(), row.entity)
        .limit(CLOSINGS_MAX)
    )
    return tuple(Closing(**found._mapping) for found in connection.execute(statement))


def going_first(unit: Unit, *, tenant_id: str, documents: Sequence[Document]) -> frozenset[str]:
    """Of the documents a unit writes, those that go first: of a period being closed, or waited for by such a one. Costs one read a
    unit and tenant."""
    known = _known.setdefault(unit, {})
    if tenant_id not in known:
        known[tenant_id] = closings(unit.connection, tenant_id=tenant_id, lasting_at=unit.recorded_at)
    if not known[tenant_id]:
        return frozenset()
    first = {one.document_id for one in documents if any(closing.holds(one) for closing in known[tenant_id])}
    by_id = {one.document_id: one for one in documents}
    left = list(first)
    while left:
        for name in by_id[left.pop()].predecessors:
            if name in by_id and name not in first:
                first.add(name)
                left.append(name)
    return frozenset(first)


def run_closings(database: Database, *, owner: str, clock: Clock, lease: timedelta = work.DEFAULT_LEASE) -> int:
    """One page of each closing that is due; gives how many there were."""
    claim = work.claim(database, kind=LANE_KIND, owner=owner, limit=LANES_PER_TURN, lanes_per_tenant=1, lease=lease)
    for lane in claim.lanes:
        _pass(database, lane, owner=owner, now=claim.now, recorded_at=clock.now())
    return len(claim.lanes)


def _pass(database: Database, lane: ClaimedLane, *, owner: str, now: datetime, recorded_at: datetime) -> None:
    with database.unit(
        tenants=[lane.tenant_id], kind="closing", actor=owner, reason="the close goes first", recorded_at=recorded_at
    ) as unit:
        connection = unit.connection
        if not work_record.hold(connection, owner=owner, lanes=[lane]):
            return
        row = closing_period.c
        statement = select(closing_period).where(row.tenant_id == lane.tenant_id, row.lane_id == lane.lane_id)
        found = connection.execute(statement).mappings().one_or_none()
        again: datetime | None = None
        if found is not None:
            one = Closing(**{name: found[name] for name in Closing.__struct_fields__})
            lanes, last = _page(connection, lane.tenant_id, one, after=found["treated"])
            priority = PRIORITY_CLOSE if one.lasts(recorded_at) else PRIORITY_NORMAL
            work_record.reprioritise(
                connection,
                lanes=[LaneKey(lane.tenant_id, name) for name in lanes],
                closing=one.lasts(recorded_at),
                priority=priority,
                now=now,
            )
            unit.change(
                closing_period,
                key=("entity", "start_day"),
                tenant_id=lane.tenant_id,
                entity=one.entity,
                start_day=one.start_day,
                treated=last,
            )
            again = now if last else _next_pass(one, now, recorded_at)
            if not last and again is None:
                _raise_others(unit, lane, recorded_at, now)
        work_record.change(connection, owner=owner, changes=[finished(lane=lane, again_at=again)], now=now)


def _next_pass(one: Closing, now: datetime, recorded_at: datetime) -> datetime | None:
    return now + min(AGAIN_AFTER, one.until - recorded_at) if one.lasts(recorded_at) else None


def _raise_others(unit: Unit, lane: ClaimedLane, recorded_at: datetime, now: datetime) -> None:
    """A lane that lost its priority may hold documents of another period that goes first."""
    lasting = closings(unit.connection, tenant_id=lane.tenant_id, lasting_at=recorded_at)
    lanes = [_lane_id(lane.tenant_id, one) for one in lasting]
    work_record.request(unit, tenant_id=lane.tenant_id, kind=LANE_KIND, lane_ids=lanes, now=now)


def _page(connection: Connection, tenant_id: str, one: Closing, *, after: str) -> tuple[Collection[str], str]:
    """Lanes of the next page, and its last document; "" when nothing is left."""
    parameters = {
        "tenant": tenant_id,
        "entity": one.entity,
        "start_day": one.start_day,
        "end_day": one.end_day,
        "after": after,
    }
    rows = connection.execute(_PAGE, parameters).all()
    return [row.lane_id for row in rows], rows[0].last if rows else ""


def _write(unit: Unit, tenant_id: str, one: Closing) -> None:
    values = {name: getattr(one, name) for name in one.__struct_fields__}
    lane = _lane_id(tenant_id, one)
    unit.project(closing_period, key=("entity", "start_day"), tenant_id=tenant_id, lane_id=lane, treated="", **values)
    unit.record(closing_change, tenant_id=tenant_id, **values)
    work_record.request(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=[lane])


def _lane_id(tenant_id: str, one: Closing) -> str:
    return lane_id(tenant=tenant_id, kind=LANE_KIND, key=f"{one.entity}:{one.start_day.isoformat()}")
