"""How fresh what each source said is, read from the newest facts only, so that it costs the same however long the log is."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from revline.intake.tables import fact

NEWEST_FACTS: Final = 10_000


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """What came last from one connection, among the newest facts of the tenant. facts: how many of those are its own."""

    connection: str
    received_at: datetime
    occurred_at: datetime
    facts: int


def freshness(connection: Connection, *, tenant_id: str) -> tuple[Freshness, ...]:
    """By connection, in order of names; one that is not among the newest 10,000 facts is left out."""
    newest = (
        select(fact.c.connection, fact.c.received_at, fact.c.occurred_at)
        .where(fact.c.tenant_id == tenant_id)
        .order_by(fact.c.position.desc(), fact.c.ordinal.desc())
        .limit(NEWEST_FACTS)
        .subquery()
    )
    statement = (
        select(
            newest.c.connection,
            func.max(newest.c.received_at).label("received_at"),
            func.max(newest.c.occurred_at).label("occurred_at"),
            func.count().label("facts"),
        )
        .group_by(newest.c.connection)
        .order_by(newest.c.connection)
    )
    return tuple(
        Freshness(connection=row.connection, received_at=row.received_at, occurred_at=row.occurred_at, facts=row.facts)
        for row in connection.execute(statement)
    )
