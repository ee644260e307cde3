"""What people do with documents: send the same again, set aside, put back, or decide that nothing is to be done. Each is a unit
of work with actor and reason. Which state is open to which act is `permitted`; reprocessing is derive's.

- resend: the document is ready (an uncertain one stays so, and is looked up first); its lane is due at once, its place kept.
  Who waits for it goes on waiting. Its cases are resolved when it is ready.
- skip: it is rejected and set aside; its lane goes on without it, so its place in order is given up, by a named person. Who
  waits for it goes on waiting, since they need its record. Its cases stay open; one is opened where there was none.
- replay: it is ready (uncertain or placed when it was so before it was waived), on its lane at its own place again, before all
  that is not finished there, or at the end where that was asked for. Its cases are resolved, and a waiver no longer stands.
- waive: it is finished and its lane goes on; who waits for it is woken and goes on without it. Its cases are waived.

An act on what is in flight is refused, and so is the same act twice: the second changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import text

from revline.core.clock import Clock
from revline.core.documents import DocumentState
from revline.core.problem import Problem, problem
from revline.delivery import waiting
from revline.delivery.evidence import Asked, Conclusion, Evidence
from revline.delivery.loading import DocumentKey
from revline.delivery.permitted import Act, refusal
from revline.delivery.putting_back import Aside, aside_of, put_back, why_not_back
from revline.delivery.record import lock_states, record_evidence, record_transition
from revline.delivery.tables import document_state
from revline.delivery.values import SUBJECT_KIND, Standing
from revline.platform.cases.record import NewCase, open_cases, resolve_cases, waive_cases, withdraw_waivers
from revline.platform.cases.service import RetryHandler
from revline.platform.cases.subjects import open_cases_of
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.cell import read_epoch
from revline.platform.work.lanes import LaneKey

RESEND_TO_READY: Final = frozenset({DocumentState.REJECTED, DocumentState.HELD})
"""Nothing of the refused step is in the far system: it is sent again as it is."""
ACTED_AT_ONCE_MAX: Final = 500
RECORD_MISSING: Final = "erp.record_missing"

_LOCK_LANES: Final = text(
    """
    SELECT lane.lane_id FROM lane
    WHERE lane.tenant_id = :tenant AND lane.lane_id IN (
        SELECT document.lane_id FROM document
        WHERE document.tenant_id = :tenant AND document.document_id = ANY(CAST(:documents AS text[])))
    ORDER BY lane.tenant_id, lane.lane_id FOR UPDATE OF lane
    """
)


class Resent(msgspec.Struct, frozen=True, kw_only=True):
    """A document set going again. state: where it stands now; an uncertain one is looked up before anything is sent."""

    document_id: str
    state: DocumentState


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """A document set aside. state: rejected."""

    document_id: str
    state: DocumentState


class PutBack(msgspec.Struct, frozen=True, kw_only=True):
    """A document back on its lane. at_end: behind everything that is there; otherwise before all that is not finished."""

    document_id: str
    state: DocumentState
    at_end: bool


Done = Resent | SetAside | PutBack | None
"""What an act answers; None: waived."""


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
    uncertain document sent where no look-up exists. Problems `document.unknown`, `document.in_flight`, `document.finished`,
    `document.set_aside`.
    """
    with database.unit(tenants=[tenant_id], kind="resend", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
        answer = act_on(
            unit, tenant_id=tenant_id, act=Act.RESEND, document_ids=[document_id], known_absent=known_absent
        )[document_id]
    assert isinstance(answer, Resent | Problem)
    return answer


def skip(
    database: Database, *, tenant_id: str, document_id: str, actor: str, reason: str, recorded_at: datetime
) -> SetAside | Problem:
    """Set a document aside that stands still at the head of its lane: what is behind it goes past, and that order is given up.

    It stays rejected with an open case (one is opened where it had none), is on no lane, and nothing is sent for it until it is
    replayed or reprocessed. What needs its record goes on waiting for it. Refused while its effect is unknown or begun: problems as
    `resend`.
    """
    with database.unit(tenants=[tenant_id], kind="skip", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
        answer = act_on(unit, tenant_id=tenant_id, act=Act.SKIP, document_ids=[document_id])[document_id]
    assert isinstance(answer, SetAside | Problem)
    return answer


def replay(
    database: Database,
    *,
    tenant_id: str,
    document_id: str,
    actor: str,
    reason: str,
    recorded_at: datetime,
    at_end: bool = False,
) -> PutBack | Problem:
    """Put a document that was set aside, or waived by mistake, back on its lane.

    It takes its own place again, before all that is not finished there; at_end: behind all of it, for one that may fail again. One
    that was uncertain when it was waived is uncertain again, and looked up. Problems `document.unknown`, `document.not_set_aside`,
    `document.lane_busy` (at its own place, while the lane's head is under way), `document.needed_behind` (at the end, while what is
    behind waits for it), `document.undone` (of a waived one: what undoes it is there).
    """
    with database.unit(tenants=[tenant_id], kind="replay", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
        answer = act_on(unit, tenant_id=tenant_id, act=Act.REPLAY, document_ids=[document_id], at_end=at_end)
    found = answer[document_id]
    assert isinstance(found, PutBack | Problem)
    return found


def waive(
    database: Database, *, tenant_id: str, document_id: str, actor: str, reason: str, recorded_at: datetime
) -> Problem | None:
    """Decide that a document needs no effect, or has it already: it is finished, its cases are waived, its lane goes on.

    Whatever waits for it is woken. Of a document that is finished already only the open cases are waived: what a listing found of
    it, or entries that differ. Problems as `resend`.
    """
    with database.unit(tenants=[tenant_id], kind="waive", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
        answer = waive_in(unit, tenant_id=tenant_id, document_ids=[document_id])[document_id]
    if isinstance(answer, Problem):
        return answer
    waiting.wake(database, actor=actor, finished=[DocumentKey(tenant_id, document_id)], recorded_at=recorded_at)
    return None


def act_on(
    unit: Unit,
    *,
    tenant_id: str,
    act: Act,
    document_ids: Sequence[str],
    known_absent: bool = False,
    at_end: bool = False,
) -> Mapping[str, Done | Problem]:
    """Do one act with many documents in an open unit; gives what came of each. At most `ACTED_AT_ONCE_MAX`.

    Their lanes are locked first, in order, then the documents. Whoever waits for a waived one is woken by delivery's sweep.
    """
    if len(document_ids) > ACTED_AT_ONCE_MAX:
        raise ValueError(f"at most {ACTED_AT_ONCE_MAX} documents in one unit")
    ids = sorted(set(document_ids))
    unit.connection.execute(_LOCK_LANES, {"tenant": tenant_id, "documents": ids})
    standings = lock_states(unit.connection, keys=[DocumentKey(tenant_id, one) for one in ids])
    asides = aside_of(unit.connection, tenant_id=tenant_id, document_ids=ids)
    ways: dict[Act, Callable[[Unit, Standing, Aside], Done | Problem]] = {
        Act.RESEND: partial(_resend, known_absent=known_absent),
        Act.SKIP: _skip,
        Act.REPLAY: partial(_replay, at_end=at_end),
        Act.WAIVE: _waive,
    }
    answers: dict[str, Done | Problem] = {}
    for one in ids:
        found, aside = standings.get(DocumentKey(tenant_id, one)), asides.get(one)
        if found is None or aside is None:
            answers[one] = problem("document.unknown", f"there is no document {one[:60]}")
            continue
        refused = refusal(act=act, state=found.state, set_aside=aside.set_aside_at is not None)
        answers[one] = refused or ways[act](unit, found, aside)
    return answers


def waive_in(unit: Unit, *, tenant_id: str, document_ids: Sequence[str]) -> Mapping[str, Done | Problem]:
    """Waive documents in an open unit, or the open cases of those that are finished already; gives what came of each."""
    answers = dict(act_on(unit, tenant_id=tenant_id, act=Act.WAIVE, document_ids=document_ids))
    for one, answer in answers.items():
        if isinstance(answer, Problem) and answer.code == "document.finished":
            shared = {"tenant_id": tenant_id, "subject_kind": SUBJECT_KIND, "reason": unit.reason}
            if waive_cases(unit, subject_ids=[one], **shared):
                answers[one] = None
    return answers


def retry_in(unit: Unit, *, tenant_id: str, document_ids: Sequence[str]) -> Mapping[str, Problem]:
    """Try documents of cases again in an open unit: resend them, replay those that were set aside. Gives why not, by document."""
    asides = aside_of(unit.connection, tenant_id=tenant_id, document_ids=document_ids)
    aside = [one for one in document_ids if one in asides and asides[one].set_aside_at is not None]
    answers = {
        **act_on(unit, tenant_id=tenant_id, act=Act.RESEND, document_ids=sorted(set(document_ids) - set(aside))),
        **act_on(unit, tenant_id=tenant_id, act=Act.REPLAY, document_ids=aside),
    }
    return {one: answer for one, answer in answers.items() if isinstance(answer, Problem)}


def retry_handler(*, database: Database, clock: Clock) -> RetryHandler:
    """How cases of documents are tried again, for `cases.service.retry`."""
    return partial(_retry, database, clock)


def _retry(
    database: Database, clock: Clock, *, tenant_id: str, subject_ids: Sequence[str], actor: str, reason: str
) -> int:
    started = 0
    for document_id in subject_ids:
        with database.unit(
            tenants=[tenant_id], kind="resend", actor=actor, reason=reason, recorded_at=clock.now()
        ) as unit:
            started += not retry_in(unit, tenant_id=tenant_id, document_ids=[document_id])
    return started


def _resend(unit: Unit, found: Standing, aside: Aside, *, known_absent: bool) -> Done | Problem:
    state = found.state
    if found.state in RESEND_TO_READY or (found.state is DocumentState.UNCERTAIN and known_absent):
        state = DocumentState.READY
    if found.state is DocumentState.UNCERTAIN and known_absent:
        _looked_by_hand(unit, found)
    if found.state is DocumentState.PLACED and found.problem_code == RECORD_MISSING:
        # Its draft was taken away there: it is looked up as if an older epoch had sent it, and made again when it is not there.
        _change(unit, found, DocumentState.READY, step="", epoch=0, uncertain_since=None)
        _unpark(unit, found)
        return Resent(document_id=found.document_id, state=DocumentState.READY)
    _change(unit, found, state, uncertain_since=None if state is DocumentState.READY else aside.uncertain_since)
    if state is DocumentState.READY:
        _resolve(unit, found, f"sent again: {unit.reason}")
    _unpark(unit, found)
    return Resent(document_id=found.document_id, state=state)


def _looked_by_hand(unit: Unit, found: Standing) -> None:
    """A person's search counts as a look-up in the present epoch, and is kept beside those of machines."""
    unit.change(
        document_state,
        key=("document_id",),
        tenant_id=found.tenant_id,
        document_id=found.document_id,
        epoch=read_epoch(unit.connection).number,
    )
    now = work_queries.moment(unit.connection)
    line = Evidence(at=now, asked=Asked.PERSON, conclusion=Conclusion.ABSENT, detail=f"{unit.actor}: {unit.reason}")
    record_evidence(
        unit, tenant_id=found.tenant_id, document_id=found.document_id, attempt=found.attempts, evidence=line
    )


def _skip(unit: Unit, found: Standing, aside: Aside) -> Done | Problem:
    why = problem("document.skipped", f"set aside: {unit.reason}", field=str(found.kind))
    subject = (SUBJECT_KIND, found.document_id)
    if not open_cases_of(unit.connection, tenant_id=found.tenant_id, subjects=[subject]):
        case = NewCase(
            tenant_id=found.tenant_id,
            subject_kind=SUBJECT_KIND,
            subject_id=found.document_id,
            problem=why,
            connection=found.connection,
            currency=found.currency,
            amount=aside.amount,
        )
        open_cases(unit, cases=[case])
    unit.change(
        document_state,
        key=("document_id",),
        tenant_id=found.tenant_id,
        document_id=found.document_id,
        state=DocumentState.REJECTED,
        set_aside_at=unit.recorded_at,
        due_at=None,
        changed_at=unit.recorded_at,
        **({} if found.problem_code else {"problem_code": why.code, "problem_detail": why.detail}),
    )
    record_transition(unit, standing=found, to_state=DocumentState.REJECTED, step=found.step, why=why)
    waiting.forget(unit.connection, key=DocumentKey(found.tenant_id, found.document_id))
    now = work_queries.moment(unit.connection)
    key = LaneKey(found.tenant_id, found.lane_id)
    work_record.leave_lane(unit.connection, key=key, sequence=found.sequence, now=now)
    return SetAside(document_id=found.document_id, state=DocumentState.REJECTED)


def _replay(unit: Unit, found: Standing, aside: Aside, *, at_end: bool) -> Done | Problem:
    refused = why_not_back(unit.connection, found=found, at_end=at_end)
    if refused is not None:
        return refused
    state = aside.before if aside.before in {DocumentState.UNCERTAIN, DocumentState.PLACED} else DocumentState.READY
    sequence = put_back(unit, found=found, aside=aside, at_end=at_end)
    _change(unit, found, state, sequence=sequence)
    withdraw_waivers(
        unit,
        tenant_id=found.tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_ids=[found.document_id],
        reason=f"replayed: {unit.reason}",
    )
    _resolve(unit, found, f"replayed: {unit.reason}")
    return PutBack(document_id=found.document_id, state=state, at_end=at_end)


def _waive(unit: Unit, found: Standing, aside: Aside) -> Done | Problem:
    _change(unit, found, DocumentState.WAIVED)
    waiting.forget(unit.connection, key=DocumentKey(found.tenant_id, found.document_id))
    waive_cases(
        unit,
        tenant_id=found.tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_ids=[found.document_id],
        reason=unit.reason,
    )
    _unpark(unit, found)
    return None


def _unpark(unit: Unit, found: Standing) -> None:
    now = work_queries.moment(unit.connection)
    work_record.unpark(unit.connection, lanes=[LaneKey(found.tenant_id, found.lane_id)], now=now)


def _resolve(unit: Unit, found: Standing, reason: str) -> None:
    resolve_cases(
        unit,
        tenant_id=found.tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_ids=[found.document_id],
        reason=reason,
    )


def _change(unit: Unit, found: Standing, state: DocumentState, **more: Any) -> None:
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
        set_aside_at=None,
        changed_at=unit.recorded_at,
        **more,
    )
    record_transition(unit, standing=found, to_state=state, step=found.step)
