"""Removes lanes nobody has needed for long, with their finished items, and processes that have long been silent.

A lane comes back by itself when it is asked for or an item is put on it. It is removed only while nobody owns it, nothing is left
to do on it and its last use is older than any lease could be, so no stale claim can be mistaken for a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from revline.platform.store.engine import Database
from revline.platform.work.lanes import LaneKey

PAGE: Final = 1_000
TENANTS_PER_UNIT: Final = 50
START: Final = LaneKey("", "")

Needed = Callable[[Connection, Sequence[LaneKey]], Collection[LaneKey]]
"""Of these locked lanes, those that a room needs still; asked within the unit that removes the others."""

_LOOK: Final = text(
    """
    SELECT tenant_id, lane_id, kind = :kind AND pending = 0 AND requested = read_through AND owner = ''
                               AND parked_code = '' AND NOT waiting AND due_at < :before AS idle
    FROM lane WHERE (tenant_id, lane_id) > (:tenant, :lane) ORDER BY tenant_id, lane_id LIMIT :limit
    """
)
_LOCK: Final = text(
    """
    SELECT lane.tenant_id, lane.lane_id FROM lane
    JOIN unnest(CAST(:tenants AS text[]), CAST(:lanes AS text[])) AS given(tenant_id, lane_id) USING (tenant_id, lane_id)
    WHERE lane.pending = 0 AND lane.requested = lane.read_through AND lane.owner = '' AND lane.parked_code = ''
      AND NOT lane.waiting AND lane.due_at < :before
    ORDER BY lane.tenant_id, lane.lane_id FOR UPDATE OF lane SKIP LOCKED
    """
)
_REMOVE: Final = """
    DELETE FROM {table} USING unnest(CAST(:tenants AS text[]), CAST(:lanes AS text[])) AS given(tenant_id, lane_id)
    WHERE {table}.tenant_id = given.tenant_id AND {table}.lane_id = given.lane_id
    """
_REMOVE_ITEMS: Final = text(_REMOVE.format(table="lane_item"))
_REMOVE_LANES: Final = text(_REMOVE.format(table="lane"))
_SILENT: Final = text("DELETE FROM process WHERE seen_at < :before")


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """A page of lanes that was looked at. after: where the next one begins; START when that was the last."""

    after: LaneKey
    removed: int


def nobody(connection: Connection, lanes: Sequence[LaneKey]) -> Collection[LaneKey]:
    """No lane is needed."""
    return ()


def remove_idle(
    database: Database,
    *,
    kind: str,
    after: LaneKey,
    before: datetime,
    recorded_at: datetime,
    needed: Needed = nobody,
) -> Walked:
    """Look at a page of lanes after a key and remove those of a kind that have been idle since before a moment (database time)."""
    parameters = {"kind": kind, "before": before, "tenant": after.tenant_id, "lane": after.lane_id, "limit": PAGE}
    with database.control() as connection:
        rows = connection.execute(_LOOK, parameters).all()
    idle = [LaneKey(row.tenant_id, row.lane_id) for row in rows if row.idle]
    by_tenant = [list(keys) for _, keys in groupby(idle, key=lambda key: key.tenant_id)]
    removed = 0
    for start in range(0, len(by_tenant), TENANTS_PER_UNIT):
        keys = [key for mine in by_tenant[start : start + TENANTS_PER_UNIT] for key in mine]
        removed += _remove(database, keys, before=before, recorded_at=recorded_at, needed=needed)
    last = LaneKey(rows[-1].tenant_id, rows[-1].lane_id) if len(rows) == PAGE else START
    return Walked(after=last, removed=removed)


def forget_processes(database: Database, *, before: datetime) -> int:
    """Remove processes that were last heard of before a moment; gives how many."""
    with database.control() as connection:
        return connection.execute(_SILENT, {"before": before}).rowcount


def _remove(
    database: Database, keys: Sequence[LaneKey], *, before: datetime, recorded_at: datetime, needed: Needed
) -> int:
    tenants = sorted({key.tenant_id for key in keys})
    with database.unit(
        tenants=tenants, kind="keep", actor="worker:keep", reason="idle for long", recorded_at=recorded_at
    ) as unit:
        rows = unit.connection.execute(_LOCK, {**_arrays(keys), "before": before})
        locked = [LaneKey(row.tenant_id, row.lane_id) for row in rows]
        kept = set(needed(unit.connection, locked)) if locked else set()
        gone = [key for key in locked if key not in kept]
        if gone:
            unit.connection.execute(_REMOVE_ITEMS, _arrays(gone))
            unit.connection.execute(_REMOVE_LANES, _arrays(gone))
        return len(gone)


def _arrays(keys: Sequence[LaneKey]) -> dict[str, list[str]]:
    return {"tenants": [key.tenant_id for key in keys], "lanes": [key.lane_id for key in keys]}
