"""Waiting for predecessors: a head that must wait leaves its lane without lease or capacity, and is woken by their commit.

No wake-up is lost: parking reads the predecessors' states under a share lock, so a predecessor either is seen as finished, or
is finished after the wait was written, and then its wake-up finds it. What a crash leaves between is found by `sweeping`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import starmap
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from revline.core.documents import FINISHED_STATES, DocumentState
from revline.delivery.blockers import missing_case, record_case
from revline.delivery.loading import DocumentKey, Present, key_arrays, present_as, present_of
from revline.delivery.needs import role_of
from revline.delivery.values import Head, Timing, WaitFor
from revline.platform.cases.record import NewCase, open_cases
from revline.platform.store.direct import fetch
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.lanes import LaneKey, retried, waits

_SHARE: Final = text(
    """
    SELECT state.tenant_id, state.document_id, state.state, state.revision, state.attempts, state.position
    FROM document_state AS state
    JOIN unnest(CAST(:tenants AS text[]), CAST(:documents AS text[])) AS given(tenant_id, document_id)
    USING (tenant_id, document_id)
    ORDER BY state.tenant_id, state.document_id FOR SHARE OF state
    """
)
_RECORDED: Final = text(
    """
    SELECT DISTINCT record.tenant_id, record.document_id FROM erp_record AS record
    JOIN unnest(CAST(:tenants AS text[]), CAST(:documents AS text[])) AS given(tenant_id, document_id)
    USING (tenant_id, document_id)
    """
)
_WAIT: Final = text(
    """
    INSERT INTO wait (tenant_id, document_id, predecessor_id, lane_id, since, for_record)
    SELECT given.tenant_id, given.document_id, given.predecessor_id, given.lane_id, :now, given.for_record
    FROM unnest(CAST(:tenants AS text[]), CAST(:documents AS text[]), CAST(:predecessors AS text[]),
                CAST(:lanes AS text[]), CAST(:records AS boolean[]))
         AS given(tenant_id, document_id, predecessor_id, lane_id, for_record)
    ORDER BY given.tenant_id, given.document_id, given.predecessor_id
    ON CONFLICT (tenant_id, document_id, predecessor_id) DO UPDATE SET for_record = excluded.for_record
    WHERE wait.for_record <> excluded.for_record
    """
)
_SINCE: Final = text(
    """
    SELECT wait.tenant_id, wait.predecessor_id FROM wait
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
_WAITED_FOR: Final = text(
    """
    SELECT DISTINCT wait.tenant_id, wait.predecessor_id FROM wait
    JOIN unnest(CAST(:tenants AS text[]), CAST(:documents AS text[])) AS given(tenant_id, predecessor_id)
    USING (tenant_id, predecessor_id)
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
_FORGET_ALL: Final = text("DELETE FROM wait WHERE tenant_id = :tenant AND document_id = :document")
_SINCE_COLUMNS: Final = frozenset({"tenants", "documents", "predecessors"})


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A head and what it waits for."""

    head: Head
    decision: WaitFor


def park(
    database: Database, *, owner: str, waiting: Sequence[Waiting], timing: Timing, now: datetime, recorded_at: datetime
) -> None:
    """Let these heads wait. One whose predecessors finished meanwhile, or that was itself changed, is due at once."""
    tenants = sorted({one.head.loaded.lane.tenant_id for one in waiting})
    with database.unit(
        tenants=tenants, kind="wait", actor=owner, reason="predecessors are not finished", recorded_at=recorded_at
    ) as unit:
        connection = unit.connection
        held = work_record.hold(connection, owner=owner, lanes=[one.head.loaded.lane for one in waiting])
        kept = [one for one in waiting if one.head.loaded.lane.key in held]
        seen = _seen(connection, kept)
        rows: list[_Wait] = []
        changes = []
        for one in kept:
            lane = one.head.loaded.lane
            left = (
                [name for name in one.decision.predecessors if not seen.satisfies(one, name)]
                if seen.stands(one)
                else []
            )
            absent = any(DocumentKey(lane.tenant_id, name) not in seen.states for name in left)
            rows += [_Wait(one, name) for name in left]
            due_at = now + timing.missing_predecessor if absent else None
            changes.append(waits(lane=lane, due_at=due_at) if left else retried(lane=lane, due_at=now, failed=False))
        if rows:
            connection.execute(_WAIT, {**_columns(rows), "now": now})
            _tell(unit, rows, seen, before=now - timing.missing_told)
        work_record.change(connection, owner=owner, changes=changes, now=now)


class _Wait(NamedTuple):
    """One row of `wait` to be."""

    waiting: Waiting
    predecessor_id: str

    @property
    def key(self) -> DocumentKey:
        return DocumentKey(self.waiting.head.loaded.lane.tenant_id, self.predecessor_id)


class _Seen(NamedTuple):
    """What is ahead, and what is to wait, read under a share lock. recorded: those of which a far-side record is known."""

    states: Mapping[DocumentKey, DocumentState]
    present: Mapping[DocumentKey, Present]
    recorded: frozenset[DocumentKey]

    def stands(self, one: Waiting) -> bool:
        """Whether it is as it was when it was decided that it waits: a person may have acted on it meanwhile."""
        return self.present.get(_key(one)) == present_of(one.head.loaded.standing)

    def satisfies(self, one: Waiting, name: str) -> bool:
        """Whether this predecessor keeps it waiting no more."""
        key = DocumentKey(one.head.loaded.lane.tenant_id, name)
        return self.states.get(key) in FINISHED_STATES and (not one.decision.for_record or key in self.recorded)


def _seen(connection: Connection, kept: Sequence[Waiting]) -> _Seen:
    wanted = {DocumentKey(one.head.loaded.lane.tenant_id, name) for one in kept for name in one.decision.predecessors}
    wanted |= {_key(one) for one in kept}
    rows = connection.execute(_SHARE, key_arrays(sorted(wanted)))
    present = {
        DocumentKey(tenant, document): present_as(state, revision, attempts, position)
        for tenant, document, state, revision, attempts, position in rows
    }
    states = {key: one.state for key, one in present.items()}
    named = sorted(
        {
            DocumentKey(one.head.loaded.lane.tenant_id, name)
            for one in kept
            if one.decision.for_record
            for name in one.decision.predecessors
        }
    )
    recorded = connection.execute(_RECORDED, key_arrays(named)) if named else ()
    return _Seen(states, present, frozenset(DocumentKey(row.tenant_id, row.document_id) for row in recorded))


def _key(one: Waiting) -> DocumentKey:
    return DocumentKey(one.head.loaded.lane.tenant_id, one.head.loaded.standing.document_id)


def _columns(rows: Sequence[_Wait]) -> dict[str, list[str] | list[bool]]:
    return {
        "tenants": [row.key.tenant_id for row in rows],
        "documents": [row.waiting.head.loaded.standing.document_id for row in rows],
        "predecessors": [row.predecessor_id for row in rows],
        "lanes": [row.waiting.head.loaded.lane.lane_id for row in rows],
        "records": [row.waiting.decision.for_record for row in rows],
    }


def _tell(unit: Unit, rows: Sequence[_Wait], seen: _Seen, *, before: datetime) -> None:
    """One case for each document that is ahead and can't come by itself: one that was waived at once, one that isn't written or
    was taken back when something has waited for it since `before`."""
    waived = [row for row in rows if row.waiting.decision.for_record]
    missing = [row for row in rows if row.key not in seen.states]
    slow = [row for row in (*waived, *missing) if seen.states.get(row.key) != DocumentState.WAIVED]
    parameters = {name: values for name, values in _columns(slow).items() if name in _SINCE_COLUMNS}
    found = unit.connection.execute(_SINCE, {**parameters, "before": before}) if slow else ()
    late = {DocumentKey(row.tenant_id, row.predecessor_id) for row in found}
    told: dict[DocumentKey, NewCase] = {}
    for row in (*waived, *missing):
        if row.key not in late and seen.states.get(row.key) != DocumentState.WAIVED:
            continue
        document = row.waiting.head.loaded.document
        make = record_case if row.waiting.decision.for_record else missing_case
        told[row.key] = make(
            tenant_id=row.key.tenant_id,
            document_id=row.predecessor_id,
            connection=document.connection,
            role=role_of(document=document, name=row.predecessor_id),
        )
    if told:
        open_cases(unit, cases=[told[key] for key in sorted(told)])


def forget(connection: Connection, *, key: DocumentKey) -> None:
    """A document waits no more, because somebody changed what it says or whether it is wanted. Its lane is held."""
    connection.execute(_FORGET_ALL, {"tenant": key.tenant_id, "document": key.document_id})


def waited_for(connection: Connection, *, finished: Iterable[DocumentKey]) -> tuple[DocumentKey, ...]:
    """Those of these documents that others wait for. Asked by whoever finishes them, after it has locked their states."""
    keys = sorted(set(finished))
    rows = fetch(connection, _WAITED_FOR, key_arrays(keys)) if keys else ()
    return tuple(starmap(DocumentKey, rows))


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
        rows = [tuple(row) for row in unit.connection.execute(_WAITING_FOR, key_arrays(keys))]
        return wake_rows(unit.connection, rows)


def wake_rows(connection: Connection, rows: Sequence[tuple[str, ...]]) -> frozenset[LaneKey]:
    """Make the lanes of these rows of `wait` due, and forget that they wait: (tenant, document, predecessor, lane) each."""
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
