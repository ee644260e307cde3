"""The tenant ring: places in it, and waking them. Writes that take an open transaction; knows no lane but by its place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, text


class RingPlace(NamedTuple):
    """A place in the ring."""

    kind: str
    pool_id: str
    tenant_id: str
    kind_group: str
    priority: int


_PLACES: Final = """
    unnest(CAST(:kinds AS text[]), CAST(:pools AS text[]), CAST(:tenants AS text[]), CAST(:groups AS text[]),
           CAST(:priorities AS smallint[])) AS given(kind, pool_id, tenant_id, kind_group, priority)
"""

_JOIN_RING: Final = text(
    f"""
    INSERT INTO tenant_ring (kind, pool_id, tenant_id, kind_group, priority, turn_at, served_at)
    SELECT given.kind, given.pool_id, given.tenant_id, given.kind_group, given.priority, to_timestamp(0), :now
    FROM {_PLACES}
    WHERE NOT EXISTS (SELECT FROM tenant_ring AS there
                      WHERE there.kind = given.kind AND there.pool_id = given.pool_id
                        AND there.tenant_id = given.tenant_id AND there.kind_group = given.kind_group
                        AND there.priority = given.priority)
    ORDER BY given.kind, given.pool_id, given.tenant_id, given.kind_group, given.priority
    ON CONFLICT DO NOTHING
    """
)

# A claim that sees nothing due at a place passes it over for a while, and can't see what is not committed yet. It needs this lock
# for itself to do so; units share it. Only a claim that is just doing so is waited for, and claims wait for nothing.
_HOLD_RING: Final = text(
    f"""
    SELECT FROM tenant_ring AS ring JOIN {_PLACES} USING (kind, pool_id, tenant_id, kind_group, priority)
    ORDER BY kind, pool_id, tenant_id, kind_group, priority FOR KEY SHARE OF ring
    """
)

# Skipping a locked row keeps units of one tenant from queueing here; the ring looks again soon by itself.
_WAKE_RING: Final = text(
    f"""
    UPDATE tenant_ring SET turn_at = tenant_ring.served_at
    FROM (SELECT ring.kind, ring.pool_id, ring.tenant_id, ring.kind_group, ring.priority
          FROM tenant_ring AS ring JOIN {_PLACES} USING (kind, pool_id, tenant_id, kind_group, priority)
          WHERE ring.turn_at > ring.served_at FOR UPDATE OF ring SKIP LOCKED) AS idle
    WHERE tenant_ring.kind = idle.kind AND tenant_ring.pool_id = idle.pool_id
      AND tenant_ring.tenant_id = idle.tenant_id AND tenant_ring.kind_group = idle.kind_group
      AND tenant_ring.priority = idle.priority
    """
)


def join_ring(connection: Connection, lanes: Sequence[Row[Any] | RingPlace], *, now: datetime) -> None:
    """Give lanes (rows with kind, pool_id, tenant_id, kind_group, priority) their place, and wake it."""
    if lanes:
        connection.execute(_JOIN_RING, {**_places(lanes), "now": now})
        wake_ring(connection, lanes)


def wake_ring(connection: Connection, lanes: Sequence[Row[Any] | RingPlace]) -> None:
    """Tell the next claim to look at these lanes' places although it found nothing due there a moment ago; until this transaction
    ends none decides that nothing is due there."""
    if lanes:
        places = _places(lanes)
        connection.execute(_HOLD_RING, places)
        connection.execute(_WAKE_RING, places)


def _places(lanes: Sequence[Row[Any] | RingPlace]) -> dict[str, list[Any]]:
    places = sorted({(row.kind, row.pool_id, row.tenant_id, row.kind_group, row.priority) for row in lanes})
    names = ("kinds", "pools", "tenants", "groups", "priorities")
    return dict(zip(names, map(list, zip(*places, strict=True)), strict=True))
