"""The shell of work: claim lanes fairly over tenants, keep leases alive, write what becomes of lanes, wake those that wait.

Every function is one short transaction on control tables, safe to repeat. Handlers do their own units of work and use
`record.hold` and `record.change` within them when lane and result must stand or fall together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection, text

from revline.platform.store.direct import fetch_named
from revline.platform.store.engine import Database
from revline.platform.work import queries, record
from revline.platform.work.batches import batches_of, run_batch
from revline.platform.work.budgets import CLOSE
from revline.platform.work.lanes import (
    LANES_PER_CLAIM_MAX,
    PRIORITY_BULK,
    PRIORITY_CLOSE,
    PRIORITY_NORMAL,
    Claim,
    ClaimedLane,
    LaneChange,
    LaneKey,
    PoolRoom,
)
from revline.platform.work.tables import LIVE

DEFAULT_LEASE: Final = timedelta(seconds=15)
DEFAULT_LANES_PER_TENANT: Final = 64
TENANTS_PER_ROOM: Final = 2
"""A pool's room goes to at least so many tenants where so many have work: one alone can't take a whole claim."""
IDLE_PAUSE: Final = timedelta(seconds=1)
IDLE_PAUSE_MAX: Final = timedelta(seconds=60)
"""How long a place of the ring in which nothing was due is passed over, unless something new wakes it: a quarter of the time since
it was served last, within these bounds, and not beyond its next due time."""
IDLE_PART: Final = 4
PLACES_PER_CLAIM: Final = 64
"""Places of the ring one claim looks at, for each priority."""

_PLACE: Final = """
    lane.kind = :kind AND lane.pool_id = {0}.pool_id AND lane.tenant_id = {0}.tenant_id
    AND lane.kind_group = {0}.kind_group AND lane.priority = {0}.priority
"""

# Places are read without a lock: two claims at once may look at one tenant, but SKIP LOCKED gives each lane to one of them.
# A place where nothing is due is passed over under a lock that units which bring work there keep from it (`ring.wake_ring`).
_CLAIM: Final = text(
    f"""
    WITH room AS MATERIALIZED (
        SELECT * FROM unnest(CAST(:pools AS text[]), CAST(:rooms AS bigint[]), CAST(:closing AS bigint[]))
                      AS room(pool_id, lanes, closing)
    ), turn AS MATERIALIZED (
        SELECT place.*, (SELECT lane.due_at FROM lane WHERE {_PLACE.format("place")} AND {LIVE}
                         ORDER BY lane.due_at LIMIT 1) AS first_due
        FROM unnest(ARRAY[{PRIORITY_CLOSE}, {PRIORITY_NORMAL}, {PRIORITY_BULK}], ARRAY[0, 1, 1]) AS level(priority, rank)
        CROSS JOIN LATERAL (
            SELECT level.rank, ring.pool_id, ring.tenant_id, ring.kind_group, ring.priority, ring.turn_at,
                   coalesce(CASE WHEN level.rank = 0 THEN room.closing ELSE room.lanes END, :others) AS room
            FROM tenant_ring AS ring LEFT JOIN room ON room.pool_id = ring.pool_id
            WHERE ring.kind = :kind AND ring.priority = level.priority AND ring.turn_at <= :now
              AND coalesce(CASE WHEN level.rank = 0 THEN room.closing ELSE room.lanes END, :others) > 0
              AND (cardinality(CAST(:full AS text[])) = 0
                   OR NOT CAST(:full AS text[]) && ARRAY[
                       ring.pool_id || '/' || CASE WHEN level.rank = 0 THEN '{CLOSE}' ELSE ring.kind_group END,
                       ring.pool_id || '//' || ring.tenant_id,
                       ring.pool_id || '/' || CASE WHEN level.rank = 0 THEN '{CLOSE}' ELSE ring.kind_group END
                           || '/' || ring.tenant_id])
            ORDER BY ring.turn_at, ring.tenant_id LIMIT :places
        ) AS place
    ), chosen AS MATERIALIZED (
        SELECT * FROM turn WHERE turn.first_due <= :now ORDER BY turn.rank, turn.turn_at, turn.tenant_id LIMIT :tenants
    ), due AS MATERIALIZED (
        SELECT one.* FROM (SELECT chosen.pool_id, max(chosen.room) AS lanes, least(:spread, count(*)) AS places
                           FROM chosen GROUP BY chosen.pool_id
                           ORDER BY min(chosen.rank), min(chosen.turn_at), chosen.pool_id) AS pool
        CROSS JOIN LATERAL (
            SELECT mine.pool_id, mine.kind_group, mine.priority, found.tenant_id, found.lane_id
            FROM (SELECT * FROM chosen WHERE chosen.pool_id = pool.pool_id
                  ORDER BY chosen.rank, chosen.turn_at, chosen.tenant_id) AS mine
            CROSS JOIN LATERAL (
                SELECT lane.tenant_id, lane.lane_id FROM lane
                WHERE {_PLACE.format("mine")} AND {LIVE} AND lane.due_at <= :now
                ORDER BY lane.due_at LIMIT least(:each, (mine.room + pool.places - 1) / pool.places)
                FOR UPDATE SKIP LOCKED
            ) AS found
            LIMIT pool.lanes
        ) AS one
        LIMIT :limit
    ), served AS MATERIALIZED (
        SELECT DISTINCT due.pool_id, due.tenant_id, due.kind_group, due.priority FROM due
    ), turned AS (
        UPDATE tenant_ring SET
            served_at = CASE WHEN looked.served THEN :now ELSE tenant_ring.served_at END,
            turn_at = CASE WHEN looked.served THEN :now
                           ELSE least(looked.first_due, :now + least(CAST(:pause_max AS interval),
                                greatest(CAST(:pause AS interval), (:now - tenant_ring.served_at) / {IDLE_PART}))) END
        FROM (SELECT * FROM (SELECT served.*, CAST(NULL AS timestamptz) AS first_due, true AS served
                             FROM served JOIN tenant_ring AS ring USING (pool_id, tenant_id, kind_group, priority)
                             WHERE ring.kind = :kind FOR NO KEY UPDATE OF ring SKIP LOCKED) AS worked
              UNION ALL
              SELECT * FROM (SELECT idle.*, false AS served
                             FROM (SELECT turn.pool_id, turn.tenant_id, turn.kind_group, turn.priority, turn.first_due
                                   FROM turn LEFT JOIN served USING (pool_id, tenant_id, kind_group, priority)
                                   WHERE served.tenant_id IS NULL
                                     AND (turn.first_due IS NULL OR turn.first_due > :now)) AS idle
                             JOIN tenant_ring AS ring USING (pool_id, tenant_id, kind_group, priority)
                             WHERE ring.kind = :kind FOR UPDATE OF ring SKIP LOCKED) AS passed_over) AS looked
        WHERE tenant_ring.kind = :kind AND tenant_ring.pool_id = looked.pool_id
          AND tenant_ring.tenant_id = looked.tenant_id AND tenant_ring.kind_group = looked.kind_group
          AND tenant_ring.priority = looked.priority
    )
    UPDATE lane SET owner = :owner, fence = lane.fence + 1, lease_until = :lease_until, due_at = :lease_until,
                    waiting = false, call_id = ''
    FROM due WHERE lane.tenant_id = due.tenant_id AND lane.lane_id = due.lane_id
    RETURNING lane.tenant_id, lane.lane_id, lane.kind, lane.pool_id, lane.fence, lane.requested, lane.read_through,
              lane.pending, lane.attempts, lane.lease_until, lane.priority, lane.kind_group
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
    others: int = 0,
    full: Sequence[str] = (),
    tenants_max: int = 100,
    now: datetime | None = None,
) -> Claim:
    """Take due lanes of a kind: what has the priority of the close first, then by turn, of pools too; of one tenant at most half of
    a pool's room and `lanes_per_tenant`, at most `limit` in all.

    owner: unique per process. lease: how long they are ours unless renewed. pools: room in capacity pools (level lanes have none:
    leave it out). others: room in each pool that isn't named. full: parts of the work that may have no more (`Ledger.full`): they
    are passed over. tenants_max: the most tenants in one claim, so that one unit may name them all. now: for tests and simulation;
    database time otherwise. Cost grows with what is taken, not with the backlog.
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
            others=others,
            full=full,
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
    others: int = 0,
    full: Sequence[str] = (),
    tenants_max: int = 100,
) -> tuple[ClaimedLane, ...]:
    """`claim` as the last statement of an open control transaction, for whoever read something there first."""
    if not 0 < limit <= LANES_PER_CLAIM_MAX:
        raise ValueError(f"a claim takes between 1 and {LANES_PER_CLAIM_MAX} lanes")
    each = min(lanes_per_tenant, limit)
    rooms = list(pools or ())
    parameters = {
        "kind": kind,
        "owner": owner,
        "now": now,
        "lease_until": now + lease,
        "pause": IDLE_PAUSE,
        "pause_max": IDLE_PAUSE_MAX,
        "pools": [room.pool_id for room in rooms],
        "rooms": [room.lanes for room in rooms],
        "closing": [room.lanes if room.closing is None else room.closing for room in rooms],
        "others": limit if pools is None else others,
        "full": list(full),
        "each": each,
        "spread": 1 if pools is None else TENANTS_PER_ROOM,
        "places": PLACES_PER_CLAIM,
        "tenants": max(1, min(tenants_max, PLACES_PER_CLAIM if pools is not None else limit // each)),
        "limit": limit,
    }
    rows = fetch_named(connection, _CLAIM, parameters)
    return tuple(sorted((ClaimedLane(**row) for row in rows), key=lambda lane: lane.key))


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


def run_due(
    database: Database,
    *,
    kind: str,
    owner: str,
    limit: int,
    lanes_per_tenant: int,
    lanes_per_unit: int,
    lease: timedelta,
    unit: Callable[[str, datetime, Sequence[ClaimedLane]], None],
    give_up: Callable[[str, datetime, ClaimedLane], None],
) -> int:
    """A turn over level lanes: claim up to `limit` due ones, fairly over tenants, and run them in units of one tenant; gives
    how many were claimed. unit and give_up as of `run_batch`, told the tenant and the moment of the claim.

    Leases are renewed before each unit: those before it may have taken long, and nobody renews while one is worked on.
    """
    claimed = claim(database, kind=kind, owner=owner, limit=limit, lanes_per_tenant=lanes_per_tenant, lease=lease)
    for tenant_id, lanes in batches_of(claimed.lanes, size=lanes_per_unit):
        kept = renew(database, owner=owner, lanes=lanes, lease=lease)
        mine = [lane for lane in lanes if lane.key in kept]
        if mine:
            run_batch(
                mine, unit=partial(unit, tenant_id, claimed.now), give_up=partial(give_up, tenant_id, claimed.now)
            )
    return len(claimed.lanes)
