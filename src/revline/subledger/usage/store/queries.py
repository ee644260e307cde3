"""Reads of the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import BigInteger, Connection, cast, func, select

from revline.subledger.usage.store.tables import usage_erasure, usage_seal_request, usage_sealed, usage_segment
from revline.subledger.usage.store.values import Segment

SEGMENTS_MAX = 200_000
"""Live segments of a tenant that are looked at; compaction keeps them to thousands."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's sealed usage at one moment."""

    segments: tuple[Segment, ...]
    sealed: Mapping[int, int]
    erasure_epoch: int


def manifest_of(connection: Connection, *, tenant_id: str) -> Manifest:
    """Live segments, oldest first, how far each shard is sealed, and the erasure epoch, from one snapshot."""
    table = usage_segment
    live = select(table.c.body).where(table.c.tenant_id == tenant_id, table.c.state == "live")
    rows = connection.execute(live.order_by(table.c.last_at, table.c.segment_id).limit(SEGMENTS_MAX)).scalars()
    return Manifest(
        segments=tuple(msgspec.convert(body, Segment) for body in rows),
        sealed=sealed_of(connection, tenant_id=tenant_id),
        erasure_epoch=epoch_of(connection, tenant_id=tenant_id),
    )


def sealed_of(connection: Connection, *, tenant_id: str) -> Mapping[int, int]:
    """Shard -> the sequence through which its events of the tenant are sealed."""
    table = usage_sealed
    statement = select(table.c.shard, table.c.through).where(table.c.tenant_id == tenant_id).order_by(table.c.shard)
    return {int(row.shard): int(row.through) for row in connection.execute(statement)}


def sealed_of_many(connection: Connection, *, tenants: Sequence[str]) -> Mapping[str, Mapping[int, int]]:
    """The same for many tenants, which the transaction names."""
    table = usage_sealed
    statement = select(table.c.tenant_id, table.c.shard, table.c.through).where(table.c.tenant_id.in_(tenants))
    found: dict[str, dict[int, int]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.tenant_id, {})[int(row.shard)] = int(row.through)
    return found


def epoch_of(connection: Connection, *, tenant_id: str) -> int:
    """How often personal fields of the tenant were replaced."""
    table = usage_erasure
    return int(
        connection.execute(
            select(func.coalesce(func.max(table.c.epoch), 0)).where(table.c.tenant_id == tenant_id)
        ).scalar_one()
    )


def replaced_before(connection: Connection, *, tenant_id: str, before: datetime, limit: int) -> tuple[Segment, ...]:
    """Segments that were replaced before a moment and whose objects are still to go."""
    table = usage_segment
    statement = (
        select(table.c.body)
        .where(table.c.tenant_id == tenant_id, table.c.state == "replaced", table.c.changed_at < before)
        .order_by(table.c.changed_at)
        .limit(limit)
    )
    return tuple(msgspec.convert(body, Segment) for body in connection.execute(statement).scalars())


def seal_requests(connection: Connection) -> Mapping[str, int]:
    """Tenant -> how often sealing it at once was asked for; in a control transaction."""
    table = usage_seal_request
    return {row.tenant_id: int(row.asked) for row in connection.execute(select(table.c.tenant_id, table.c.asked))}


def named_objects(connection: Connection, *, tenant_id: str) -> frozenset[str]:
    """Keys of every object that the manifest names, of live and of replaced segments."""
    table = usage_segment
    key, partials = table.c.body["key"].astext, table.c.body["partials_key"].astext
    rows = connection.execute(select(key, partials).where(table.c.tenant_id == tenant_id).limit(2 * SEGMENTS_MAX))
    return frozenset(name for row in rows for name in row if name)


def untyped_rows(connection: Connection, *, tenant_id: str) -> int:
    """Rows in live segments whose type was unknown when they came."""
    table = usage_segment
    rows = func.coalesce(func.sum(cast(table.c.body["untyped"].astext, BigInteger)), 0)
    statement = select(rows).where(table.c.tenant_id == tenant_id, table.c.state == "live")
    return int(connection.execute(statement).scalar_one())
