"""Timers of delivery beside its loop: finished documents move to history, periods of far systems are read anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection, text

from revline.core.clock import Clock
from revline.core.farside import ErpConnector, ErpPeriod
from revline.core.problem import Problem
from revline.delivery.ports import Blocking
from revline.delivery.tables import FINISHED_SQL, erp_period
from revline.delivery.values import LANE_KIND
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.work import queries as work_queries
from revline.platform.work.lanes import LaneKey

ARCHIVE_PAGE: Final = 1_000

# Skipping locked rows: nobody who reads a state under a share lock may find that it moved away.
_ARCHIVE: Final = text(
    f"""
    UPDATE document_state SET archived = true
    FROM (SELECT tenant_id, document_id FROM document_state
          WHERE tenant_id = ANY(CAST(:tenants AS text[])) AND NOT archived AND state IN ({FINISHED_SQL})
            AND changed_at < :before
          ORDER BY tenant_id, changed_at LIMIT :limit FOR UPDATE SKIP LOCKED) AS old
    WHERE document_state.tenant_id = old.tenant_id AND document_state.document_id = old.document_id
      AND NOT document_state.archived
    """
)

_FORGET_WAITS: Final = text(
    f"""
    DELETE FROM wait USING (
        SELECT wait.tenant_id, wait.document_id, wait.predecessor_id FROM wait
        JOIN document_state AS state ON state.tenant_id = wait.tenant_id AND state.document_id = wait.document_id
        WHERE wait.tenant_id = ANY(CAST(:tenants AS text[])) AND state.state IN ({FINISHED_SQL})
        ORDER BY wait.tenant_id, wait.document_id, wait.predecessor_id LIMIT :limit FOR UPDATE OF wait SKIP LOCKED) AS old
    WHERE wait.tenant_id = old.tenant_id AND wait.document_id = old.document_id
      AND wait.predecessor_id = old.predecessor_id
    """
)
# A document that was set aside, or waived, may be put back on its lane; then its sequence and its pool are needed.
_NEEDED: Final = text(
    """
    SELECT DISTINCT item.tenant_id, item.lane_id
    FROM unnest(CAST(:tenants AS text[]), CAST(:lanes AS text[])) AS given(tenant_id, lane_id)
    JOIN lane_item AS item USING (tenant_id, lane_id)
    JOIN document_state AS state ON state.tenant_id = item.tenant_id AND state.document_id = item.subject
    WHERE state.state NOT IN ('posted', 'reversed', 'superseded')
    """
)


def forget_waits(database: Database, *, tenants: Sequence[str], recorded_at: datetime) -> int:
    """Remove what finished documents are said to wait for still (they were waived or superseded meanwhile), a page at most."""
    with database.unit(
        tenants=tenants, kind="keep", actor="worker:keep", reason="nobody waits", recorded_at=recorded_at
    ) as unit:
        return unit.connection.execute(_FORGET_WAITS, {"tenants": list(tenants), "limit": ARCHIVE_PAGE}).rowcount


def needed_lanes(connection: Connection, lanes: Sequence[LaneKey]) -> frozenset[LaneKey]:
    """Of these lanes, those with a document that is not finished for good."""
    parameters = {"tenants": [key.tenant_id for key in lanes], "lanes": [key.lane_id for key in lanes]}
    return frozenset(LaneKey(row.tenant_id, row.lane_id) for row in connection.execute(_NEEDED, parameters))


def archive_finished(database: Database, *, before: datetime) -> int:
    """Move states of documents finished before a moment to history, a page a tenant group at a time; gives how many."""
    moved, after = 0, ""
    while True:
        with database.control() as connection:
            tenants = work_queries.ring_tenants(connection, kind=LANE_KIND, after=after)
        if not tenants:
            return moved
        after = tenants[-1]
        with database.unit(
            tenants=tenants, kind="archive", actor="worker:archive", reason="finished", recorded_at=before
        ) as unit:
            parameters = {"tenants": list(tenants), "before": before, "limit": ARCHIVE_PAGE}
            moved += unit.connection.execute(_ARCHIVE, parameters).rowcount


async def refresh_periods(
    *,
    database: Database,
    blocking: Blocking,
    connector: ErpConnector,
    tenant_id: str,
    connection: str,
    company: str,
    actor: str,
    clock: Clock,
) -> int | Problem:
    """Read the accounting periods of one company there and keep them; gives how many changed."""
    try:
        found = await connector.periods(company=company)
    except Exception as error:  # noqa: BLE001 - it is read again soon
        log().error("delivery.periods_failed", tenant_id=tenant_id, connection=connection, exc_info=error)
        return Problem(code="erp.unreachable", detail="the periods could not be read")
    if isinstance(found, Problem):
        return found
    work = partial(
        store_periods,
        database,
        tenant_id=tenant_id,
        connection=connection,
        periods=tuple(found),
        actor=actor,
        recorded_at=clock.now(),
    )
    return await blocking(work)


def store_periods(
    database: Database,
    *,
    tenant_id: str,
    connection: str,
    periods: tuple[ErpPeriod, ...],
    actor: str,
    recorded_at: datetime,
) -> int:
    """Keep periods as last seen; a unit is written only when one changed. Gives how many did."""
    with database.unit(
        tenants=[tenant_id], kind="periods", actor=actor, reason="read from the far side", recorded_at=recorded_at
    ) as unit:
        rows = unit.connection.execute(
            text("SELECT company, name, start_day, end_day, state FROM erp_period"
                 " WHERE tenant_id = :tenant AND connection = :connection"),
            {"tenant": tenant_id, "connection": connection},
        )  # fmt: skip
        known = {(row.company, row.name): (row.start_day, row.end_day, row.state) for row in rows}
        changed = [
            period
            for period in periods
            if known.get((period.company, period.name)) != (period.start, period.end, str(period.state))
        ]
        for period in changed:
            unit.project(
                erp_period,
                key=("connection", "company", "name"),
                tenant_id=tenant_id,
                connection=connection,
                company=period.company,
                name=period.name,
                start_day=period.start,
                end_day=period.end,
                state=period.state,
                seen_at=recorded_at,
            )
    return len(changed)
