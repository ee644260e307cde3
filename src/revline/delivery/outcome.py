"""What becomes of a document by what came of its step or look-up. Pure; randomness for pauses is passed in."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from revline.core.documents import DocumentState
from revline.core.farside import (
    Accepted,
    ErpEntry,
    ErpRecord,
    Idempotency,
    KindCapability,
    NotSent,
    Placed,
    Posted,
    PrepareContext,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.problem import Problem, Retryable, problem
from revline.delivery.decide import RESENDABLE, UNRESOLVED, effect_window, next_step, refused_state, step_of_draft
from revline.delivery.expectation import difference
from revline.delivery.pauses import Pauses, Uniform
from revline.delivery.values import (
    SENDER_LOST,
    Answered,
    Decided,
    Done,
    Head,
    Hold,
    Later,
    Looked,
    Refuse,
    Result,
    Timing,
)
from revline.platform.cases.values import CaseClass

EVIDENCE_LENGTH_MAX: Final = 4_000
REQUEST_LENGTH_MAX: Final = 16_000
PERIOD_CLOSED: Final = "erp.period_closed"
UNREACHED: Final = frozenset({"erp.unreachable"})
RECORDS_POSTED: Final = frozenset({"posted", "paid"})


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What is written for one head.

    state, step: where it stands now. attempt, attempt_state: the attempt that is settled, 0 and "" when none is. record,
    entries: what the far side holds. problem: why it stands still, if it does; opens_case says whether people are told.
    extra: a case beside (entries differ) that leaves the document where it is. done: the lane goes on to its next item.
    due_at: when the lane is due again; parked: it stands still until a person acts. failed: it counts as a failed try.
    reached: whether the far side answered, None when it wasn't asked. looked: it was looked up, so it stands as of this epoch.
    request: what was sent, where it did not succeed.
    """

    head: Head
    state: DocumentState
    step: str = ""
    attempt: int = 0
    attempt_state: str = ""
    evidence: str = ""
    record: ErpRecord | None = None
    entries: tuple[ErpEntry, ...] = ()
    problem: Problem | None = None
    opens_case: bool = False
    case_class: CaseClass = CaseClass.EXCEPTION
    extra: Problem | None = None
    done: bool = False
    due_at: datetime | None = None
    parked: bool = False
    failed: bool = False
    uncertain_since: datetime | None = None
    handle: str = ""
    reached: bool | None = None
    looked: bool = False
    request: str = ""


def settle(*, result: Result, now: datetime, timing: Timing, uniform: Uniform) -> Settlement:
    """The settlement of a result. now: database time."""
    pauses = Pauses(now=now, timing=timing, uniform=uniform)
    match result:
        case Answered():
            return _answered(result, pauses)
        case Looked():
            return _looked(result, pauses)
        case Decided():
            return _decided(result, pauses)


def unsettled(*, result: Result) -> Settlement:
    """When our own code failed on what came back: nobody knows, a person is told, and nothing is sent before a look-up."""
    found = _person(result.head, failed_here(), evidence="")
    if isinstance(result, Answered):
        return msgspec.structs.replace(found, attempt=result.attempt, attempt_state=_attempt_state(result.outcome))
    return found


def failed_here() -> Problem:
    """Our own code failed on a document; what it holds stays out of the problem."""
    return problem("internal.unexpected", "delivery failed on this document; the operator's log has the place")


def _answered(result: Answered, pauses: Pauses) -> Settlement:
    head, step = result.head, result.prepared.step
    outcome = result.outcome
    match outcome:
        case Posted():
            found = _posted(head, outcome)
        case Placed():
            found = _placed(head, outcome.record, next_step(capability=_capability(head), after=step))
        case Accepted():
            found = Settlement(
                head=head,
                state=DocumentState.ACCEPTED,
                step=step,
                handle=outcome.handle,
                due_at=pauses.now + outcome.poll_after,
            )
        case Rejected():
            found = _refused(head, step, outcome.problem, pauses)
            found = msgspec.structs.replace(found, evidence=outcome.evidence[:EVIDENCE_LENGTH_MAX])
        case NotSent():
            found = _refused(head, step, outcome.problem, pauses)
            found = msgspec.structs.replace(found, evidence=outcome.problem.detail[:EVIDENCE_LENGTH_MAX])
        case Throttled():
            found = _throttled(head, step, outcome, pauses)
        case Uncertain():
            found = _uncertain(head, step, outcome.evidence, pauses, tries=result.attempt)
    reached = not isinstance(outcome, Uncertain) and not (
        isinstance(outcome, NotSent) and outcome.problem.code in UNREACHED
    )
    refused = isinstance(outcome, Rejected | NotSent | Uncertain)
    return msgspec.structs.replace(
        found,
        attempt=result.attempt,
        attempt_state=_attempt_state(outcome),
        reached=reached,
        request=result.prepared.body[:REQUEST_LENGTH_MAX].decode(errors="replace") if refused else "",
    )


def _attempt_state(
    outcome: Posted | Placed | Accepted | Rejected | NotSent | Throttled | Uncertain,
) -> str:
    return str(outcome.__struct_config__.tag)


def _looked(result: Looked, pauses: Pauses) -> Settlement:
    found = _of_lookup(result, pauses)
    reached = not isinstance(result.found, Problem)
    latest = result.head.loaded.standing.attempts
    return msgspec.structs.replace(found, attempt=latest, looked=True, reached=reached)


def _of_lookup(result: Looked, pauses: Pauses) -> Settlement:
    head, standing = result.head, result.head.loaded.standing
    unresolved = DocumentState.UNCERTAIN if standing.state is DocumentState.SENDING else standing.state
    wait = Settlement(
        head=head,
        state=unresolved,
        step=standing.step,
        uncertain_since=standing.uncertain_since,
        handle=standing.handle,
        due_at=pauses.retry_at(head),
        failed=True,
    )
    if isinstance(result.found, Problem):
        return _told_when_it_lasts(msgspec.structs.replace(wait, problem=result.found), pauses)
    reference = head.loaded.document.external_reference
    if not result.found:
        if standing.state is DocumentState.ACCEPTED:
            return _told_when_it_lasts(msgspec.structs.replace(wait, problem=_job_running()), pauses)
        evidence = f"looked up {reference} at {pauses.now.isoformat()}: not there"
        return Settlement(head=head, state=DocumentState.READY, step="", evidence=evidence)
    if len(result.found) > 1:
        names = ", ".join(f"{record.record_kind} {record.erp_id}" for record in result.found[:10])
        return _person(head, problem("erp.reference_not_unique", f"{reference} is {names}"), evidence=names)
    record = result.found[0]
    evidence = f"looked up {reference} at {pauses.now.isoformat()}: {record.record_kind} {record.erp_id} {record.state}"
    fields = head.far.connector.difference(document=head.loaded.document, record=record, context=context_of(head)) or (
        ("state",) if record.state == "cancelled" else ()
    )
    if fields:
        detail = f"{record.record_kind} {record.number or record.erp_id} differs in {', '.join(fields)}"
        return _person(head, problem("erp.record_differs", detail, field=",".join(fields)), evidence=evidence)
    return _accepted_as_found(result, record, evidence, wait, pauses)


def _job_running() -> Problem:
    return problem("erp.job_running", "the job has not ended, and look-up does not show the document")


def _accepted_as_found(
    result: Looked, record: ErpRecord, evidence: str, wait: Settlement, pauses: Pauses
) -> Settlement:
    head = result.head
    if isinstance(result.read, Problem):
        return _told_when_it_lasts(msgspec.structs.replace(wait, problem=result.read, evidence=evidence), pauses)
    if isinstance(result.read, Posted):
        found = _posted(head, result.read)
    elif isinstance(result.read, Placed) or record.state not in RECORDS_POSTED:
        step = step_of_draft(capability=_capability(head), tried=head.loaded.standing.step)
        found = _placed(head, result.read.record if result.read else record, step)
    else:
        found = _posted(head, Posted(record=record, entries=None))
    return msgspec.structs.replace(found, evidence=evidence)


def _decided(result: Decided, pauses: Pauses) -> Settlement:
    found = _of_decision(result, pauses)
    standing = result.head.loaded.standing
    if standing.state is DocumentState.SENDING and found.state is DocumentState.UNCERTAIN:
        return msgspec.structs.replace(
            found, attempt=standing.attempts, attempt_state="uncertain", evidence=SENDER_LOST
        )
    return found


def _of_decision(result: Decided, pauses: Pauses) -> Settlement:
    head, standing = result.head, result.head.loaded.standing
    match result.decision:
        case Done():
            return Settlement(head=head, state=standing.state, step=standing.step, done=True)
        case Later():
            state = DocumentState.UNCERTAIN if result.decision.uncertain else standing.state
            since = pauses.now if result.decision.uncertain else standing.uncertain_since
            return Settlement(
                head=head, state=state, step=standing.step, due_at=result.decision.due_at, uncertain_since=since
            )
        case Hold():
            return _hold(head, standing.step, result.decision.problem, pauses)
        case Refuse():
            return Settlement(
                head=head,
                state=result.decision.state,
                step=standing.step,
                problem=result.decision.problem,
                opens_case=standing.state is not DocumentState.REJECTED,
                parked=True,
                uncertain_since=standing.uncertain_since,
            )


def _posted(head: Head, outcome: Posted) -> Settlement:
    entries = outcome.entries or ()
    extra = None
    if outcome.entries is not None and head.loaded.expected:
        extra = difference(expected=head.loaded.expected, accounts=head.far.mapping.accounts, entries=entries)
    return Settlement(
        head=head, state=DocumentState.POSTED, record=outcome.record, entries=entries, extra=extra, done=True
    )


def _placed(head: Head, record: ErpRecord, step: str) -> Settlement:
    return Settlement(head=head, state=DocumentState.PLACED, step=step, record=record)


def _refused(head: Head, step: str, why: Problem, pauses: Pauses) -> Settlement:
    if why.code == PERIOD_CLOSED:
        return _hold(head, step, why, pauses)
    if why.retryable is Retryable.YES:
        again = Settlement(
            head=head,
            state=_before(head),
            step=step,
            problem=why,
            due_at=pauses.retry_at(head),
            failed=True,
            uncertain_since=_since(head, pauses),
        )
        return _told_when_it_lasts(again, pauses)
    return Settlement(
        head=head,
        state=refused_state(head.loaded.standing.state),
        step=step,
        problem=why,
        opens_case=True,
        parked=True,
        uncertain_since=_since(head, pauses),
    )


def _throttled(head: Head, step: str, outcome: Throttled, pauses: Pauses) -> Settlement:
    """Being busy is no fault, so people hear of it late; but a far side that never has room is told as one that isn't reached."""
    again = Settlement(
        head=head,
        state=_before(head),
        step=step,
        due_at=pauses.retry_at(head, at_least=outcome.retry_after),
        failed=True,
        uncertain_since=_since(head, pauses),
    )
    tries = head.loaded.standing.failures + 1
    return _told(again, tries) if tries >= pauses.timing.throttles_until_case else again


def _hold(head: Head, step: str, why: Problem, pauses: Pauses) -> Settlement:
    unresolved = head.loaded.standing.state in UNRESOLVED
    return Settlement(
        head=head,
        state=DocumentState.UNCERTAIN if unresolved else DocumentState.HELD,
        uncertain_since=_since(head, pauses),
        step=step,
        problem=why,
        opens_case=True,
        case_class=CaseClass.TIMING,
        due_at=pauses.hold_at(head),
        failed=True,
    )


def _uncertain(head: Head, step: str, evidence: str, pauses: Pauses, *, tries: int) -> Settlement:
    capability, manifest = _capability(head), head.far.connector.manifest
    kept = evidence[:EVIDENCE_LENGTH_MAX]
    again = Settlement(
        head=head,
        state=DocumentState.UNCERTAIN,
        step=step,
        evidence=kept,
        uncertain_since=pauses.now,
        due_at=pauses.now + effect_window(manifest),
        failed=True,
    )
    if capability.idempotency is Idempotency.NEITHER:
        why = problem("erp.effect_unknown", f"a {head.loaded.standing.kind} was sent and not answered")
        return msgspec.structs.replace(again, problem=why, opens_case=True, parked=True, due_at=None)
    if capability.idempotency in RESENDABLE:
        return _told_when_it_lasts(msgspec.structs.replace(again, due_at=pauses.retry_at(head)), pauses)
    # A look-up in between that finds nothing begins the failures anew, so requests are counted here.
    return _told(again, tries) if tries >= pauses.timing.failures_until_case else again


def _person(head: Head, why: Problem, *, evidence: str) -> Settlement:
    """Left uncertain, so that trying again looks first: what was found must never lead to a second record."""
    standing = head.loaded.standing
    return Settlement(
        head=head,
        state=DocumentState.UNCERTAIN,
        step=standing.step,
        problem=why,
        opens_case=True,
        parked=True,
        evidence=evidence,
        uncertain_since=standing.uncertain_since,
    )


def _told_when_it_lasts(again: Settlement, pauses: Pauses) -> Settlement:
    failures = again.head.loaded.standing.failures + 1
    return _told(again, failures) if failures >= pauses.timing.failures_until_case else again


def _told(again: Settlement, tries: int) -> Settlement:
    detail = f"{tries} tries failed" + (f": {again.problem.detail}" if again.problem else "")
    field = again.problem.code if again.problem else ""
    return msgspec.structs.replace(
        again,
        problem=problem("erp.not_reached", detail, field=field),
        opens_case=True,
        case_class=CaseClass.TIMING,
    )


def _since(head: Head, pauses: Pauses) -> datetime | None:
    return pauses.now if head.loaded.standing.state in UNRESOLVED else None


def _before(head: Head) -> DocumentState:
    """Where a document goes back to after a step that had no effect: a begun one keeps its record, and one of which an
    earlier request is unanswered stays uncertain."""
    if head.loaded.standing.state in UNRESOLVED:
        return DocumentState.UNCERTAIN
    return DocumentState.PLACED if head.loaded.records.get(head.loaded.standing.document_id) else DocumentState.READY


def _capability(head: Head) -> KindCapability:
    found = head.far.connector.manifest.capability(head.loaded.standing.kind)
    assert found is not None
    return found


def context_of(head: Head) -> PrepareContext:
    """What a connector may look at besides the document."""
    return PrepareContext(
        mapping=head.far.mapping,
        functional_currency=head.far.functional_currency,
        records=head.loaded.records,
    )
