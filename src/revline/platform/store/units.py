"""Reads of the audit chain's units as people look at them: pages with filters, and how much was written lately."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import Connection, Subquery, func, select

from revline.platform.store.tables import counter, unit

PAGE_MAX: Final = 1_001
NEWEST_UNITS: Final = 50_000


class StoredUnit(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain. row_count: recorded rows. hash: over them, the values here and the hash before."""

    position: int
    kind: str
    actor: str
    reason: str
    recorded_at: datetime
    row_count: int
    hash: bytes


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one kind in one span of time."""

    span: int
    kind: str
    units: int
    rows: int


def page_of_units(
    connection: Connection,
    *,
    tenant_id: str,
    before: int = 0,
    kind: str = "",
    actor: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> tuple[StoredUnit, ...]:
    """Units newest first, before a position (0: from the newest), of one kind or actor where named, recorded in [since, until)."""
    table = unit
    statement = select(*(table.c[name] for name in StoredUnit.__struct_fields__)).where(table.c.tenant_id == tenant_id)
    if before:
        statement = statement.where(table.c.position < before)
    if kind:
        statement = statement.where(table.c.kind == kind)
    if actor:
        statement = statement.where(table.c.actor == actor)
    if since is not None:
        statement = statement.where(table.c.recorded_at >= since)
    if until is not None:
        statement = statement.where(table.c.recorded_at < until)
    rows = connection.execute(statement.order_by(table.c.position.desc()).limit(min(limit, PAGE_MAX))).mappings()
    return tuple(StoredUnit(**{str(name): value for name, value in row.items()}) for row in rows)


def head_of(connection: Connection, *, tenant_id: str) -> tuple[int, bytes]:
    """The chain's newest position and hash; (0, b"") for a tenant without one."""
    row = connection.execute(select(counter).where(counter.c.tenant_id == tenant_id)).one_or_none()
    return (0, b"") if row is None else (int(row.position), bytes(row.hash))


def kinds_of(connection: Connection, *, tenant_id: str) -> Mapping[str, int]:
    """Kinds among the newest 50,000 units, with how many there are of each."""
    newest = _newest(tenant_id)
    statement = select(newest.c.kind, func.count().label("units")).group_by(newest.c.kind).order_by(newest.c.kind)
    return {row.kind: row.units for row in connection.execute(statement)}


def written(
    connection: Connection, *, tenant_id: str, since: datetime, span: timedelta, now: datetime
) -> tuple[Written, ...]:
    """Units and rows by kind in each span since a moment, among the newest 50,000 units. span: counted from `since`, from 0."""
    newest = _newest(tenant_id)
    seconds = int(span.total_seconds())
    place = func.floor(func.extract("epoch", newest.c.recorded_at - since) / seconds)
    statement = (
        select(
            place.label("span"),
            newest.c.kind,
            func.count().label("units"),
            func.sum(newest.c.row_count).label("rows"),
        )
        .where(newest.c.recorded_at >= since, newest.c.recorded_at <= now)
        .group_by(place, newest.c.kind)
        .order_by(place, newest.c.kind)
    )
    return tuple(
        Written(span=int(row.span), kind=row.kind, units=row.units, rows=int(row.rows))
        for row in connection.execute(statement)
    )


def _newest(tenant_id: str) -> Subquery:
    columns = (unit.c.position, unit.c.kind, unit.c.recorded_at, unit.c.row_count)
    chosen = select(*columns).where(unit.c.tenant_id == tenant_id)
    return chosen.order_by(unit.c.position.desc()).limit(NEWEST_UNITS).subquery()
