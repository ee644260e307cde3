"""Finding records by a name: exact, or by prefix where asked. Knows no room's own tables."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from revline.core.facts import Name
from revline.platform.lineage.tables import NAME_LENGTH_MAX, name
from revline.platform.lineage.walk import Reference

FOUND_MAX = 50
NAMED_MAX = 50_000


def find(connection: Connection, *, tenant_id: str, value: str) -> tuple[Reference, ...]:
    """The records of one tenant known by exactly this value, at most `FOUND_MAX`."""
    statement = (
        select(name.c.record_kind, name.c.record_id)
        .where(name.c.tenant_id == tenant_id, name.c.value == value[:NAME_LENGTH_MAX])
        .distinct()
        .order_by(name.c.record_kind, name.c.record_id)
        .limit(FOUND_MAX)
    )
    return tuple(Reference(kind=row.record_kind, record_id=row.record_id) for row in connection.execute(statement))


def names_of(connection: Connection, *, tenant_id: str, reference: Reference) -> tuple[tuple[str, str], ...]:
    """(kind, value) of every name of one record."""
    statement = (
        select(name.c.kind, name.c.value)
        .where(
            name.c.tenant_id == tenant_id,
            name.c.record_kind == reference.kind,
            name.c.record_id == reference.record_id,
        )
        .order_by(name.c.kind, name.c.value)
        .limit(FOUND_MAX)
    )
    return tuple((row.kind, row.value) for row in connection.execute(statement))


def records_named(
    connection: Connection, *, tenant_id: str, names: Collection[Name], record_kind: str
) -> tuple[tuple[Name, str], ...]:
    """(name, record id) of every record of one kind known by one of these names, in order; at most `NAMED_MAX`."""
    values = sorted({item.value[:NAME_LENGTH_MAX] for item in names})
    wanted = {(item.kind, item.value[:NAME_LENGTH_MAX]) for item in names}
    statement = (
        select(name.c.kind, name.c.value, name.c.record_id)
        .where(name.c.tenant_id == tenant_id, name.c.value.in_(values), name.c.record_kind == record_kind)
        .order_by(name.c.value, name.c.kind, name.c.record_id)
        .limit(NAMED_MAX)
    )
    return tuple(
        (Name(kind=row.kind, value=row.value), row.record_id)
        for row in (connection.execute(statement) if values else ())
        if (row.kind, row.value) in wanted
    )
