"""What should exist of a movement on the processor's balance that is no payment's or payout's: a fee, a case, or nothing. Pure."""

from __future__ import annotations

from typing import Final

from revline.core.canonical import BalanceTransaction
from revline.core.events import EventKind, MovedMoney
from revline.core.facts import Fact, Name
from revline.core.problem import Mender, Retryable, define, problem
from revline.derive.expectation import (
    Blocked,
    EntityScope,
    Expectation,
    Findings,
    Need,
    RootFacts,
    Supported,
    make_event,
    newest_by_source,
)

define(
    code="derive.movement_unbooked",
    title="Money moved on the processor's balance for a reason that has no entry",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Book the movement by hand against the processor's clearing account, then waive the case with the entry's number.",
)

FEES: Final = frozenset({"stripe_fee", "stripe_fx_fee"})
FEE_CATEGORIES: Final = frozenset({"fee", "network_cost"})
REFUNDS: Final = frozenset({"refund", "refund_failure", "payment_refund", "payment_failure_refund"})
DISPUTES: Final = frozenset({"dispute", "dispute_reversal"})
BOOKED_BY: Final = {"refund": "the refund itself is booked", "dispute": "the dispute itself is booked"}


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """The refund or dispute that moved the money."""
    return tuple(sorted({need for fact in facts if (need := _mover(fact)) is not None}))


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """A fee of the processor's own is charged; a refund's or dispute's movement is booked by the refund or dispute, which is
    awaited, so that one nobody told of is found; whatever else moved (transfers, top-ups, reserves, credits of fees) is a case."""
    findings = Findings()
    for fact in newest_by_source(known.facts, BalanceTransaction):
        movement = fact.translated.snapshot
        assert isinstance(movement, BalanceTransaction)
        need = _mover(fact)
        if need is not None:
            findings.rules[fact.fact_id] = f"{BOOKED_BY[need.object_kind]}, not its movement on the processor's balance"
            if not known.found.get(need):
                findings.awaited.add(need)
            if need.object_kind == "dispute" or not movement.fee:
                continue  # a dispute's fee is on the dispute
            cost = movement.fee
        else:
            cost = -movement.net if _is_fee(movement) else movement.fee * 0
        if cost > 0:
            findings.rules.pop(fact.fact_id, None)
            money = MovedMoney(amount=cost, reference=movement.source or movement.outside_id)
            kind = EventKind.PROCESSOR_FEE_CHARGED
            event = make_event(known, scope, kind, fact, movement.created_at, movement.currency, None, money)
            findings.events.append(Supported(event=event, facts=(fact,)))
        elif not movement.net and need is None:
            findings.rules[fact.fact_id] = "a movement of nothing books nothing"
        else:
            _block(fact, movement, findings)
    return findings.expectation(known.facts)


def _block(fact: Fact, movement: BalanceTransaction, findings: Findings) -> None:
    findings.rules.pop(fact.fact_id, None)
    what = f"{movement.transaction_type} ({movement.reporting_category or 'no category'})"
    why = problem("derive.movement_unbooked", f"a movement of type {what}", field=movement.transaction_type)
    findings.blocked.append(Blocked(problem=why, fact=fact, amount=abs(movement.net), currency=movement.currency))


def _is_fee(movement: BalanceTransaction) -> bool:
    of_adjustment = movement.transaction_type == "adjustment" and movement.reporting_category in FEE_CATEGORIES
    return movement.transaction_type in FEES or of_adjustment


def _mover(fact: Fact) -> Need | None:
    movement = fact.translated.snapshot
    if not isinstance(movement, BalanceTransaction) or not movement.source:
        return None
    kind = ""
    if movement.transaction_type in REFUNDS:
        kind = "refund"
    elif movement.transaction_type == "adjustment" and movement.reporting_category in DISPUTES:
        kind = "dispute"
    return Need(object_kind=kind, name=Name(kind="outside_id", value=movement.source)) if kind else None
