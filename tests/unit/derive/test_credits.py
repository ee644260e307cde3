"""What should exist of credit memos, of the refunds that pay them out and of a customer's credit balance."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest
from msgspec.structs import replace

from revline.core.canonical import (
    CreditMemo,
    CreditMemoStatus,
    CreditMovement,
    CreditOrigin,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceStatus,
    PaymentStatus,
    Refund,
)
from revline.core.events import CustomerCredit, EventKind, IssuedCreditMemo, RefundedMoney
from revline.core.facts import Name
from revline.derive.expectation import Need
from tests.unit.derive.test_derive import (
    CUSTOMER,
    CUSTOMER_NEED,
    PAYMENT,
    at,
    expect,
    fact,
    invoice,
    kinds,
    source,
)

D = Decimal


def memo(**changes: object) -> CreditMemo:
    line = InvoiceLine(
        outside_id="cnli_1",
        quantity=D(1),
        unit_price=D("40.00"),
        amount=D("40.00"),
        net=D("40.00"),
        credited_line="il_1",
    )
    values: dict[str, object] = {
        "outside_id": "cn_1", "number": "CN-1", "status": CreditMemoStatus.ISSUED, "customer": "cus_1", "invoice": "in_1",
        "currency": "USD", "lines": (line,), "tax_total": D("0.00"), "total": D("40.00"), "applied_amount": D("0.00"),
        "credited_amount": D("0.00"), "refunded_amount": D("40.00"), "out_of_band_amount": D("0.00"), "refunds": ("re_1",),
        "earned": D("0.00"), "issued_at": at(10),
    }  # fmt: skip
    return CreditMemo(**(values | changes))  # type: ignore[arg-type]


def sold() -> Invoice:
    found = invoice(InvoiceStatus.PAID)
    (line,) = found.lines
    return replace(found, lines=(replace(line, product="prod_1", product_family="hardware", price="price_1"),))


REFUND = Refund(
    outside_id="re_1", payment="ch_1", status="succeeded", currency="USD", amount=D("40.00"), earned=D("5.00"), created_at=at(11)
)  # fmt: skip
MEMO_OF_REFUND = Need(object_kind="credit_memo", name=Name(kind="refund", value="re_1"))


def outside(kind: str, value: str) -> Need:
    return Need(object_kind=kind, name=Name(kind="outside_id", value=value))


def test_a_memo_is_issued_on_the_invoices_root_with_what_the_invoice_sold() -> None:
    expectation = expect("invoice", "in_1", fact("invoice", sold(), rank=3), fact("credit_memo", memo()))
    assert kinds(expectation) == [EventKind.INVOICE_ISSUED, EventKind.CREDIT_MEMO_ISSUED]
    event = expectation.events[1].event
    assert (event.root, event.source) == (source("invoice", "in_1"), source("credit_memo", "cn_1"))
    assert isinstance(event.payload, IssuedCreditMemo)
    assert event.payload.invoice == source("invoice", "in_1")
    (line,) = event.payload.lines
    assert (line.product, line.product_family, line.price) == ("prod_1", "hardware", "price_1")
    assert event.accounting_date.day == 10


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_memo_void_and_invoice_in_any_order(order: tuple[int, ...]) -> None:
    voided = memo(status=CreditMemoStatus.VOID, voided_at=at(20))
    facts = [fact("invoice", sold(), rank=3), fact("credit_memo", memo()), fact("credit_memo", voided, rank=1)]
    expectation = expect("invoice", "in_1", *(facts[index] for index in order))
    assert kinds(expectation) == [
        EventKind.INVOICE_ISSUED,
        EventKind.CREDIT_MEMO_ISSUED,
        EventKind.CREDIT_MEMO_VOIDED,
    ]
    assert expectation.events[2].event.accounting_date.day == 20


def test_a_memo_awaits_the_invoice_it_credits() -> None:
    waiting = expect("invoice", "in_1", fact("credit_memo", memo()))
    assert waiting.events == ()
    assert waiting.awaited == (outside("invoice", "in_1"),)
    draft = fact("invoice", invoice(InvoiceStatus.DRAFT, finalized_at=None))
    assert expect("invoice", "in_1", draft, fact("credit_memo", memo())).events == ()


def test_a_memo_that_stands_alone_has_its_own_root() -> None:
    expectation = expect("credit_memo", "cn_1", fact("credit_memo", memo(invoice="")))
    assert kinds(expectation) == [EventKind.CREDIT_MEMO_ISSUED]
    assert expectation.events[0].event.payload.invoice is None  # type: ignore[union-attr]


def test_a_memo_over_nothing_books_nothing() -> None:
    expectation = expect("credit_memo", "cn_1", fact("credit_memo", memo(invoice="", total=D("0.00"))))
    assert [rule for _, rule in expectation.silent] == ["a credit memo over nothing books nothing"]


def test_a_memo_wakes_the_payment_whose_refund_it_names() -> None:
    refund = fact("refund", REFUND)
    refund = replace(refund, translated=replace(refund.translated, roots=(source("payment", "ch_1"),)))
    found = {CUSTOMER_NEED: (CUSTOMER,), outside("refund", "re_1"): (refund,)}
    facts = [fact("invoice", sold(), rank=3), fact("credit_memo", memo())]
    assert expect("invoice", "in_1", *facts, found=found).wakes == (source("payment", "ch_1"),)
    assert expect("invoice", "in_1", *facts).wakes == ()


def test_a_refund_of_a_memo_settles_the_memo_and_takes_no_revenue_back() -> None:
    found = {CUSTOMER_NEED: (CUSTOMER,), MEMO_OF_REFUND: (fact("credit_memo", memo()),)}
    with_memo = expect("payment", "ch_1", fact("payment", PAYMENT), fact("refund", REFUND), found=found)
    alone = expect("payment", "ch_1", fact("payment", PAYMENT), fact("refund", REFUND))
    payloads = [one.events[1].event.payload for one in (with_memo, alone)]
    assert [(one.credit_memo, one.earned) for one in payloads if isinstance(one, RefundedMoney)] == [
        ("cn_1", D("0.00")),
        ("", D("5.00")),
    ]
    assert alone.awaited == (), "most refunds belong to no memo, so none is awaited"


def test_a_refund_of_which_a_memo_is_only_a_part_is_a_case() -> None:
    found = {CUSTOMER_NEED: (CUSTOMER,), MEMO_OF_REFUND: (fact("credit_memo", memo(refunded_amount=D("10.00"))),)}
    expectation = expect("payment", "ch_1", fact("payment", PAYMENT), fact("refund", REFUND), found=found)
    assert kinds(expectation) == [EventKind.PAYMENT_RECEIVED]
    assert [one.problem.code for one in expectation.blocked] == ["derive.refund_shared"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_more_given_back_than_was_paid_is_a_case_of_the_later_refund(order: tuple[int, int]) -> None:
    refunds = [
        fact("refund", replace(REFUND, amount=D("70.00"))),
        fact("refund", replace(REFUND, outside_id="re_2", amount=D("30.01"), created_at=at(12))),
    ]
    expectation = expect("payment", "ch_1", fact("payment", PAYMENT), *(refunds[index] for index in order))
    assert kinds(expectation) == [EventKind.PAYMENT_RECEIVED, EventKind.REFUND_PAID]
    assert [(one.problem.code, one.amount) for one in expectation.blocked] == [
        ("derive.refund_exceeds_payment", D("30.01"))
    ]
    whole = [refunds[0], fact("refund", replace(REFUND, outside_id="re_2", amount=D("30.00"), created_at=at(12)))]
    assert expect("payment", "ch_1", fact("payment", PAYMENT), *whole).blocked == ()


def test_a_refund_that_came_back_leaves_room_for_another() -> None:
    failed = replace(REFUND, amount=D("100.00"), status="failed", failed_at=at(12))
    again = replace(REFUND, outside_id="re_2", amount=D("100.00"), created_at=at(13))
    expectation = expect("payment", "ch_1", fact("payment", PAYMENT), fact("refund", failed), fact("refund", again))
    assert expectation.blocked == ()
    assert kinds(expectation)[1:] == [EventKind.REFUND_PAID, EventKind.REFUND_FAILED, EventKind.REFUND_PAID]


def movement(origin: CreditOrigin, amount: str, **more: str) -> CreditMovement:
    return CreditMovement(
        outside_id="cbtxn_1",
        customer="cus_1",
        origin=origin,
        currency="USD",
        amount=D(amount),
        created_at=at(12),
        **more,
    )


@pytest.mark.parametrize(
    ("origin", "moved", "kind", "amount"),
    [
        (CreditOrigin.CREDIT_MEMO, "40.00", EventKind.CUSTOMER_CREDIT_GRANTED, "40.00"),
        (CreditOrigin.CREDIT_MEMO, "-40.00", EventKind.CUSTOMER_CREDIT_GRANTED, "-40.00"),
        (CreditOrigin.ADJUSTMENT, "5.00", EventKind.CUSTOMER_CREDIT_GRANTED, "5.00"),
        (CreditOrigin.OVERPAYMENT, "5.00", EventKind.CUSTOMER_CREDIT_GRANTED, "5.00"),
        (CreditOrigin.APPLIED, "-25.00", EventKind.CUSTOMER_CREDIT_APPLIED, "25.00"),
        (CreditOrigin.UNAPPLIED, "25.00", EventKind.CUSTOMER_CREDIT_APPLIED, "-25.00"),
        (CreditOrigin.CARRIED, "-0.30", EventKind.CUSTOMER_CREDIT_APPLIED, "0.30"),
    ],
)
def test_a_credit_is_granted_or_applied(origin: CreditOrigin, moved: str, kind: EventKind, amount: str) -> None:
    expectation = expect("credit_movement", "cbtxn_1", fact("credit_movement", movement(origin, moved, invoice="in_1")))
    (entry,) = expectation.events
    assert entry.event.kind is kind
    assert isinstance(entry.event.payload, CustomerCredit)
    assert entry.event.payload.amount == D(amount)
    applied = kind is EventKind.CUSTOMER_CREDIT_APPLIED
    assert entry.event.payload.invoice == (source("invoice", "in_1") if applied else None)


def test_a_credit_from_a_memo_is_booked_at_once_and_the_memo_is_awaited() -> None:
    """Both end on the customer's receivable, in whatever order; a memo that never comes is told all the same."""
    credit = fact("credit_movement", movement(CreditOrigin.CREDIT_MEMO, "40.00", credit_memo="cn_1"))
    waiting = expect("credit_movement", "cbtxn_1", credit)
    assert (len(waiting.events), waiting.awaited) == (1, (outside("credit_memo", "cn_1"),))
    found = {CUSTOMER_NEED: (CUSTOMER,), outside("credit_memo", "cn_1"): (fact("credit_memo", memo()),)}
    arrived = expect("credit_movement", "cbtxn_1", credit, found=found)
    assert (arrived.events[0].event, arrived.awaited) == (waiting.events[0].event, ())


def test_an_invoice_paid_outside_of_the_source_is_issued_and_a_case() -> None:
    paid = replace(sold(), amount_paid_elsewhere=D("100.00"))
    expectation = expect("invoice", "in_1", fact("invoice", paid, rank=3))
    assert kinds(expectation) == [EventKind.INVOICE_ISSUED]
    assert [(one.problem.code, one.amount) for one in expectation.blocked] == [("derive.paid_elsewhere", D("100.00"))]


def test_an_application_of_money_from_elsewhere_is_the_case_and_the_invoice_is_not_a_second_one() -> None:
    applied = InvoicePayment(
        outside_id="inpay_1", invoice="in_1", currency="USD", amount=D("100.00"), status="paid", paid_at=at(6)
    )
    paid = replace(sold(), amount_paid_elsewhere=D("100.00"))
    expectation = expect("invoice", "in_1", fact("invoice", paid, rank=3), fact("invoice_payment", applied))
    assert [one.problem.code for one in expectation.blocked] == ["derive.paid_elsewhere"]
    assert expectation.awaited == ()


def test_a_second_payment_of_one_intent_wakes_the_invoice() -> None:
    other = replace(PAYMENT, outside_id="ch_0", created_at=at(4))
    applied = InvoicePayment(
        outside_id="inpay_1", invoice="in_1", payment_intent="pi_1", currency="USD", amount=D("100.00"), status="paid"
    )
    told = fact("invoice_payment", applied)
    told = replace(told, translated=replace(told.translated, roots=(source("invoice", "in_1"),)))
    intent = Name(kind="payment_intent", value="pi_1")
    payments = Need(object_kind="payment", name=intent)
    found = {CUSTOMER_NEED: (CUSTOMER,), Need(object_kind="invoice_payment", name=intent): (told,)}
    first, second = fact("payment", PAYMENT), fact("payment", other)
    alone = expect("payment", "ch_1", first, found=found | {payments: (first,)})
    assert alone.wakes == ()
    failed = fact("payment", replace(other, status=PaymentStatus.FAILED))
    assert expect("payment", "ch_1", first, found=found | {payments: (first, failed)}).wakes == ()
    both = expect("payment", "ch_0", second, found=found | {payments: (first, second)})
    assert both.wakes == (source("invoice", "in_1"),)
