"""The sum of a customer's movements is what the customer's receivable holds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from revline.core.events import (
    AccountingEvent,
    AppliedPayment,
    EventKind,
    IssuedInvoice,
    MovedMoney,
    Payload,
    RefundedMoney,
    UncollectibleInvoice,
)
from revline.core.ids import SourceObject
from revline.subledger.receivables.open_items import MovementKind, movements_of

INVOICE = SourceObject(connection="stripe-us", kind="invoice", outside_id="in_1")
PAYMENT = SourceObject(connection="stripe-us", kind="payment", outside_id="ch_1")
D = Decimal


def event(kind: EventKind, root: SourceObject, payload: Payload, *, reverses: str = "") -> AccountingEvent:
    return AccountingEvent(
        event_id=f"{kind}{reverses}",
        kind=kind,
        root=root,
        source=root,
        entity="northwind-us",
        currency="USD",
        occurred_at=datetime(2026, 1, 5, tzinfo=UTC),
        document_date=date(2026, 1, 5),
        accounting_date=date(2026, 1, 5),
        customer=None,
        payload=payload,
        reverses=reverses,
    )


ISSUED = IssuedInvoice(
    number="A-1", subtotal=D("100.00"), discount_total=D(0), tax_total=D("20.00"), total=D("120.00"), lines=()
)


def test_an_application_moves_money_between_items_and_changes_nobody_s_debt() -> None:
    applied = event(
        EventKind.PAYMENT_APPLIED, INVOICE, AppliedPayment(invoice=INVOICE, payment=PAYMENT, amount=D("120.00"))
    )
    movements = movements_of(applied)
    assert [(entry.item, entry.owed) for entry in movements] == [(INVOICE, D("-120.00")), (PAYMENT, D("120.00"))]
    assert sum(entry.owed for entry in movements) == 0


def test_an_invoice_paid_and_applied_leaves_nothing_open() -> None:
    history = [
        event(EventKind.PAYMENT_RECEIVED, PAYMENT, MovedMoney(amount=D("120.00"))),
        event(EventKind.INVOICE_ISSUED, INVOICE, ISSUED),
        event(EventKind.PAYMENT_APPLIED, INVOICE, AppliedPayment(invoice=INVOICE, payment=PAYMENT, amount=D("120.00"))),
    ]
    for item in (INVOICE, PAYMENT):
        assert sum(entry.owed for one in history for entry in movements_of(one) if entry.item == item) == 0


def test_a_void_and_a_write_off_take_back_what_was_owed() -> None:
    assert movements_of(event(EventKind.INVOICE_VOIDED, INVOICE, ISSUED))[0].owed == D("-120.00")
    lost = event(EventKind.INVOICE_MARKED_UNCOLLECTIBLE, INVOICE, UncollectibleInvoice(number="A-1", amount=D("20.00")))
    assert movements_of(lost)[0].owed == D("-20.00")
    reversal = event(EventKind.INVOICE_ISSUED, INVOICE, ISSUED, reverses="x")
    assert movements_of(reversal)[0].owed == D("-120.00")


def test_a_refund_shows_what_went_back_and_leaves_the_receivable_alone() -> None:
    paid = movements_of(event(EventKind.REFUND_PAID, PAYMENT, RefundedMoney(amount=D("30.00"), earned=D(0))))
    failed = movements_of(event(EventKind.REFUND_FAILED, PAYMENT, RefundedMoney(amount=D("30.00"), earned=D(0))))
    assert [(entry.kind, entry.owed, entry.amount) for entry in paid] == [(MovementKind.REFUNDED, D(0), D("30.00"))]
    assert paid[0].amount + failed[0].amount == 0
