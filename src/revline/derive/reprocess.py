"""Reprocess: evaluate a root's booked events again under the present configuration, because a person asks for it.

The wish is a row; the root's own lane carries it out, so that only one writer is ever at a root. What is not sent yet is taken
back; what is posted is undone by a document of its own; what is on its way is waited for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from revline.core.clock import Clock
from revline.core.documents import DocumentState
from revline.core.events import EventKind
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.delivery import permitted
from revline.delivery import queries as deliveries
from revline.derive.planning import RootPlan, RootProblem
from revline.derive.tables import reprocess_request
from revline.intake.queries import root_sources
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import record as work_record
from revline.subledger.posting import queries as posting

ASKED, DONE, REFUSED = "asked", "done", "refused"
ZERO: Final = Decimal(0)
LOOK_AGAIN: Final = timedelta(seconds=10)
ON_ITS_WAY: Final = frozenset(
    {DocumentState.SENDING, DocumentState.UNCERTAIN, DocumentState.ACCEPTED, DocumentState.PLACED}
)

define(
    code="reprocess.unknown",
    title="There is no such record to reprocess",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Name a document, journal, accounting event or root; `revline trace` shows their ids.",
)
define(
    code="reprocess.applied",
    title="The invoice is settled in the ERP and can't be undone there",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Take the payment off the invoice in the ERP and correct it there, or leave the entry as it is.",
)


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """Roots of one run whose reprocessing was asked for. later: those with a document on its way, looked at again soon."""

    asked: frozenset[str]
    later: frozenset[str]


class Reprocessing(msgspec.Struct, frozen=True, kw_only=True):
    """A document whose root is derived again at its next turn. state: where the document stands meanwhile."""

    document_id: str
    root_id: str
    state: str


def ask(
    database: Database, *, tenant_id: str, root_id: str, clock: Clock, actor: str, reason: str, lane_kind: str
) -> Problem | None:
    """Ask for a root; its lane is due at once."""
    with database.unit(
        tenants=[tenant_id], kind="reprocess", actor=actor, reason=reason, recorded_at=clock.now()
    ) as unit:
        if root_id not in root_sources(unit.connection, tenant_id=tenant_id, root_ids=[root_id]):
            return problem("reprocess.unknown", f"there is no root {root_id[:60]!r}")
        _ask(unit, tenant_id=tenant_id, root_ids=[root_id], lane_kind=lane_kind)
    return None


def ask_document(
    database: Database,
    *,
    tenant_id: str,
    document_id: str,
    actor: str,
    reason: str,
    recorded_at: datetime,
    lane_kind: str,
) -> Reprocessing | Problem:
    """Ask for a document to be derived again under the present configuration.

    One that is not sent yet gets a new revision under the same reference (and is back on its lane when it was set aside); a posted
    one is reversed and booked again; what is not made differently stays. It is its root's lane that does it, with all of the root.
    Problems `document.unknown`, `document.in_flight`, `document.finished`, and `reprocess.unknown` for a document of no event.
    """
    with database.unit(
        tenants=[tenant_id], kind="reprocess", actor=actor, reason=reason, recorded_at=recorded_at
    ) as unit:
        return ask_documents(unit, tenant_id=tenant_id, document_ids=[document_id], lane_kind=lane_kind)[document_id]


def ask_documents(
    unit: Unit, *, tenant_id: str, document_ids: Sequence[str], lane_kind: str
) -> Mapping[str, Reprocessing | Problem]:
    """As `ask_document`, for many in an open unit; gives what came of each."""
    connection = unit.connection
    there = deliveries.deliveries_by_id(connection, tenant_id=tenant_id, document_ids=document_ids)
    answers: dict[str, Reprocessing | Problem] = {}
    for document_id in document_ids:
        one = there.get(document_id)
        if one is None:
            answers[document_id] = problem("document.unknown", f"there is no document {document_id[:60]}")
            continue
        state, aside = DocumentState(one.state), one.set_aside_at is not None
        refused = permitted.refusal(act=permitted.Act.REPROCESS, state=state, set_aside=aside)
        root_id = "" if refused else root_of(connection, tenant_id=tenant_id, reference=document_id)
        if refused is None and not root_id:
            refused = problem("reprocess.unknown", f"the {one.kind} makes no accounting event true", field=one.kind)
        answers[document_id] = refused or Reprocessing(document_id=document_id, root_id=root_id, state=one.state)
    roots = {answer.root_id for answer in answers.values() if isinstance(answer, Reprocessing)}
    _ask(unit, tenant_id=tenant_id, root_ids=sorted(roots), lane_kind=lane_kind)
    return answers


def _ask(unit: Unit, *, tenant_id: str, root_ids: Sequence[str], lane_kind: str) -> None:
    work_record.request(unit, tenant_id=tenant_id, kind=lane_kind, lane_ids=root_ids)
    for root_id in root_ids:
        unit.project(
            reprocess_request,
            key=("root_id",),
            tenant_id=tenant_id,
            root_id=root_id,
            state=ASKED,
            actor=unit.actor,
            reason=unit.reason,
            detail="",
        )


def root_of(connection: Connection, *, tenant_id: str, reference: str) -> str:
    """The root behind a root's, event's, journal's or document's id; "" when it is none of these."""
    if root_sources(connection, tenant_id=tenant_id, root_ids=[reference]):
        return reference
    event = reference
    shown = deliveries.show(connection, tenant_id=tenant_id, document_id=reference)
    if shown is not None:
        event = shown.delivery.event_id
    journal = posting.find_journal(connection, tenant_id=tenant_id, journal_id=reference)
    if journal is not None:
        event = journal.entry.event_id
    stored = posting.find_event(connection, tenant_id=tenant_id, event_id=event) if event else None
    return "" if stored is None else stored.root_id


def wishes_of(connection: Connection, *, tenant_id: str, root_ids: Collection[str]) -> Wishes:
    """Which of these roots are to be reprocessed now, and which when their documents have arrived."""
    statement = select(reprocess_request.c.root_id).where(
        reprocess_request.c.tenant_id == tenant_id,
        reprocess_request.c.root_id.in_(sorted(root_ids)),
        reprocess_request.c.state == ASKED,
    )
    asked = set(connection.execute(statement).scalars()) if root_ids else set()
    later = {root_id for root_id in asked if ON_ITS_WAY & set(_states(connection, tenant_id, root_id).values())}
    return Wishes(asked=frozenset(asked - later), later=frozenset(later))


def refusal(connection: Connection, *, tenant_id: str, plan: RootPlan) -> Problem | None:
    """Why a reprocessed root's plan can't be carried out: its invoice would be undone while a payment is applied to it."""
    issued = any(booking.event.reverses and booking.event.kind is EventKind.INVOICE_ISSUED for booking in plan.bookings)
    ids = [document.document_id for document in plan.renewed]
    states = deliveries.states_of(connection, tenant_id=tenant_id, document_ids=ids) if issued else {}
    applied = sum(state == DocumentState.POSTED for state in states.values())
    return (
        problem("reprocess.applied", f"{applied} payments are set against the invoice in the ERP") if applied else None
    )


def refused(plan: RootPlan, why: Problem) -> RootPlan:
    """The plan without reprocessing, with a case that says why there is none."""
    return msgspec.structs.replace(plan, problems=(*plan.problems, RootProblem(problem=why, amount=ZERO, currency="")))


def conclude(unit: Unit, *, tenant_id: str, wishes: Wishes, plans: Mapping[str, RootPlan]) -> None:
    """Write what became of the wishes of this run; a root that could not be planned keeps its wish."""
    for root_id in sorted(wishes.asked & set(plans)):
        problems = [entry.problem for entry in plans[root_id].problems]
        why = next((one for one in problems if one.code == "reprocess.applied"), None)
        unit.change(
            reprocess_request,
            key=("root_id",),
            tenant_id=tenant_id,
            root_id=root_id,
            state=DONE if why is None else REFUSED,
            detail="" if why is None else why.detail,
        )


def _states(connection: Connection, tenant_id: str, root_id: str) -> Mapping[str, str]:
    events = [one.event.event_id for one in posting.events_of_root(connection, tenant_id=tenant_id, root_id=root_id)]
    documents = [row[0] for row in deliveries.documents_of(connection, tenant_id=tenant_id, event_ids=events)]
    return deliveries.states_of(connection, tenant_id=tenant_id, document_ids=documents)
