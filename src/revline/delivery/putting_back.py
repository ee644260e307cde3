"""How a document that left its lane comes back to it: what was known of it, where it may go, and what stands in its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from revline.core.documents import FINISHED_STATES, DocumentState
from revline.core.problem import Problem, problem
from revline.delivery.permitted import STANDING
from revline.delivery.values import LANE_KIND, Standing
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.lanes import LaneKey, NewItem

_ASIDE: Final = text(
    """
    SELECT state.document_id, state.set_aside_at, state.uncertain_since, state.amount, state.archived, before.from_state
    FROM document_state AS state
    LEFT JOIN LATERAL (
        SELECT change.from_state FROM document_transition AS change
        WHERE change.tenant_id = state.tenant_id AND change.document_id = state.document_id
          AND change.to_state = 'waived'
        ORDER BY change.position DESC, change.ordinal DESC LIMIT 1
    ) AS before ON state.state = 'waived'
    WHERE state.tenant_id = :tenant AND state.document_id = ANY(CAST(:documents AS text[]))
    """
)
_HEAD: Final = text(
    """
    SELECT item.sequence, state.state FROM lane_item AS item
    JOIN document_state AS state ON state.tenant_id = item.tenant_id AND state.document_id = item.subject
    WHERE item.tenant_id = :tenant AND item.lane_id = :lane AND NOT item.archived
    ORDER BY item.sequence LIMIT 1
    """
)
_NEEDS_IT: Final = text(
    """
    SELECT state.document_id, state.state FROM document_predecessor AS before
    JOIN document_state AS state ON state.tenant_id = before.tenant_id AND state.document_id = before.document_id
    WHERE before.tenant_id = :tenant AND before.predecessor_id = :document AND state.lane_id = :lane
    """
)
_UNDOES_IT: Final = text(
    """
    SELECT document.document_id FROM lane_item AS item
    JOIN document ON document.tenant_id = item.tenant_id AND document.document_id = item.subject
    WHERE item.tenant_id = :tenant AND item.lane_id = :lane AND document.reverses = :document LIMIT 1
    """
)
_NAMED: Final = text(
    """
    SELECT record.erp_id FROM erp_record AS record
    WHERE record.tenant_id = :tenant AND record.document_id = :document AND record.state <> 'draft' LIMIT 1
    """
)
_LIVE_AGAIN: Final = text(
    "UPDATE document_state SET archived = false WHERE tenant_id = :tenant AND document_id = :document AND archived"
)


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """What `Standing` leaves out. before: of a waived one, where it stood before. archived: its state is in history."""

    set_aside_at: datetime | None
    uncertain_since: datetime | None
    amount: Decimal
    archived: bool
    before: DocumentState | None


def aside_of(connection: Connection, *, tenant_id: str, document_ids: Sequence[str]) -> Mapping[str, Aside]:
    """By document id, of those that are there."""
    rows = connection.execute(_ASIDE, {"tenant": tenant_id, "documents": list(document_ids)})
    return {
        row.document_id: Aside(
            set_aside_at=row.set_aside_at,
            uncertain_since=row.uncertain_since,
            amount=row.amount,
            archived=row.archived,
            before=None if row.from_state is None else DocumentState(row.from_state),
        )
        for row in rows
    }


def why_not_back(connection: Connection, *, found: Standing, at_end: bool) -> Problem | None:
    """What stands in the way of putting it back; None when nothing does. Its lane is locked."""
    place = {"tenant": found.tenant_id, "lane": found.lane_id}
    document = {**place, "document": found.document_id}
    # What undoes a document waits until that is finished: it stands still behind one that was set aside, and passes a waived one.
    waived = found.state is DocumentState.WAIVED
    undone = connection.execute(_UNDOES_IT, document).scalar() if waived else None
    if undone is not None:
        return problem("document.undone", f"document {undone} undoes it")
    named = connection.execute(_NAMED, {"tenant": found.tenant_id, "document": found.document_id}).scalar()
    if named is not None and waived:
        return problem("document.finished", f"the far system has it as record {named}")
    if at_end:
        needing = [
            row.document_id for row in connection.execute(_NEEDS_IT, document) if row.state not in FINISHED_STATES
        ]
        return problem("document.needed_behind", f"document {needing[0]} waits for it") if needing else None
    head = connection.execute(_HEAD, place).one_or_none()
    if head is None or head.sequence <= found.sequence or head.state in {*STANDING, *FINISHED_STATES}:
        return None
    return problem("document.lane_busy", f"the head of its lane is {head.state}")


def put_back(unit: Unit, *, found: Standing, aside: Aside, at_end: bool) -> int:
    """Put it on its lane and its state among live ones; gives its sequence there. Its lane is locked and due at once."""
    connection, key = unit.connection, LaneKey(found.tenant_id, found.lane_id)
    if aside.archived:
        connection.execute(_LIVE_AGAIN, {"tenant": found.tenant_id, "document": found.document_id})
    now = work_queries.moment(connection)
    if not at_end:
        work_record.come_back(connection, key=key, sequence=found.sequence, now=now)
        return found.sequence
    lane = work_queries.lane_row(connection, key=key)
    assert lane is not None
    work_record.leave_lane(connection, key=key, sequence=found.sequence, now=now)
    item = NewItem(lane_id=found.lane_id, subject=found.document_id, pool_id=lane["pool_id"])
    given = work_record.enqueue(unit, tenant_id=found.tenant_id, kind=LANE_KIND, items=[item], now=now)
    work_record.unpark(connection, lanes=[key], now=now)
    return given[found.document_id]
