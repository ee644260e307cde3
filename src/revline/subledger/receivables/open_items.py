"""What an accounting event does to open items. Pure: the sum of a customer's movements is what the customer's receivable holds.

An invoice is an item that is owed; a payment is an item of the opposite sign until it is applied. An application moves one
amount between the two, so it never changes the sum.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum

import msgspec

from revline.core.events import (
    AccountingEvent,
    AppliedPayment,
    EventKind,
    IssuedInvoice,
    MovedMoney,
    RefundedMoney,
    UncollectibleInvoice,
)
from revline.core.ids import SourceObject
from revline.core.money import Amount


class MovementKind(StrEnum):
    """What happened to an item."""

    ISSUED = "issued"
    VOIDED = "voided"
    WRITTEN_OFF = "written_off"
    RECEIVED = "received"
    APPLIED = "applied"
    REFUNDED = "refunded"


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one item. owed: signed change of what the customer owes (positive: owes more).

    item: the invoice or payment. counter_item: the other end of an application. affects_receivable is False for refunds, whose
    entry leaves the receivable alone; their `amount` still shows what went back.
    """

    item: SourceObject
    kind: MovementKind
    owed: Amount
    amount: Amount
    currency: str
    day: date
    counter_item: SourceObject | None = None
    affects_receivable: bool = True


def movements_of(event: AccountingEvent) -> tuple[Movement, ...]:
    """The movements of one event; those of a reversal are the reversed event's with the opposite sign."""
    sign = -1 if event.reverses else 1

    def movement(item: SourceObject, kind: MovementKind, owed: Amount, counter: SourceObject | None = None) -> Movement:
        return Movement(
            item=item,
            kind=kind,
            owed=sign * owed,
            amount=sign * abs(owed),
            currency=event.currency,
            day=event.accounting_date,
            counter_item=counter,
        )

    match event.payload:
        case IssuedInvoice(total=total):
            if event.kind is EventKind.INVOICE_VOIDED:
                return (movement(event.root, MovementKind.VOIDED, -total),)
            return (movement(event.root, MovementKind.ISSUED, total),)
        case UncollectibleInvoice(amount=amount):
            return (movement(event.root, MovementKind.WRITTEN_OFF, -amount),)
        case AppliedPayment(invoice=invoice, payment=payment, amount=amount):
            return (
                movement(invoice, MovementKind.APPLIED, -amount, payment),
                movement(payment, MovementKind.APPLIED, amount, invoice),
            )
        case MovedMoney(amount=amount) if event.kind is EventKind.PAYMENT_RECEIVED:
            return (movement(event.root, MovementKind.RECEIVED, -amount),)
        case RefundedMoney(amount=amount):
            back = amount if event.kind is EventKind.REFUND_PAID else -amount
            return (
                Movement(
                    item=event.root,
                    kind=MovementKind.REFUNDED,
                    owed=Amount(0),
                    amount=sign * back,
                    currency=event.currency,
                    day=event.accounting_date,
                    affects_receivable=False,
                ),
            )
    return ()
