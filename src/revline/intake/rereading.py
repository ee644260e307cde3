"""Objects that a message named without their whole content: who is to be read again, until when, and what came of it.

Knows no source and makes no call; a lane of the kind `reread` asks for each reading. Locks: derive lanes, then these lanes, then
the rows here and the cases.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, and_, select

from revline.core.facts import Incomplete
from revline.core.ids import SourceObject, derived_id
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.intake import tables
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work
from revline.platform.work.lanes import ClaimedLane, LaneKey

REREAD: Final = "reread"
SUBJECT_REREAD: Final = "reread"
EVERYTHING: Final = "*"
"""The outside id of an `Incomplete` that asks for everything of its kind."""
REREAD_LIMIT: Final = timedelta(hours=1)
"""How long an object may stay unread before people are told."""
OPEN_STATES: Final = ("asked", "overdue")
PAGE: Final = 500


class Reread(msgspec.Struct, frozen=True, kw_only=True):
    """An object to be read again. object_kind: what the source's API calls it. state: as in the table `reread`."""

    reread_id: str
    source: SourceObject
    object_kind: str
    state: str
    asked_at: datetime
    deadline: datetime


class IncompleteMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that named an object without its whole content. state, deadline: of the reading it asked for, "" when of a kind."""

    position: int
    received_at: datetime
    translator: str
    body_digest: str
    incomplete: Incomplete
    state: str
    deadline: datetime | None


def reread_id(*, tenant_id: str, source: SourceObject, object_kind: str) -> str:
    """The id of an object's reading, and of its lane."""
    return derived_id("reread", tenant_id, source.connection, source.kind, source.outside_id, object_kind)


def ask(unit: Unit, *, tenant_id: str, wanted: Collection[Incomplete], now: datetime, pool_id: str) -> None:
    """Have these objects read again. One that is asked for already keeps its deadline, so that asking often hides nothing."""
    by_id = {
        reread_id(tenant_id=tenant_id, source=one.source, object_kind=one.object_kind): one
        for one in wanted
        if one.source.outside_id != EVERYTHING
    }
    if not by_id:
        return
    work.request(unit, tenant_id=tenant_id, kind=REREAD, lane_ids=by_id, pool_id=pool_id)
    there = rereads(unit.connection, tenant_id=tenant_id, reread_ids=by_id)
    for identity, one in sorted(by_id.items()):
        before = there.get(identity)
        if before is None or before.state not in OPEN_STATES:
            entry = Reread(
                reread_id=identity,
                source=one.source,
                object_kind=one.object_kind,
                state="asked",
                asked_at=now,
                deadline=now + REREAD_LIMIT,
            )
            _write(unit, tenant_id=tenant_id, entry=entry)


def ask_again(unit: Unit, *, tenant_id: str, reread_ids: Sequence[str]) -> int:
    """A person wants objects read again (a case's retry); gives how many are known."""
    there = rereads(unit.connection, tenant_id=tenant_id, reread_ids=reread_ids)
    pools = {
        identity: str(
            (work_queries.lane_row(unit.connection, key=LaneKey(tenant_id, identity)) or {}).get("pool_id", "")
        )
        for identity in there
    }
    for pool in sorted(set(pools.values())):
        lanes = [identity for identity, of in pools.items() if of == pool]
        work.request(unit, tenant_id=tenant_id, kind=REREAD, lane_ids=lanes, pool_id=pool)
    for entry in there.values():
        if entry.state not in OPEN_STATES:
            _write(unit, tenant_id=tenant_id, entry=msgspec.structs.replace(entry, state="asked"))
    return len(there)


def rereads(connection: Connection, *, tenant_id: str, reread_ids: Collection[str]) -> dict[str, Reread]:
    """The entries of these ids that are there."""
    if not reread_ids:
        return {}
    table = tables.reread
    statement = select(table).where(table.c.tenant_id == tenant_id, table.c.reread_id.in_(sorted(set(reread_ids))))
    return {row.reread_id: _entry(row) for row in connection.execute(statement)}


def overdue(connection: Connection, *, tenant_id: str, now: datetime, limit: int = PAGE) -> tuple[Reread, ...]:
    """Entries whose deadline has passed and that have no case for it yet, the longest waiting first."""
    table = tables.reread
    statement = (
        select(table)
        .where(table.c.tenant_id == tenant_id, table.c.state == "asked", table.c.deadline <= now)
        .order_by(table.c.deadline, table.c.reread_id)
        .limit(limit)
    )
    return tuple(_entry(row) for row in connection.execute(statement))


def mark_overdue(unit: Unit, *, tenant_id: str, entries: Sequence[Reread]) -> None:
    """The deadline passed: a case says so of each. It still closes when the object is read."""
    for entry in entries:
        _write(unit, tenant_id=tenant_id, entry=msgspec.structs.replace(entry, state="overdue"))
    cases = [
        _case(
            tenant_id,
            entry,
            problem(
                "intake.reread_overdue",
                f"{entry.object_kind} {entry.source.outside_id[:120]!r} was not read by"
                f" {entry.deadline:%Y-%m-%d %H:%M} UTC",
                field=entry.object_kind,
            ),
        )
        for entry in entries
    ]
    if cases:
        open_cases(unit, cases=cases)


def conclude(unit: Unit, *, tenant_id: str, entry: Reread, lane: ClaimedLane, state: str) -> None:
    """The object was read, or is gone: its cases close. Asked for again meanwhile, it stays open. The caller holds the lane."""
    row = work_queries.lane_row(unit.connection, key=lane.key)
    again = row is not None and int(row["requested"]) > lane.requested
    kept = msgspec.structs.replace(entry, state="asked" if again else state)
    _write(unit, tenant_id=tenant_id, entry=kept)
    resolve_cases(
        unit,
        tenant_id=tenant_id,
        subject_kind=SUBJECT_REREAD,
        subject_ids=[entry.reread_id],
        reason="it was read",
    )


def refuse(unit: Unit, *, tenant_id: str, entry: Reread, why: Problem, state: str) -> None:
    """The source would not give the object whole: a case says why, in place of any other of it."""
    _write(unit, tenant_id=tenant_id, entry=msgspec.structs.replace(entry, state=state))
    kept = open_cases(unit, cases=[_case(tenant_id, entry, why)])
    resolve_cases(
        unit,
        tenant_id=tenant_id,
        subject_kind=SUBJECT_REREAD,
        subject_ids=[entry.reread_id],
        reason="the source answered",
        keep=kept,
    )


def incomplete_by_id(connection: Connection, *, tenant_id: str, incomplete_id: str) -> IncompleteMessage | None:
    """A message that asked for an object to be read, and how that stands; None when there is none."""
    statement = (
        select(tables.incomplete, tables.reread.c.state, tables.reread.c.deadline)
        .outerjoin(
            tables.reread,
            and_(
                tables.reread.c.tenant_id == tables.incomplete.c.tenant_id,
                tables.reread.c.reread_id == tables.incomplete.c.reread_id,
            ),
        )
        .where(tables.incomplete.c.tenant_id == tenant_id, tables.incomplete.c.incomplete_id == incomplete_id)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return IncompleteMessage(
        position=row.position,
        received_at=row.received_at,
        translator=row.translator,
        body_digest=bytes(row.body_digest).hex(),
        incomplete=msgspec.json.decode(row.content, type=Incomplete),
        state=row.state or "",
        deadline=row.deadline,
    )


def facts_read_for(connection: Connection, *, tenant_id: str, incomplete_id: str, limit: int = PAGE) -> tuple[str, ...]:
    """Ids of the facts of an object that came after a message which asked for it to be read, oldest first."""
    asked = incomplete_by_id(connection, tenant_id=tenant_id, incomplete_id=incomplete_id)
    if asked is None:
        return ()
    source = asked.incomplete.source
    statement = (
        select(tables.fact.c.fact_id)
        .where(
            tables.fact.c.tenant_id == tenant_id,
            tables.fact.c.connection == source.connection,
            tables.fact.c.object_kind == source.kind,
            tables.fact.c.outside_id == source.outside_id,
            tables.fact.c.position > asked.position,
        )
        .order_by(tables.fact.c.position, tables.fact.c.ordinal)
        .limit(limit)
    )
    return tuple(connection.execute(statement).scalars())


def _case(tenant_id: str, entry: Reread, why: Problem) -> NewCase:
    return NewCase(
        tenant_id=tenant_id,
        subject_kind=SUBJECT_REREAD,
        subject_id=entry.reread_id,
        problem=why,
        connection=entry.source.connection,
    )


def _entry(row: Row[Any]) -> Reread:
    return Reread(
        reread_id=row.reread_id,
        source=SourceObject(connection=row.connection, kind=row.kind, outside_id=row.outside_id),
        object_kind=row.object_kind,
        state=row.state,
        asked_at=row.asked_at,
        deadline=row.deadline,
    )


def _write(unit: Unit, *, tenant_id: str, entry: Reread) -> None:
    unit.project(
        tables.reread,
        key=("reread_id",),
        tenant_id=tenant_id,
        reread_id=entry.reread_id,
        connection=entry.source.connection,
        kind=entry.source.kind,
        outside_id=entry.source.outside_id,
        object_kind=entry.object_kind,
        state=entry.state,
        asked_at=entry.asked_at,
        deadline=entry.deadline,
    )


define(
    code="intake.reread_overdue",
    title="An object a message named was not read in time",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="See that a worker runs and that the connection's credentials may read the object; the case closes once it is read.",
)
define(
    code="intake.reread_gone",
    title="An object a message named is not at the source any more",
    status=404,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Find out who removed it at the source. If it matters to the books, send it by import; else waive the case.",
)
define(
    code="intake.reread_incomplete",
    title="An object is still incomplete after it was read",
    status=502,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Read the object at the source by hand and import it with all its parts; the connector needs to learn this shape.",
)
