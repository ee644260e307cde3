"""What should exist of disputes, on the root of the payment they take back: opened, won, lost. Pure.

An event follows the money: opened when it was taken, won when it was given back, lost when it is decided that it stays away. An
inquiry and a dispute that was prevented moved none. Each stands beside those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from revline.core.canonical import Dispute, DisputeMovement, DisputeStatus, Payment
from revline.core.events import DisputedMoney, EventKind
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.derive.expectation import (
    Blocked,
    EntityScope,
    Findings,
    Need,
    RootFacts,
    Supported,
    by_source,
    make_event,
    newest,
    was_pushed,
)

define(
    code="derive.dispute_unusual",
    title="A dispute moved money in a way that has no entry",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Compare the dispute's balance transactions at the processor, book the difference by hand, then waive the case.",
)


def find_disputes(
    known: RootFacts, scope: EntityScope, payment: Payment | None, customer: SourceObject | None, findings: Findings
) -> None:
    """Adds the disputes among a payment's facts."""
    facts = [fact for fact in known.facts if isinstance(fact.translated.snapshot, Dispute)]
    for group in by_source(facts).values():
        current = newest(group)
        if payment is None:
            findings.awaited.add(Need(object_kind="payment", name=Name(kind="outside_id", value=known.root.outside_id)))
            findings.rules[current.fact_id] = "awaits the payment it takes back"
            continue
        movements = _movements(group)
        if not movements:
            findings.rules[current.fact_id] = "a dispute that moved no money books nothing"
            continue
        refusal = _refusal(movements, payment)
        if refusal is not None:
            currency = movements[0].currency
            amount = abs(sum((one.amount for one in movements if one.currency == currency), Decimal(0)))
            findings.blocked.append(Blocked(problem=refusal, fact=current, amount=amount, currency=currency))
            continue
        _Story(known, scope, customer, findings, group, payment.currency).tell(movements)


class _Story:
    """One dispute's events. currency: of the money that moved, which is the payment's; the bank may state its claim in another."""

    def __init__(
        self,
        known: RootFacts,
        scope: EntityScope,
        customer: SourceObject | None,
        findings: Findings,
        group: Sequence[Fact],
        currency: str,
    ) -> None:
        self.currency = currency
        self.known, self.scope, self.customer, self.findings, self.group = known, scope, customer, findings, group
        self.current = newest(group)
        self.dispute = _dispute(self.current)

    def tell(self, movements: Sequence[DisputeMovement]) -> None:
        """Opened by the movement that took, won by the one that gave back, lost by the word that it is over."""
        taken = next((one for one in movements if _is_taken(one)), None)
        returned = next((one for one in movements if not _is_taken(one)), None)
        left = Decimal(0)
        if taken is not None:
            left = -taken.amount
            self._add(EventKind.DISPUTE_OPENED, taken.created_at, amount=-taken.amount, fee=taken.fee)
        if returned is not None:
            left -= returned.amount
            self._add(EventKind.DISPUTE_WON, returned.created_at, amount=returned.amount, fee=-returned.fee)
        if self.dispute.status is DisputeStatus.WON and taken is not None and returned is None:
            self._wait()
        elif self.dispute.status is DisputeStatus.WON and left > 0:
            kept = problem("derive.dispute_unusual", f"won, and {left} {self.currency} did not come back")
            blocked = Blocked(problem=kept, fact=self.current, amount=left, currency=self.currency)
            self.findings.blocked.append(blocked)
        if self.dispute.status is not DisputeStatus.LOST or left <= 0:
            return
        day = self._closed_at()
        if day is None and was_pushed(self.known.facts, self.current.translated.source):
            self._wait()
            return
        earned = min(self.dispute.earned, left)
        self._add(EventKind.DISPUTE_LOST, day or movements[-1].created_at, amount=left, fee=left * 0, earned=earned)

    def _add(
        self, kind: EventKind, when: datetime, *, amount: Decimal, fee: Decimal, earned: Decimal | None = None
    ) -> None:
        dispute = self.dispute
        money = DisputedMoney(
            amount=amount,
            fee=fee,
            earned=amount * 0 if earned is None else earned,
            payment=dispute.payment,
            reason=dispute.reason,
        )
        event = make_event(self.known, self.scope, kind, self.current, when, self.currency, self.customer, money)
        self.findings.events.append(Supported(event=event, facts=(self.current,)))

    def _closed_at(self) -> datetime | None:
        """When it was decided: the first word of it. A listing has none."""
        lost = (_dispute(fact) for fact in self.group)
        return min((one.closed_at for one in lost if one.closed_at and one.status is DisputeStatus.LOST), default=None)

    def _wait(self) -> None:
        """Messages tell of this dispute, so the one that has the time or the money is still to come."""
        name = Name(kind="outside_id", value=self.dispute.outside_id)
        self.findings.awaited.add(Need(object_kind="dispute", name=name))


def _is_taken(movement: DisputeMovement) -> bool:
    return movement.amount - movement.fee < 0


def _movements(group: Sequence[Fact]) -> list[DisputeMovement]:
    """All that any snapshot tells of, oldest first: a later one without them can't take money's movements away."""
    found = {
        movement.outside_id: movement for fact in sorted(group, key=_order) for movement in _dispute(fact).movements
    }
    return sorted(found.values(), key=lambda movement: (movement.created_at, movement.outside_id))


def _refusal(movements: Sequence[DisputeMovement], payment: Payment) -> Problem | None:
    other = next((one for one in movements if one.currency != payment.currency), None)
    if other is not None:
        detail = f"paid in {payment.currency}, disputed money moved in {other.currency}"
        return problem("derive.settlement_other_currency", detail, field=f"{payment.currency}>{other.currency}")
    taken = [one for one in movements if _is_taken(one)]
    if len(taken) > 1 or len(movements) - len(taken) > 1:
        return problem("derive.dispute_unusual", f"{len(movements)} movements; at most one each way has an entry")
    return None


def _order(fact: Fact) -> tuple[tuple[int, ...], str]:
    return fact.translated.order_key, fact.translated.content_digest


def _dispute(fact: Fact) -> Dispute:
    assert isinstance(fact.translated.snapshot, Dispute)
    return fact.translated.snapshot
