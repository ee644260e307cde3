"""What to do with the document at the head of a lane. Pure: the same head, moment and epoch give the same decision."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from revline.core.documents import FINISHED_STATES, DocumentKind, DocumentState
from revline.core.farside import Idempotency, KindCapability, Manifest
from revline.core.problem import Problem, problem
from revline.delivery.needs import waits_for
from revline.delivery.values import (
    Decision,
    Done,
    Head,
    Hold,
    Later,
    LookUp,
    Refuse,
    Send,
    Standing,
)
from revline.platform.work.epochs import Epoch

UNRESOLVED: Final = frozenset({DocumentState.SENDING, DocumentState.UNCERTAIN})
"""A request was made and its answer isn't known. A claimed lane's head that is still `sending` lost its sender."""
RECORDS_POSTED: Final = frozenset({"posted", "paid"})
"""States of a far-side record in which no step of ours is left to wait for."""
RESENDABLE: Final = frozenset({Idempotency.KEY, Idempotency.UNIQUE_REFERENCE})
BEGUN: Final = frozenset({DocumentState.PLACED, DocumentState.ACCEPTED})


def decide(*, head: Head, now: datetime, epoch: Epoch, policy: Problem | None) -> Decision:
    """The next thing for this document.

    now: database time. epoch: the cell's. policy: why our own period policy holds it, None when it doesn't.
    """
    standing = head.loaded.standing
    manifest = head.far.connector.manifest
    if standing.state in FINISHED_STATES:
        return Done()
    if standing.state is DocumentState.REJECTED:
        return Refuse(problem=problem(standing.problem_code, "it was refused and not resent"), state=standing.state)
    capability = manifest.capability(standing.kind)
    if capability is None:
        return Refuse(
            problem=problem(
                "erp.kind_unsupported", f"{manifest.title} takes no {standing.kind}", field=str(standing.kind)
            ),
            state=refused_state(standing.state),
        )
    if standing.state in UNRESOLVED:
        return _resolve(head, capability, now=now, epoch=epoch)
    if standing.state is DocumentState.ACCEPTED:
        return LookUp(epoch=epoch.number)
    # What was found in the far system can be compared only once the records it names are known.
    waiting = waits_for(
        document=head.loaded.document, predecessors=head.loaded.predecessors, records=head.loaded.records
    )
    if waiting is not None:
        return waiting
    if standing.epoch < epoch.number:
        return _resolve(head, capability, now=now, epoch=epoch)
    if standing.kind is DocumentKind.APPLICATION and head.loaded.document.reverses:
        detail = f"{manifest.title} holds the application {head.loaded.document.reverses} that no longer applies"
        return Refuse(problem=problem("document.undo_by_hand", detail), state=refused_state(standing.state))
    if standing.state not in BEGUN:
        held = _held(head, policy)
        if held is not None:
            return held
    return Send(step=standing.step or capability.steps[0])


def refused_state(present: DocumentState) -> DocumentState:
    """Where a document stands that can't be sent: rejected, unless an earlier request of it is unanswered, or it is there as a
    draft; that stays so."""
    if present in UNRESOLVED:
        return DocumentState.UNCERTAIN
    return DocumentState.PLACED if present is DocumentState.PLACED else DocumentState.REJECTED


def next_step(*, capability: KindCapability, after: str) -> str:
    """The step after one that is done; the last one again when there is none. Unknown steps count as the first."""
    steps = capability.steps
    number = steps.index(after) if after in steps else 0
    return steps[min(number + 1, len(steps) - 1)]


def step_of_draft(*, capability: KindCapability, tried: str) -> str:
    """The step to do when a draft was found: never the first again, since the record is there."""
    steps = capability.steps
    number = steps.index(tried) if tried in steps else 0
    return steps[min(max(1, number), len(steps) - 1)]


def effect_window(manifest: Manifest) -> timedelta:
    """How long after a request was given up a look-up can miss its effect."""
    return manifest.effect_bound + manifest.lookup_lag


def _resolve(head: Head, capability: KindCapability, *, now: datetime, epoch: Epoch) -> Decision:
    """An unanswered request, or a document that an older epoch may have sent.

    Within an epoch a key or a unique reference makes sending again safe at once. Across epochs nobody knows when it was sent: a
    key may have expired, so it is looked up wherever that is possible. A sender that lost its lease may be alive: its call may
    have begun at the lease's very end, and is given up only when its time-out is over. Where nothing can be searched, the record
    that is known of it (a draft, or what a listing showed) is read.
    """
    standing, manifest = head.loaded.standing, head.far.connector.manifest
    is_older = standing.epoch < epoch.number
    asks = capability.searchable
    if capability.idempotency is Idempotency.NEITHER:
        asks = standing.document_id in head.loaded.records
        if not asks:
            detail = f"a {standing.kind} {_sent(is_older)}, and {manifest.title} offers no look-up for it"
            return Refuse(problem=problem("erp.effect_unknown", detail), state=DocumentState.UNCERTAIN)
    send = Send(step=standing.step or capability.steps[0])
    if not is_older and capability.idempotency in RESENDABLE:
        return send
    window = effect_window(manifest)
    if standing.state is DocumentState.SENDING:
        return Later(due_at=now + manifest.call_timeout + window, uncertain=True)
    ready_at = waited_until(standing=standing, epoch=epoch, window=window)
    held = head.loaded.records.get(standing.document_id)
    listed = held is not None and held.state in RECORDS_POSTED
    early = ready_at is not None and now < ready_at
    if ready_at is not None and early and not listed:
        return Later(due_at=ready_at)
    return LookUp(epoch=epoch.number, waited_until=ready_at, early=early) if asks else send


def _sent(is_older: bool) -> str:  # noqa: FBT001 - one sentence's choice
    return "may have been sent before the database was restored" if is_older else "was sent and not answered"


def waited_until(*, standing: Standing, epoch: Epoch, window: timedelta) -> datetime | None:
    """Until when nothing can be concluded: whatever was sent before may still take effect or be invisible. None: no request is
    in doubt. In an older epoch the last request may have left as late as the present one began."""
    since = [standing.uncertain_since] if standing.uncertain_since is not None else []
    if standing.epoch < epoch.number:
        since.append(epoch.began_at)
    return max(since) + window if since else None


def _held(head: Head, policy: Problem | None) -> Hold | None:
    if policy is not None:
        return Hold(problem=policy)
    if head.loaded.closed:
        detail = f"period {head.loaded.closed} is closed in {head.loaded.standing.connection}"
        return Hold(problem=problem("erp.period_closed", detail, field=head.loaded.closed))
    return None
