"""Example events: what conditions are tried on and rules' own tests are run with when a configuration is validated. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.core.canonical import CreditOrigin, DiscountAmount, InvoiceLine, TaxAmount
from revline.core.canonical.stated import (
    CommissionAmount,
    CompletedSale,
    ExchangeDifference,
    IntercompanyAmount,
    PrepaidCredit,
    ReceivableChange,
    RecognizedRevenue,
    StatedMoney,
)
from revline.core.events import (
    STATED_KINDS,
    AccountingEvent,
    AppliedPayment,
    CustomerCredit,
    DisputedMoney,
    EventKind,
    IssuedCreditMemo,
    IssuedInvoice,
    MovedMoney,
    Payload,
    RefundedMoney,
    UncollectibleInvoice,
)
from revline.core.hashing import plain
from revline.core.ids import SourceObject, event_id
from revline.core.money import decode_hook
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.posting.kinds import RuleTest, TestLine

TENANT: Final = "example"
ZERO: Final = Decimal(0)
_OBJECT_KINDS: Final = {
    "invoice": "invoice",
    "credit_memo": "credit_memo",
    "customer_credit": "credit_movement",
    "payment": "payment",
    "processor_fee": "balance_transaction",
    "refund": "refund",
    "dispute": "dispute",
    "payout": "payout",
}
"""Kind of the source object of an event by the beginning of its name; the others are stated."""
_ONE_AMOUNT: Final[Mapping[type[Payload], Mapping[str, Any]]] = {
    RecognizedRevenue: {},
    CommissionAmount: {},
    ExchangeDifference: {},
    IntercompanyAmount: {"counterparty": "other", "role": "collector"},
    PrepaidCredit: {},
    ReceivableChange: {},
    StatedMoney: {},
}
"""Stated payloads of one amount, with the other fields they can't do without."""


def sample_event(
    *, kind: EventKind, currency: str, day: date, test: RuleTest | None = None
) -> AccountingEvent | Problem:
    """An event of a kind with the amounts of a rule's test, or with an amount of 1 everywhere.

    `posting.test_invalid` when the test names a field the event does not have, or a value it can't take.
    """
    source = SourceObject(
        connection="example",
        kind=_OBJECT_KINDS.get(kind.value.split(".")[0], "stated_event"),
        outside_id="example_1",
    )
    payload = _payload(kind, source, test or RuleTest(name="", amount=Decimal(1), expect=()))
    changed = _with_fields(payload, test.fields) if test else payload
    if isinstance(changed, Problem):
        return changed
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
        payload=changed,
    )


def _with_fields(payload: Payload, fields: Mapping[str, str]) -> Payload | Problem:
    """The payload with fields given as text in place of its own."""
    if not fields:
        return payload
    unknown = sorted(set(fields) - set(payload.__struct_fields__))
    if unknown:
        known = ", ".join(payload.__struct_fields__)
        return problem("posting.test_invalid", f"the event has no field {unknown[0]!r}; it has {known}")
    try:
        changed: Payload = msgspec.convert(plain(payload) | fields, type(payload), strict=False, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        return problem("posting.test_invalid", str(error))
    return changed


def _payload(kind: EventKind, source: SourceObject, test: RuleTest) -> Payload:
    amount = test.amount if test.amount is not None else ZERO
    earned = test.earned or ZERO
    lines = test.lines or (TestLine(amount=amount, tax=ZERO),)
    match kind:
        case EventKind.INVOICE_ISSUED | EventKind.INVOICE_VOIDED:
            return _invoice(lines)
        case EventKind.CREDIT_MEMO_ISSUED | EventKind.CREDIT_MEMO_VOIDED:
            return _credit_memo(lines, earned)
        case EventKind.INVOICE_MARKED_UNCOLLECTIBLE:
            return UncollectibleInvoice(number="EXAMPLE-1", amount=amount)
        case EventKind.CUSTOMER_CREDIT_GRANTED:
            return CustomerCredit(amount=amount, origin=CreditOrigin.ADJUSTMENT)
        case EventKind.CUSTOMER_CREDIT_APPLIED:
            return CustomerCredit(amount=amount, origin=CreditOrigin.APPLIED)
        case EventKind.REFUND_PAID | EventKind.REFUND_FAILED:
            return RefundedMoney(amount=amount, earned=earned)
        case EventKind.DISPUTE_OPENED | EventKind.DISPUTE_WON | EventKind.DISPUTE_LOST:
            return DisputedMoney(amount=amount, fee=ZERO, earned=earned)
        case EventKind.PAYMENT_APPLIED:
            return AppliedPayment(invoice=source, payment=source, amount=amount)
    stated = STATED_KINDS.get(kind)
    if stated is CompletedSale:
        return CompletedSale(
            amount=amount, expected_refunds=ZERO, cost=ZERO, expected_returns_cost=ZERO, commission=ZERO
        )
    return MovedMoney(amount=amount) if stated is None else stated(amount=amount, **_ONE_AMOUNT[stated])


def _invoice(lines: Sequence[TestLine]) -> IssuedInvoice:
    made = tuple(_line(number, line) for number, line in enumerate(lines, start=1))
    net, tax = _net(made), _tax(made)
    discount = sum((each.amount for line in made for each in line.discounts), ZERO)
    return IssuedInvoice(
        number="EXAMPLE-1",
        subtotal=net + discount,
        discount_total=discount,
        tax_total=tax,
        total=net + tax,
        lines=made,
    )


def _credit_memo(lines: Sequence[TestLine], earned: Decimal) -> IssuedCreditMemo:
    made = tuple(_line(number, line) for number, line in enumerate(lines, start=1))
    net, tax = _net(made), _tax(made)
    return IssuedCreditMemo(number="EXAMPLE-1", invoice=None, tax_total=tax, total=net + tax, earned=earned, lines=made)


def _net(lines: Sequence[InvoiceLine]) -> Decimal:
    return sum((line.net for line in lines), ZERO)


def _tax(lines: Sequence[InvoiceLine]) -> Decimal:
    return sum((each.amount for line in lines for each in line.taxes), ZERO)


def _line(number: int, line: TestLine) -> InvoiceLine:
    discount = line.discount or ZERO
    return InvoiceLine(
        outside_id=f"line_{number}",
        product_family=line.product_family,
        accrued=line.accrued,
        quantity=Decimal(1),
        unit_price=line.amount + discount,
        amount=line.amount + discount,
        net=line.amount,
        discounts=(DiscountAmount(amount=discount),) if discount else (),
        taxes=(TaxAmount(amount=line.tax, taxable=line.amount),) if line.tax is not None else (),
    )


define(
    code="posting.test_invalid",
    title="A rule's test names what its event can't have",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Name fields of the event's payload (docs/reference/configuration.md) with values they can take.",
)
