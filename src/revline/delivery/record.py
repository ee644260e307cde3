"""Writes of new documents that take an open unit, so that derive books an event and its documents in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, select, text

from revline.core.documents import Document, DocumentState, Rank
from revline.core.facts import Name
from revline.core.hashing import canonical_bytes, digest
from revline.core.problem import Problem
from revline.delivery.closing import going_first
from revline.delivery.evidence import DETAIL_LENGTH_MAX, Evidence
from revline.delivery.loading import DocumentKey, Present, key_arrays, present_as, standing_of
from revline.delivery.order import EARLIER, Place, check_order, lane_of
from revline.delivery.tables import (
    document as document_table,
)
from revline.delivery.tables import (
    document_evidence,
    document_predecessor,
    document_revision,
    document_state,
    document_transition,
)
from revline.delivery.values import LANE_KIND, SUBJECT_KIND, Standing
from revline.platform.lineage.record import add_names
from revline.platform.store.direct import fetch
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.lanes import PRIORITY_CLOSE, PRIORITY_NORMAL, NewItem

_LOCK: Final = """
    SELECT {columns} FROM document_state AS state
    JOIN unnest(CAST(:tenants AS text[]), CAST(:documents AS text[])) AS given(tenant_id, document_id)
    USING (tenant_id, document_id)
    ORDER BY state.tenant_id, state.document_id FOR UPDATE OF state
    """
_LOCK_STATES: Final = text(_LOCK.format(columns="state.*"))
_LOCK_PRESENT: Final = text(
    _LOCK.format(
        columns="state.tenant_id, state.document_id, state.state, state.revision, state.attempts, state.position"
    )
)

KIND_GROUPS: Final[Mapping[Rank, str]] = {
    Rank.MASTER: "masters",
    Rank.INVOICE: "invoices",
    Rank.PAYMENT: "payments",
    Rank.APPLICATION: "applications",
    Rank.PAYOUT: "payouts",
    Rank.JOURNAL: "journals",
    Rank.FEEDBACK: "feedback",
}
"""What budgets of capacity pools call documents: a lane's documents are of one group, as they follow one accounting event."""

PoolOf = Callable[[Document], str]
_written: WeakKeyDictionary[Unit, dict[tuple[str, str], Place]] = WeakKeyDictionary()
"""What a unit wrote in an earlier call: its rows are buffered until it ends, so no query can see them."""


def write_documents(
    unit: Unit,
    *,
    tenant_id: str,
    documents: Sequence[Document],
    pool_of: PoolOf,
    configuration_version: int,
    epoch: int,
    earlier: Collection[str] = (),
    priority: int = PRIORITY_NORMAL,
) -> tuple[str, ...]:
    """Write the documents that aren't there yet and put them on their lanes; gives the ids of the new ones.

    A document whose id is there is left alone, whatever it says: `new_revision` is the way to say something else. The order of
    `documents` is their order within a lane. pool_of: the capacity pool of a document.
    epoch: the cell's; earlier: ids of those an earlier epoch may have sent, which are looked up first.

    Raises ValueError when a document would wait for one of its own or a higher rank that doesn't come before it in its own
    lane: that could close a circle.
    """
    written = _written.setdefault(unit, {})
    by_id = {one.document_id: one for one in documents if (tenant_id, one.document_id) not in written}
    new = _not_there(unit, tenant_id, list(by_id.values()))
    shared = [one for one in new if one.rank is Rank.MASTER]
    if shared:
        # Two roots may name one customer at once: whoever gets its lane first writes the document.
        lanes = [lane_of(tenant_id=tenant_id, document=one) for one in shared]
        work_record.lock_lanes(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=lanes)
        new = _not_there(unit, tenant_id, new)
    if not new:
        return ()
    _check_order(unit.connection, tenant_id, new, written)
    first = going_first(unit, tenant_id=tenant_id, documents=new)
    items = [
        NewItem(
            lane_id=lane_of(tenant_id=tenant_id, document=one),
            subject=one.document_id,
            pool_id=pool_of(one),
            kind_group=KIND_GROUPS[one.rank],
            priority=PRIORITY_CLOSE if one.document_id in first else 0,
        )
        for one in new
    ]
    now = work_queries.moment(unit.connection)
    sequences = work_record.enqueue(unit, tenant_id=tenant_id, kind=LANE_KIND, items=items, priority=priority, now=now)
    for one in new:
        as_of = epoch - (one.document_id in earlier)
        _write(unit, tenant_id, one, sequences[one.document_id], configuration_version, as_of)
        written[tenant_id, one.document_id] = Place(one.rank, lane_of(tenant_id=tenant_id, document=one), EARLIER)
    return tuple(one.document_id for one in new)


def record_evidence(unit: Unit, *, tenant_id: str, document_id: str, attempt: int, evidence: Evidence) -> None:
    """Keep a line of evidence. attempt: the newest one then, 0 when there is none."""
    unit.record(
        document_evidence,
        tenant_id=tenant_id,
        document_id=document_id,
        attempt=attempt,
        at=evidence.at,
        asked=evidence.asked,
        company=evidence.company,
        waited_until=evidence.waited_until,
        found=evidence.found,
        records=canonical_bytes(evidence.records).decode(),
        conclusion=evidence.conclusion,
        detail=evidence.detail[:DETAIL_LENGTH_MAX],
    )


def record_transition(
    unit: Unit,
    *,
    standing: Standing,
    to_state: DocumentState,
    revision: int = 0,
    attempt: int = 0,
    step: str = "",
    why: Problem | None = None,
    from_state: DocumentState | None = None,
) -> None:
    """Record a change of state in the audit chain. from_state: where it stands, when that is not `standing`'s."""
    unit.record(
        document_transition,
        tenant_id=standing.tenant_id,
        document_id=standing.document_id,
        revision=revision or standing.revision,
        from_state=from_state or standing.state,
        to_state=to_state,
        step=step,
        attempt=attempt,
        problem_code=why.code if why else "",
        problem_detail=why.detail if why else "",
        at=unit.recorded_at,
    )


def lock_states(connection: Connection, *, keys: Iterable[DocumentKey]) -> Mapping[DocumentKey, Standing]:
    """Lock rows of document_state in order; gives them as they are now. Lanes are locked before."""
    parameters = key_arrays(sorted(set(keys)))
    rows = connection.execute(_LOCK_STATES, parameters).mappings()
    return {
        DocumentKey(row["tenant_id"], row["document_id"]): standing_of(
            {str(name): value for name, value in row.items()}
        )
        for row in rows
    }


def lock_present(connection: Connection, *, keys: Iterable[DocumentKey]) -> Mapping[DocumentKey, Present]:
    """The same, as far as it tells whether a document stands as it was read."""
    parameters = key_arrays(sorted(set(keys)))
    return {
        DocumentKey(tenant, document): present_as(state, revision, attempts, position)
        for tenant, document, state, revision, attempts, position in fetch(connection, _LOCK_PRESENT, parameters)
    }


def lock_with_lane(connection: Connection, *, key: DocumentKey) -> Standing | None:
    """Lock a document's lane, then the document, for an act of a person; None when it isn't there."""
    lane = connection.execute(
        select(document_table.c.lane_id).where(
            document_table.c.tenant_id == key.tenant_id, document_table.c.document_id == key.document_id
        )
    ).scalar_one_or_none()
    if lane is None:
        return None
    connection.execute(
        text("SELECT FROM lane WHERE tenant_id = :tenant AND lane_id = :lane FOR UPDATE"),
        {"tenant": key.tenant_id, "lane": lane},
    )
    return lock_states(connection, keys=[key]).get(key)


def _write(unit: Unit, tenant_id: str, one: Document, sequence: int, configuration_version: int, epoch: int) -> None:
    lane = lane_of(tenant_id=tenant_id, document=one)
    shared = {"kind": one.kind, "connection": one.connection, "entity": one.entity, "book": one.book,
              "lane_id": lane, "rank": int(one.rank)}  # fmt: skip
    unit.record(
        document_table,
        tenant_id=tenant_id,
        document_id=one.document_id,
        external_reference=one.external_reference,
        event_id=one.event_id,
        journal_id=one.journal_id,
        lane_key=one.lane_key,
        reverses=one.reverses,
        **shared,
    )
    write_revision(unit, tenant_id, one, 1, configuration_version)
    write_predecessors(unit, tenant_id, one)
    unit.project(
        document_state,
        key=("document_id",),
        tenant_id=tenant_id,
        document_id=one.document_id,
        state=DocumentState.READY,
        revision=1,
        step="",
        sequence=sequence,
        currency=one.currency,
        amount=one.amount,
        accounting_date=one.accounting_date,
        epoch=epoch,
        attempts=0,
        failures=0,
        handle="",
        problem_code="",
        problem_field="",
        problem_detail="",
        changed_at=unit.recorded_at,
        **shared,
    )
    names = [Name(kind="external_reference", value=one.external_reference)]
    add_names(unit, tenant_id=tenant_id, names=names, record_kind=SUBJECT_KIND, record_id=one.document_id)


def write_predecessors(unit: Unit, tenant_id: str, one: Document) -> None:
    for before in one.predecessors:
        unit.project(
            document_predecessor,
            key=("document_id", "predecessor_id"),
            tenant_id=tenant_id,
            document_id=one.document_id,
            predecessor_id=before,
        )


def write_revision(unit: Unit, tenant_id: str, one: Document, revision: int, configuration_version: int) -> None:
    unit.record(
        document_revision,
        tenant_id=tenant_id,
        document_id=one.document_id,
        revision=revision,
        currency=one.currency,
        amount=one.amount,
        accounting_date=one.accounting_date,
        configuration_version=configuration_version,
        content_digest=digest(one),
        content=canonical_bytes(one).decode(),
    )


def _not_there(unit: Unit, tenant_id: str, documents: Sequence[Document]) -> list[Document]:
    table = document_table
    ids = sorted(one.document_id for one in documents)
    statement = select(table.c.document_id).where(table.c.tenant_id == tenant_id, table.c.document_id.in_(ids))
    there = frozenset(unit.connection.execute(statement).scalars()) if ids else frozenset()
    return [one for one in documents if one.document_id not in there]


def _check_order(
    connection: Connection, tenant_id: str, new: Sequence[Document], written: Mapping[tuple[str, str], Place]
) -> None:
    """Both ways: what the new ones wait for, and what waits for the new ones already."""
    table = document_table
    named = {before for one in new for before in one.predecessors}
    columns = (table.c.document_id, table.c.rank, table.c.lane_id)
    rows = connection.execute(
        select(*columns).where(table.c.tenant_id == tenant_id, table.c.document_id.in_(sorted(named)))
    )
    places: dict[str, Place] = {row.document_id: Place(Rank(row.rank), row.lane_id, EARLIER) for row in rows}
    places |= {name: place for (tenant, name), place in written.items() if tenant == tenant_id}
    for number, one in enumerate(new):
        places[one.document_id] = Place(one.rank, lane_of(tenant_id=tenant_id, document=one), number)
    for one in new:
        for before in one.predecessors:
            if before in places:
                check_order(
                    before=places[before],
                    after=places[one.document_id],
                    before_id=before,
                    after_id=one.document_id,
                )
    joined = document_predecessor.join(
        table,
        (table.c.tenant_id == document_predecessor.c.tenant_id)
        & (table.c.document_id == document_predecessor.c.document_id),
    )
    waiting = connection.execute(
        select(*columns, document_predecessor.c.predecessor_id)
        .select_from(joined)
        .where(
            document_predecessor.c.tenant_id == tenant_id,
            document_predecessor.c.predecessor_id.in_(sorted(one.document_id for one in new)),
        )
    )
    for row in waiting:
        after = Place(Rank(row.rank), row.lane_id, EARLIER)
        check_order(
            before=places[row.predecessor_id], after=after, before_id=row.predecessor_id, after_id=row.document_id
        )
