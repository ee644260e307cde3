"""What an accounting event does to open items. Pure: the sum of a customer's movements is what the customer's receivable holds.

An invoice is an item that is owed; a payment is an item of the opposite sign until it is applied, and so is what a credit memo
leaves the customer until a refund or the credit balance settles it. An application moves one amount between two items, so it never
changes the sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.canonical import CreditOrigin
from revline.core.canonical.stated import (
    CompletedSale,
    ExchangeDifference,
    IntercompanyAmount,
    ReceivableChange,
    StatedMoney,
)
from revline.core.events import (
    AccountingEvent,
    AppliedPayment,
    CustomerCredit,
    EventKind,
    IssuedCreditMemo,
    IssuedInvoice,
    MovedMoney,
    RefundedMoney,
    UncollectibleInvoice,
)
from revline.core.ids import SourceObject
from revline.core.money import Amount

RECEIVABLE: Final = "accounts_receivable"
"""The neutral account an exchange difference names when it remeasures what customers owe."""
OWNER: Final = "owner"
"""The role of the entity whose customer paid another entity."""


class MovementKind(StrEnum):
    """What happened to an item."""

    ISSUED = "issued"
    VOIDED = "voided"
    CREDITED = "credited"
    WRITTEN_OFF = "written_off"
    REINSTATED = "reinstated"
    RECEIVED = "received"
    APPLIED = "applied"
    REFUNDED = "refunded"
    REMEASURED = "remeasured"


OPENING_KINDS: Final = frozenset(
    {
        EventKind.INVOICE_ISSUED,
        EventKind.PAYMENT_RECEIVED,
        EventKind.CREDIT_MEMO_ISSUED,
        EventKind.CUSTOMER_CREDIT_GRANTED,
        EventKind.CUSTOMER_CREDIT_APPLIED,
        EventKind.AGENT_SALE_COMPLETED,
        EventKind.RECEIVABLE_WRITTEN_OFF,
        EventKind.RECEIVABLE_REINSTATED,
        EventKind.RECEIVABLE_COLLECTED,
        EventKind.EXCHANGE_REMEASURED,
        EventKind.EXCHANGE_REALIZED,
        EventKind.INTERCOMPANY_CASH_COLLECTED,
    }
)
"""Events whose source object may be an item of its own."""


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one item. owed: signed change of what the customer owes (positive: owes more).

    item: the object that is owed or the customer's. counter_item: the other end of an application. affects_receivable is False for
    a refund that settles no credit memo, whose entry leaves the receivable alone; its `amount` still shows what went back.
    """

    item: SourceObject
    kind: MovementKind
    owed: Amount
    amount: Amount
    currency: str
    day: date
    counter_item: SourceObject | None = None
    affects_receivable: bool = True


Change = tuple[SourceObject, MovementKind, Decimal]
"""(item, what happened, signed change of what is owed)."""


def movements_of(event: AccountingEvent) -> tuple[Movement, ...]:
    """The movements of one event; those of a reversal are the reversed event's with the opposite sign."""
    sign = -1 if event.reverses else 1
    if isinstance(event.payload, AppliedPayment):
        return _applied(event, event.payload, sign)
    if isinstance(event.payload, RefundedMoney) and not event.payload.credit_memo:
        return (_given_back(event, event.payload, sign),)
    return tuple(
        Movement(
            item=item,
            kind=kind,
            owed=Amount(sign * owed),
            amount=Amount(sign * abs(owed)),
            currency=event.currency,
            day=event.accounting_date,
        )
        for item, kind, owed in (*_of_sources(event), *_of_stated(event))
        if owed
    )


def item_opened(event: AccountingEvent) -> SourceObject | None:
    """The item an event opens, if it does: its own source object, when its movements are of that."""
    if event.kind not in OPENING_KINDS or event.reverses:
        return None
    return next((event.source for movement in movements_of(event) if movement.item == event.source), None)


def _of_sources(event: AccountingEvent) -> Iterable[Change]:
    """What events that follow from source objects change."""
    match event.payload:
        case IssuedInvoice(total=total):
            voided = event.kind is EventKind.INVOICE_VOIDED
            yield event.root, MovementKind.VOIDED if voided else MovementKind.ISSUED, -total if voided else total
        case UncollectibleInvoice(amount=amount):
            yield event.root, MovementKind.WRITTEN_OFF, -amount
        case IssuedCreditMemo():
            yield from _credited(event, event.payload)
        case CustomerCredit():
            yield from _credit(event, event.payload)
        case MovedMoney(amount=amount) if event.kind is EventKind.PAYMENT_RECEIVED:
            yield event.root, MovementKind.RECEIVED, -amount
        case RefundedMoney(amount=amount, credit_memo=memo):
            failed = event.kind is EventKind.REFUND_FAILED
            yield _beside(event, "credit_memo", memo), MovementKind.REFUNDED, -amount if failed else amount


def _of_stated(event: AccountingEvent) -> Iterable[Change]:
    """What events that outside subledgers state change."""
    match event.payload:
        case CompletedSale(amount=amount) if event.kind is EventKind.AGENT_SALE_COMPLETED:
            yield event.source, MovementKind.ISSUED, amount
        case StatedMoney(amount=amount) if event.kind is EventKind.RECEIVABLE_COLLECTED:
            yield event.source, MovementKind.RECEIVED, -amount
        case ReceivableChange(amount=amount, invoice=invoice) if event.kind is EventKind.RECEIVABLE_WRITTEN_OFF:
            yield _beside(event, "invoice", invoice), MovementKind.WRITTEN_OFF, -amount
        case ReceivableChange(amount=amount, invoice=invoice) if event.kind is EventKind.RECEIVABLE_REINSTATED:
            yield _beside(event, "invoice", invoice), MovementKind.REINSTATED, amount
        case ExchangeDifference(amount=amount, item=item) if item == RECEIVABLE:
            yield event.source, MovementKind.REMEASURED, amount
        case IntercompanyAmount(amount=amount, role=role) if (
            event.kind is EventKind.INTERCOMPANY_CASH_COLLECTED and role == OWNER
        ):
            yield event.source, MovementKind.RECEIVED, -amount


def _credited(event: AccountingEvent, memo: IssuedCreditMemo) -> Iterable[Change]:
    """A memo lowers its invoice by what was applied to it; the rest stays on the memo until something settles it."""
    sign = 1 if event.kind is EventKind.CREDIT_MEMO_VOIDED else -1
    applied = memo.total if memo.applied is None else memo.applied
    if memo.invoice is None:
        applied = Decimal(0)
    else:
        yield memo.invoice, MovementKind.CREDITED, sign * applied
    yield event.source, MovementKind.CREDITED, sign * (memo.total - applied)


def _credit(event: AccountingEvent, credit: CustomerCredit) -> Iterable[Change]:
    """Credit that is applied lowers an invoice; one that is granted takes what a memo or too much money left on the receivable."""
    if event.kind is EventKind.CUSTOMER_CREDIT_APPLIED:
        yield credit.invoice or event.source, MovementKind.CREDITED, -credit.amount
    elif credit.origin is not CreditOrigin.ADJUSTMENT:
        yield _beside(event, "credit_memo", credit.credit_memo), MovementKind.CREDITED, credit.amount


def _beside(event: AccountingEvent, kind: str, outside_id: str) -> SourceObject:
    """Another object of the event's connection; the event's own source where none is named."""
    if not outside_id:
        return event.source
    return SourceObject(connection=event.source.connection, kind=kind, outside_id=outside_id)


def _applied(event: AccountingEvent, payload: AppliedPayment, sign: int) -> tuple[Movement, ...]:
    return tuple(
        Movement(
            item=item,
            kind=MovementKind.APPLIED,
            owed=Amount(sign * side * payload.amount),
            amount=Amount(sign * payload.amount),
            currency=event.currency,
            day=event.accounting_date,
            counter_item=counter,
        )
        for item, counter, side in ((payload.invoice, payload.payment, -1), (payload.payment, payload.invoice, 1))
    )


def _given_back(event: AccountingEvent, payload: RefundedMoney, sign: int) -> Movement:
    back = payload.amount if event.kind is EventKind.REFUND_PAID else -payload.amount
    return Movement(
        item=event.root,
        kind=MovementKind.REFUNDED,
        owed=Amount(0),
        amount=Amount(sign * back),
        currency=event.currency,
        day=event.accounting_date,
        affects_receivable=False,
    )
