"""What is written for one document after a step, a look-up or a decision, and the shapes it most often takes. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from revline.core.documents import DocumentState
from revline.core.farside import ErpEntry, ErpRecord, KindCapability, Posted, PrepareContext
from revline.core.problem import Problem, problem
from revline.delivery.decide import RESENDABLE, UNRESOLVED, refused_state
from revline.delivery.evidence import Evidence
from revline.delivery.expectation import difference
from revline.delivery.pauses import Pauses
from revline.delivery.permitted import STANDING
from revline.delivery.values import Head
from revline.platform.cases.values import CaseClass

EVIDENCE_LENGTH_MAX: Final = 4_000


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What is written for one head.

    state, step: where it stands now. attempt, attempt_state: the attempt that is settled, 0 and "" when none is. record,
    entries: what the far side holds. problem: why it stands still, if it does; opens_case says whether people are told.
    extra: a case beside (entries differ) that leaves the document where it is. done: the lane goes on to its next item.
    due_at: when the lane is due again; parked: it stands still until a person acts. failed: it counts as a failed try.
    reached: whether the far side answered, None when it wasn't asked. looked: it was looked up, so it stands as of this epoch.
    request: what was sent, where it did not succeed. throttled_for: how long the far side wants no calls. proof: the line of
    evidence this leaves, when something was asked. gone: a draft that was known is not there any more.
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
    throttled_for: timedelta | None = None
    looked: bool = False
    request: str = ""
    proof: Evidence | None = None
    gone: bool = False


def posted(head: Head, outcome: Posted) -> Settlement:
    """It is in the far side's books; entries that differ from what was expected are a case beside."""
    entries = outcome.entries or ()
    extra = None
    if outcome.entries is not None and head.loaded.expected:
        extra = difference(expected=head.loaded.expected, accounts=head.far.mapping.accounts, entries=entries)
    return Settlement(
        head=head, state=DocumentState.POSTED, record=outcome.record, entries=entries, extra=extra, done=True
    )


def placed(head: Head, record: ErpRecord, step: str) -> Settlement:
    """It is there as a draft; `step` comes next."""
    return Settlement(head=head, state=DocumentState.PLACED, step=step, record=record)


def person(head: Head, why: Problem, *, evidence: str) -> Settlement:
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


def told_when_it_lasts(again: Settlement, pauses: Pauses) -> Settlement:
    """The same, with a case when it failed as often in a row as people want to hear of."""
    failures = again.head.loaded.standing.failures + 1
    return told(again, failures) if failures >= pauses.timing.failures_until_case else again


def told(again: Settlement, tries: int) -> Settlement:
    """The same, with a case that says how often it was tried."""
    detail = f"{tries} tries failed" + (f": {again.problem.detail}" if again.problem else "")
    field = again.problem.code if again.problem else ""
    return msgspec.structs.replace(
        again,
        problem=problem("erp.not_reached", detail, field=field),
        opens_case=True,
        case_class=CaseClass.TIMING,
    )


def since(head: Head, pauses: Pauses) -> datetime | None:
    """Since when a document is uncertain that is tried again: an earlier request of it may be unanswered."""
    return pauses.now if head.loaded.standing.state in UNRESOLVED else None


def before(head: Head) -> DocumentState:
    """Where a document goes back to after a step that had no effect: a begun one keeps its record, and one of which an
    earlier request is unanswered stays uncertain."""
    if head.loaded.standing.state in UNRESOLVED:
        return DocumentState.UNCERTAIN
    return DocumentState.PLACED if head.loaded.records.get(head.loaded.standing.document_id) else DocumentState.READY


def refused(head: Head) -> DocumentState:
    """Where a document stands whose step was refused: there as a draft, when the far side holds one of it."""
    state = refused_state(head.loaded.standing.state)
    held = head.loaded.records.get(head.loaded.standing.document_id) is not None
    return DocumentState.PLACED if state is DocumentState.REJECTED and held else state


def capability(head: Head) -> KindCapability:
    """How the far side makes this kind; decided before that it can."""
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


def unwritable(one: Settlement) -> Settlement | None:
    """What to write instead of a settlement that the database would not take: the head stands still with a case, and without what
    was found of it. None for the answer of a request whose effect a look-up finds out by itself, and for this one itself."""
    answered = bool(one.attempt_state)
    if one.problem is not None and one.problem.code == failed_here().code:
        return None
    if answered and capability(one.head).idempotency not in RESENDABLE:
        return None
    standing = one.head.loaded.standing
    stood = standing.state in STANDING and not answered
    return msgspec.structs.replace(
        person(one.head, failed_here(), evidence=""),
        state=DocumentState.REJECTED if stood else DocumentState.UNCERTAIN,
        attempt=one.attempt if answered else 0,
        attempt_state="uncertain" if answered else "",
        uncertain_since=standing.uncertain_since,
    )


def failed_here() -> Problem:
    """Our own code failed on a document; what it holds stays out of the problem."""
    return problem("internal.unexpected", "delivery failed on this document; the operator's log has the place")
