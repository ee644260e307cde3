"""Accounting events: the closed, versioned list of what can happen to money. Producers emit them; posting alone consumes them.

An event says what happened, never how it is booked. Each belongs to exactly one root. Amounts are positive, in the event's
currency. "What happened" stands for ever: a void stands beside the issue it mirrors; a reversal is for an event whose own facts
were wrong.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec

from revline.core.canonical import CreditOrigin, InvoiceLine, TaxAmount
from revline.core.canonical.stated import (
    CommissionAmount,
    CompletedSale,
    ExchangeDifference,
    IntercompanyAmount,
    PrepaidCredit,
    ReceivableChange,
    RecognizedRevenue,
    StatedMoney,
    StatedPayload,
)
from revline.core.ids import SourceObject
from revline.core.money import Amount, decode_hook

EVENTS_VERSION = 1


class EventKind(StrEnum):
    """The closed list. A new kind is a new version of this contract."""

    INVOICE_ISSUED = "invoice.issued"
    INVOICE_VOIDED = "invoice.voided"
    INVOICE_MARKED_UNCOLLECTIBLE = "invoice.marked_uncollectible"
    CREDIT_MEMO_ISSUED = "credit_memo.issued"
    CREDIT_MEMO_VOIDED = "credit_memo.voided"
    CUSTOMER_CREDIT_GRANTED = "customer_credit.granted"
    CUSTOMER_CREDIT_APPLIED = "customer_credit.applied"
    PAYMENT_RECEIVED = "payment.received"
    PAYMENT_APPLIED = "payment.applied"
    PROCESSOR_FEE_CHARGED = "processor_fee.charged"
    REFUND_PAID = "refund.paid"
    REFUND_FAILED = "refund.failed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"
    PAYOUT_PAID = "payout.paid"
    PAYOUT_FAILED = "payout.failed"
    REVENUE_RECOGNIZED = "revenue.recognized"
    USAGE_ACCRUED = "usage.accrued"
    CONTRACT_MODIFIED = "contract.modified"
    SALE_COMPLETED = "sale.completed"
    AGENT_SALE_COMPLETED = "agent_sale.completed"
    SUPPLIER_PAID = "supplier.paid"
    COMMISSION_EARNED = "commission.earned"
    COMMISSION_AMORTIZED = "commission.amortized"
    COMMISSION_PAID = "commission.paid"
    PARTNER_COMMISSION_ACCRUED = "partner_commission.accrued"
    PARTNER_COMMISSION_CLAWED_BACK = "partner_commission.clawed_back"
    PARTNER_COMMISSION_PAID = "partner_commission.paid"
    RECEIVABLE_ALLOWANCE_CHANGED = "receivable.allowance_changed"
    RECEIVABLE_WRITTEN_OFF = "receivable.written_off"
    RECEIVABLE_REINSTATED = "receivable.reinstated"
    RECEIVABLE_COLLECTED = "receivable.collected"
    PREPAID_CREDIT_PURCHASED = "prepaid_credit.purchased"
    PREPAID_CREDIT_DRAWN_DOWN = "prepaid_credit.drawn_down"
    PREPAID_CREDIT_EXPIRED = "prepaid_credit.expired"
    EXCHANGE_REMEASURED = "exchange.remeasured"
    EXCHANGE_REALIZED = "exchange.realized"
    INTERCOMPANY_CASH_COLLECTED = "intercompany.cash_collected"
    INTERCOMPANY_SETTLED = "intercompany.settled"
    INTERCOMPANY_CHARGED = "intercompany.charged"
    INTERCOMPANY_ELIMINATED = "intercompany.eliminated"


MIRRORS: dict[EventKind, EventKind] = {
    EventKind.INVOICE_VOIDED: EventKind.INVOICE_ISSUED,
    EventKind.CREDIT_MEMO_VOIDED: EventKind.CREDIT_MEMO_ISSUED,
    EventKind.REFUND_FAILED: EventKind.REFUND_PAID,
    EventKind.PAYOUT_FAILED: EventKind.PAYOUT_PAID,
}
"""Events whose entry is the mirror of another event's entry of the same source object."""


STATED_KINDS: dict[EventKind, type[StatedPayload]] = {
    EventKind.REVENUE_RECOGNIZED: RecognizedRevenue,
    EventKind.USAGE_ACCRUED: RecognizedRevenue,
    EventKind.CONTRACT_MODIFIED: RecognizedRevenue,
    EventKind.SALE_COMPLETED: CompletedSale,
    EventKind.AGENT_SALE_COMPLETED: CompletedSale,
    EventKind.SUPPLIER_PAID: StatedMoney,
    EventKind.COMMISSION_EARNED: CommissionAmount,
    EventKind.COMMISSION_AMORTIZED: CommissionAmount,
    EventKind.COMMISSION_PAID: CommissionAmount,
    EventKind.PARTNER_COMMISSION_ACCRUED: CommissionAmount,
    EventKind.PARTNER_COMMISSION_CLAWED_BACK: CommissionAmount,
    EventKind.PARTNER_COMMISSION_PAID: CommissionAmount,
    EventKind.RECEIVABLE_ALLOWANCE_CHANGED: ReceivableChange,
    EventKind.RECEIVABLE_WRITTEN_OFF: ReceivableChange,
    EventKind.RECEIVABLE_REINSTATED: ReceivableChange,
    EventKind.RECEIVABLE_COLLECTED: StatedMoney,
    EventKind.PREPAID_CREDIT_PURCHASED: PrepaidCredit,
    EventKind.PREPAID_CREDIT_DRAWN_DOWN: PrepaidCredit,
    EventKind.PREPAID_CREDIT_EXPIRED: PrepaidCredit,
    EventKind.EXCHANGE_REMEASURED: ExchangeDifference,
    EventKind.EXCHANGE_REALIZED: ExchangeDifference,
    EventKind.INTERCOMPANY_CASH_COLLECTED: IntercompanyAmount,
    EventKind.INTERCOMPANY_SETTLED: IntercompanyAmount,
    EventKind.INTERCOMPANY_CHARGED: IntercompanyAmount,
    EventKind.INTERCOMPANY_ELIMINATED: IntercompanyAmount,
}
"""Events a subledger outside Revline may state, with the payload of each; the others follow from source objects alone."""


class IssuedInvoice(msgspec.Struct, frozen=True, kw_only=True, tag="issued_invoice"):
    """What was demanded: for invoice.issued and, mirrored, invoice.voided. Nothing that changes after issue is in it."""

    number: str
    subtotal: Amount
    discount_total: Amount
    tax_total: Amount
    total: Amount
    lines: tuple[InvoiceLine, ...]
    due_date: date | None = None
    billing_reason: str = ""
    purchase_order: str = ""
    memo: str = ""

    def taxes(self) -> tuple[tuple[str, TaxAmount], ...]:
        """Every tax amount with the outside id of its line."""
        return tuple((line.outside_id, tax) for line in self.lines for tax in line.taxes)


class IssuedCreditMemo(msgspec.Struct, frozen=True, kw_only=True, tag="issued_credit_memo"):
    """What was taken back: for credit_memo.issued and, mirrored, credit_memo.voided.

    invoice: source object of the invoice it credits, None when it stands alone. lines: positive to the customer's good. total: net
    lines plus tax. earned: the part of the net recognised as revenue before the memo. applied: the part of the total that lowered
    the invoice; the rest stays the customer's until a refund or credit settles it. None: all of it lowered the invoice.
    """

    number: str
    invoice: SourceObject | None
    tax_total: Amount
    total: Amount
    earned: Amount
    lines: tuple[InvoiceLine, ...]
    reason: str = ""
    memo: str = ""
    applied: Amount | None = None


class CustomerCredit(msgspec.Struct, frozen=True, kw_only=True, tag="customer_credit"):
    """A customer's credit balance granted (customer_credit.granted) or used (customer_credit.applied).

    amount: positive; negative when a grant is taken back or an application undone. invoice: what it was applied to, None otherwise.
    """

    amount: Amount
    origin: CreditOrigin
    invoice: SourceObject | None = None
    credit_memo: str = ""


class UncollectibleInvoice(msgspec.Struct, frozen=True, kw_only=True, tag="uncollectible_invoice"):
    """An invoice given up on. amount: what was still owed then."""

    number: str
    amount: Amount


class MovedMoney(msgspec.Struct, frozen=True, kw_only=True, tag="moved_money"):
    """A payment received, a fee charged, a payout paid or failed. amount may be negative on a payout only."""

    amount: Amount
    reference: str = ""
    method: str = ""


class RefundedMoney(msgspec.Struct, frozen=True, kw_only=True, tag="refunded_money"):
    """A refund paid or failed. earned: the part recognised as revenue before it; the rest is still deferred.

    credit_memo: the credit memo it pays out, then the memo took the revenue back and the refund settles the customer's credit.
    """

    amount: Amount
    earned: Amount
    payment: str = ""
    reason: str = ""
    credit_memo: str = ""


class DisputedMoney(msgspec.Struct, frozen=True, kw_only=True, tag="disputed_money"):
    """A dispute opened (money and fee taken), won (given back) or lost.

    amount: what was taken or given back, or on a loss what stays away. fee: what the processor took or gave back for it, zero on a
    loss. earned: on a loss, the part recognised as revenue before.
    """

    amount: Amount
    fee: Amount
    earned: Amount
    payment: str = ""
    reason: str = ""


class AppliedPayment(msgspec.Struct, frozen=True, kw_only=True, tag="applied_payment"):
    """A payment set against an invoice; no ledger entry, since a payment credits the customer's receivable whatever it is for.

    invoice, payment: their source objects. amount: in the invoice's currency.
    """

    invoice: SourceObject
    payment: SourceObject
    amount: Amount


Payload = (
    IssuedInvoice
    | UncollectibleInvoice
    | IssuedCreditMemo
    | CustomerCredit
    | MovedMoney
    | RefundedMoney
    | DisputedMoney
    | AppliedPayment
    | StatedPayload
)


class AccountingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to money, of one root, in one legal entity.

    event_id: derived (`ids.event_id`; `ids.reversal_id` and `ids.rebooked_id` for corrections). root: the object whose lane it
    is derived on. source: the object the event is of (the refund on a payment's root). occurred_at: the source's word.
    document_date: the day on the paper; accounting_date: the day it counts in the entity's books, which a closed period may
    move later without touching identity. customer: source object of the customer or None. reverses: the event this one undoes
    because its facts were wrong, or "".
    """

    event_id: str
    kind: EventKind
    root: SourceObject
    source: SourceObject
    entity: str
    currency: str
    occurred_at: datetime
    document_date: date
    accounting_date: date
    customer: SourceObject | None
    payload: Payload
    reverses: str = ""


def decode_event(data: bytes | str) -> AccountingEvent:
    """An accounting event from its JSON. msgspec.ValidationError when it does not fit."""
    return _DECODER.decode(data)


_DECODER = msgspec.json.Decoder(AccountingEvent, dec_hook=decode_hook)
