"""Writes on lanes that take an open transaction, so that whoever books something can ask for the work that follows from it.

Lock order, for everyone: derive lanes, then delivery lanes, each kind in one call sorted by key; then the caller's own rows;
then the unit's counters. Every write on a claimed lane names its owner and claim number: a stale owner's changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import starmap
from typing import Final

from sqlalchemy import Connection, TextClause, text

from revline.platform.store.direct import fetch, send
from revline.platform.store.unit import Unit
from revline.platform.work.lanes import (
    NO_POOL,
    PRIORITY_CLOSE,
    PRIORITY_NORMAL,
    ClaimedLane,
    LaneChange,
    LaneKey,
    NewItem,
)
from revline.platform.work.queries import moment
from revline.platform.work.ring import RingPlace, join_ring, wake_ring

_GIVEN: Final = "unnest(CAST(:tenants AS text[]), CAST(:lanes AS text[])) AS given(tenant_id, lane_id)"

_INSERT: Final = """
    INSERT INTO lane (tenant_id, lane_id, kind, kind_group, pool_id, priority, pending, next_sequence, requested,
                      read_through, due_at, owner, fence, attempts, parked_code, waiting, call_id)
    SELECT :tenant, given.lane_id, :kind, {columns}, 0, :now, '', 0, 0, '', false, ''
    FROM {given}
    ON CONFLICT (tenant_id, lane_id) DO UPDATE SET {changes}
    RETURNING lane.tenant_id, lane.lane_id, lane.next_sequence, lane.kind, lane.pool_id, lane.kind_group, lane.priority
"""

_REQUEST: Final = text(
    _INSERT.format(
        columns="'', :pool, CAST(:priority AS smallint), 0, 0, 1",
        given="unnest(CAST(:lanes AS text[])) AS given(lane_id)",
        changes="""
            requested = lane.requested + 1,
            pool_id = CASE WHEN lane.owner = '' THEN excluded.pool_id ELSE lane.pool_id END,
            priority = CASE WHEN lane.requested = lane.read_through AND lane.owner = '' THEN excluded.priority
                            ELSE least(lane.priority, excluded.priority) END,
            parked_code = '',
            waiting = false,
            due_at = CASE WHEN lane.owner <> '' THEN lane.due_at
                          WHEN lane.requested = lane.read_through OR lane.parked_code <> '' THEN excluded.due_at
                          ELSE least(lane.due_at, excluded.due_at) END""",
    )
)

_ENQUEUE: Final = text(
    _INSERT.format(
        columns="given.kind_group, given.pool_id, given.priority, given.items, given.items, 0",
        given="unnest(CAST(:lanes AS text[]), CAST(:groups AS text[]), CAST(:pools AS text[]),"
        " CAST(:priorities AS smallint[]), CAST(:items AS bigint[])) AS given(lane_id, kind_group, pool_id, priority, items)",
        changes="""
            pending = lane.pending + excluded.pending,
            next_sequence = lane.next_sequence + excluded.next_sequence,
            priority = CASE WHEN lane.pending = 0 AND lane.owner = '' THEN excluded.priority
                            ELSE least(lane.priority, excluded.priority) END,
            pool_id = CASE WHEN lane.pending = 0 AND lane.owner = '' THEN excluded.pool_id ELSE lane.pool_id END,
            kind_group = CASE WHEN lane.pending = 0 AND lane.owner = '' THEN excluded.kind_group
                              ELSE lane.kind_group END,
            due_at = CASE WHEN lane.pending = 0 AND lane.owner = '' THEN excluded.due_at ELSE lane.due_at END""",
    )
)

_LOCK: Final = text(
    _INSERT.format(
        columns="'', '', CAST(:priority AS smallint), 0, 0, 0",
        given="unnest(CAST(:lanes AS text[])) AS given(lane_id)",
        changes="kind = lane.kind",
    )
)

_ITEMS: Final = text(
    """
    INSERT INTO lane_item (tenant_id, lane_id, sequence, subject, archived)
    SELECT :tenant, given.lane_id, given.sequence, given.subject, false
    FROM unnest(CAST(:lanes AS text[]), CAST(:sequences AS bigint[]), CAST(:subjects AS text[]))
         AS given(lane_id, sequence, subject)
    """
)

# The owner is a column of what is given, not a constant: of a constant the planner believes that hardly any lane has it, reads the
# whole table for it and compares each lane it finds with everything given.
_HOLD: Final = text(
    """
    SELECT lane.tenant_id, lane.lane_id
    FROM lane JOIN unnest(CAST(:tenants AS text[]), CAST(:lanes AS text[]), CAST(:fences AS bigint[]),
                          CAST(:owners AS text[]))
                   AS given(tenant_id, lane_id, fence, owner) USING (tenant_id, lane_id, fence, owner)
    ORDER BY lane.tenant_id, lane.lane_id
    FOR UPDATE OF lane
    """
)

_CHANGE: Final = text(
    """
    UPDATE lane SET
        pending = lane.pending - given.done,
        read_through = greatest(lane.read_through, given.read_through),
        requested = lane.requested + CASE WHEN given.again AND lane.requested = given.seen THEN 1 ELSE 0 END,
        owner = CASE WHEN given.release THEN '' ELSE lane.owner END,
        lease_until = CASE WHEN given.release THEN NULL ELSE lane.lease_until END,
        due_at = CASE WHEN NOT given.release THEN lane.due_at
                      WHEN lane.requested > given.seen AND given.seen > 0 THEN :now
                      ELSE given.due_at END,
        attempts = CASE WHEN given.succeeded THEN 0 WHEN given.failed THEN lane.attempts + 1 ELSE lane.attempts END,
        parked_code = CASE WHEN lane.requested > given.seen AND given.seen > 0 THEN '' ELSE given.parked_code END,
        waiting = given.waiting,
        call_id = given.call_id
    FROM (SELECT unnest(CAST(:tenants AS text[])) AS tenant_id, unnest(CAST(:lanes AS text[])) AS lane_id,
                 unnest(CAST(:fences AS bigint[])) AS fence, unnest(CAST(:owners AS text[])) AS owner,
                 unnest(CAST(:done AS bigint[])) AS done, unnest(CAST(:read AS bigint[])) AS read_through,
                 unnest(CAST(:again AS boolean[])) AS again, unnest(CAST(:seen AS bigint[])) AS seen,
                 unnest(CAST(:release AS boolean[])) AS release, unnest(CAST(:due AS timestamptz[])) AS due_at,
                 unnest(CAST(:succeeded AS boolean[])) AS succeeded, unnest(CAST(:failed AS boolean[])) AS failed,
                 unnest(CAST(:parked AS text[])) AS parked_code, unnest(CAST(:waiting AS boolean[])) AS waiting,
                 unnest(CAST(:calls AS text[])) AS call_id) AS given
    WHERE lane.tenant_id = given.tenant_id AND lane.lane_id = given.lane_id
      AND lane.owner = given.owner AND lane.fence = given.fence
    RETURNING lane.lane_id, lane.kind, lane.pool_id, lane.tenant_id, lane.kind_group, lane.priority,
              lane.owner = '' AND lane.due_at <= :now AND lane.parked_code = ''
              AND (lane.pending > 0 OR lane.requested > lane.read_through) AS due
    """
)

_FINISH_ITEMS: Final = text(
    """
    UPDATE lane_item SET archived = true
    FROM unnest(CAST(:tenants AS text[]), CAST(:lanes AS text[]), CAST(:sequences AS bigint[]))
         AS given(tenant_id, lane_id, sequence)
    WHERE lane_item.tenant_id = given.tenant_id AND lane_item.lane_id = given.lane_id
      AND lane_item.sequence = given.sequence AND NOT lane_item.archived
    """
)

_LEAVE: Final = text(
    """
    WITH gone AS (
        UPDATE lane_item SET archived = true
        WHERE tenant_id = :tenant AND lane_id = :lane AND sequence = :sequence AND NOT archived RETURNING 1
    )
    UPDATE lane SET pending = pending - (SELECT count(*) FROM gone) WHERE tenant_id = :tenant AND lane_id = :lane
    """
)

_COME_BACK: Final = text(
    """
    WITH back AS (
        UPDATE lane_item SET archived = false
        WHERE tenant_id = :tenant AND lane_id = :lane AND sequence = :sequence AND archived RETURNING 1
    )
    UPDATE lane SET pending = pending + 1, fence = fence + ahead.takes,
                    owner = CASE WHEN ahead.takes = 1 THEN '' ELSE owner END,
                    lease_until = CASE WHEN ahead.takes = 1 THEN NULL ELSE lease_until END
    FROM back, (SELECT CASE WHEN held.call_id <> '' OR EXISTS (
                    SELECT FROM lane_item AS item WHERE item.tenant_id = :tenant AND item.lane_id = :lane
                      AND item.sequence < :sequence AND NOT item.archived) THEN 0 ELSE 1 END AS takes
                FROM lane AS held WHERE held.tenant_id = :tenant AND held.lane_id = :lane) AS ahead
    WHERE lane.tenant_id = :tenant AND lane.lane_id = :lane
    """
)

_DUE_NOW: Final = """
    WITH found AS MATERIALIZED (
        SELECT lane.tenant_id, lane.lane_id FROM lane JOIN {given} USING (tenant_id, lane_id)
        WHERE {condition} ORDER BY lane.tenant_id, lane.lane_id FOR UPDATE OF lane
    )
    UPDATE lane SET due_at = :now, waiting = false, parked_code = '', attempts = 0
    FROM found WHERE lane.tenant_id = found.tenant_id AND lane.lane_id = found.lane_id
    RETURNING lane.tenant_id, lane.lane_id, lane.kind, lane.pool_id, lane.kind_group, lane.priority
"""
_REPRIORITISE: Final = text(
    f"""
    WITH found AS MATERIALIZED (
        SELECT lane.tenant_id, lane.lane_id FROM lane JOIN {_GIVEN} USING (tenant_id, lane_id)
        WHERE lane.pending > 0 AND lane.priority <> :priority AND (:closing OR lane.priority = {PRIORITY_CLOSE})
        ORDER BY lane.tenant_id, lane.lane_id FOR UPDATE OF lane
    )
    UPDATE lane SET priority = :priority
    FROM found WHERE lane.tenant_id = found.tenant_id AND lane.lane_id = found.lane_id
    RETURNING lane.tenant_id, lane.lane_id, lane.kind, lane.pool_id, lane.kind_group, lane.priority
    """
)
_WAKE: Final = text(_DUE_NOW.format(given=_GIVEN, condition="lane.waiting AND lane.owner = ''"))
_UNPARK: Final = text(_DUE_NOW.format(given=_GIVEN, condition="lane.owner = ''"))


def request(
    unit: Unit,
    *,
    tenant_id: str,
    kind: str,
    lane_ids: Iterable[str],
    priority: int = PRIORITY_NORMAL,
    now: datetime | None = None,
    pool_id: str = NO_POOL,
) -> None:
    """Ask for level lanes to be run: each is due until a run has read through this request. Wakes parked and waiting ones.

    now: database time, read when not given. pool_id: the capacity pool of the calls a run makes, "" for none. Asking for a lane
    many times costs one row.
    """
    lanes = sorted(set(lane_ids))
    if not lanes:
        return
    at = now or moment(unit.connection)
    parameters = {"tenant": tenant_id, "kind": kind, "lanes": lanes, "priority": priority, "now": at, "pool": pool_id}
    join_ring(unit.connection, unit.connection.execute(_REQUEST, parameters).all(), now=at)


def enqueue(
    unit: Unit,
    *,
    tenant_id: str,
    kind: str,
    items: Sequence[NewItem],
    priority: int = PRIORITY_NORMAL,
    now: datetime | None = None,
) -> Mapping[str, int]:
    """Put items at the end of their lanes; gives each subject's sequence in its lane.

    The lane's row is locked until commit, so sequence order is commit order. Subjects of one call are distinct.
    """
    if not items:
        return {}
    by_lane: dict[str, list[NewItem]] = {}
    for item in items:
        by_lane.setdefault(item.lane_id, []).append(item)
    lanes = sorted(by_lane)
    at = now or moment(unit.connection)
    parameters = {
        "tenant": tenant_id,
        "kind": kind,
        "lanes": lanes,
        "groups": [by_lane[lane][0].kind_group for lane in lanes],
        "pools": [by_lane[lane][0].pool_id for lane in lanes],
        "priorities": [min(item.priority or priority for item in by_lane[lane]) for lane in lanes],
        "items": [len(by_lane[lane]) for lane in lanes],
        "now": at,
    }
    rows = unit.connection.execute(_ENQUEUE, parameters).all()
    last = {row.lane_id: int(row.next_sequence) for row in rows}
    sequences = {
        item.subject: last[lane] - len(entries) + number
        for lane, entries in by_lane.items()
        for number, item in enumerate(entries, start=1)
    }
    ordered = [item for lane in lanes for item in by_lane[lane]]
    item_values = {
        "tenant": tenant_id,
        "lanes": [item.lane_id for item in ordered],
        "sequences": [sequences[item.subject] for item in ordered],
        "subjects": [item.subject for item in ordered],
    }
    unit.connection.execute(_ITEMS, item_values)
    join_ring(unit.connection, rows, now=at)
    return sequences


def lock_lanes(unit: Unit, *, tenant_id: str, kind: str, lane_ids: Iterable[str]) -> None:
    """Lock lanes until the transaction ends, making those that aren't there: whoever else wants to write to them waits."""
    lanes = sorted(set(lane_ids))
    parameters = {
        "tenant": tenant_id,
        "kind": kind,
        "lanes": lanes,
        "priority": PRIORITY_NORMAL,
        "now": unit.recorded_at,
    }
    unit.connection.execute(_LOCK, parameters)


def hold(connection: Connection, *, owner: str, lanes: Iterable[ClaimedLane]) -> frozenset[LaneKey]:
    """Lock those of the claimed lanes that are still this owner's, in order, until the transaction ends.

    Called before the transaction's other writes: what belongs to a lane that is not in the answer must not be written.
    """
    ordered = sorted(lanes, key=lambda lane: lane.key)
    if not ordered:
        return frozenset()
    parameters = {
        "tenants": [lane.tenant_id for lane in ordered],
        "lanes": [lane.lane_id for lane in ordered],
        "fences": [lane.fence for lane in ordered],
        "owners": [owner] * len(ordered),
    }
    return frozenset(starmap(LaneKey, fetch(connection, _HOLD, parameters)))


def change(connection: Connection, *, owner: str, changes: Sequence[LaneChange], now: datetime) -> frozenset[LaneKey]:
    """Write what becomes of claimed lanes; gives those it was written for. The caller holds them (`hold`)."""
    if not changes:
        return frozenset()
    ordered = sorted(changes, key=lambda change: (change.lane.tenant_id, change.lane.lane_id))
    parameters = {
        "tenants": [change.lane.tenant_id for change in ordered],
        "lanes": [change.lane.lane_id for change in ordered],
        "fences": [change.lane.fence for change in ordered],
        "done": [change.done for change in ordered],
        "read": [change.read_through for change in ordered],
        "again": [change.again for change in ordered],
        "seen": [change.lane.requested for change in ordered],
        "release": [change.release for change in ordered],
        "due": [change.due_at or now for change in ordered],
        "succeeded": [change.succeeded for change in ordered],
        "failed": [change.failed for change in ordered],
        "parked": [change.parked_code for change in ordered],
        "waiting": [change.waiting for change in ordered],
        "calls": [change.call_id for change in ordered],
        "owners": [owner] * len(ordered),
        "now": now,
    }
    rows = fetch(connection, _CHANGE, parameters)
    wake_ring(connection, [RingPlace(*place) for _, *place, due in rows if due])
    return frozenset(LaneKey(tenant, lane) for lane, _, _, tenant, *_ in rows)


def finish_items(connection: Connection, *, items: Sequence[tuple[LaneKey, int]]) -> None:
    """Move finished items to history; in the transaction that lowers their lanes' pending count (`LaneChange.done`)."""
    if not items:
        return
    parameters = {
        "tenants": [key.tenant_id for key, _ in items],
        "lanes": [key.lane_id for key, _ in items],
        "sequences": [sequence for _, sequence in items],
    }
    send(connection, _FINISH_ITEMS, parameters)


def leave_lane(connection: Connection, *, key: LaneKey, sequence: int, now: datetime) -> None:
    """Take an unfinished item off its lane, which goes on with the next one at once. The caller has locked the lane."""
    connection.execute(_LEAVE, {"tenant": key.tenant_id, "lane": key.lane_id, "sequence": sequence})
    unpark(connection, lanes=[key], now=now)


def come_back(connection: Connection, *, key: LaneKey, sequence: int, now: datetime) -> None:
    """Put an item that left its lane, or was finished by mistake, back at its own sequence: before whatever is not finished
    behind it. Nothing changes when it is there. The caller has locked the lane.

    One that is the lane's head now ends the claim of whoever holds it, unless a call is under way: what was decided for the head
    before must neither be sent nor written.
    """
    connection.execute(_COME_BACK, {"tenant": key.tenant_id, "lane": key.lane_id, "sequence": sequence})
    unpark(connection, lanes=[key], now=now)


def wake(connection: Connection, *, lanes: Iterable[LaneKey], now: datetime) -> frozenset[LaneKey]:
    """Make waiting lanes due at once; others are left as they are. Lanes only, so no lock of another kind is held."""
    return _due_now(connection, _WAKE, lanes, now)


def unpark(connection: Connection, *, lanes: Iterable[LaneKey], now: datetime) -> frozenset[LaneKey]:
    """Make parked, waiting or backing-off lanes due at once, because a person mended something. Owned lanes stay as they are."""
    return _due_now(connection, _UNPARK, lanes, now)


def reprioritise(
    connection: Connection, *, lanes: Iterable[LaneKey], closing: bool, priority: int, now: datetime
) -> frozenset[LaneKey]:
    """Give lanes that have work another priority: any lane the close's (`closing`), and those that have the close's another one.
    Gives which. Order within a lane stays, and whoever holds one goes on."""
    ordered = sorted(set(lanes))
    if not ordered:
        return frozenset()
    parameters = {
        "tenants": [key.tenant_id for key in ordered],
        "lanes": [key.lane_id for key in ordered],
        "closing": closing,
        "priority": priority,
    }
    rows = connection.execute(_REPRIORITISE, parameters).all()
    join_ring(connection, rows, now=now)
    return frozenset(LaneKey(row.tenant_id, row.lane_id) for row in rows)


def _due_now(
    connection: Connection, statement: TextClause, lanes: Iterable[LaneKey], now: datetime
) -> frozenset[LaneKey]:
    ordered = sorted(set(lanes))
    if not ordered:
        return frozenset()
    parameters = {
        "tenants": [key.tenant_id for key in ordered],
        "lanes": [key.lane_id for key in ordered],
        "now": now,
    }
    rows = connection.execute(statement, parameters).all()
    if rows:
        wake_ring(connection, rows)
    return frozenset(LaneKey(row.tenant_id, row.lane_id) for row in rows)
