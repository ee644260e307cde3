"""What is on its way and since when, and when each far system last took something. For overviews; bounded reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from revline.core.documents import FINISHED_STATES
from revline.delivery.tables import document, document_state, document_transition

NEWEST_TRANSITIONS: Final = 5_000
_FINISHED: Final = tuple(sorted(FINISHED_STATES))


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """Documents of one connection in one unfinished state. oldest: when the one that stands there longest came to it."""

    connection: str
    state: str
    documents: int
    oldest: datetime


def backlog(connection: Connection, *, tenant_id: str) -> tuple[Backlog, ...]:
    """Unfinished documents by connection and state."""
    table = document_state
    statement = (
        select(
            table.c.connection,
            table.c.state,
            func.count().label("documents"),
            func.min(table.c.changed_at).label("oldest"),
        )
        .where(table.c.tenant_id == tenant_id, ~table.c.archived, table.c.state.not_in(_FINISHED))
        .group_by(table.c.connection, table.c.state)
        .order_by(table.c.connection, table.c.state)
    )
    return tuple(
        Backlog(connection=row.connection, state=row.state, documents=row.documents, oldest=row.oldest)
        for row in connection.execute(statement)
    )


def last_posted(connection: Connection, *, tenant_id: str) -> Mapping[str, datetime]:
    """When each far connection last posted something, among the newest 5,000 changes of state."""
    change = document_transition
    newest = (
        select(change.c.document_id, change.c.at)
        .where(change.c.tenant_id == tenant_id, change.c.to_state == "posted")
        .order_by(change.c.position.desc(), change.c.ordinal.desc())
        .limit(NEWEST_TRANSITIONS)
        .subquery()
    )
    statement = (
        select(document.c.connection, func.max(newest.c.at).label("at"))
        .select_from(newest.join(document, document.c.document_id == newest.c.document_id))
        .where(document.c.tenant_id == tenant_id)
        .group_by(document.c.connection)
    )
    return {row.connection: row.at for row in connection.execute(statement)}
