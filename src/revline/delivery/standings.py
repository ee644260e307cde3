"""Reads of where the documents of some events stand and how they came there, and of messages, for what is told back to sources.

Knows neither who is told nor what. Each takes an open connection that names the tenant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, func, or_, select

from revline.core.documents import Document, DocumentState, FeedbackContent, decode_document
from revline.core.money import at_least_in_scale
from revline.delivery.tables import (
    document,
    document_revision,
    document_state,
    document_transition,
    erp_record,
)

STANDINGS_MAX: Final = 20_000
PAGE_MAX: Final = 1_000
Place = tuple[int, int]
"""(position, ordinal) of a recorded row."""


class DocumentStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A document with where it stands and what the far system calls it ("" while it holds none)."""

    document_id: str
    event_id: str
    kind: str
    connection: str
    entity: str
    book: str
    external_reference: str
    state: DocumentState
    currency: str
    amount: Decimal
    accounting_date: date | None
    problem_code: str
    problem_field: str
    problem_detail: str
    erp_kind: str = ""
    erp_id: str = ""
    erp_number: str = ""
    erp_date: date | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A document's change of state."""

    document_id: str
    from_state: str
    to_state: str
    problem_code: str
    problem_detail: str
    at: datetime
    place: Place


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A feedback document as a line of a list, with its place in the log."""

    document_id: str
    connection: str
    external_reference: str
    state: str
    attempts: int
    failures: int
    due_at: datetime | None
    problem_code: str
    problem_detail: str
    changed_at: datetime
    message_type: str
    about: Mapping[str, str]
    place: Place


def standings(
    connection: Connection, *, tenant_id: str, event_ids: Sequence[str] = (), document_ids: Sequence[str] = ()
) -> tuple[DocumentStanding, ...]:
    """The documents of these events, and these documents, in order of ids; at most `STANDINGS_MAX`."""
    if not event_ids and not document_ids:
        return ()
    state = document_state
    joined = document.join(
        state, (state.c.tenant_id == document.c.tenant_id) & (state.c.document_id == document.c.document_id)
    ).outerjoin(
        erp_record,
        (erp_record.c.tenant_id == document.c.tenant_id) & (erp_record.c.document_id == document.c.document_id),
    )
    statement = (
        select(
            document.c.event_id,
            document.c.external_reference,
            *(state.c[name] for name in _OF_STATE),
            func.coalesce(erp_record.c.record_kind, "").label("erp_kind"),
            func.coalesce(erp_record.c.erp_id, "").label("erp_id"),
            func.coalesce(erp_record.c.number, "").label("erp_number"),
            erp_record.c.accounting_date.label("erp_date"),
        )
        .select_from(joined)
        .where(
            document.c.tenant_id == tenant_id,
            or_(document.c.event_id.in_(list(event_ids)), document.c.document_id.in_(list(document_ids))),
        )
        .order_by(document.c.document_id, erp_record.c.position)
        .limit(STANDINGS_MAX)
    )
    found: dict[str, DocumentStanding] = {}
    for row in connection.execute(statement).mappings():
        values = {str(name): value for name, value in row.items()}
        amount = at_least_in_scale(amount=row["amount"], code=row["currency"])
        found[row["document_id"]] = DocumentStanding(
            **{**values, "state": DocumentState(row["state"]), "amount": amount}
        )
    return tuple(found.values())


def transitions(
    connection: Connection, *, tenant_id: str, document_ids: Sequence[str], through: int
) -> tuple[Transition, ...]:
    """Changes of state of these documents up to a position, oldest first; at most `STANDINGS_MAX`."""
    table = document_transition
    statement = (
        select(table)
        .where(
            table.c.tenant_id == tenant_id,
            table.c.document_id.in_(list(document_ids)),
            table.c.position <= through,
            table.c.from_state != table.c.to_state,
        )
        .order_by(table.c.position, table.c.ordinal)
        .limit(STANDINGS_MAX)
    )
    return tuple(
        Transition(
            document_id=row.document_id,
            from_state=row.from_state,
            to_state=row.to_state,
            problem_code=row.problem_code,
            problem_detail=row.problem_detail,
            at=row.at,
            place=(row.position, row.ordinal),
        )
        for row in (connection.execute(statement) if document_ids else ())
    )


def messages(
    connection: Connection,
    *,
    tenant_id: str,
    connections: Sequence[str],
    state: str = "",
    after: Place = (0, 0),
    limit: int = 100,
) -> tuple[Message, ...]:
    """Feedback documents to these connections, oldest first, after a place in the log."""
    statement = (
        _message_rows()
        .where(
            document.c.tenant_id == tenant_id,
            document.c.kind == "feedback",
            document.c.connection.in_(list(connections)),
            or_(
                document.c.position > after[0],
                (document.c.position == after[0]) & (document.c.ordinal > after[1]),
            ),
        )
        .order_by(document.c.position, document.c.ordinal)
        .limit(max(1, min(limit, PAGE_MAX)))
    )
    if state:
        statement = statement.where(document_state.c.state == state)
    return tuple(_message(row) for row in (connection.execute(statement).mappings() if connections else ()))


def message(connection: Connection, *, tenant_id: str, document_id: str) -> tuple[Message, Document] | None:
    """One feedback document as a line, and what it says; None when there is none."""
    statement = _message_rows().where(
        document.c.tenant_id == tenant_id, document.c.document_id == document_id, document.c.kind == "feedback"
    )
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else (_message(row), decode_document(row["content"]))


def sent_under(connection: Connection, *, tenant_id: str, far_connection: str, reference: str) -> int:
    """How many documents carry one external reference on a connection."""
    statement = select(func.count()).where(
        document.c.tenant_id == tenant_id,
        document.c.connection == far_connection,
        document.c.external_reference == reference,
    )
    return int(connection.execute(statement).scalar_one())


def refused_connections(
    connection: Connection, *, tenant_id: str, connections: Sequence[str], problem_code: str
) -> frozenset[str]:
    """Those of the connections with a document that stands refused for this problem."""
    state = document_state
    statement = (
        select(state.c.connection)
        .where(
            state.c.tenant_id == tenant_id,
            state.c.connection.in_(list(connections)),
            state.c.state == DocumentState.REJECTED,
            state.c.problem_code == problem_code,
        )
        .distinct()
    )
    return frozenset(connection.execute(statement).scalars()) if connections else frozenset()


_OF_STATE: Final = (
    "document_id", "kind", "connection", "entity", "book", "state", "currency", "amount", "accounting_date",
    "problem_code", "problem_field", "problem_detail",
)  # fmt: skip
_OF_MESSAGE: Final = (
    "document_id", "connection", "state", "attempts", "failures", "due_at", "problem_code", "problem_detail", "changed_at",
)  # fmt: skip


def _message_rows() -> Any:
    state, revision = document_state, document_revision
    joined = document.join(
        state, (state.c.tenant_id == document.c.tenant_id) & (state.c.document_id == document.c.document_id)
    ).join(
        revision,
        (revision.c.tenant_id == state.c.tenant_id)
        & (revision.c.document_id == state.c.document_id)
        & (revision.c.revision == state.c.revision),
    )
    return select(
        document.c.external_reference,
        document.c.position,
        document.c.ordinal,
        revision.c.content,
        *(state.c[name] for name in _OF_MESSAGE),
    ).select_from(joined)


def _message(row: Mapping[Any, Any]) -> Message:
    content = decode_document(row["content"]).content
    assert isinstance(content, FeedbackContent)
    return Message(
        **{name: row[name] for name in _OF_MESSAGE},
        external_reference=row["external_reference"],
        message_type=content.message_type,
        about={
            "connection": content.target.connection,
            "kind": content.target.kind,
            "outside_id": content.target.outside_id,
        },
        place=(row["position"], row["ordinal"]),
    )
