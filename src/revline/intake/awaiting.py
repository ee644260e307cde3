"""Names that roots wait for: who waits until when, what a new fact ends, what is overdue. Knows no source and no rule of a root.

A root decides to wait having known every fact up to a position; only a later fact can end the wait, and a sweep finds the one that
was accepted while the root was deciding. Locks: derive lanes are requested before any of these functions closes a case.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select, tuple_

from revline.core.problem import problem
from revline.intake import tables
from revline.intake.queries import facts_by_names
from revline.intake.values import Awaited
from revline.platform.cases.record import NewCase, open_cases, resolve_cases
from revline.platform.store.unit import Unit

SUBJECT_AWAITED: Final = "awaited"
OPEN_STATES: Final = ("waiting", "overdue")
PAGE: Final = 500
PAGES_MAX: Final = 200


class AwaitedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One name a root waits for. state: waiting, arrived or overdue. seen_through: position the root knew all facts up to."""

    root_id: str
    awaited: Awaited
    deadline: datetime
    state: str
    seen_through: int


def waiting_for(connection: Connection, *, tenant_id: str, names: Collection[Awaited]) -> tuple[AwaitedEntry, ...]:
    """The entries that wait for one of these names."""
    if not names:
        return ()
    table = tables.awaited
    statement = select(table).where(
        table.c.tenant_id == tenant_id,
        table.c.name_value.in_(sorted({one.name_value for one in names})),
        table.c.state.in_(OPEN_STATES),
    )
    entries = (_entry(row) for row in connection.execute(statement))
    return tuple(entry for entry in entries if entry.awaited in names)


def overdue(connection: Connection, *, tenant_id: str, now: datetime, limit: int = PAGE) -> tuple[AwaitedEntry, ...]:
    """Entries whose deadline has passed and that have no case yet, the longest waiting first."""
    statement = (
        select(tables.awaited)
        .where(
            tables.awaited.c.tenant_id == tenant_id,
            tables.awaited.c.state == "waiting",
            tables.awaited.c.deadline <= now,
        )
        .order_by(tables.awaited.c.deadline, tables.awaited.c.root_id)
        .limit(limit)
    )
    return tuple(_entry(row) for row in connection.execute(statement))


def crossed(connection: Connection, *, tenant_id: str, page: int = PAGE) -> tuple[AwaitedEntry, ...]:
    """Entries that wait for a name which a fact brought that the root had not seen when it decided to wait."""
    table = tables.awaited
    place = (table.c.root_id, table.c.connection, table.c.object_kind, table.c.name_kind, table.c.name_value)
    statement = select(table).where(table.c.tenant_id == tenant_id, table.c.state.in_(OPEN_STATES)).order_by(*place)
    found: list[AwaitedEntry] = []
    after: Any = None
    for _ in range(PAGES_MAX):
        part = statement if after is None else statement.where(tuple_(*place) > after)
        rows = connection.execute(part.limit(page)).all()
        entries = [_entry(row) for row in rows]
        facts = facts_by_names(connection, tenant_id=tenant_id, wanted={entry.awaited for entry in entries})
        found += [
            entry for entry in entries if any(fact.position > entry.seen_through for fact in facts[entry.awaited])
        ]
        if len(rows) < page:
            break
        after = tuple(getattr(rows[-1], column.name) for column in place)
    return tuple(found)


def mark_arrived(unit: Unit, *, tenant_id: str, entries: Sequence[AwaitedEntry]) -> None:
    """The names came: the waits end and the cases of overdue ones close. The caller has requested the roots' lanes."""
    for entry in entries:
        _set_state(unit, tenant_id=tenant_id, entry=entry, state="arrived")
    late = sorted({entry.root_id for entry in entries if entry.state == "overdue"})
    resolve_cases(unit, tenant_id=tenant_id, subject_kind=SUBJECT_AWAITED, subject_ids=late, reason="it arrived")


def mark_overdue(unit: Unit, *, tenant_id: str, entry: AwaitedEntry) -> None:
    """The deadline passed: a case says so. The name still ends the wait whenever it comes."""
    one = entry.awaited
    _set_state(unit, tenant_id=tenant_id, entry=entry, state="overdue")
    missing = problem(
        "intake.awaited_overdue",
        f"nothing that was awaited of {one.object_kind} {one.name_kind} {one.name_value[:120]!r} came by"
        f" {entry.deadline:%Y-%m-%d %H:%M} UTC",
        field=one.object_kind,
    )
    case = NewCase(
        tenant_id=tenant_id,
        subject_kind=SUBJECT_AWAITED,
        subject_id=entry.root_id,
        problem=missing,
        connection=one.connection,
    )
    open_cases(unit, cases=[case])


def add_awaited(
    unit: Unit, *, tenant_id: str, root_id: str, names: Iterable[Awaited], deadline: datetime, seen_through: int = 0
) -> None:
    """A root waits for these until `deadline`. One it waits for already keeps the deadline and state it has.

    seen_through: position up to which the root knew every fact when it decided so.
    """
    wanted = sorted(set(names))
    if not wanted:
        return
    there = {entry.awaited: entry for entry in _of_root(unit, tenant_id=tenant_id, root_id=root_id)}
    for one in wanted:
        entry = there.get(one)
        if entry is None or entry.state not in OPEN_STATES:
            entry = AwaitedEntry(
                root_id=root_id, awaited=one, deadline=deadline, state="waiting", seen_through=seen_through
            )
        elif entry.seen_through >= seen_through:
            continue
        _set_state(
            unit,
            tenant_id=tenant_id,
            entry=msgspec.structs.replace(entry, seen_through=seen_through),
            state=entry.state,
        )


def settle_awaited(unit: Unit, *, tenant_id: str, root_id: str, still: Iterable[Awaited] = ()) -> int:
    """The root waits for nothing but `still` any more; gives how many ended. Its overdue case closes when none is left."""
    kept = set(still)
    found = _of_root(unit, tenant_id=tenant_id, root_id=root_id)
    ended = [entry for entry in found if entry.state in OPEN_STATES and entry.awaited not in kept]
    for entry in ended:
        _set_state(unit, tenant_id=tenant_id, entry=entry, state="arrived")
    late = [entry for entry in found if entry.state == "overdue"]
    if late and not any(entry.awaited in kept for entry in late):
        resolve_cases(
            unit, tenant_id=tenant_id, subject_kind=SUBJECT_AWAITED, subject_ids=[root_id], reason="it arrived"
        )
    return len(ended)


def _of_root(unit: Unit, *, tenant_id: str, root_id: str) -> list[AwaitedEntry]:
    table = tables.awaited
    statement = select(table).where(table.c.tenant_id == tenant_id, table.c.root_id == root_id)
    return [_entry(row) for row in unit.connection.execute(statement)]


def _entry(row: Row[Any]) -> AwaitedEntry:
    return AwaitedEntry(
        root_id=row.root_id,
        awaited=Awaited(
            connection=row.connection, object_kind=row.object_kind, name_kind=row.name_kind, name_value=row.name_value
        ),
        deadline=row.deadline,
        state=row.state,
        seen_through=row.seen_through,
    )


def _set_state(unit: Unit, *, tenant_id: str, entry: AwaitedEntry, state: str) -> None:
    one = entry.awaited
    unit.project(
        tables.awaited,
        key=("root_id", "connection", "object_kind", "name_kind", "name_value"),
        tenant_id=tenant_id,
        root_id=entry.root_id,
        connection=one.connection,
        object_kind=one.object_kind,
        name_kind=one.name_kind,
        name_value=one.name_value,
        deadline=entry.deadline,
        state=state,
        seen_through=entry.seen_through,
    )
