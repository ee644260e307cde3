"""Accounting events: the closed, versioned list of what can happen to money. Producers emit them; posting alone consumes them.

An event says what happened, never how it is booked. Each belongs to exactly one root. Amounts are positive, in the event's
currency. "What happened" stands for ever: a void stands beside the issue it mirrors; a reversal is for an event whose own facts
were wrong.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec

from revline.core.canonical import InvoiceLine, TaxAmount
from revline.core.ids import SourceObject
from revline.core.money import Amount, decode_hook

EVENTS_VERSION = 1


class EventKind(StrEnum):
    """The closed list. A new kind is a new version of this contract."""

    INVOICE_ISSUED = "invoice.issued"
    INVOICE_VOIDED = "invoice.voided"
    INVOICE_MARKED_UNCOLLECTIBLE = "invoice.marked_uncollectible"
    PAYMENT_RECEIVED = "payment.received"
    PAYMENT_APPLIED = "payment.applied"
    PROCESSOR_FEE_CHARGED = "processor_fee.charged"
    REFUND_PAID = "refund.paid"
    REFUND_FAILED = "refund.failed"
    PAYOUT_PAID = "payout.paid"
    PAYOUT_FAILED = "payout.failed"


MIRRORS: dict[EventKind, EventKind] = {
    EventKind.INVOICE_VOIDED: EventKind.INVOICE_ISSUED,
    EventKind.REFUND_FAILED: EventKind.REFUND_PAID,
    EventKind.PAYOUT_FAILED: EventKind.PAYOUT_PAID,
}
"""Events whose entry is the mirror of another event's entry of the same source object."""


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
    """A refund paid or failed. earned: the part recognised as revenue before it; the rest is still deferred."""

    amount: Amount
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


Payload = IssuedInvoice | UncollectibleInvoice | MovedMoney | RefundedMoney | AppliedPayment


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
