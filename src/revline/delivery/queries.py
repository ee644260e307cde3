"""Reads of documents, attempts and what far systems hold, for people and for other rooms. Knows no door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, select

from revline.core.documents import Document, decode_document
from revline.core.money import at_least_in_scale
from revline.delivery.evidence import account
from revline.delivery.tables import (
    attempt,
    document,
    document_evidence,
    document_predecessor,
    document_revision,
    document_state,
    document_transition,
    erp_entry,
    erp_record,
    wait,
)

PAGE_MAX: Final = 1_000


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A document as a line of a list."""

    document_id: str
    kind: str
    state: str
    connection: str
    entity: str
    book: str
    external_reference: str
    event_id: str
    journal_id: str
    revision: int
    step: str
    currency: str
    amount: Decimal
    accounting_date: date | None
    attempts: int
    failures: int
    due_at: datetime | None
    problem_code: str
    problem_field: str
    problem_detail: str
    set_aside_at: datetime | None
    changed_at: datetime


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A document with all that became of it; rows as their tables name the columns.

    evidence: what was asked while its effect was unknown. account: why it was sent as often as it was, and why not now.
    """

    delivery: Delivery
    document: Document
    predecessors: tuple[str, ...]
    waits_for: tuple[str, ...]
    transitions: tuple[Mapping[str, Any], ...]
    attempts: tuple[Mapping[str, Any], ...]
    records: tuple[Mapping[str, Any], ...]
    entries: tuple[Mapping[str, Any], ...]
    evidence: tuple[Mapping[str, Any], ...] = ()
    account: tuple[str, ...] = ()


class StateCount(msgspec.Struct, frozen=True, kw_only=True):
    """Documents of one connection in one state."""

    connection: str
    state: str
    documents: int


class AccountTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What a far system booked for our documents in one account, period and currency: sums as read back."""

    connection: str
    company: str
    entity: str
    book: str
    account: str
    period: str
    currency: str
    debit: Decimal
    credit: Decimal
    currency_amount: Decimal
    lines: int


def deliveries(
    connection: Connection,
    *,
    tenant_id: str,
    state: str = "",
    far_connection: str = "",
    after: str = "",
    limit: int = 100,
) -> tuple[Delivery, ...]:
    """Documents by id after the cursor, in one state or for one connection where named."""
    chosen = _select_delivery().where(document_state.c.tenant_id == tenant_id, document_state.c.document_id > after)
    if state:
        chosen = chosen.where(document_state.c.state == state)
    if far_connection:
        chosen = chosen.where(document_state.c.connection == far_connection)
    rows = connection.execute(chosen.order_by(document_state.c.document_id).limit(min(limit, PAGE_MAX))).mappings()
    return tuple(Delivery(**_in_scale(row)) for row in rows)


def show(connection: Connection, *, tenant_id: str, document_id: str) -> Shown | None:
    """One document with its transitions, attempts, far-side records and entries; None when it isn't there."""
    delivery = find_delivery(connection, tenant_id=tenant_id, document_id=document_id)
    if delivery is None:
        return None
    content = connection.execute(
        select(document_revision.c.content).where(
            document_revision.c.tenant_id == tenant_id,
            document_revision.c.document_id == document_id,
            document_revision.c.revision == delivery.revision,
        )
    ).scalar_one()
    attempts = _rows(connection, attempt, tenant_id, document_id, "attempt")
    evidence = evidence_of(connection, tenant_id=tenant_id, document_id=document_id)
    return Shown(
        delivery=delivery,
        document=decode_document(content),
        predecessors=predecessors_of(connection, tenant_id=tenant_id, document_id=document_id),
        waits_for=waits_of(connection, tenant_id=tenant_id, document_id=document_id),
        transitions=_rows(connection, document_transition, tenant_id, document_id, "position", "ordinal"),
        attempts=attempts,
        records=records_of(connection, tenant_id=tenant_id, document_id=document_id),
        entries=_rows(connection, erp_entry, tenant_id, document_id, "line"),
        evidence=evidence,
        account=account(
            reference=delivery.external_reference, state=delivery.state, attempts=attempts, evidence=evidence
        ),
    )


def evidence_of(connection: Connection, *, tenant_id: str, document_id: str) -> tuple[Mapping[str, Any], ...]:
    """What was asked while nobody knew a document's effect, oldest first; `records` as values."""
    rows = _rows(connection, document_evidence, tenant_id, document_id, "position", "ordinal")
    return tuple({**row, "records": msgspec.json.decode(row["records"])} for row in rows)


def account_of(connection: Connection, *, tenant_id: str, delivery: Delivery) -> tuple[str, ...]:
    """Why a document was sent as often as it was, and why it is not sent now."""
    evidence = evidence_of(connection, tenant_id=tenant_id, document_id=delivery.document_id)
    if delivery.attempts < 2 and not evidence:
        return ()
    attempts = _rows(connection, attempt, tenant_id, delivery.document_id, "attempt")
    return account(reference=delivery.external_reference, state=delivery.state, attempts=attempts, evidence=evidence)


def find_delivery(connection: Connection, *, tenant_id: str, document_id: str) -> Delivery | None:
    """One document as a line of a list; None when it isn't there."""
    statement = _select_delivery().where(
        document_state.c.tenant_id == tenant_id, document_state.c.document_id == document_id
    )
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else Delivery(**_in_scale(row))


def deliveries_by_id(connection: Connection, *, tenant_id: str, document_ids: Sequence[str]) -> Mapping[str, Delivery]:
    """Documents by id, of those that are there; at most `PAGE_MAX`."""
    wanted = list(document_ids)[:PAGE_MAX]
    if not wanted:
        return {}
    statement = _select_delivery().where(
        document_state.c.tenant_id == tenant_id, document_state.c.document_id.in_(wanted)
    )
    return {row["document_id"]: Delivery(**_in_scale(row)) for row in connection.execute(statement).mappings()}


def predecessors_of(connection: Connection, *, tenant_id: str, document_id: str) -> tuple[str, ...]:
    """Ids of the documents that must be in the far system before this one, sorted."""
    statement = select(document_predecessor.c.predecessor_id).where(
        document_predecessor.c.tenant_id == tenant_id, document_predecessor.c.document_id == document_id
    )
    return tuple(sorted(connection.execute(statement).scalars()))


def waits_of(connection: Connection, *, tenant_id: str, document_id: str) -> tuple[str, ...]:
    """Ids of the documents it still waits for, sorted."""
    statement = select(wait.c.predecessor_id).where(wait.c.tenant_id == tenant_id, wait.c.document_id == document_id)
    return tuple(sorted(connection.execute(statement).scalars()))


def waits_of_many(
    connection: Connection, *, tenant_id: str, document_ids: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """What each of some documents still waits for, sorted; those that wait for nothing are left out."""
    statement = select(wait.c.document_id, wait.c.predecessor_id).where(
        wait.c.tenant_id == tenant_id, wait.c.document_id.in_(list(document_ids)[:PAGE_MAX])
    )
    found: dict[str, list[str]] = {}
    for row in connection.execute(statement.order_by(wait.c.document_id, wait.c.predecessor_id)):
        found.setdefault(row.document_id, []).append(row.predecessor_id)
    return {document_id: tuple(waited) for document_id, waited in found.items()}


def records_of(connection: Connection, *, tenant_id: str, document_id: str) -> tuple[Mapping[str, Any], ...]:
    """What far systems hold of a document, as the table names the columns."""
    return _rows(connection, erp_record, tenant_id, document_id, "erp_id")


def numbers_of(connection: Connection, *, tenant_id: str, document_ids: Sequence[str]) -> Mapping[str, str]:
    """What far systems call each of some documents, of those that have a number there; the first where there are several."""
    statement = (
        select(erp_record.c.document_id, func.min(erp_record.c.number).label("number"))
        .where(
            erp_record.c.tenant_id == tenant_id,
            erp_record.c.document_id.in_(list(document_ids)[:PAGE_MAX]),
            erp_record.c.number != "",
        )
        .group_by(erp_record.c.document_id)
    )
    return {row.document_id: row.number for row in connection.execute(statement)}


def documents_of(
    connection: Connection, *, tenant_id: str, event_ids: Sequence[str] = (), journal_ids: Sequence[str] = ()
) -> tuple[tuple[str, str, str], ...]:
    """(document id, event id, journal id) of the documents of these events or journals, at most `PAGE_MAX`."""
    table = document
    statement = (
        select(table.c.document_id, table.c.event_id, table.c.journal_id)
        .where(
            table.c.tenant_id == tenant_id,
            table.c.event_id.in_(list(event_ids)) if event_ids else table.c.journal_id.in_(list(journal_ids)),
        )
        .order_by(table.c.document_id)
        .limit(PAGE_MAX)
    )
    return tuple((row.document_id, row.event_id, row.journal_id) for row in connection.execute(statement))


def record_of(connection: Connection, *, tenant_id: str, reference: str) -> Mapping[str, Any] | None:
    """A far-side record by its reference "connection/kind/id", as its table names the columns; None when it isn't known."""
    parts = reference.split("/", 2)
    if len(parts) != 3:
        return None
    statement = select(erp_record).where(
        erp_record.c.tenant_id == tenant_id,
        erp_record.c.connection == parts[0],
        erp_record.c.record_kind == parts[1],
        erp_record.c.erp_id == parts[2],
    )
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _in_scale(row)


def states_of(connection: Connection, *, tenant_id: str, document_ids: Sequence[str]) -> Mapping[str, str]:
    """State by document id, of those that are there."""
    table = document_state
    statement = select(table.c.document_id, table.c.state).where(
        table.c.tenant_id == tenant_id, table.c.document_id.in_(list(document_ids))
    )
    return {row.document_id: row.state for row in connection.execute(statement)}


def counts(connection: Connection, *, tenant_id: str) -> tuple[StateCount, ...]:
    """Documents by connection and state, history included."""
    table = document_state
    statement = (
        select(table.c.connection, table.c.state, func.count().label("documents"))
        .where(table.c.tenant_id == tenant_id)
        .group_by(table.c.connection, table.c.state)
        .order_by(table.c.connection, table.c.state)
    )
    return tuple(
        StateCount(connection=row.connection, state=row.state, documents=row.documents)
        for row in connection.execute(statement)
    )


def account_totals(connection: Connection, *, tenant_id: str, far_connection: str = "") -> tuple[AccountTotal, ...]:
    """What far systems booked, per connection, company, entity, book, account, period and currency."""
    table = erp_entry
    keys = (
        table.c.connection,
        table.c.company,
        table.c.entity,
        table.c.book,
        table.c.account,
        table.c.period,
        table.c.currency,
    )
    statement = (
        select(
            *keys,
            func.sum(table.c.debit).label("debit"),
            func.sum(table.c.credit).label("credit"),
            func.sum(table.c.currency_amount).label("currency_amount"),
            func.count().label("lines"),
        )
        .where(table.c.tenant_id == tenant_id)
        .group_by(*keys)
        .order_by(*keys)
    )
    if far_connection:
        statement = statement.where(table.c.connection == far_connection)
    rows = connection.execute(statement).mappings()
    return tuple(AccountTotal(**_in_scale(row)) for row in rows)


def _select_delivery() -> Any:
    columns = [
        (document if name in {"external_reference", "event_id", "journal_id"} else document_state).c[name]
        for name in Delivery.__struct_fields__
    ]
    joined = document_state.join(
        document,
        (document.c.tenant_id == document_state.c.tenant_id) & (document.c.document_id == document_state.c.document_id),
    )
    return select(*columns).select_from(joined)


def _rows(
    connection: Connection, table: Any, tenant_id: str, document_id: str, *order: str
) -> tuple[Mapping[str, Any], ...]:
    statement = (
        select(table)
        .where(table.c.tenant_id == tenant_id, table.c.document_id == document_id)
        .order_by(*(table.c[name] for name in order))
        .limit(PAGE_MAX)
    )
    return tuple(_in_scale(row) for row in connection.execute(statement).mappings())


def _in_scale(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row by column; its amounts, stored padded with zeros, with the currency's digits where that loses none."""
    values = {str(name): value for name, value in row.items()}
    for name, value in values.items():
        if isinstance(value, Decimal):
            values[name] = at_least_in_scale(amount=value, code=values["currency"])
    return values
