"""How far listings and change streams were read: a cursor each, with what came of it in numbers, kept for the source's control.

Knows no source and makes no call; lanes of the kinds `backfill` and `changes` ask for the next page. Locks as in `rereading`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, func, select, text

from revline.core.hashing import canonical_bytes
from revline.core.ids import derived_id
from revline.core.money import decode_hook
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.intake import tables
from revline.intake.control_totals import ControlTotal, Difference, differences, summed
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.cases.values import CaseClass
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work
from revline.platform.work.lanes import PRIORITY_BULK, PRIORITY_NORMAL, LaneKey

BACKFILL: Final = "backfill"
CHANGES: Final = "changes"
SUBJECT_CURSOR: Final = "source_cursor"
OBJECT_KINDS_MAX: Final = 200
TRIES_UNTIL_CASE: Final = 8

_TOTALS: Final = msgspec.json.Decoder(tuple[ControlTotal, ...], dec_hook=decode_hook)


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far something was read. purpose: backfill or changes. object_kind: the API's word, "" for changes.

    cursor: where to go on, "" from the start. seen: inputs since started_at, of which taken, duplicates and refused (kept or in
    conflict). source_total: how many the source says there are, None when it doesn't. totals: of what was listed;
    whole: from the first object on.
    state: asked, running, finished, following (a change stream that was read to its present end) or stopped (problem_code).
    """

    cursor_id: str
    connection: str
    purpose: str
    object_kind: str
    cursor: str = ""
    state: str = "asked"
    pages: int = 0
    seen: int = 0
    taken: int = 0
    duplicates: int = 0
    refused: int = 0
    source_total: int | None = None
    totals: tuple[ControlTotal, ...] = ()
    whole: bool = True
    started_position: int = 0
    started_at: datetime
    last_page_at: datetime | None = None
    finished_at: datetime | None = None
    problem_code: str = ""


def cursor_id(*, tenant_id: str, source_connection: str, purpose: str, object_kind: str = "") -> str:
    """The id of a cursor, and of its lane."""
    return derived_id("cursor", tenant_id, source_connection, purpose, object_kind)


def ask_backfill(
    unit: Unit,
    *,
    tenant_id: str,
    source_connection: str,
    object_kinds: Collection[str],
    now: datetime,
    pool_id: str,
    cursor: str | None = None,
) -> tuple[str, ...]:
    """Have kinds listed; gives the cursors' ids in order. A listing under way goes on, a finished one goes on from its end.

    cursor: begin there instead (None: where it stands).
    """
    return _ask(
        unit,
        tenant_id=tenant_id,
        wanted=[(source_connection, BACKFILL, kind) for kind in sorted(object_kinds)],
        now=now,
        pool_id=pool_id,
        cursor=cursor,
    )


def ask_changes(
    unit: Unit, *, tenant_id: str, source_connection: str, now: datetime, pool_id: str, cursor: str | None = None
) -> str:
    """Have the change stream of a connection read now and from then on; gives the cursor's id."""
    wanted = [(source_connection, CHANGES, "")]
    return _ask(unit, tenant_id=tenant_id, wanted=wanted, now=now, pool_id=pool_id, cursor=cursor)[0]


def _ask(
    unit: Unit,
    *,
    tenant_id: str,
    wanted: Sequence[tuple[str, str, str]],
    now: datetime,
    pool_id: str,
    cursor: str | None,
) -> tuple[str, ...]:
    ids = {
        cursor_id(tenant_id=tenant_id, source_connection=connection, purpose=purpose, object_kind=kind): (
            connection,
            purpose,
            kind,
        )
        for connection, purpose, kind in wanted[:OBJECT_KINDS_MAX]
    }
    for purpose, priority in ((BACKFILL, PRIORITY_BULK), (CHANGES, PRIORITY_NORMAL)):
        lanes = [identity for identity, one in ids.items() if one[1] == purpose]
        work.request(unit, tenant_id=tenant_id, kind=purpose, lane_ids=lanes, priority=priority, pool_id=pool_id)
    there = cursors_by_id(unit.connection, tenant_id=tenant_id, cursor_ids=ids)
    for identity, (connection, purpose, kind) in ids.items():
        before = there.get(identity)
        if before is not None and before.state in {"asked", "running"} and cursor is None:
            continue
        start = (before.cursor if before is not None else "") if cursor is None else cursor
        fresh = Cursor(
            cursor_id=identity,
            connection=connection,
            purpose=purpose,
            object_kind=kind,
            cursor=start,
            whole=not start,
            started_position=unit.position_before(tenant_id=tenant_id),
            started_at=now,
        )
        if before is not None and before.purpose == CHANGES and cursor is None:
            fresh = msgspec.structs.replace(before, state="asked", problem_code="")
        write(unit, tenant_id=tenant_id, entry=fresh)
    return tuple(ids)


def ask_on(unit: Unit, *, tenant_id: str, cursor_ids: Sequence[str]) -> int:
    """Have cursors that stand still read on; gives how many are known."""
    there = cursors_by_id(unit.connection, tenant_id=tenant_id, cursor_ids=cursor_ids)
    for entry in there.values():
        row = work_queries.lane_row(unit.connection, key=LaneKey(tenant_id, entry.cursor_id)) or {}
        pool_id = str(row.get("pool_id", ""))
        work.request(unit, tenant_id=tenant_id, kind=entry.purpose, lane_ids=[entry.cursor_id], pool_id=pool_id)
        if entry.state == "stopped":
            write(unit, tenant_id=tenant_id, entry=msgspec.structs.replace(entry, state="asked", problem_code=""))
    return len(there)


def cursors_by_id(connection: Connection, *, tenant_id: str, cursor_ids: Collection[str]) -> Mapping[str, Cursor]:
    """The cursors of these ids that are there."""
    if not cursor_ids:
        return {}
    table = tables.source_cursor
    statement = select(table).where(table.c.tenant_id == tenant_id, table.c.cursor_id.in_(sorted(set(cursor_ids))))
    return {row.cursor_id: _entry(row) for row in connection.execute(statement)}


def cursors_of(connection: Connection, *, tenant_id: str, source_connection: str = "") -> tuple[Cursor, ...]:
    """Every cursor of a connection, or of all ("")."""
    table = tables.source_cursor
    statement = select(table).where(table.c.tenant_id == tenant_id)
    if source_connection:
        statement = statement.where(table.c.connection == source_connection)
    rows = connection.execute(statement.order_by(table.c.connection, table.c.purpose, table.c.object_kind).limit(1_000))
    return tuple(_entry(row) for row in rows)


def write(unit: Unit, *, tenant_id: str, entry: Cursor) -> None:
    """Keep a cursor as it stands. The caller holds its lane, or has just asked for it."""
    unit.project(
        tables.source_cursor,
        key=("cursor_id",),
        tenant_id=tenant_id,
        cursor_id=entry.cursor_id,
        connection=entry.connection,
        purpose=entry.purpose,
        object_kind=entry.object_kind,
        cursor=entry.cursor,
        state=entry.state,
        pages=entry.pages,
        seen=entry.seen,
        taken=entry.taken,
        duplicates=entry.duplicates,
        refused=entry.refused,
        source_total=entry.source_total,
        totals=canonical_bytes(list(entry.totals)).decode(),
        whole=entry.whole,
        started_position=entry.started_position,
        started_at=entry.started_at,
        last_page_at=entry.last_page_at,
        finished_at=entry.finished_at,
        problem_code=entry.problem_code,
    )


def stop(unit: Unit, *, tenant_id: str, entry: Cursor, why: Problem) -> None:
    """Reading stands still until somebody mends it: a case says why."""
    write(unit, tenant_id=tenant_id, entry=msgspec.structs.replace(entry, state="stopped", problem_code=why.code))
    open_cases(unit, cases=[_case(tenant_id, entry, why)])


def failed(unit: Unit, *, tenant_id: str, entry: Cursor, why: Problem, tries: int) -> None:
    """A page could not be read and will be asked for again; from some tries in a row on, a case says so. It closes by itself."""
    write(unit, tenant_id=tenant_id, entry=msgspec.structs.replace(entry, problem_code=why.code))
    if tries >= TRIES_UNTIL_CASE:
        lasting = problem("source.not_read", why.detail, field=why.code)
        case = msgspec.structs.replace(_case(tenant_id, entry, lasting), case_class=CaseClass.TIMING)
        open_cases(unit, cases=[case])


def goes_on(unit: Unit, *, tenant_id: str, entry: Cursor) -> None:
    """It could be read again: what it stood still for is over."""
    resolve_cases(
        unit,
        tenant_id=tenant_id,
        subject_kind=SUBJECT_CURSOR,
        subject_ids=[entry.cursor_id],
        reason="it was read",
    )


def held_totals(
    connection: Connection, *, tenant_id: str, source_connection: str, kind: str
) -> tuple[ControlTotal, ...]:
    """What the log holds of a kind of a connection: the newest snapshot of every object that was not removed, summed."""
    rows = connection.execute(_HELD, {"tenant": tenant_id, "connection": source_connection, "kind": kind})
    return summed(
        ControlTotal(kind=kind, currency=row.currency, status=row.status, count=row.objects, amount=row.amount)
        for row in rows
    )


def last_position(connection: Connection, *, tenant_id: str) -> int:
    """The position of the tenant's last fact, 0 when there is none."""
    table = tables.fact
    statement = select(func.coalesce(func.max(table.c.position), 0)).where(table.c.tenant_id == tenant_id)
    return int(connection.execute(statement).scalar_one())


def facts_since(connection: Connection, *, tenant_id: str, source_connection: str, kind: str, position: int) -> int:
    """How many facts of a kind of a connection came after a position."""
    table = tables.fact
    statement = (
        select(func.count())
        .select_from(table)
        .where(
            table.c.tenant_id == tenant_id,
            table.c.connection == source_connection,
            table.c.object_kind == kind,
            table.c.position > position,
        )
    )
    return int(connection.execute(statement).scalar_one())


def compare(
    connection: Connection, *, tenant_id: str, source_connection: str, listed: Sequence[ControlTotal], since: int
) -> tuple[Difference, ...]:
    """The listing's totals against the log's. Sums count only for kinds of which nothing beside the listing came meanwhile."""
    found: list[Difference] = []
    unread = tuple(one for one in listed if not one.kind)
    kinds = sorted({one.kind for one in listed} - {""})
    for kind in kinds:
        theirs = tuple(one for one in listed if one.kind == kind) + (unread if len(kinds) == 1 else ())
        others = facts_since(
            connection, tenant_id=tenant_id, source_connection=source_connection, kind=kind, position=since
        )
        held = held_totals(connection, tenant_id=tenant_id, source_connection=source_connection, kind=kind)
        quiet = others <= sum(one.count for one in theirs)
        found += differences(listed=theirs, held=held, exact=quiet)
    return tuple(found)


def report(unit: Unit, *, tenant_id: str, entry: Cursor, found: Iterable[Difference]) -> int:
    """A case for every kind whose totals differ; the others' cases close. Gives how many differ."""
    cases = [
        _case(tenant_id, entry, problem("source.control_total_differs", one.detail, field=one.kind)) for one in found
    ]
    kept = open_cases(unit, cases=cases) if cases else ()
    resolve_cases(
        unit,
        tenant_id=tenant_id,
        subject_kind=SUBJECT_CURSOR,
        subject_ids=[entry.cursor_id],
        reason="the totals are equal",
        keep=kept,
    )
    return len(cases)


def _case(tenant_id: str, entry: Cursor, why: Problem) -> NewCase:
    return NewCase(
        tenant_id=tenant_id,
        subject_kind=SUBJECT_CURSOR,
        subject_id=entry.cursor_id,
        problem=why,
        connection=entry.connection,
    )


def _entry(row: Row[Any]) -> Cursor:
    values = {name: getattr(row, name) for name in Cursor.__struct_fields__ if name != "totals"}
    return Cursor(**values, totals=_TOTALS.decode(row.totals))


_HELD: Final = text(
    """
    SELECT currency, status, count(*) AS objects, coalesce(sum(amount), 0) AS amount
    FROM (
        SELECT CASE WHEN amount IS NULL THEN '' ELSE coalesce(snapshot ->> 'currency', '') END AS currency,
               CASE WHEN amount IS NULL THEN '' ELSE coalesce(snapshot ->> 'status', '') END AS status, amount
        FROM (
            SELECT DISTINCT ON (fact.outside_id) CAST(fact.content AS jsonb) -> 'snapshot' AS snapshot,
                   CAST(coalesce(CAST(fact.content AS jsonb) #>> '{snapshot,total}',
                                 CAST(fact.content AS jsonb) #>> '{snapshot,amount}') AS numeric) AS amount
            FROM fact
            WHERE fact.tenant_id = :tenant AND fact.connection = :connection AND fact.object_kind = :kind
            ORDER BY fact.outside_id, CAST(fact.order_key AS numeric[]) DESC, fact.position DESC, fact.ordinal DESC
        ) AS newest
        WHERE coalesce(snapshot ->> 'deleted', 'false') <> 'true'
    ) AS one
    GROUP BY currency, status
    """
)

define(
    code="source.control_total_differs",
    title="The source lists other objects than the log holds",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Run `revline sources backfill` for the kind named, see to the inputs it refuses, then `revline sources check`.",
)
define(
    code="source.not_read",
    title="A source has not been read for a while",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Check the connection's address and the source's health; Revline goes on trying and closes the case by itself.",
)
