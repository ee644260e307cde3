"""What should exist of a payment: received, its processor fee, its refunds paid and failed. Pure."""

from __future__ import annotations

from revline.core.canonical import BalanceTransaction, Payment, PaymentStatus, Refund
from revline.core.events import EventKind, MovedMoney, RefundedMoney
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject
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
    was_pushed,
)

define(
    code="derive.settlement_other_currency",
    title="The money settled in another currency than it was paid in",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Revline does not convert settlements yet: book the fee and the conversion by hand, then waive the case with a reason.",
)

FEE_TYPES = frozenset({"charge", "payment"})


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """The customer who paid."""
    return tuple(
        sorted(
            {
                _customer_need(snapshot.customer)
                for fact in facts
                if isinstance(snapshot := fact.translated.snapshot, Payment) and snapshot.customer
            }
        )
    )


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """The events of one payment root from all its facts."""
    findings = Findings()
    paid = next(iter(newest_by_source(known.facts, Payment)), None)
    payment = None if paid is None else paid.translated.snapshot
    assert payment is None or isinstance(payment, Payment)
    customer = None
    if payment is not None and payment.customer:
        customer = SourceObject(connection=known.root.connection, kind="customer", outside_id=payment.customer)
        if not known.found.get(_customer_need(payment.customer)):
            findings.awaited.add(_customer_need(payment.customer))
    if paid is not None and payment is not None:
        if payment.status is PaymentStatus.SUCCEEDED and payment.amount:
            money = MovedMoney(amount=payment.amount, reference=payment.outside_id, method=payment.method)
            kind = EventKind.PAYMENT_RECEIVED
            event = make_event(known, scope, kind, paid, payment.created_at, payment.currency, customer, money)
            findings.events.append(Supported(event=event, facts=(paid,)))
        else:
            findings.rules[paid.fact_id] = "a payment that did not succeed moves no money"
    for fact in known.facts:
        if fact.translated.source.kind == "payment_intent":
            findings.rules[fact.fact_id] = "a payment intent only links"
    _fees(known, scope, payment, findings)
    _refunds(known, scope, payment, customer, findings)
    return findings.expectation(known.facts)


def _fees(
    known: RootFacts,
    scope: EntityScope,
    payment: Payment | None,
    findings: Findings,
) -> None:
    for fact in newest_by_source(known.facts, BalanceTransaction):
        movement = fact.translated.snapshot
        assert isinstance(movement, BalanceTransaction)
        if payment is None:
            findings.awaited.add(Need(object_kind="payment", name=Name(kind="outside_id", value=known.root.outside_id)))
            findings.rules[fact.fact_id] = "awaits the payment it settles"
        elif movement.currency != payment.currency or movement.exchange_rate is not None:
            detail = f"paid in {payment.currency}, settled in {movement.currency}"
            cause = problem("derive.settlement_other_currency", detail, field=f"{payment.currency}>{movement.currency}")
            findings.blocked.append(
                Blocked(problem=cause, fact=fact, amount=abs(movement.amount), currency=movement.currency)
            )
        elif movement.fee and movement.transaction_type in FEE_TYPES:
            money = MovedMoney(amount=movement.fee, reference=movement.source)
            kind = EventKind.PROCESSOR_FEE_CHARGED
            event = make_event(known, scope, kind, fact, movement.created_at, movement.currency, None, money)
            findings.events.append(Supported(event=event, facts=(fact,)))
        else:
            findings.rules[fact.fact_id] = "no fee was taken"


def _refunds(
    known: RootFacts,
    scope: EntityScope,
    payment: Payment | None,
    customer: SourceObject | None,
    findings: Findings,
) -> None:
    for fact in newest_by_source(known.facts, Refund):
        refund = fact.translated.snapshot
        assert isinstance(refund, Refund)
        if refund.status not in {"succeeded", "failed"} or not refund.amount:
            findings.rules[fact.fact_id] = f"a refund that is {refund.status} moves no money"
            continue
        if payment is None:
            findings.awaited.add(Need(object_kind="payment", name=Name(kind="outside_id", value=known.root.outside_id)))
            findings.rules[fact.fact_id] = "awaits the payment it gives back"
            continue
        money = RefundedMoney(amount=refund.amount, earned=refund.earned, payment=refund.payment, reason=refund.reason)
        paid = make_event(
            known, scope, EventKind.REFUND_PAID, fact, refund.created_at, refund.currency, customer, money
        )
        findings.events.append(Supported(event=paid, facts=(fact,)))
        if refund.status == "failed" and not refund.failed_at and was_pushed(known.facts, fact.translated.source):
            findings.awaited.add(Need(object_kind="refund", name=Name(kind="outside_id", value=refund.outside_id)))
        elif refund.status == "failed":
            when = refund.failed_at or refund.created_at
            kind = EventKind.REFUND_FAILED
            failed = make_event(known, scope, kind, fact, when, refund.currency, customer, money)
            findings.events.append(Supported(event=failed, facts=(fact,)))


def _customer_need(outside_id: str) -> Need:
    return Need(object_kind="customer", name=Name(kind="outside_id", value=outside_id))
