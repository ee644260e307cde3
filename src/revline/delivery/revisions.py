"""Lets a document that has no far-side effect yet say something else, or nothing at all; in an open unit of work."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, delete, select

from revline.core.documents import FINISHED_STATES, Document, DocumentState, Rank
from revline.core.hashing import canonical_bytes, digest
from revline.core.problem import Problem, problem
from revline.delivery import waiting
from revline.delivery.loading import DocumentKey
from revline.delivery.order import Place, check_order, lane_of
from revline.delivery.record import lock_with_lane, record_transition, write_predecessors, write_revision
from revline.delivery.tables import document_predecessor, document_revision, document_state, erp_record
from revline.delivery.values import LANE_KIND, SUBJECT_KIND, Standing
from revline.platform.cases.record import resolve_cases
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.lanes import LaneKey

REVISABLE: Final = frozenset({DocumentState.READY, DocumentState.HELD, DocumentState.REJECTED, DocumentState.PREPARED})
"""States in which a document certainly has no far-side effect, so that it may say something else."""


def new_revision(unit: Unit, *, tenant_id: str, document: Document, configuration_version: int) -> int | Problem:
    """Let a document that has no far-side effect yet say something else; gives the revision. Identity, lane and place stay.

    Problem `document.unknown`; `document.in_flight` while an earlier revision is sending, uncertain or begun;
    `document.finished` when it is posted or waived: those are corrected by a reversal and a new document. The same content as
    now gives the present revision and changes nothing. One that was set aside is back on its lane.
    """
    key = DocumentKey(tenant_id, document.document_id)
    found = lock_with_lane(unit.connection, key=key)
    if found is None:
        return problem("document.unknown", f"there is no document {document.document_id}")
    if found.state not in REVISABLE:
        code = "document.in_flight" if found.state not in FINISHED_STATES else "document.finished"
        return problem(code, f"the document is {found.state}")
    if _has_record(unit.connection, key):
        return problem("document.in_flight", "a draft of the document is in the far system already")
    if _content(unit.connection, key, found.revision).encode() == canonical_bytes(document):
        return found.revision
    write_revision(unit, tenant_id, document, found.revision + 1, configuration_version)
    _renew_predecessors(unit, found, document)
    unit.change(
        document_state,
        key=("document_id",),
        tenant_id=tenant_id,
        document_id=document.document_id,
        state=DocumentState.READY,
        revision=found.revision + 1,
        step="",
        currency=document.currency,
        amount=document.amount,
        accounting_date=document.accounting_date,
        failures=0,
        problem_code="",
        problem_field="",
        problem_detail="",
        set_aside_at=None,
        changed_at=unit.recorded_at,
    )
    record_transition(unit, standing=found, to_state=DocumentState.READY, revision=found.revision + 1)
    now = work_queries.moment(unit.connection)
    lane = LaneKey(tenant_id, found.lane_id)
    # One that a person had set aside is on its lane again, at its own place.
    work_record.come_back(unit.connection, key=lane, sequence=found.sequence, now=now)
    return found.revision + 1


def renew_documents(
    unit: Unit, *, tenant_id: str, documents: Sequence[Document], others: Sequence[Document], configuration_version: int
) -> Mapping[str, Problem]:
    """Let those of `documents` that are there and read otherwise read so now (`new_revision`); gives why not, by document id.

    others: documents the same unit writes afterwards, so that the lanes of all of them are locked in one order.
    """
    changed = reading_otherwise(unit.connection, tenant_id=tenant_id, documents=documents)
    if not changed:
        return {}
    lanes = {lane_of(tenant_id=tenant_id, document=one) for one in (*changed, *others)}
    work_record.lock_lanes(unit, tenant_id=tenant_id, kind=LANE_KIND, lane_ids=lanes)
    answers = {
        one.document_id: new_revision(
            unit, tenant_id=tenant_id, document=one, configuration_version=configuration_version
        )
        for one in changed
    }
    return {name: answer for name, answer in answers.items() if isinstance(answer, Problem)}


def reading_otherwise(connection: Connection, *, tenant_id: str, documents: Sequence[Document]) -> Sequence[Document]:
    """Those of `documents` that are there and whose present revision reads otherwise."""
    state, revision = document_state, document_revision
    ids = sorted(one.document_id for one in documents)
    statement = (
        select(revision.c.document_id, revision.c.content_digest)
        .join(
            state,
            (state.c.tenant_id == revision.c.tenant_id)
            & (state.c.document_id == revision.c.document_id)
            & (state.c.revision == revision.c.revision),
        )
        .where(revision.c.tenant_id == tenant_id, state.c.tenant_id == tenant_id, revision.c.document_id.in_(ids))
    )
    present = {row.document_id: bytes(row.content_digest) for row in (connection.execute(statement) if ids else ())}
    return [one for one in documents if present.get(one.document_id, digest(one)) != digest(one)]


def supersede_unsent(unit: Unit, *, tenant_id: str, document_ids: Collection[str]) -> frozenset[str]:
    """Take back documents that certainly have no far-side effect, because what they say was reversed; gives which.

    The others need a document that undoes them. Their lanes are locked first, in order.
    """
    taken: set[str] = set()
    for document_id in sorted(document_ids):
        key = DocumentKey(tenant_id, document_id)
        found = lock_with_lane(unit.connection, key=key)
        if found is None or found.state not in REVISABLE or _has_record(unit.connection, key):
            continue
        unit.change(
            document_state,
            key=("document_id",),
            tenant_id=tenant_id,
            document_id=document_id,
            state=DocumentState.SUPERSEDED,
            problem_code="",
            problem_field="",
            problem_detail="",
            set_aside_at=None,
            changed_at=unit.recorded_at,
        )
        record_transition(unit, standing=found, to_state=DocumentState.SUPERSEDED)
        waiting.forget(unit.connection, key=key)
        resolve_cases(
            unit,
            tenant_id=tenant_id,
            subject_kind=SUBJECT_KIND,
            subject_ids=[document_id],
            reason="what it says was reversed before it was sent",
        )
        now = work_queries.moment(unit.connection)
        work_record.unpark(unit.connection, lanes=[LaneKey(tenant_id, found.lane_id)], now=now)
        taken.add(document_id)
    return frozenset(taken)


def _content(connection: Connection, key: DocumentKey, revision: int) -> str:
    statement = select(document_revision.c.content).where(
        document_revision.c.tenant_id == key.tenant_id,
        document_revision.c.document_id == key.document_id,
        document_revision.c.revision == revision,
    )
    return str(connection.execute(statement).scalar_one())


def _renew_predecessors(unit: Unit, found: Standing, document: Document) -> None:
    """It waits for what it names now and for nothing else. Raises ValueError when that would be against the order."""
    own = Place(found.rank, found.lane_id, found.sequence)
    state, before = document_state, document_predecessor
    statement = select(state.c.document_id, state.c.rank, state.c.lane_id, state.c.sequence).where(
        state.c.tenant_id == found.tenant_id, state.c.document_id.in_(sorted(document.predecessors))
    )
    for row in unit.connection.execute(statement) if document.predecessors else ():
        place = Place(Rank(row.rank), row.lane_id, row.sequence)
        check_order(before=place, after=own, before_id=row.document_id, after_id=found.document_id)
    unit.connection.execute(
        delete(before).where(
            before.c.tenant_id == found.tenant_id,
            before.c.document_id == found.document_id,
            before.c.predecessor_id.not_in(sorted(document.predecessors)),
        )
    )
    waiting.forget(unit.connection, key=DocumentKey(found.tenant_id, found.document_id))
    write_predecessors(unit, found.tenant_id, document)


def _has_record(connection: Connection, key: DocumentKey) -> bool:
    statement = select(erp_record.c.erp_id).where(
        erp_record.c.tenant_id == key.tenant_id, erp_record.c.document_id == key.document_id
    )
    return connection.execute(statement.limit(1)).first() is not None
