"""The canonical revenue objects: what every source is translated to and every later room reads.

Each object is a snapshot: what its owner system said of it at one time. Amounts are in the object's currency, in that
currency's ISO 4217 scale, positive unless a field says otherwise. Moments are aware; days are calendar days where the legal
entity keeps its books. "Source" names the field of the systems that fill it; "owner" is the system that may change it.
Nothing here knows a vendor's wire format, an account or a database.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

import msgspec

from revline.core.money import Amount, decode_hook


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A postal address. country: ISO 3166-1 alpha-2 or ""."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


class Customer(msgspec.Struct, frozen=True, kw_only=True, tag="customer"):
    """Who buys. Owner: CRM or, without one, billing. Personal data: name, email, address.

    outside_id: the source's id. currency: the default invoicing currency or "". tax_ids: (type, value) as the source has
    them. parent: outside id of the parent account or "". deleted: the source removed it; it stays here.
    """

    outside_id: str
    name: str
    email: str = ""
    address: Address = Address()
    currency: str = ""
    tax_exempt: bool = False
    tax_ids: tuple[tuple[str, str], ...] = ()
    parent: str = ""
    deleted: bool = False


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
    half-open moments of metered use.
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
    amount_paid, amount_remaining: as of this snapshot, not part of what was issued. finalized_at, paid_at, voided_at,
    marked_uncollectible_at: when each happened, None when it has not (Stripe: status_transitions).
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
    billing_reason: str = ""
    collection_method: str = ""
    purchase_order: str = ""
    subscription: str = ""
    contract: str = ""
    memo: str = ""


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


class PaymentStatus(StrEnum):
    """pending: on its way; failed: no money moved; succeeded: the customer's money is with the processor."""

    PENDING = "pending"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


class Payment(msgspec.Struct, frozen=True, kw_only=True, tag="payment"):
    """Money a customer paid through a processor (Stripe: a charge). Owner: gateway.

    amount: what was captured, in the currency the customer paid. created_at: when the processor took it. method: card,
    bank transfer and so on, as the processor names it.
    """

    outside_id: str
    status: PaymentStatus
    customer: str = ""
    currency: str
    amount: Amount
    created_at: datetime
    payment_intent: str = ""
    invoice: str = ""
    balance_transaction: str = ""
    method: str = ""
    description: str = ""
    failure_code: str = ""


class PaymentIntent(msgspec.Struct, frozen=True, kw_only=True, tag="payment_intent"):
    """An attempt to collect. It moves no money; it links an intent to the payment that succeeded. Owner: gateway."""

    outside_id: str
    status: str
    customer: str = ""
    currency: str
    amount: Amount
    payment: str = ""


class Refund(msgspec.Struct, frozen=True, kw_only=True, tag="refund"):
    """Money given back on a payment. Owner: gateway.

    status: pending, requires_action, succeeded, failed or canceled. created_at: when the money left; failed_at: when the
    source said it came back, None when the source gave no time. earned: the part of the amount that was recognised as
    revenue before the refund (0.00 until revenue schedules exist).
    """

    outside_id: str
    payment: str
    status: str
    currency: str
    amount: Amount
    earned: Amount
    created_at: datetime
    failed_at: datetime | None = None
    reason: str = ""
    balance_transaction: str = ""


class Payout(msgspec.Struct, frozen=True, kw_only=True, tag="payout"):
    """Money a processor sends to the bank. Owner: gateway.

    status: pending, in_transit, paid, failed or canceled. amount: negative when the processor takes money from the bank.
    arrival_date: the day the bank books it, as the source names it.
    """

    outside_id: str
    status: str
    currency: str
    amount: Amount
    arrival_date: date
    created_at: datetime
    failed_at: datetime | None = None
    destination: str = ""
    balance_transaction: str = ""
    failure_code: str = ""


class BalanceTransaction(msgspec.Struct, frozen=True, kw_only=True, tag="balance_transaction"):
    """A movement on the processor's balance. Owner: gateway.

    transaction_type: charge, payment, refund, payout, stripe_fee and so on. amount: signed gross in `currency`, the currency
    of the balance; fee: positive; net: amount less fee. source: outside id of what moved it. exchange_rate: present when the
    source was in another currency.
    """

    outside_id: str
    transaction_type: str
    source: str
    currency: str
    amount: Amount
    fee: Amount
    net: Amount
    created_at: datetime
    exchange_rate: Amount | None = None
    reporting_category: str = ""


CanonicalObject = Customer | Invoice | InvoicePayment | Payment | PaymentIntent | Refund | Payout | BalanceTransaction

KINDS: dict[str, type[Any]] = {
    "customer": Customer,
    "invoice": Invoice,
    "invoice_payment": InvoicePayment,
    "payment": Payment,
    "payment_intent": PaymentIntent,
    "refund": Refund,
    "payout": Payout,
    "balance_transaction": BalanceTransaction,
}


def decode_object(data: bytes | str) -> CanonicalObject:
    """A canonical object from its JSON. msgspec.ValidationError (with the path) when it does not fit."""
    return _DECODER.decode(data)


_DECODER: msgspec.json.Decoder[CanonicalObject] = msgspec.json.Decoder(CanonicalObject, dec_hook=decode_hook)
