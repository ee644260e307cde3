"""Waiting for predecessors: a head that must wait leaves its lane without lease or capacity, and is woken by their commit.

No wake-up is lost: parking reads the predecessors' states under a share lock, so a predecessor either is seen as finished, or
is finished after the wait was written, and then its wake-up finds it. What a crash leaves between is found by the sweep.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from revline.core.documents import FINISHED_STATES
from revline.core.problem import problem
from revline.delivery.loading import DocumentKey
from revline.delivery.tables import FINISHED_SQL
from revline.delivery.values import SUBJECT_KIND, Head, Timing, WaitFor
from revline.platform.cases.record import NewCase, open_cases
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.lanes import LaneKey, retried, waits

SWEEP_PAGE: Final = 1_000

_SHARE: Final = text(
    """
    SELECT state.tenant_id, state.document_id, state.state FROM document_state AS state
    JOIN unnest(CAST(:tenants AS text[]), CAST(:documents AS text[])) AS given(tenant_id, document_id)
    USING (tenant_id, document_id)
    ORDER BY state.tenant_id, state.document_id FOR SHARE OF state
    """
)
_WAIT: Final = text(
    """
    INSERT INTO wait (tenant_id, document_id, predecessor_id, lane_id, since)
    SELECT given.tenant_id, given.document_id, given.predecessor_id, given.lane_id, :now
    FROM unnest(CAST(:tenants AS text[]), CAST(:documents AS text[]), CAST(:predecessors AS text[]),
                CAST(:lanes AS text[])) AS given(tenant_id, document_id, predecessor_id, lane_id)
    ORDER BY given.tenant_id, given.document_id, given.predecessor_id
    ON CONFLICT DO NOTHING
    """
)
_SINCE: Final = text(
    """
    SELECT wait.tenant_id, wait.document_id FROM wait
    JOIN unnest(CAST(:tenants AS text[]), CAST(:documents AS text[]), CAST(:predecessors AS text[]))
         AS given(tenant_id, document_id, predecessor_id) USING (tenant_id, document_id, predecessor_id)
    WHERE wait.since <= :before
    """
)
_WAITING_FOR: Final = text(
    """
    SELECT wait.tenant_id, wait.document_id, wait.predecessor_id, wait.lane_id FROM wait
    JOIN unnest(CAST(:tenants AS text[]), CAST(:documents AS text[])) AS given(tenant_id, predecessor_id)
    USING (tenant_id, predecessor_id)
    ORDER BY wait.tenant_id, wait.document_id, wait.predecessor_id
    """
)
_OVERDUE: Final = text(
    f"""
    SELECT wait.tenant_id, wait.document_id, wait.predecessor_id, wait.lane_id FROM wait
    JOIN document_state AS state
      ON state.tenant_id = wait.tenant_id AND state.document_id = wait.predecessor_id
    WHERE wait.tenant_id = ANY(CAST(:tenants AS text[])) AND state.state IN ({FINISHED_SQL})
    ORDER BY wait.tenant_id, wait.document_id, wait.predecessor_id LIMIT :limit
    """
)
_FORGET: Final = text(
    """
    DELETE FROM wait USING unnest(CAST(:tenants AS text[]), CAST(:documents AS text[]), CAST(:predecessors AS text[]))
                           AS given(tenant_id, document_id, predecessor_id)
    WHERE wait.tenant_id = given.tenant_id AND wait.document_id = given.document_id
      AND wait.predecessor_id = given.predecessor_id
    """
)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A head and what it waits for."""

    head: Head
    decision: WaitFor


def park(
    database: Database, *, owner: str, waiting: Sequence[Waiting], timing: Timing, now: datetime, recorded_at: datetime
) -> None:
    """Let these heads wait. One whose predecessors finished meanwhile is due at once."""
    tenants = sorted({one.head.loaded.lane.tenant_id for one in waiting})
    with database.unit(
        tenants=tenants, kind="wait", actor=owner, reason="predecessors are not finished", recorded_at=recorded_at
    ) as unit:
        connection = unit.connection
        held = work_record.hold(connection, owner=owner, lanes=[one.head.loaded.lane for one in waiting])
        kept = [one for one in waiting if one.head.loaded.lane.key in held]
        wanted = sorted(
            {DocumentKey(one.head.loaded.lane.tenant_id, name) for one in kept for name in one.decision.predecessors}
        )
        states = {
            DocumentKey(row.tenant_id, row.document_id): row.state for row in connection.execute(_SHARE, _keys(wanted))
        }
        rows: list[tuple[str, str, str, str]] = []
        missing: list[tuple[Waiting, str]] = []
        changes = []
        for one in kept:
            lane = one.head.loaded.lane
            left = [
                name
                for name in one.decision.predecessors
                if states.get(DocumentKey(lane.tenant_id, name)) not in FINISHED_STATES
            ]
            rows += [(lane.tenant_id, one.head.loaded.standing.document_id, name, lane.lane_id) for name in left]
            absent = [name for name in left if DocumentKey(lane.tenant_id, name) not in states]
            missing += [(one, name) for name in absent]
            due_at = now + timing.missing_predecessor if absent else None
            changes.append(waits(lane=lane, due_at=due_at) if left else retried(lane=lane, due_at=now, failed=False))
        if rows:
            columns = list(zip(*rows, strict=True))
            parameters = dict(zip(("tenants", "documents", "predecessors", "lanes"), map(list, columns), strict=True))
            connection.execute(_WAIT, {**parameters, "now": now})
        _tell_of(unit, missing, before=now - timing.missing_told)
        work_record.change(connection, owner=owner, changes=changes, now=now)


def _tell_of(unit: Unit, missing: Sequence[tuple[Waiting, str]], *, before: datetime) -> None:
    """A case for each document that has waited since `before` for one that isn't written; it closes when the document goes on."""
    if not missing:
        return
    parameters = {
        "tenants": [one.head.loaded.lane.tenant_id for one, _ in missing],
        "documents": [one.head.loaded.standing.document_id for one, _ in missing],
        "predecessors": [name for _, name in missing],
        "before": before,
    }
    late = {DocumentKey(row.tenant_id, row.document_id) for row in unit.connection.execute(_SINCE, parameters)}
    cases = [
        NewCase(
            tenant_id=standing.tenant_id,
            subject_kind=SUBJECT_KIND,
            subject_id=standing.document_id,
            problem=problem(
                "document.predecessor_missing",
                f"this {standing.kind} waits for document {name}, which was never written",
                field=str(standing.kind),
            ),
            connection=standing.connection,
            currency=one.head.loaded.document.currency,
            amount=one.head.loaded.document.amount,
        )
        for one, name in missing
        if DocumentKey((standing := one.head.loaded.standing).tenant_id, standing.document_id) in late
    ]
    open_cases(unit, cases=cases)


def wake(
    database: Database, *, actor: str, finished: Iterable[DocumentKey], recorded_at: datetime
) -> frozenset[LaneKey]:
    """After the commit that finished these documents: make the lanes due that wait for them. It locks lanes only."""
    keys = sorted(set(finished))
    if not keys:
        return frozenset()
    with database.unit(
        tenants=sorted({key.tenant_id for key in keys}),
        kind="wake",
        actor=actor,
        reason="predecessors are finished",
        recorded_at=recorded_at,
    ) as unit:
        rows = [tuple(row) for row in unit.connection.execute(_WAITING_FOR, _keys(keys))]
        return _wake_rows(unit.connection, rows)


def sweep(database: Database, *, actor: str, recorded_at: datetime) -> int:
    """Wake whatever waits for a finished document, for every tenant with a waiting lane; gives how many lanes."""
    woken, after = 0, ""
    while True:
        with database.control() as connection:
            tenants = work_queries.waiting_tenants(connection, after=after)
        if not tenants:
            return woken
        after = tenants[-1]
        with database.unit(tenants=tenants, kind="wake", actor=actor, reason="sweep", recorded_at=recorded_at) as unit:
            parameters = {"tenants": list(tenants), "limit": SWEEP_PAGE}
            rows = [tuple(row) for row in unit.connection.execute(_OVERDUE, parameters)]
            woken += len(_wake_rows(unit.connection, rows))


def _wake_rows(connection: Connection, rows: Sequence[tuple[str, ...]]) -> frozenset[LaneKey]:
    if not rows:
        return frozenset()
    now = work_queries.moment(connection)
    lanes = {LaneKey(tenant, lane) for tenant, _, _, lane in rows}
    woken = work_record.wake(connection, lanes=lanes, now=now)
    parameters = {
        "tenants": [row[0] for row in rows],
        "documents": [row[1] for row in rows],
        "predecessors": [row[2] for row in rows],
    }
    connection.execute(_FORGET, parameters)
    return woken


def _keys(keys: Sequence[DocumentKey]) -> dict[str, list[str]]:
    return {
        "tenants": [key.tenant_id for key in keys],
        "documents": [key.document_id for key in keys],
    }
