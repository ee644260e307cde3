"""Reads of lanes and pools, and the one query in Revline that reads the database's clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

import msgspec
from sqlalchemy import Connection, text

from revline.platform.store.direct import fetch
from revline.platform.work.lanes import ClaimedLane, LaneItem, LaneKey

ITEMS_PER_LANE_MAX: Final = 64
WAITING_TENANTS_MAX: Final = 100

# A simulation that owns time says so for its own sessions; leases and due times of every process then follow it.
_MOMENT: Final = text(
    "SELECT coalesce(CAST(nullif(current_setting('revline.simulated_time', true), '') AS timestamptz), clock_timestamp())"
)

_HEADS: Final = text(
    """
    SELECT given.tenant_id, given.lane_id, head.sequence, head.subject
    FROM unnest(CAST(:tenants AS text[]), CAST(:lanes AS text[])) AS given(tenant_id, lane_id)
    CROSS JOIN LATERAL (
        SELECT item.sequence, item.subject FROM lane_item AS item
        WHERE item.tenant_id = given.tenant_id AND item.lane_id = given.lane_id AND NOT item.archived
        ORDER BY item.sequence LIMIT :depth
    ) AS head
    ORDER BY given.tenant_id, given.lane_id, head.sequence
    """
)

_LATER: Final = text(
    """
    SELECT given.tenant_id, given.lane_id, later.sequence, later.subject
    FROM unnest(CAST(:tenants AS text[]), CAST(:lanes AS text[]), CAST(:sequences AS bigint[]))
         AS given(tenant_id, lane_id, sequence)
    CROSS JOIN LATERAL (
        SELECT item.sequence, item.subject FROM lane_item AS item
        WHERE item.tenant_id = given.tenant_id AND item.lane_id = given.lane_id AND NOT item.archived
          AND item.sequence > given.sequence
        ORDER BY item.sequence LIMIT :limit
    ) AS later
    ORDER BY given.tenant_id, given.lane_id, later.sequence
    """
)

_COUNTS: Final = """
    SELECT kind, parked_code, waiting, owner <> '' AS owned, count(*) AS lanes, sum(pending) AS items
    FROM lane
    WHERE (pending > 0 OR requested > read_through){}
    GROUP BY kind, parked_code, waiting, owner <> ''
    ORDER BY kind, parked_code, waiting, owned
    """
_COUNTS_OF_ALL: Final = text(_COUNTS.format(""))
_COUNTS_OF_TENANT: Final = text(_COUNTS.format(" AND tenant_id = :tenant"))


class LaneCount(msgspec.Struct, frozen=True, kw_only=True):
    """Live lanes of one kind in one condition. items: pending ones (0 for level lanes)."""

    kind: str
    parked_code: str
    waiting: bool
    owned: bool
    lanes: int
    items: int


SIMULATED_TIME: Final = "revline.simulated_time"
"""Under this name a simulation in this very process puts a function that gives its time into `connection.info`."""


def moment(connection: Connection) -> datetime:
    """Database time. Passed on as a value to every statement about leases and due times."""
    simulated = connection.info.get(SIMULATED_TIME)
    if simulated is not None:
        return cast(Callable[[], datetime], simulated)()
    ((found,),) = fetch(connection, _MOMENT, {})
    return cast(datetime, found)


def heads(
    connection: Connection, *, lanes: Sequence[ClaimedLane], depth: int
) -> Mapping[LaneKey, tuple[LaneItem, ...]]:
    """The first items of each lane, at most `depth`, in order. The connection names the lanes' tenants."""
    parameters = {
        "tenants": [lane.tenant_id for lane in lanes],
        "lanes": [lane.lane_id for lane in lanes],
        "depth": min(depth, ITEMS_PER_LANE_MAX),
    }
    found: dict[LaneKey, list[LaneItem]] = {}
    for tenant, lane, sequence, subject in fetch(connection, _HEADS, parameters):
        found.setdefault(LaneKey(tenant, lane), []).append(LaneItem(sequence=sequence, subject=subject))
    return {key: tuple(items) for key, items in found.items()}


def first_items(connection: Connection, *, keys: Collection[LaneKey]) -> Mapping[LaneKey, LaneItem]:
    """The first item of each of these lanes, of those that have one. The connection names the lanes' tenants."""
    ordered = sorted(keys)
    parameters = {"tenants": [key.tenant_id for key in ordered], "lanes": [key.lane_id for key in ordered], "depth": 1}
    return {
        LaneKey(row.tenant_id, row.lane_id): LaneItem(sequence=row.sequence, subject=row.subject)
        for row in (connection.execute(_HEADS, parameters) if ordered else ())
    }


def items_after(
    connection: Connection, *, places: Mapping[LaneKey, int], limit: int
) -> Mapping[LaneKey, tuple[LaneItem, ...]]:
    """The items later than a sequence in each of these lanes, in order, at most `limit` a lane."""
    ordered = sorted(places)
    parameters = {
        "tenants": [key.tenant_id for key in ordered],
        "lanes": [key.lane_id for key in ordered],
        "sequences": [places[key] for key in ordered],
        "limit": limit,
    }
    found: dict[LaneKey, list[LaneItem]] = {}
    for row in connection.execute(_LATER, parameters) if ordered else ():
        item = LaneItem(sequence=row.sequence, subject=row.subject)
        found.setdefault(LaneKey(row.tenant_id, row.lane_id), []).append(item)
    return {key: tuple(items) for key, items in found.items()}


_ANY: Final = text(
    "SELECT EXISTS (SELECT 1 FROM lane WHERE kind = :kind)"
)  # every-tenant: a control table, asked by kind


def has_lanes(connection: Connection, *, kind: str) -> bool:
    """Whether anything of a kind was ever asked for, and is not forgotten yet."""
    return bool(connection.execute(_ANY, {"kind": kind}).scalar_one())


def counts(connection: Connection, *, tenant_id: str = "") -> tuple[LaneCount, ...]:
    """Lanes with work left, by kind and condition; of one tenant, or of all ("")."""
    statement = _COUNTS_OF_TENANT if tenant_id else _COUNTS_OF_ALL
    rows = connection.execute(statement, {"tenant": tenant_id} if tenant_id else {})
    return tuple(
        LaneCount(
            kind=row.kind,
            parked_code=row.parked_code,
            waiting=row.waiting,
            owned=row.owned,
            lanes=row.lanes,
            items=int(row.items),
        )
        for row in rows
    )


def waiting_tenants(connection: Connection, *, after: str) -> tuple[str, ...]:
    """Tenants with a waiting lane, by id, after the given one; at most `WAITING_TENANTS_MAX`."""
    statement = text(
        "SELECT DISTINCT tenant_id FROM lane WHERE waiting AND tenant_id > :after ORDER BY tenant_id LIMIT :limit"
    )
    return tuple(connection.execute(statement, {"after": after, "limit": WAITING_TENANTS_MAX}).scalars())


def ring_tenants(connection: Connection, *, kind: str, after: str) -> tuple[str, ...]:
    """Tenants that ever had work of a kind, by id, after the given one; at most `WAITING_TENANTS_MAX`."""
    statement = text(
        "SELECT DISTINCT tenant_id FROM tenant_ring WHERE kind = :kind AND tenant_id > :after"
        " ORDER BY tenant_id LIMIT :limit"
    )
    parameters = {"kind": kind, "after": after, "limit": WAITING_TENANTS_MAX}
    return tuple(connection.execute(statement, parameters).scalars())


def lane_row(connection: Connection, *, key: LaneKey) -> Mapping[str, Any] | None:
    """One lane as it stands, for `show` and for tests."""
    statement = text("SELECT * FROM lane WHERE tenant_id = :tenant AND lane_id = :lane")
    row = connection.execute(statement, {"tenant": key.tenant_id, "lane": key.lane_id}).mappings().one_or_none()
    return None if row is None else {str(name): value for name, value in row.items()}


def pools_of(connection: Connection, *, kind: str) -> tuple[str, ...]:
    """Capacity pools that lanes of a kind ever belonged to."""
    statement = text("SELECT DISTINCT pool_id FROM tenant_ring WHERE kind = :kind ORDER BY pool_id")
    return tuple(connection.execute(statement, {"kind": kind}).scalars())
