"""Reads of accounting events, journals and their lines, and control totals. Each takes an open connection that names the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, select

from revline.core.events import AccountingEvent, decode_event
from revline.core.journal import JournalEntry, decode_journal
from revline.core.money import at_least_in_scale
from revline.subledger.posting.tables import accounting_event, accounting_event_fact, journal, journal_line

PAGE_MAX: Final = 1_000
EVENTS_OF_ROOT_MAX: Final = 10_000
EVENTS_OF_ROOTS_MAX: Final = 100_000


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as recorded. facts: (position, ordinal) it rests on. reversed_by: the event that undid it, or ""."""

    event: AccountingEvent
    content_digest: str
    root_id: str
    position: int
    ordinal: int
    configuration_version: int
    facts: tuple[tuple[int, int], ...] = ()
    reversed_by: str = ""


class StoredJournal(msgspec.Struct, frozen=True, kw_only=True):
    """A journal as recorded, with the place of its rule and the configuration version it was made under."""

    entry: JournalEntry
    rule_file: str
    rule_line: int
    configuration_version: int
    period: str
    position: int
    ordinal: int


class ControlTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of journal lines. Amounts in `currency`, functional amounts in `functional_currency`; lines: their count."""

    entity: str
    book: str
    period: str
    account: str
    currency: str
    functional_currency: str
    debit: Decimal
    credit: Decimal
    functional_debit: Decimal
    functional_credit: Decimal
    lines: int


def events_of_root(connection: Connection, *, tenant_id: str, root_id: str) -> tuple[StoredEvent, ...]:
    """Every event of a root in the order they were recorded, reversals and reversed ones too."""
    condition = (accounting_event.c.tenant_id == tenant_id, accounting_event.c.root_id == root_id)
    found = _events(connection, _event_rows().where(*condition).limit(EVENTS_OF_ROOT_MAX + 1), tenant_id)
    if len(found) > EVENTS_OF_ROOT_MAX:
        raise ValueError(f"root {root_id} has more than {EVENTS_OF_ROOT_MAX} events")
    return found


def events_of_roots(
    connection: Connection, *, tenant_id: str, root_ids: Sequence[str]
) -> dict[str, dict[str, AccountingEvent]]:
    """Every event of several roots in one query: root id -> event id -> event; a root without events has no key."""
    event = accounting_event.c
    statement = (
        select(event.root_id, event.event_id, event.content)
        .where(event.tenant_id == tenant_id, event.root_id.in_(list(root_ids)))
        .order_by(event.position, event.ordinal)
        .limit(EVENTS_OF_ROOTS_MAX + 1)
    )
    found: dict[str, dict[str, AccountingEvent]] = {}
    for count, row in enumerate(connection.execute(statement) if root_ids else ()):
        if count == EVENTS_OF_ROOTS_MAX:
            raise ValueError(f"the roots have more than {EVENTS_OF_ROOTS_MAX} events; ask for fewer roots")
        found.setdefault(row.root_id, {})[row.event_id] = decode_event(row.content)
    return found


def find_event(connection: Connection, *, tenant_id: str, event_id: str) -> StoredEvent | None:
    """The event of an id, or None."""
    condition = (accounting_event.c.tenant_id == tenant_id, accounting_event.c.event_id == event_id)
    return next(iter(_events(connection, _event_rows().where(*condition), tenant_id)), None)


def events_of_fact(connection: Connection, *, tenant_id: str, position: int, ordinal: int) -> tuple[str, ...]:
    """Ids of the events that rest on a fact."""
    fact = accounting_event_fact.c
    statement = (
        select(fact.event_id)
        .where(fact.tenant_id == tenant_id, fact.fact_position == position, fact.fact_ordinal == ordinal)
        .order_by(fact.position, fact.ordinal)
        .limit(PAGE_MAX)
    )
    return tuple(connection.execute(statement).scalars())


def journals_of_events(
    connection: Connection, *, tenant_id: str, event_ids: Sequence[str]
) -> dict[str, tuple[StoredJournal, ...]]:
    """The journals of events by event id, in order of books; an event without one has no key."""
    if len(event_ids) > EVENTS_OF_ROOTS_MAX:
        raise ValueError(f"at most {EVENTS_OF_ROOTS_MAX} events at once")
    statement = (
        select(journal)
        .where(journal.c.tenant_id == tenant_id, journal.c.event_id.in_(list(event_ids)))
        .order_by(journal.c.event_id, journal.c.book)
    )
    found: dict[str, list[StoredJournal]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.event_id, []).append(_journal(row))
    return {event: tuple(journals) for event, journals in found.items()}


def find_journal(connection: Connection, *, tenant_id: str, journal_id: str) -> StoredJournal | None:
    """The journal of an id with its lines, or None."""
    statement = select(journal).where(journal.c.tenant_id == tenant_id, journal.c.journal_id == journal_id)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _journal(row)


def journals_by_id(connection: Connection, *, tenant_id: str, journal_ids: Sequence[str]) -> tuple[JournalEntry, ...]:
    """The journals of these ids that are there, in order of ids; at most 1,000."""
    wanted = sorted(set(journal_ids))[:PAGE_MAX]
    statement = (
        select(journal.c.content)
        .where(journal.c.tenant_id == tenant_id, journal.c.journal_id.in_(wanted))
        .order_by(journal.c.journal_id)
    )
    return tuple(decode_journal(content) for content in connection.execute(statement).scalars()) if wanted else ()


def reversal_of_journal(connection: Connection, *, tenant_id: str, journal_id: str) -> str:
    """Id of the journal that mirrors or reverses this one, or ""; the newest where a mirror was booked again."""
    statement = (
        select(journal.c.journal_id)
        .where(journal.c.tenant_id == tenant_id, journal.c.reverses == journal_id, journal.c.reverses != "")
        .order_by(journal.c.position.desc(), journal.c.ordinal.desc())
        .limit(1)
    )
    return str(connection.execute(statement).scalar_one_or_none() or "")


def control_totals(
    connection: Connection, *, tenant_id: str, entity: str = "", book: str = "", period: str = ""
) -> tuple[ControlTotal, ...]:
    """Sums per entity, book, period, account and currency; an empty filter takes all. In order of these columns."""
    line = journal_line.c
    keys = (line.entity, line.book, line.period, line.account, line.currency, line.functional_currency)
    statement = select(
        *keys,
        func.sum(line.debit).label("debit"),
        func.sum(line.credit).label("credit"),
        func.sum(line.functional_debit).label("functional_debit"),
        func.sum(line.functional_credit).label("functional_credit"),
        func.count().label("lines"),
    ).where(line.tenant_id == tenant_id)
    for column, wanted in ((line.entity, entity), (line.book, book), (line.period, period)):
        if wanted:
            statement = statement.where(column == wanted)
    rows = connection.execute(statement.group_by(*keys).order_by(*keys)).mappings()
    return tuple(_total(row) for row in rows)


def page_of_journals(
    connection: Connection, *, tenant_id: str, after: tuple[int, int] = (0, 0), limit: int = 100
) -> tuple[StoredJournal, ...]:
    """Journals in the order they were recorded, after a (position, ordinal); at most 1,000."""
    place = (journal.c.position, journal.c.ordinal)
    statement = (
        select(journal)
        .where(
            journal.c.tenant_id == tenant_id,
            (place[0] > after[0]) | ((place[0] == after[0]) & (place[1] > after[1])),
        )
        .order_by(*place)
        .limit(max(1, min(limit, PAGE_MAX)))
    )
    return tuple(_journal(row) for row in connection.execute(statement))


def _total(row: Mapping[Any, Any]) -> ControlTotal:
    """Sums are stored padded with zeros; they are given with their currency's digits."""
    values = {str(name): value for name, value in row.items()}
    for name in ("debit", "credit"):
        values[name] = at_least_in_scale(amount=values[name], code=values["currency"])
        functional = f"functional_{name}"
        values[functional] = at_least_in_scale(amount=values[functional], code=values["functional_currency"])
    return ControlTotal(**values)


def _event_rows() -> Select[Any]:
    undoing = accounting_event.alias("undoing")
    undone = (undoing.c.tenant_id == accounting_event.c.tenant_id) & (undoing.c.reverses == accounting_event.c.event_id)
    return (
        select(accounting_event, func.coalesce(undoing.c.event_id, "").label("reversed_by"))
        .select_from(accounting_event.outerjoin(undoing, undone & (undoing.c.reverses != "")))
        .order_by(accounting_event.c.position, accounting_event.c.ordinal)
    )


def _events(connection: Connection, statement: Select[Any], tenant_id: str) -> tuple[StoredEvent, ...]:
    rows = connection.execute(statement).all()
    facts: dict[str, list[tuple[int, int]]] = {row.event_id: [] for row in rows}
    fact = accounting_event_fact.c
    links = (
        select(fact.event_id, fact.fact_position, fact.fact_ordinal)
        .where(fact.tenant_id == tenant_id, fact.event_id.in_(list(facts)))
        .order_by(fact.fact_position, fact.fact_ordinal)
    )
    for link in connection.execute(links) if facts else ():
        facts[link.event_id].append((link.fact_position, link.fact_ordinal))
    return tuple(
        StoredEvent(
            event=decode_event(row.content),
            content_digest=row.content_digest,
            root_id=row.root_id,
            position=row.position,
            ordinal=row.ordinal,
            configuration_version=row.configuration_version,
            facts=tuple(facts[row.event_id]),
            reversed_by=row.reversed_by,
        )
        for row in rows
    )


def _journal(row: Any) -> StoredJournal:
    return StoredJournal(
        entry=decode_journal(row.content),
        rule_file=row.rule_file,
        rule_line=row.rule_line,
        configuration_version=row.configuration_version,
        period=row.period,
        position=row.position,
        ordinal=row.ordinal,
    )


def roots_of_events(connection: Connection, *, tenant_id: str, event_ids: Sequence[str]) -> dict[str, str]:
    """Root id by event id, of those that are there."""
    event = accounting_event.c
    statement = select(event.event_id, event.root_id).where(
        event.tenant_id == tenant_id, event.event_id.in_(sorted(set(event_ids)))
    )
    return {row.event_id: row.root_id for row in (connection.execute(statement) if event_ids else ())}


def placed_events(
    connection: Connection, *, tenant_id: str, root_ids: Sequence[str], through: int
) -> dict[str, tuple[tuple[tuple[int, int], AccountingEvent], ...]]:
    """Every event of the roots up to a position, as ((position, ordinal), event), oldest first, by root id."""
    event = accounting_event.c
    statement = (
        select(event.root_id, event.position, event.ordinal, event.content)
        .where(event.tenant_id == tenant_id, event.root_id.in_(list(root_ids)), event.position <= through)
        .order_by(event.position, event.ordinal)
        .limit(EVENTS_OF_ROOTS_MAX)
    )
    found: dict[str, list[tuple[tuple[int, int], AccountingEvent]]] = {}
    for row in connection.execute(statement) if root_ids else ():
        placed = ((row.position, row.ordinal), decode_event(row.content))
        found.setdefault(row.root_id, []).append(placed)
    return {root_id: tuple(events) for root_id, events in found.items()}
