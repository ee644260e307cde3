"""What becomes of a document by what a look-up found under its reference. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from revline.core.differences import FieldDifference, differences_text
from revline.core.documents import DocumentState
from revline.core.farside import ErpRecord, Idempotency, Placed, Posted
from revline.core.problem import Problem, problem
from revline.delivery.decide import RECORDS_POSTED, step_of_draft
from revline.delivery.evidence import Asked, Conclusion, Evidence, is_kept, records_of
from revline.delivery.pauses import Pauses
from revline.delivery.settlements import (
    Settlement,
    capability,
    context_of,
    person,
    placed,
    posted,
    told_when_it_lasts,
)
from revline.delivery.values import SAYS_NOTHING, Head, Looked
from revline.platform.cases.values import CaseClass

CANCELLED: Final = "cancelled"


def looked(result: Looked, pauses: Pauses) -> Settlement:
    """The settlement of a look-up: not there, there as wanted, there with other content, there twice, or nobody can say."""
    found = _of_lookup(result, pauses)
    code = result.found.code if isinstance(result.found, Problem) else ""
    reached = None if code in SAYS_NOTHING else not code
    latest = result.head.loaded.standing.attempts
    proof = _proof(result, found, pauses)
    return msgspec.structs.replace(found, attempt=latest, looked=True, reached=reached, proof=proof)


def _proof(result: Looked, found: Settlement, pauses: Pauses) -> Evidence | None:
    head = result.head
    records = () if isinstance(result.found, Problem) else result.found
    conclusion = _conclusion(result, found)
    if not is_kept(conclusion=conclusion, failures=head.loaded.standing.failures):
        return None
    listed = capability(head).idempotency is Idempotency.NEITHER
    return Evidence(
        at=pauses.now,
        asked=Asked.READ if listed else Asked.LOOK_UP,
        conclusion=conclusion,
        company=head.far.mapping.company,
        waited_until=result.asked.waited_until,
        found=len(records),
        records=records_of(records),
        detail=found.problem.detail if found.problem else "",
    )


def _conclusion(result: Looked, found: Settlement) -> Conclusion:
    if isinstance(result.found, Problem) or isinstance(result.read, Problem):
        return Conclusion.UNREACHABLE
    if not result.found:
        return Conclusion.RUNNING if result.head.loaded.standing.state is DocumentState.ACCEPTED else Conclusion.ABSENT
    if len(result.found) > 1:
        return Conclusion.NOT_UNIQUE
    if found.parked:
        return Conclusion.DIFFERS
    return Conclusion.DRAFT if found.state is DocumentState.PLACED else Conclusion.FOUND


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
        return told_when_it_lasts(msgspec.structs.replace(wait, problem=result.found), pauses)
    reference = head.loaded.document.external_reference
    if not result.found:
        if standing.state is DocumentState.ACCEPTED:
            return _running(result, wait, pauses)
        if result.asked.early and result.asked.waited_until is not None:
            return msgspec.structs.replace(wait, due_at=max(result.asked.waited_until, pauses.retry_at(head)))
        evidence = f"looked up {reference} at {pauses.now.isoformat()}: not there"
        return Settlement(head=head, state=DocumentState.READY, step="", evidence=evidence, gone=True)
    if len(result.found) > 1:
        names = ", ".join(f"{record.record_kind} {record.erp_id}" for record in result.found[:10])
        return person(head, problem("erp.reference_not_unique", f"{reference} is {names}"), evidence=names)
    record = result.found[0]
    evidence = f"looked up {reference} at {pauses.now.isoformat()}: {record.record_kind} {record.erp_id} {record.state}"
    differing = _differences(head, record)
    if differing:
        detail = f"{record.record_kind} {record.number or record.erp_id}: {differences_text(differing)}"
        field = ",".join(one.field for one in differing)
        return person(head, problem("erp.record_differs", detail, field=field), evidence=evidence)
    return _accepted_as_found(result, record, evidence, wait, pauses)


def _differences(head: Head, record: ErpRecord) -> tuple[FieldDifference, ...]:
    found = head.far.connector.difference(document=head.loaded.document, record=record, context=context_of(head))
    cancelled = FieldDifference(field="state", ours="posted", theirs=record.state)
    return found or ((cancelled,) if record.state == CANCELLED else ())


def _running(result: Looked, wait: Settlement, pauses: Pauses) -> Settlement:
    """Asked for again as the job wants; people are told when it runs too long. A job that can't be asked for is a failed try."""
    why = problem("erp.job_running", "the job has not ended, and look-up does not show the document")
    again = msgspec.structs.replace(wait, problem=why)
    if result.running is not None:
        again = msgspec.structs.replace(again, due_at=pauses.poll_at(result.running), failed=False)
    began = result.head.loaded.standing.marked_at
    if began is not None and pauses.now - began >= pauses.timing.job_told:
        return msgspec.structs.replace(again, opens_case=True, case_class=CaseClass.TIMING)
    return again if result.running is not None else told_when_it_lasts(again, pauses)


def _accepted_as_found(
    result: Looked, record: ErpRecord, evidence: str, wait: Settlement, pauses: Pauses
) -> Settlement:
    head = result.head
    if isinstance(result.read, Problem):
        return told_when_it_lasts(msgspec.structs.replace(wait, problem=result.read, evidence=evidence), pauses)
    if isinstance(result.read, Posted):
        found = posted(head, result.read)
    elif isinstance(result.read, Placed) or record.state not in RECORDS_POSTED:
        step = step_of_draft(capability=capability(head), tried=head.loaded.standing.step)
        found = placed(head, result.read.record if result.read else record, step)
    else:
        found = posted(head, Posted(record=record, entries=None))
    return msgspec.structs.replace(found, evidence=evidence)
