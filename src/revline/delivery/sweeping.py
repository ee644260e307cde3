"""Wakes what a crash left waiting for a document that is finished. Its cost grows with what finished lately, not with what waits.

A process looks through everything that waits when it begins. Then it looks at what finished within the last moments, whoever was
to wake what waited for it, and beside that goes on through everything that waits, a bounded number of rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from revline.delivery.tables import FINISHED_SQL
from revline.delivery.waiting import wake_rows
from revline.platform.store.engine import Database
from revline.platform.work import queries as work_queries

ROWS_A_PAGE: Final = 2_000
LATELY: Final = timedelta(seconds=30)
"""What finished before is woken by then, or by the pass through everything; more than clocks of two processes differ."""

_SATISFIED: Final = f"""
    state.state IN ({FINISHED_SQL})
      AND (NOT wait.for_record OR EXISTS (SELECT FROM erp_record AS record
                                          WHERE record.tenant_id = wait.tenant_id
                                            AND record.document_id = wait.predecessor_id))
"""
_LATELY: Final = text(
    f"""
    SELECT wait.tenant_id, wait.document_id, wait.predecessor_id, wait.lane_id FROM document_state AS state
    JOIN wait ON wait.tenant_id = state.tenant_id AND wait.predecessor_id = state.document_id
    WHERE state.tenant_id = ANY(CAST(:tenants AS text[])) AND NOT state.archived AND state.changed_at >= :since
      AND {_SATISFIED}
    ORDER BY wait.tenant_id, wait.document_id, wait.predecessor_id LIMIT :limit
    """
)
_PAGE: Final = text(
    f"""
    SELECT wait.tenant_id, wait.document_id, wait.predecessor_id, wait.lane_id,
           state.document_id IS NOT NULL AND {_SATISFIED} AS satisfied
    FROM (SELECT * FROM wait
          WHERE tenant_id = ANY(CAST(:tenants AS text[]))
            AND (tenant_id, document_id, predecessor_id) > (:after_tenant, :after_document, :after_predecessor)
          ORDER BY tenant_id, document_id, predecessor_id LIMIT :limit) AS wait
    LEFT JOIN document_state AS state
      ON state.tenant_id = wait.tenant_id AND state.document_id = wait.predecessor_id
    ORDER BY wait.tenant_id, wait.document_id, wait.predecessor_id
    """
)
_START: Final = ("", "", "")


class Sweeper:
    """One process's sweeps; it keeps in memory only where its pass through everything is."""

    def __init__(self, *, database: Database, actor: str) -> None:
        self._database, self._actor = database, actor
        self._began = False
        self._tenants: tuple[str, ...] = ()
        self._after = _START

    def sweep(self, *, recorded_at: datetime) -> int:
        """One sweep; gives how many lanes it woke. The first looks through everything."""
        if not self._began:
            woken = sweep_all(self._database, actor=self._actor, recorded_at=recorded_at)
            self._began = True
            return woken
        return self._lately(recorded_at) + self._next_page(recorded_at)

    def _lately(self, recorded_at: datetime) -> int:
        woken, after = 0, ""
        while tenants := _tenants_after(self._database, after):
            after = tenants[-1]
            with self._database.unit(
                tenants=tenants, kind="wake", actor=self._actor, reason="sweep", recorded_at=recorded_at
            ) as unit:
                parameters = {"tenants": list(tenants), "since": recorded_at - LATELY, "limit": ROWS_A_PAGE}
                rows = [tuple(row) for row in unit.connection.execute(_LATELY, parameters)]
                woken += len(wake_rows(unit.connection, rows))
        return woken

    def _next_page(self, recorded_at: datetime) -> int:
        if not self._tenants:
            self._tenants = _tenants_after(self._database, self._after[0]) or _tenants_after(self._database, "")
            self._after = _START
        if not self._tenants:
            return 0
        woken, last = _page(self._database, self._actor, self._tenants, self._after, recorded_at)
        if last == _START:
            # The next group of tenants follows the last of this one.
            self._after, self._tenants = (self._tenants[-1], "", ""), ()
        else:
            self._after = last
        return woken


def sweep_all(database: Database, *, actor: str, recorded_at: datetime) -> int:
    """Wake whatever waits for a finished document, for every tenant with a waiting lane; gives how many lanes."""
    woken, group = 0, ""
    while tenants := _tenants_after(database, group):
        group, after = tenants[-1], _START
        while True:
            found, after = _page(database, actor, tenants, after, recorded_at)
            woken += found
            if after == _START:
                break
    return woken


def _page(
    database: Database, actor: str, tenants: Sequence[str], after: tuple[str, str, str], recorded_at: datetime
) -> tuple[int, tuple[str, str, str]]:
    """Look through one page of what waits; gives how many lanes were woken, and its last row, `_START` after the last page."""
    with database.unit(tenants=tenants, kind="wake", actor=actor, reason="sweep", recorded_at=recorded_at) as unit:
        parameters = {
            "tenants": list(tenants),
            "after_tenant": after[0],
            "after_document": after[1],
            "after_predecessor": after[2],
            "limit": ROWS_A_PAGE,
        }
        rows = unit.connection.execute(_PAGE, parameters).all()
        due = [(row.tenant_id, row.document_id, row.predecessor_id, row.lane_id) for row in rows if row.satisfied]
        woken = len(wake_rows(unit.connection, due))
    last = rows[-1] if len(rows) >= ROWS_A_PAGE else None
    return woken, _START if last is None else (last.tenant_id, last.document_id, last.predecessor_id)


def _tenants_after(database: Database, after: str) -> tuple[str, ...]:
    with database.control() as connection:
        return work_queries.waiting_tenants(connection, after=after)
