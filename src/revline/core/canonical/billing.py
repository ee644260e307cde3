"""What is demanded of a customer and taken back again: invoices, their payments, credit memos, the customer's credit balance."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec

from revline.core.ids import SourceObject
from revline.core.money import Amount


class TaxAmount(msgspec.Struct, frozen=True, kw_only=True):
    """Tax on one line or on the whole invoice, as the tax engine gave it; Revline computes none. Owner: tax engine.

    amount: tax in the invoice's currency, may be negative on a credit. taxable: the base it was computed on. rate_percent:
    the published rate, or None when the engine gave only an amount. engine_document: the tax engine's document id or "".
    """

    amount: Amount
    taxable: Amount
    rate: str = ""
    rate_percent: Amount | None = None
    jurisdiction: str = ""
    inclusive: bool = False
    reverse_charge: bool = False
    engine_document: str = ""


class DiscountAmount(msgspec.Struct, frozen=True, kw_only=True):
    """What one discount took off a line. amount: positive, in the invoice's currency. Source: coupon or promotion id."""

    amount: Amount
    discount: str = ""
    coupon: str = ""


class InvoiceLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an invoice. Owner: billing.

    amount: quantity times unit price before discounts, without exclusive tax, negative on a credit line. net: amount less
    discounts and less inclusive tax: what is revenue sooner or later. service_start, service_end: the half-open days the
    line pays for (end is exclusive), None for a thing without a term. product_family: what posting rules choose by; the
    source's product metadata or "". charge: Revline's charge id when rating authority is Revline's. usage_window_*: the
    half-open moments of metered use, also where the source does not say whether the price is metered. accrued: the account that
    holds the line's revenue because it was recognised before it was billed (unbilled_receivable, contract_asset), "" when it was
    not.
    """

    outside_id: str
    description: str = ""
    product: str = ""
    product_name: str = ""
    product_family: str = ""
    price: str = ""
    subscription: str = ""
    subscription_item: str = ""
    contract: str = ""
    quantity: Amount
    unit_price: Amount
    list_unit_price: Amount | None = None
    amount: Amount
    net: Amount
    service_start: date | None = None
    service_end: date | None = None
    usage_window_start: datetime | None = None
    usage_window_end: datetime | None = None
    proration: bool = False
    credited_line: str = ""
    discounts: tuple[DiscountAmount, ...] = ()
    taxes: tuple[TaxAmount, ...] = ()
    charge: str = ""
    accrued: str = ""
    dimensions: tuple[tuple[str, str], ...] = ()


class InvoiceStatus(StrEnum):
    """Where an invoice stands, lowest rank first; paid and void share the highest."""

    DRAFT = "draft"
    OPEN = "open"
    UNCOLLECTIBLE = "uncollectible"
    PAID = "paid"
    VOID = "void"


class Invoice(msgspec.Struct, frozen=True, kw_only=True, tag="invoice"):
    """A demand for payment. Owner: billing.

    subtotal: sum of line amounts before discounts. total: what the customer owes when it is issued: net lines plus tax.
    amount_paid, amount_remaining: as of this snapshot, not part of what was issued. amount_paid_elsewhere: the part of
    amount_paid that the source was told of and did not move itself, None when it does not say. finalized_at, paid_at, voided_at,
    marked_uncollectible_at: when each happened, None when it has not (Stripe: status_transitions). links: the order or contract
    in other systems it bills, as the source names them.
    """

    outside_id: str
    number: str
    status: InvoiceStatus
    customer: str
    currency: str
    subtotal: Amount
    discount_total: Amount
    tax_total: Amount
    total: Amount
    amount_paid: Amount
    amount_remaining: Amount
    lines: tuple[InvoiceLine, ...]
    created_at: datetime
    finalized_at: datetime | None = None
    due_at: datetime | None = None
    paid_at: datetime | None = None
    voided_at: datetime | None = None
    marked_uncollectible_at: datetime | None = None
    amount_paid_elsewhere: Amount | None = None
    billing_reason: str = ""
    collection_method: str = ""
    purchase_order: str = ""
    subscription: str = ""
    contract: str = ""
    memo: str = ""
    links: tuple[SourceObject, ...] = ()


class InvoicePayment(msgspec.Struct, frozen=True, kw_only=True, tag="invoice_payment"):
    """A payment applied to an invoice. Owner: billing. One end is the invoice, the other a payment or a payment intent.

    amount: what was applied, in the invoice's currency. status: open, paid or canceled; only paid is an application.
    """

    outside_id: str
    invoice: str
    payment: str = ""
    payment_intent: str = ""
    currency: str
    amount: Amount
    status: str
    paid_at: datetime | None = None


class CreditMemoStatus(StrEnum):
    """Where a credit memo stands, lowest rank first."""

    ISSUED = "issued"
    VOID = "void"


class CreditMemo(msgspec.Struct, frozen=True, kw_only=True, tag="credit_memo"):
    """A demand taken back in part or in full. Owner: billing.

    invoice: outside id of the invoice it credits, "" when it stands alone. lines: what is credited, amounts positive to the
    customer's good. total: net lines plus tax. applied_amount: what lowered the invoice before it was paid. credited_amount: what
    went to the customer's credit balance. refunded_amount: what was given back by refunds of this memo. out_of_band_amount: what
    was given back outside the billing system. refunds: outside ids of those refunds. refund_amounts: how much of the memo each of
    them pays out, in the same order, empty where the source does not say. earned: the part of the net that was
    recognised as revenue before the memo (0.00 until revenue schedules exist).
    """

    outside_id: str
    number: str
    status: CreditMemoStatus
    customer: str
    invoice: str = ""
    currency: str
    lines: tuple[InvoiceLine, ...]
    tax_total: Amount
    total: Amount
    applied_amount: Amount
    credited_amount: Amount
    refunded_amount: Amount
    out_of_band_amount: Amount
    refunds: tuple[str, ...] = ()
    refund_amounts: tuple[Amount, ...] = ()
    earned: Amount
    issued_at: datetime
    voided_at: datetime | None = None
    reason: str = ""
    memo: str = ""


class CreditOrigin(StrEnum):
    """Why a customer's credit balance moved.

    credit_memo: a memo on a paid invoice; adjustment: a person's decision; overpayment: more came than was owed; applied: it paid
    part of an invoice; unapplied: that was undone; carried: billing moved an amount too small or negative to the next invoice.
    """

    CREDIT_MEMO = "credit_memo"
    ADJUSTMENT = "adjustment"
    OVERPAYMENT = "overpayment"
    APPLIED = "applied"
    UNAPPLIED = "unapplied"
    CARRIED = "carried"


class CreditMovement(msgspec.Struct, frozen=True, kw_only=True, tag="credit_movement"):
    """A movement on a customer's credit balance (Stripe: a customer balance transaction). Owner: billing.

    amount: signed, positive when the customer's credit grows. invoice, credit_memo: outside ids of what moved it, or "".
    ending_balance: the credit after it, same sign, None when the source gives none.
    """

    outside_id: str
    customer: str
    origin: CreditOrigin
    currency: str
    amount: Amount
    created_at: datetime
    invoice: str = ""
    credit_memo: str = ""
    ending_balance: Amount | None = None
    description: str = ""
