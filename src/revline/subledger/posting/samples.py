"""Example events: what conditions are tried on and rules' own tests are run with when a configuration is validated. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from revline.core.canonical import DiscountAmount, InvoiceLine, TaxAmount
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
from revline.core.ids import SourceObject, event_id
from revline.subledger.posting.kinds import RuleTest, TestLine

TENANT = "example"
ZERO = Decimal(0)
_OBJECT_KINDS = {
    "invoice": "invoice",
    "payment": "payment",
    "processor_fee": "balance_transaction",
    "refund": "refund",
    "payout": "payout",
}


def sample_event(*, kind: EventKind, currency: str, day: date, test: RuleTest | None = None) -> AccountingEvent:
    """An event of a kind with the amounts of a rule's test, or with an amount of 1 everywhere."""
    source = SourceObject(connection="example", kind=_OBJECT_KINDS[kind.value.split(".")[0]], outside_id="example_1")
    return AccountingEvent(
        event_id=event_id(tenant=TENANT, source=source, event_kind=kind.value, ordinal=0),
        kind=kind,
        root=source,
        source=source,
        entity="example",
        currency=currency,
        occurred_at=datetime(day.year, day.month, day.day, tzinfo=UTC),
        document_date=day,
        accounting_date=day,
        customer=SourceObject(connection="example", kind="customer", outside_id="example_customer"),
        payload=_payload(kind, source, test or RuleTest(name="", amount=Decimal(1), expect=())),
    )


def _payload(kind: EventKind, source: SourceObject, test: RuleTest) -> Payload:
    amount = test.amount if test.amount is not None else ZERO
    match kind:
        case EventKind.INVOICE_ISSUED | EventKind.INVOICE_VOIDED:
            return _invoice(test.lines or (TestLine(amount=amount, tax=ZERO),))
        case EventKind.INVOICE_MARKED_UNCOLLECTIBLE:
            return UncollectibleInvoice(number="EXAMPLE-1", amount=amount)
        case EventKind.REFUND_PAID | EventKind.REFUND_FAILED:
            return RefundedMoney(amount=amount, earned=test.earned or ZERO)
        case EventKind.PAYMENT_APPLIED:
            return AppliedPayment(invoice=source, payment=source, amount=amount)
    return MovedMoney(amount=amount)


def _invoice(lines: Sequence[TestLine]) -> IssuedInvoice:
    made = tuple(_line(number, line) for number, line in enumerate(lines, start=1))
    net = sum((line.net for line in made), ZERO)
    tax = sum((each.amount for line in made for each in line.taxes), ZERO)
    discount = sum((each.amount for line in made for each in line.discounts), ZERO)
    return IssuedInvoice(
        number="EXAMPLE-1",
        subtotal=net + discount,
        discount_total=discount,
        tax_total=tax,
        total=net + tax,
        lines=made,
    )


def _line(number: int, line: TestLine) -> InvoiceLine:
    discount = line.discount or ZERO
    return InvoiceLine(
        outside_id=f"line_{number}",
        product_family=line.product_family,
        quantity=Decimal(1),
        unit_price=line.amount + discount,
        amount=line.amount + discount,
        net=line.amount,
        discounts=(DiscountAmount(amount=discount),) if discount else (),
        taxes=(TaxAmount(amount=line.tax, taxable=line.amount),) if line.tax is not None else (),
    )
