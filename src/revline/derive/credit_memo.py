"""What should exist of credit memos: issued and voided. On the root of the invoice they credit, or of their own. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from revline.core.canonical import CreditMemo, CreditMemoStatus, Invoice, InvoiceLine, InvoiceStatus
from revline.core.events import EventKind, IssuedCreditMemo
from revline.core.facts import Fact, Name
from revline.core.ids import SourceObject
from revline.core.money import Amount
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
from revline.derive.product import await_products, line_needs

define(
    code="derive.credited_elsewhere",
    title="A credit memo was paid out outside of the billing system",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Book the money where it left, against the customer's receivable; then waive the case.",
)
define(
    code="derive.memo_of_void_invoice",
    title="A voided invoice has a credit memo that credited more than what was open",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="Void the memo at the source, or book what was taken back twice by hand, then waive the case.",
)


def needs(facts: tuple[Fact, ...]) -> tuple[Need, ...]:
    """The customer, the products on its lines, and the refunds a memo names: on their payment's root they settle it."""
    wanted: set[Need] = set()
    for fact in facts:
        if isinstance(memo := fact.translated.snapshot, CreditMemo):
            wanted.add(_outside("customer", memo.customer))
            wanted |= {_outside("refund", refund) for refund in memo.refunds} | line_needs(memo.lines)
    return tuple(sorted(wanted))


def expect(known: RootFacts, scope: EntityScope) -> Expectation:
    """The events of a credit memo that stands alone."""
    findings = Findings()
    find_credit_memos(known, scope, None, findings)
    return findings.expectation(known.facts)


def find_credit_memos(known: RootFacts, scope: EntityScope, invoice: Invoice | None, findings: Findings) -> None:
    """Adds the memos among a root's facts. invoice: what they credit, once it was finalised.

    A memo of an invoice waits for it, since its lines are of what the invoice sold. A voided memo was issued before: both stand.
    A void takes back the whole demand, so a memo that had lowered it ends with it.
    """
    for fact in newest_by_source(known.facts, CreditMemo):
        memo = fact.translated.snapshot
        assert isinstance(memo, CreditMemo)
        findings.wakes |= _roots_of_refunds(known, memo)
        if not memo.total:
            findings.rules[fact.fact_id] = "a credit memo over nothing books nothing"
            continue
        if memo.invoice and invoice is None:
            findings.awaited.add(_outside("invoice", memo.invoice))
            findings.rules[fact.fact_id] = "awaits the invoice it credits"
            continue
        if not known.found.get(_outside("customer", memo.customer)):
            findings.awaited.add(_outside("customer", memo.customer))
        customer = SourceObject(connection=known.root.connection, kind="customer", outside_id=memo.customer)
        await_products(memo.lines, known, scope, findings)
        payload = _issued(memo, invoice, known.root.connection)
        kind = EventKind.CREDIT_MEMO_ISSUED
        issued = make_event(known, scope, kind, fact, memo.issued_at, memo.currency, customer, payload)
        findings.events.append(Supported(event=issued, facts=(fact,)))
        ended = _ended_at(memo, fact, invoice)
        if ended is not None:
            kind = EventKind.CREDIT_MEMO_VOIDED
            voided = make_event(known, scope, kind, fact, ended, memo.currency, customer, payload)
            findings.events.append(Supported(event=voided, facts=(fact,)))
        else:
            findings.blocked += _unbooked(memo, fact, invoice)


def _ended_at(memo: CreditMemo, fact: Fact, invoice: Invoice | None) -> datetime | None:
    """When the memo was taken back: by itself, or because the invoice that all of it had lowered was voided."""
    if memo.status is CreditMemoStatus.VOID:
        return memo.voided_at or fact.translated.occurred_at
    if invoice is not None and invoice.status is InvoiceStatus.VOID and memo.applied_amount == memo.total:
        return max(memo.issued_at, invoice.voided_at or memo.issued_at)
    return None


def _unbooked(memo: CreditMemo, fact: Fact, invoice: Invoice | None) -> Iterable[Blocked]:
    """Money of a memo that has no entry: what was given back outside, and what a void took back a second time."""

    def blocked(code: str, detail: str, amount: Amount) -> Blocked:
        cause = problem(code, f"credit memo {memo.number}: {detail}", field="credit_memo")
        return Blocked(problem=cause, fact=fact, amount=amount, currency=memo.currency)

    if memo.out_of_band_amount > 0:
        amount = memo.out_of_band_amount
        yield blocked("derive.credited_elsewhere", f"{amount} {memo.currency} were given back elsewhere", amount)
    if invoice is not None and invoice.status is InvoiceStatus.VOID and memo.applied_amount:
        amount = memo.applied_amount
        yield blocked(
            "derive.memo_of_void_invoice", f"{amount} {memo.currency} of a void invoice were credited", amount
        )


def memo_of_refund(known: RootFacts, refund: str) -> CreditMemo | None:
    """The credit memo that names a refund, the first by (issued, id): an optional need, since most refunds belong to none."""
    found = newest_by_source(known.found.get(memo_need(refund), ()), CreditMemo)
    memos = [memo for fact in found if isinstance(memo := fact.translated.snapshot, CreditMemo)]
    named = [memo for memo in memos if refund in memo.refunds]
    return min(named, key=lambda memo: (memo.issued_at, memo.outside_id), default=None)


def paid_out_by(memo: CreditMemo, refund: str) -> Amount:
    """How much of a memo one of its refunds pays out; all that was refunded, where the source does not say which paid what."""
    return dict(zip(memo.refunds, memo.refund_amounts, strict=False)).get(refund, memo.refunded_amount)


def memo_need(refund: str) -> Need:
    """The credit memo that names a refund."""
    return Need(object_kind="credit_memo", name=Name(kind="refund", value=refund))


def _roots_of_refunds(known: RootFacts, memo: CreditMemo) -> set[SourceObject]:
    return {
        root
        for refund in memo.refunds
        for fact in known.found.get(_outside("refund", refund), ())
        for root in fact.translated.roots
    }


def _issued(memo: CreditMemo, invoice: Invoice | None, connection: str) -> IssuedCreditMemo:
    credited = None
    if memo.invoice:
        credited = SourceObject(connection=connection, kind="invoice", outside_id=memo.invoice)
    return IssuedCreditMemo(
        number=memo.number,
        invoice=credited,
        tax_total=memo.tax_total,
        total=memo.total,
        earned=memo.earned,
        lines=tuple(_as_sold(memo.lines, () if invoice is None else invoice.lines)),
        reason=memo.reason,
        memo=memo.memo,
        applied=memo.applied_amount,
    )


def _as_sold(lines: Iterable[InvoiceLine], sold: Iterable[InvoiceLine]) -> Iterable[InvoiceLine]:
    """Credited lines with what only the invoice's line says of the thing that was sold."""
    by_id = {line.outside_id: line for line in sold}
    for line in lines:
        was = by_id.get(line.credited_line)
        if was is None:
            yield line
            continue
        yield msgspec.structs.replace(
            line,
            product=line.product or was.product,
            product_name=line.product_name or was.product_name,
            product_family=line.product_family or was.product_family,
            price=line.price or was.price,
            subscription=line.subscription or was.subscription,
            subscription_item=line.subscription_item or was.subscription_item,
            contract=line.contract or was.contract,
            accrued=line.accrued or was.accrued,
            dimensions=line.dimensions or was.dimensions,
        )


def _outside(object_kind: str, outside_id: str) -> Need:
    return Need(object_kind=object_kind, name=Name(kind="outside_id", value=outside_id))
