"""Reads of what waits for what: what a document stands behind, what stands behind it, and how much money that is. Bounded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import Connection, text

from revline.core.documents import FINISHED_STATES, DocumentState
from revline.core.money import at_least_in_scale
from revline.delivery import chains
from revline.delivery.chains import WALK_MAX, Group, Link, Path, Why
from revline.delivery.tables import FINISHED_SQL
from revline.platform.cases.behind import Behind
from revline.platform.cases.queries import AtRisk
from revline.platform.work import queries as work_queries
from revline.platform.work.lanes import LaneKey

STANDS_BEHIND: Final = frozenset({DocumentState.PREPARED, DocumentState.READY, DocumentState.HELD})
"""States in which the head of a lane waits for its predecessors; in every other it stands by itself."""
BY_ITSELF: Final = FINISHED_STATES | {DocumentState.REJECTED}
"""States in which a document stands behind nothing: nothing keeps it, or what keeps it is its own."""

_STATES: Final = text(
    """
    SELECT document_id, state, lane_id, sequence, set_aside_at IS NOT NULL AS aside FROM document_state
    WHERE tenant_id = :tenant AND document_id = ANY(CAST(:documents AS text[]))
    """
)
_AHEAD: Final = text(
    f"""
    SELECT before.document_id, before.predecessor_id, state.state FROM document_predecessor AS before
    LEFT JOIN document_state AS state
      ON state.tenant_id = before.tenant_id AND state.document_id = before.predecessor_id
    WHERE before.tenant_id = :tenant AND before.document_id = ANY(CAST(:documents AS text[]))
      AND (state.state IS NULL OR state.state NOT IN ({FINISHED_SQL}))
    """
)
_RECORDS_AHEAD: Final = text(
    """
    SELECT document_id, predecessor_id FROM wait
    WHERE tenant_id = :tenant AND document_id = ANY(CAST(:documents AS text[])) AND for_record
    """
)
_AFTER: Final = text(
    f"""
    SELECT after.document_id, after.predecessor_id FROM document_predecessor AS after
    JOIN document_state AS state ON state.tenant_id = after.tenant_id AND state.document_id = after.document_id
    WHERE after.tenant_id = :tenant AND after.predecessor_id = ANY(CAST(:documents AS text[]))
      AND state.state NOT IN ({FINISHED_SQL})
    LIMIT :limit
    """
)
_RECORDS_AFTER: Final = text(
    f"""
    SELECT wait.document_id, wait.predecessor_id FROM wait
    JOIN document_state AS state ON state.tenant_id = wait.tenant_id AND state.document_id = wait.document_id
    WHERE wait.tenant_id = :tenant AND wait.predecessor_id = ANY(CAST(:documents AS text[])) AND wait.for_record
      AND state.state NOT IN ({FINISHED_SQL})
    LIMIT :limit
    """
)
_MONEY: Final = text(
    """
    SELECT currency, sum(amount) AS amount FROM document_state
    WHERE tenant_id = :tenant AND document_id = ANY(CAST(:documents AS text[])) AND currency <> ''
    GROUP BY currency ORDER BY currency
    """
)


class Standstill:
    """The graph of one tenant's documents as an open connection sees it. It remembers which lanes it has walked, so one of them
    is for one walk behind."""

    def __init__(self, connection: Connection, *, tenant_id: str) -> None:
        self._connection, self._tenant_id = connection, tenant_id
        self._walked: dict[LaneKey, int] = {}

    def ahead(self, documents: Collection[str]) -> Mapping[str, tuple[Link, ...]]:
        """What each of these stands directly behind; nothing for one that is finished, isn't there, or stands by itself."""
        states = self._states(documents)
        waiting = {name: row for name, row in states.items() if row.state not in BY_ITSELF}
        keys = {name: LaneKey(self._tenant_id, row.lane_id) for name, row in waiting.items()}
        heads = work_queries.first_items(self._connection, keys=set(keys.values()))
        links: dict[str, list[Link]] = {}
        held: list[str] = []
        for name, row in waiting.items():
            head = heads.get(keys[name])
            if head is not None and head.subject != name:
                links.setdefault(name, []).append(Link(document_id=head.subject, why=Why.LANE))
            elif row.state in STANDS_BEHIND:
                held.append(name)
        for row in self._rows(_AHEAD, held):
            why = Why.MISSING if row.state is None else Why.PREDECESSOR
            links.setdefault(row.document_id, []).append(Link(document_id=row.predecessor_id, why=why))
        for row in self._rows(_RECORDS_AHEAD, [name for name in held if name not in links]):
            links.setdefault(row.document_id, []).append(Link(document_id=row.predecessor_id, why=Why.RECORD))
        return {name: tuple(found) for name, found in links.items()}

    def after(self, documents: Collection[str]) -> Mapping[str, Collection[str]]:
        """What stands directly behind each of these: what names it, and what is later in its lane. Of one that is finished, what
        waits for its record."""
        states = self._states(documents)
        finished = [name for name, row in states.items() if row.state in FINISHED_STATES]
        others = [name for name in documents if name not in set(finished)]
        found: dict[str, set[str]] = {}
        for statement, names in ((_AFTER, others), (_RECORDS_AFTER, finished)):
            for row in self._rows(statement, names, limit=WALK_MAX + 1):
                found.setdefault(row.predecessor_id, set()).add(row.document_id)
        on_lanes = {name: states[name] for name in others if name in states and not states[name].aside}
        for name, later in self._later(on_lanes).items():
            found.setdefault(name, set()).update(later)
        return found

    def _later(self, states: Mapping[str, Any]) -> Mapping[str, Collection[str]]:
        """Unfinished documents later in the lanes of these. What of a lane was walked is not walked again."""
        starts: dict[str, int] = {}
        places: dict[LaneKey, int] = {}
        for name, row in states.items():
            key = LaneKey(self._tenant_id, row.lane_id)
            if row.sequence < self._walked.get(key, row.sequence + 1):
                starts[name] = row.sequence
                places[key] = min(row.sequence, places.get(key, row.sequence))
        self._walked |= places
        items = work_queries.items_after(self._connection, places=places, limit=WALK_MAX + 1)
        subjects = {item.subject for found in items.values() for item in found}
        live = {name for name, row in self._states(subjects).items() if row.state not in FINISHED_STATES}
        return {
            name: {
                item.subject
                for item in items.get(LaneKey(self._tenant_id, states[name].lane_id), ())
                if item.sequence > sequence and item.subject in live
            }
            for name, sequence in starts.items()
        }

    def _states(self, documents: Collection[str]) -> Mapping[str, Any]:
        return {row.document_id: row for row in self._rows(_STATES, documents)}

    def _rows(self, statement: Any, documents: Collection[str], **more: int) -> list[Any]:
        if not documents:
            return []
        parameters = {"tenant": self._tenant_id, "documents": sorted(documents), **more}
        return list(self._connection.execute(statement, parameters))


def way_ahead(connection: Connection, *, tenant_id: str, document_id: str) -> Path:
    """The way from a document to what really stands still, at most `HOPS_SHOWN` hops."""
    return chains.path_ahead(document_id, ahead=Standstill(connection, tenant_id=tenant_id).ahead)


def links_ahead(
    connection: Connection, *, tenant_id: str, document_ids: Collection[str]
) -> Mapping[str, tuple[Link, ...]]:
    """What each of some documents stands directly behind; those that stand by themselves are left out."""
    found = Standstill(connection, tenant_id=tenant_id).ahead(document_ids)
    return {name: chains.nearest(links) for name, links in found.items() if links}


def behind(connection: Connection, *, tenant_id: str, document_id: str, limit: int = WALK_MAX) -> Group:
    """Every document that stands behind one, over predecessors and lanes; at most `limit`. The id may be of a document that was
    never written, or of a waived one whose record is waited for."""
    return chains.behind(document_id, after=Standstill(connection, tenant_id=tenant_id).after, limit=limit)


def total(connection: Connection, *, tenant_id: str, group: Group) -> Behind:
    """How many documents a walk found, and their money by currency."""
    parameters = {"tenant": tenant_id, "documents": sorted(group.documents)}
    money = tuple(
        AtRisk(currency=row.currency, amount=at_least_in_scale(amount=row.amount, code=row.currency))
        for row in (connection.execute(_MONEY, parameters) if group.documents else ())
    )
    return Behind(records=len(group.documents), more=group.more, money=money)
