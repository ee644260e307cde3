"""The shell of work: claim lanes fairly over tenants, keep leases alive, write what becomes of lanes, wake those that wait.

Every function is one short transaction on control tables, safe to repeat. Handlers do their own units of work and use
`record.hold` and `record.change` within them when lane and result must stand or fall together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from revline.platform.store.engine import Database
from revline.platform.work import queries, record
from revline.platform.work.lanes import (
    LANES_PER_CLAIM_MAX,
    NO_POOL,
    Claim,
    ClaimedLane,
    LaneChange,
    LaneKey,
    PoolRoom,
)
from revline.platform.work.tables import LIVE

DEFAULT_LEASE: Final = timedelta(seconds=15)
DEFAULT_LANES_PER_TENANT: Final = 64
IDLE_PAUSE: Final = timedelta(seconds=1)
"""How long a tenant in which nothing was due is passed over, unless something new wakes it."""

_CLAIM: Final = text(
    f"""
    WITH ring AS MATERIALIZED (
        SELECT ring.tenant_id, ring.pool_id, least(room.lanes, :lanes_per_tenant) AS lanes
        FROM tenant_ring AS ring
        JOIN unnest(CAST(:pools AS text[]), CAST(:rooms AS bigint[])) AS room(pool_id, lanes) USING (pool_id)
        WHERE ring.kind = :kind AND ring.idle_until <= :now
        ORDER BY ring.turn_at, ring.tenant_id
        LIMIT :tenants FOR UPDATE OF ring SKIP LOCKED
    ), due AS MATERIALIZED (
        SELECT one.tenant_id, one.lane_id, ring.pool_id FROM ring CROSS JOIN LATERAL (
            SELECT lane.tenant_id, lane.lane_id FROM lane
            WHERE lane.kind = :kind AND lane.pool_id = ring.pool_id AND lane.tenant_id = ring.tenant_id
              AND {LIVE} AND lane.due_at <= :now
            ORDER BY lane.priority, lane.due_at LIMIT ring.lanes FOR UPDATE SKIP LOCKED
        ) AS one
    ), turned AS (
        UPDATE tenant_ring SET turn_at = :now,
            idle_until = CASE WHEN EXISTS (SELECT FROM due WHERE due.tenant_id = ring.tenant_id
                                                             AND due.pool_id = ring.pool_id)
                              THEN to_timestamp(0) ELSE :idle_until END
        FROM ring WHERE tenant_ring.kind = :kind AND tenant_ring.pool_id = ring.pool_id
                    AND tenant_ring.tenant_id = ring.tenant_id
    )
    UPDATE lane SET owner = :owner, fence = lane.fence + 1, lease_until = :lease_until, due_at = :lease_until,
                    waiting = false, call_id = ''
    FROM due WHERE lane.tenant_id = due.tenant_id AND lane.lane_id = due.lane_id
    RETURNING lane.tenant_id, lane.lane_id, lane.kind, lane.pool_id, lane.fence, lane.requested, lane.read_through,
              lane.pending, lane.attempts, lane.lease_until, lane.priority
    """
)

_RENEW: Final = text(
    """
    UPDATE lane SET lease_until = :lease_until, due_at = :lease_until
    FROM unnest(CAST(:tenants AS text[]), CAST(:lanes AS text[]), CAST(:fences AS bigint[]), CAST(:owners AS text[]))
         AS given(tenant_id, lane_id, fence, owner)
    WHERE lane.tenant_id = given.tenant_id AND lane.lane_id = given.lane_id
      AND lane.owner = given.owner AND lane.fence = given.fence
    RETURNING lane.tenant_id, lane.lane_id
    """
)


def claim(
    database: Database,
    *,
    kind: str,
    owner: str,
    limit: int,
    lanes_per_tenant: int = DEFAULT_LANES_PER_TENANT,
    lease: timedelta = DEFAULT_LEASE,
    pools: Sequence[PoolRoom] | None = None,
    tenants_max: int = 100,
    now: datetime | None = None,
) -> Claim:
    """Take due lanes of a kind: tenants by turn, at most `lanes_per_tenant` of each, at most `limit` in all.

    owner: unique per process. lease: how long they are ours unless renewed. pools: capacity pools with room (level lanes have
    none: leave it out). tenants_max: the most tenants in one claim, so that one unit may name them all. now: for tests and
    simulation; database time otherwise. Cost grows with what is taken, not with the backlog.
    """
    with database.control() as connection:
        lanes = claim_on(
            connection,
            kind=kind,
            owner=owner,
            limit=limit,
            lanes_per_tenant=lanes_per_tenant,
            lease=lease,
            pools=pools,
            tenants_max=tenants_max,
            now=(at := now or queries.moment(connection)),
        )
    return Claim(now=at, lanes=lanes)


def claim_on(
    connection: Connection,
    *,
    kind: str,
    owner: str,
    limit: int,
    now: datetime,
    lanes_per_tenant: int = DEFAULT_LANES_PER_TENANT,
    lease: timedelta = DEFAULT_LEASE,
    pools: Sequence[PoolRoom] | None = None,
    tenants_max: int = 100,
) -> tuple[ClaimedLane, ...]:
    """`claim` as the last statement of an open control transaction, for whoever read something there first."""
    if not 0 < limit <= LANES_PER_CLAIM_MAX:
        raise ValueError(f"a claim takes between 1 and {LANES_PER_CLAIM_MAX} lanes")
    rooms = [PoolRoom(pool_id=NO_POOL, lanes=limit)] if pools is None else [room for room in pools if room.lanes > 0]
    per_tenant = min(lanes_per_tenant, limit)
    if not rooms:
        return ()
    parameters = {
        "kind": kind,
        "owner": owner,
        "now": now,
        "lease_until": now + lease,
        "idle_until": now + IDLE_PAUSE,
        "pools": [room.pool_id for room in rooms],
        "rooms": [room.lanes for room in rooms],
        "lanes_per_tenant": per_tenant,
        "tenants": max(1, min(tenants_max, limit // per_tenant)),
    }
    result = connection.execute(_CLAIM, parameters)
    names = tuple(result.keys())
    lanes = (ClaimedLane(**dict(zip(names, row, strict=True))) for row in result)
    return tuple(sorted(lanes, key=lambda lane: lane.key))


def renew(
    database: Database, *, owner: str, lanes: Iterable[ClaimedLane], lease: timedelta = DEFAULT_LEASE,
    now: datetime | None = None,
) -> frozenset[LaneKey]:  # fmt: skip
    """Lengthen leases; gives the lanes that are still this owner's. The others were taken over: drop their work."""
    ordered = sorted(lanes, key=lambda lane: lane.key)
    if not ordered:
        return frozenset()
    with database.control() as connection:
        record.hold(connection, owner=owner, lanes=ordered)
        parameters = {
            "tenants": [lane.tenant_id for lane in ordered],
            "lanes": [lane.lane_id for lane in ordered],
            "fences": [lane.fence for lane in ordered],
            "owners": [owner] * len(ordered),
            "lease_until": (now or queries.moment(connection)) + lease,
        }
        return frozenset(LaneKey(row.tenant_id, row.lane_id) for row in connection.execute(_RENEW, parameters))


def settle(
    database: Database, *, owner: str, changes: Sequence[LaneChange], now: datetime | None = None
) -> frozenset[LaneKey]:
    """Write what becomes of claimed lanes when nothing else has to be written with it; gives those it was written for."""
    if not changes:
        return frozenset()
    with database.control() as connection:
        record.hold(connection, owner=owner, lanes=[change.lane for change in changes])
        return record.change(connection, owner=owner, changes=changes, now=now or queries.moment(connection))


def wake(database: Database, *, lanes: Iterable[LaneKey], now: datetime | None = None) -> frozenset[LaneKey]:
    """Make waiting lanes due at once."""
    with database.control() as connection:
        return record.wake(connection, lanes=lanes, now=now or queries.moment(connection))


def unpark(database: Database, *, lanes: Iterable[LaneKey], now: datetime | None = None) -> frozenset[LaneKey]:
    """Make parked lanes due at once."""
    with database.control() as connection:
        return record.unpark(connection, lanes=lanes, now=now or queries.moment(connection))


def beat(database: Database, *, process_id: str, role: str, version: str, now: datetime | None = None) -> None:
    """Say that a process lives; the first time, that it began."""
    statement = text(
        "INSERT INTO process (process_id, role, started_at, seen_at, version)"
        " VALUES (:process_id, :role, :now, :now, :version)"
        " ON CONFLICT (process_id) DO UPDATE SET seen_at = excluded.seen_at"
    )
    with database.control() as connection:
        at = now or queries.moment(connection)
        connection.execute(statement, {"process_id": process_id, "role": role, "version": version, "now": at})
