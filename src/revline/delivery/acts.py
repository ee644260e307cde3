"""What people do with documents: send the same again, or decide that nothing is to be done. Each is a unit of work with actor
and reason; reprocessing is derive's, by `revisions.new_revision` or a reversal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

import msgspec

from revline.core.clock import Clock
from revline.core.documents import FINISHED_STATES, DocumentState
from revline.core.problem import Problem, problem
from revline.delivery import waiting
from revline.delivery.loading import DocumentKey
from revline.delivery.record import lock_with_lane, record_transition
from revline.delivery.tables import document_state
from revline.delivery.values import SUBJECT_KIND, Standing
from revline.platform.cases.record import resolve_cases, waive_cases
from revline.platform.cases.service import RetryHandler
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.lanes import LaneKey

RESEND_TO_READY: Final = frozenset({DocumentState.REJECTED, DocumentState.HELD})
"""Nothing of the refused step is in the far system: it is sent again as it is."""
ON_ITS_WAY: Final = frozenset({DocumentState.SENDING, DocumentState.ACCEPTED})


class Resent(msgspec.Struct, frozen=True, kw_only=True):
    """A document set going again. state: where it stands now; an uncertain one is looked up before anything is sent."""

    document_id: str
    state: DocumentState


def resend(
    database: Database,
    *,
    tenant_id: str,
    document_id: str,
    actor: str,
    reason: str,
    recorded_at: datetime,
    known_absent: bool = False,
) -> Resent | Problem:
    """Send the same revision again: credentials, mapping and configuration are the present ones, the content is not touched.

    A rejected or held document is sent at its lane's next turn; an uncertain one is looked up first (or sent again where the far
    side refuses doubles). known_absent: the person has searched the far system and says the record isn't there; only then is an
    uncertain document sent where no look-up exists. Problems `document.unknown`, `document.in_flight`, `document.finished`.
    """
    with database.unit(tenants=[tenant_id], kind="resend", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
        found = lock_with_lane(unit.connection, key=DocumentKey(tenant_id, document_id))
        refused = _refused(found, document_id)
        if refused is not None or found is None:
            return refused or problem("document.unknown", document_id)
        state = found.state
        if found.state in RESEND_TO_READY or (found.state is DocumentState.UNCERTAIN and known_absent):
            state = DocumentState.READY
        _change(unit, found, state)
        now = work_queries.moment(unit.connection)
        work_record.unpark(unit.connection, lanes=[LaneKey(tenant_id, found.lane_id)], now=now)
        return Resent(document_id=document_id, state=state)


def waive(
    database: Database, *, tenant_id: str, document_id: str, actor: str, reason: str, recorded_at: datetime
) -> Problem | None:
    """Decide that a document needs no effect, or has it already: it is finished, its cases are waived, its lane goes on.

    Whatever waits for it is woken. Problems as `resend`.
    """
    key = DocumentKey(tenant_id, document_id)
    with database.unit(tenants=[tenant_id], kind="waive", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
        found = lock_with_lane(unit.connection, key=key)
        refused = _refused(found, document_id)
        if refused is not None or found is None:
            return refused
        _change(unit, found, DocumentState.WAIVED)
        waive_cases(unit, tenant_id=tenant_id, subject_kind=SUBJECT_KIND, subject_ids=[document_id], reason=reason)
        now = work_queries.moment(unit.connection)
        work_record.unpark(unit.connection, lanes=[LaneKey(tenant_id, found.lane_id)], now=now)
    waiting.wake(database, actor=actor, finished=[key], recorded_at=recorded_at)
    return None


def retry_handler(*, database: Database, clock: Clock) -> RetryHandler:
    """How cases of documents are tried again, for `cases.service.retry`."""
    return partial(_retry, database, clock)


def _retry(
    database: Database, clock: Clock, *, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str
) -> int:
    started = 0
    for document_id in subject_ids:
        answer = resend(
            database,
            tenant_id=tenant_id,
            document_id=document_id,
            actor=actor,
            reason=reason,
            recorded_at=clock.now(),
        )
        started += isinstance(answer, Resent)
    return started


def _refused(found: Standing | None, document_id: str) -> Problem | None:
    if found is None:
        return problem("document.unknown", f"there is no document {document_id}")
    if found.state in FINISHED_STATES:
        return problem("document.finished", f"the document is {found.state}")
    if found.state in ON_ITS_WAY:
        return problem("document.in_flight", f"the document is {found.state}")
    return None


def _change(unit: Unit, found: Standing, state: DocumentState) -> None:
    """The transition is recorded even when the state stays: it is the act that the audit chain keeps."""
    unit.change(
        document_state,
        key=("document_id",),
        tenant_id=found.tenant_id,
        document_id=found.document_id,
        state=state,
        failures=0,
        problem_code="",
        problem_field="",
        problem_detail="",
        changed_at=unit.recorded_at,
        **({"uncertain_since": None} if state is DocumentState.READY else {}),
    )
    record_transition(unit, standing=found, to_state=state, step=found.step)
    if state is DocumentState.READY:
        resolve_cases(
            unit,
            tenant_id=found.tenant_id,
            subject_kind=SUBJECT_KIND,
            subject_ids=[found.document_id],
            reason=f"sent again: {unit.reason}",
        )
