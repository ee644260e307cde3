"""What becomes of a document by what came of its step or look-up. Pure; randomness for pauses is passed in."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from revline.core.documents import DocumentState
from revline.core.farside import (
    Accepted,
    Idempotency,
    NotSent,
    Placed,
    Posted,
    Rejected,
    Throttled,
    Uncertain,
)
from revline.core.problem import Problem, Retryable, problem
from revline.delivery.decide import RESENDABLE, UNRESOLVED, effect_window, next_step
from revline.delivery.evidence import Asked, Conclusion, Evidence, records_of
from revline.delivery.pauses import Pauses, Uniform
from revline.delivery.resolving import looked
from revline.delivery.settlements import (
    EVIDENCE_LENGTH_MAX,
    Settlement,
    before,
    capability,
    failed_here,
    person,
    placed,
    posted,
    refused,
    since,
    told,
    told_when_it_lasts,
)
from revline.delivery.values import (
    SAYS_NOTHING,
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

REQUEST_LENGTH_MAX: Final = 16_000
PERIOD_CLOSED: Final = "erp.period_closed"
UNREACHED: Final = frozenset({"erp.unreachable"})


_KEPT_APART: Final = {
    Idempotency.KEY: "the far side answers a second request under one key as it answered the first",
    Idempotency.UNIQUE_REFERENCE: "the far side refuses a second record under one reference",
}


def settle(*, result: Result, now: datetime, timing: Timing, uniform: Uniform) -> Settlement:
    """The settlement of a result. now: database time."""
    pauses = Pauses(now=now, timing=timing, uniform=uniform)
    match result:
        case Answered():
            return _answered(result, pauses)
        case Looked():
            return looked(result, pauses)
        case Decided():
            return _decided(result, pauses)


def unsettled(*, result: Result) -> Settlement:
    """When our own code failed on what came back: nobody knows, a person is told, and nothing is sent before a look-up."""
    found = person(result.head, failed_here(), evidence="")
    if isinstance(result, Answered):
        return msgspec.structs.replace(found, attempt=result.attempt, attempt_state=_attempt_state(result.outcome))
    return found


def _answered(result: Answered, pauses: Pauses) -> Settlement:
    head, step = result.head, result.prepared.step
    outcome = result.outcome
    match outcome:
        case Posted():
            found = posted(head, outcome)
        case Placed():
            found = placed(head, outcome.record, next_step(capability=capability(head), after=step))
        case Accepted():
            found = Settlement(
                head=head,
                state=DocumentState.ACCEPTED,
                step=step,
                handle=outcome.handle,
                due_at=pauses.poll_at(outcome.poll_after),
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
    code = outcome.problem.code if isinstance(outcome, NotSent) else ""
    reached = None if code in SAYS_NOTHING else not isinstance(outcome, Uncertain) and code not in UNREACHED
    refused = isinstance(outcome, Rejected | NotSent | Uncertain)
    return msgspec.structs.replace(
        found,
        attempt=result.attempt,
        attempt_state=_attempt_state(outcome),
        reached=reached,
        request=result.prepared.body[:REQUEST_LENGTH_MAX].decode(errors="replace") if refused else "",
        proof=_proof(result, pauses),
    )


def _proof(result: Answered, pauses: Pauses) -> Evidence | None:
    """A line where a job was asked for its end, and where an unanswered step is sent again without a look."""
    head, outcome = result.head, result.outcome
    company = head.far.mapping.company
    if head.loaded.standing.state is DocumentState.ACCEPTED:
        records = (outcome.record,) if isinstance(outcome, Posted | Placed) else ()
        return Evidence(
            at=pauses.now,
            asked=Asked.POLL,
            conclusion=Conclusion.ENDED,
            company=company,
            found=len(records),
            records=records_of(records),
            detail=f"the job ended: {_attempt_state(outcome)}",
        )
    kept_apart = _KEPT_APART.get(capability(head).idempotency)
    if not isinstance(outcome, Uncertain) or kept_apart is None:
        return None
    return Evidence(
        at=pauses.now, asked=Asked.POLICY, conclusion=Conclusion.SENT_AGAIN, company=company, detail=kept_apart
    )


def _attempt_state(
    outcome: Posted | Placed | Accepted | Rejected | NotSent | Throttled | Uncertain,
) -> str:
    return str(outcome.__struct_config__.tag)


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
            given_up_at = result.decision.due_at - effect_window(head.far.connector.manifest)
            since = given_up_at if result.decision.uncertain else standing.uncertain_since
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


def _refused(head: Head, step: str, why: Problem, pauses: Pauses) -> Settlement:
    if why.code == PERIOD_CLOSED:
        return _hold(head, step, why, pauses)
    if why.retryable is Retryable.YES:
        again = Settlement(
            head=head,
            state=before(head),
            step=step,
            problem=why,
            due_at=pauses.retry_at(head),
            failed=True,
            uncertain_since=since(head, pauses),
        )
        return told_when_it_lasts(again, pauses)
    return Settlement(
        head=head,
        state=refused(head),
        step=step,
        problem=why,
        opens_case=True,
        parked=True,
        uncertain_since=since(head, pauses),
    )


def _throttled(head: Head, step: str, outcome: Throttled, pauses: Pauses) -> Settlement:
    """Being busy is no fault, so people hear of it late; but a far side that never has room is told as one that isn't reached."""
    again = Settlement(
        head=head,
        state=before(head),
        step=step,
        due_at=pauses.retry_at(head, at_least=outcome.retry_after),
        failed=True,
        uncertain_since=since(head, pauses),
        throttled_for=outcome.retry_after,
    )
    tries = head.loaded.standing.failures + 1
    return told(again, tries) if tries >= pauses.timing.throttles_until_case else again


def _hold(head: Head, step: str, why: Problem, pauses: Pauses) -> Settlement:
    unresolved = head.loaded.standing.state in UNRESOLVED
    return Settlement(
        head=head,
        state=DocumentState.UNCERTAIN if unresolved else DocumentState.HELD,
        uncertain_since=since(head, pauses),
        step=step,
        problem=why,
        opens_case=True,
        case_class=CaseClass.TIMING,
        due_at=pauses.hold_at(head),
        failed=True,
    )


def _uncertain(head: Head, step: str, evidence: str, pauses: Pauses, *, tries: int) -> Settlement:
    idempotency, manifest = capability(head).idempotency, head.far.connector.manifest
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
    if idempotency is Idempotency.NEITHER:
        why = problem("erp.effect_unknown", f"a {head.loaded.standing.kind} was sent and not answered")
        return msgspec.structs.replace(again, problem=why, opens_case=True, parked=True, due_at=None)
    if idempotency in RESENDABLE:
        return told_when_it_lasts(msgspec.structs.replace(again, due_at=pauses.retry_at(head)), pauses)
    # A look-up in between that finds nothing begins the failures anew, so requests are counted here.
    return told(again, tries) if tries >= pauses.timing.failures_until_case else again
