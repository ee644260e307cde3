"""What should exist of a payment: received, its processor fee, its refunds paid and failed, its disputes. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from revline.core.canonical import BalanceTransaction, Payment, PaymentStatus, Refund
from revline.core.events import EventKind, MovedMoney, RefundedMoney
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.derive.credit_memo import memo_need, memo_of_refund, paid_out_by
from revline.derive.dispute import find_disputes
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

define(
    code="derive.refund_exceeds_payment",
    title="More was given back than was paid",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Compare the refunds at the processor; import payment and refunds again, or book the excess by hand and waive.",
)
define(
    code="derive.refund_shared",
    title="A credit memo pays out only a part of a refund",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Book the refund by hand, split between the memo and the rest, then waive the case.",
)

define(
    code="derive.refund_without_payment",
    title="Money was given back and no payment is named",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="See at the processor what the refund gave back, book it by hand, then waive the case.",
)

FEE_TYPES = frozenset({"charge", "payment"})


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """The customer who paid, the credit memos that may name the refunds, and what else hangs on the payment's intent."""
    wanted: set[Need] = set()
    for fact in facts:
        match fact.translated.snapshot:
            case Payment() as payment:
                wanted |= {_customer_need(payment.customer)} if payment.customer else set()
                wanted |= set(_of_intent(payment.payment_intent)) if payment.payment_intent else set()
            case Refund(outside_id=refund, credit_memo=""):
                wanted.add(memo_need(refund))
    return tuple(sorted(wanted))


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
        findings.wakes |= _invoices_to_look_again(known, payment)
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
    find_disputes(known, scope, payment, customer, findings)
    return findings.expectation(known.facts)


def refund_needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """Every snapshot of the refund: one that names its payment is on the payment's root."""
    ids = {fact.translated.source.outside_id for fact in facts}
    return tuple(Need(object_kind="refund", name=Name(kind="outside_id", value=one)) for one in sorted(ids))


def expect_refund(known: RootFacts, scope: EntityScope) -> Expectation:
    """A refund whose source named no payment: nothing says what to book it against, so it is a case once the money moved."""
    findings = Findings()
    for fact in newest_by_source(known.facts, Refund):
        refund = fact.translated.snapshot
        assert isinstance(refund, Refund)
        need = Need(object_kind="refund", name=Name(kind="outside_id", value=refund.outside_id))
        told = (one.translated.snapshot for one in known.found.get(need, ()))
        if any(isinstance(one, Refund) and one.payment for one in told):
            findings.rules[fact.fact_id] = "the refund is booked on the payment it gives back"
        elif refund.status != "succeeded" or not refund.amount:
            findings.rules[fact.fact_id] = f"a refund that is {refund.status} moves no money"
        else:
            cause = problem("derive.refund_without_payment", f"refund {refund.outside_id}", field="payment")
            findings.blocked.append(Blocked(problem=cause, fact=fact, amount=refund.amount, currency=refund.currency))
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
    given_back = Decimal(0)
    for fact in sorted(newest_by_source(known.facts, Refund), key=_refund_order):
        refund = fact.translated.snapshot
        assert isinstance(refund, Refund)
        if refund.status not in {"succeeded", "failed"} or not refund.amount:
            findings.rules[fact.fact_id] = f"a refund that is {refund.status} moves no money"
            continue
        if payment is None:
            findings.awaited.add(Need(object_kind="payment", name=Name(kind="outside_id", value=known.root.outside_id)))
            findings.rules[fact.fact_id] = "awaits the payment it gives back"
            continue
        refusal = _refusal_of(refund, payment, given_back, known)
        if refusal is not None:
            findings.blocked.append(Blocked(problem=refusal, fact=fact, amount=refund.amount, currency=refund.currency))
            continue
        given_back += refund.amount if refund.status == "succeeded" else 0
        money = _money_of(refund, known)
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


def _refund_order(fact: Fact) -> tuple[datetime, str]:
    refund = fact.translated.snapshot
    assert isinstance(refund, Refund)
    return refund.created_at, refund.outside_id


def _refusal_of(refund: Refund, payment: Payment, given_back: Decimal, known: RootFacts) -> Problem | None:
    """Why a refund can't be booked: with those before it, it gives back more than came; or a memo pays out a part of it only."""
    if refund.status == "succeeded" and given_back + refund.amount > payment.amount:
        detail = f"{given_back + refund.amount} {payment.currency} given back of {payment.amount} paid"
        return problem("derive.refund_exceeds_payment", detail, field="amount")
    memo = memo_of_refund(known, refund.outside_id)
    if memo is None:
        return None
    paid_out = paid_out_by(memo, refund.outside_id)
    unsaid = len(memo.refunds) > 1 and not memo.refund_amounts
    if refund.amount > paid_out if unsaid else refund.amount != paid_out:
        detail = f"credit memo {memo.number} pays out {paid_out} of a refund of {refund.amount} {refund.currency}"
        return problem("derive.refund_shared", detail, field="refunds")
    return None


def _money_of(refund: Refund, known: RootFacts) -> RefundedMoney:
    """What was given back. Of a refund that pays out a credit memo nothing is earned: the memo took the revenue back."""
    memo = memo_of_refund(known, refund.outside_id)
    named = refund.credit_memo or ("" if memo is None else memo.outside_id)
    earned = refund.amount * 0 if named else refund.earned
    return RefundedMoney(
        amount=refund.amount, earned=earned, payment=refund.payment, reason=refund.reason, credit_memo=named
    )


def _of_intent(intent: str) -> tuple[Need, Need]:
    """The payments of an intent, and the applications that name it."""
    name = Name(kind="payment_intent", value=intent)
    return Need(object_kind="payment", name=name), Need(object_kind="invoice_payment", name=name)


def _invoices_to_look_again(known: RootFacts, payment: Payment) -> set[SourceObject]:
    """Where an intent was paid twice, the invoices it is applied to: which payment they name goes by all of them."""
    if not payment.payment_intent:
        return set()
    payments, applications = _of_intent(payment.payment_intent)
    succeeded = {
        one.outside_id
        for fact in newest_by_source(known.found.get(payments, ()), Payment)
        if isinstance(one := fact.translated.snapshot, Payment) and one.status is PaymentStatus.SUCCEEDED
    }
    if len(succeeded) < 2:
        return set()
    return {root for fact in known.found.get(applications, ()) for root in fact.translated.roots}


def _customer_need(outside_id: str) -> Need:
    return Need(object_kind="customer", name=Name(kind="outside_id", value=outside_id))
