"""Money two objects tell of is booked once, and money that has no entry is a case with its amount."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest
from msgspec.structs import replace

from revline.core.canonical import CreditMemo, CreditMemoStatus, InvoicePayment, InvoiceStatus, Refund
from revline.core.events import EventKind
from revline.core.facts import Fact
from revline.derive.expectation import Expectation, Need
from revline.derive.roots import rule_of
from tests.unit.derive.test_credits import MEMO_OF_REFUND, REFUND, memo, sold
from tests.unit.derive.test_derive import CUSTOMER, CUSTOMER_NEED, PAYMENT, at, expect, fact, invoice, kinds, source

D = Decimal
LOWERED = {"applied_amount": D("40.00"), "refunded_amount": D("0.00"), "refunds": ()}


def cases(expectation: Expectation) -> list[tuple[str, Decimal, str]]:
    return [(one.problem.code, one.amount, one.currency) for one in expectation.blocked]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_void_takes_back_the_whole_demand_and_the_memo_that_had_lowered_it_ends_with_it(
    order: tuple[int, ...],
) -> None:
    void = invoice(InvoiceStatus.VOID, voided_at=at(20))
    facts = [
        fact("invoice", invoice(InvoiceStatus.OPEN), rank=1),
        fact("credit_memo", memo(**LOWERED)),
        fact("invoice", void, rank=3),
    ]
    expectation = expect("invoice", "in_1", *(facts[index] for index in order))
    assert kinds(expectation) == [
        EventKind.INVOICE_ISSUED,
        EventKind.CREDIT_MEMO_ISSUED,
        EventKind.CREDIT_MEMO_VOIDED,
        EventKind.INVOICE_VOIDED,
    ]
    assert [entry.event.accounting_date.day for entry in expectation.events[2:]] == [20, 20]
    assert expectation.blocked == ()


def test_a_memo_that_was_voided_before_its_invoice_keeps_its_day() -> None:
    void = fact("invoice", invoice(InvoiceStatus.VOID, voided_at=at(20)), rank=3)
    one = fact("credit_memo", memo(**LOWERED, status=CreditMemoStatus.VOID, voided_at=at(15)), rank=1)
    assert [entry.event.accounting_date.day for entry in expect("invoice", "in_1", void, one).events[2:]] == [15, 20]


def test_a_memo_of_a_void_invoice_that_lowered_it_in_part_only_is_a_case() -> None:
    void = fact("invoice", invoice(InvoiceStatus.VOID, voided_at=at(20)), rank=3)
    part = fact("credit_memo", memo(applied_amount=D("10.00"), refunded_amount=D("30.00")))
    expectation = expect("invoice", "in_1", void, part)
    assert EventKind.CREDIT_MEMO_VOIDED not in kinds(expectation)
    assert cases(expectation) == [("derive.memo_of_void_invoice", D("10.00"), "USD")]


def test_what_a_memo_gave_back_elsewhere_is_a_case_beside_its_entry() -> None:
    elsewhere = memo(refunded_amount=D("15.00"), out_of_band_amount=D("25.00"))
    paid = fact("invoice", sold(), rank=3)
    expectation = expect("invoice", "in_1", paid, fact("credit_memo", elsewhere))
    assert EventKind.CREDIT_MEMO_ISSUED in kinds(expectation)
    assert cases(expectation) == [("derive.credited_elsewhere", D("25.00"), "USD")]
    voided = replace(elsewhere, status=CreditMemoStatus.VOID, voided_at=at(20))
    assert expect("invoice", "in_1", paid, fact("credit_memo", voided, rank=1)).blocked == ()


def refund_of(one: CreditMemo, refund: Refund) -> Expectation:
    found = {CUSTOMER_NEED: (CUSTOMER,), MEMO_OF_REFUND: (fact("credit_memo", one),)}
    return expect("payment", "ch_1", fact("payment", PAYMENT), fact("refund", refund), found=found)


@pytest.mark.parametrize(
    ("parts", "amount", "shared"),
    [
        (("30.00", "10.00"), "30.00", False),
        (("30.00", "10.00"), "40.00", True),
        (("30.00", "10.00"), "20.00", True),
        ((), "40.00", False),
        ((), "40.01", True),
    ],
)
def test_of_several_refunds_each_pays_out_its_own_part_of_the_memo(
    parts: tuple[str, ...], amount: str, shared: bool
) -> None:
    """Where the source does not say which refund paid what, no one of them can have paid more than all of it."""
    one = memo(refunds=("re_1", "re_2"), refund_amounts=tuple(D(part) for part in parts))
    expectation = refund_of(one, replace(REFUND, amount=D(amount)))
    assert cases(expectation) == ([("derive.refund_shared", D(amount), "USD")] if shared else [])


def elsewhere(amount: str, status: str, number: int = 1) -> InvoicePayment:
    return InvoicePayment(
        outside_id=f"inpay_{number}", invoice="in_1", currency="USD", amount=D(amount), status=status, paid_at=at(6)
    )


@pytest.mark.parametrize(
    ("applications", "wanted"),
    [
        ((elsewhere("100.00", "canceled"),), ["100.00"]),
        ((elsewhere("100.00", "open"),), ["100.00"]),
        ((elsewhere("60.00", "paid"),), ["40.00", "60.00"]),
        ((elsewhere("60.00", "paid"), elsewhere("40.00", "paid", 2)), ["60.00", "40.00"]),
    ],
)
def test_what_was_paid_elsewhere_is_told_by_paid_applications_alone(
    applications: tuple[InvoicePayment, ...], wanted: list[str]
) -> None:
    told = [fact("invoice_payment", one) for one in applications]
    paid = fact("invoice", replace(sold(), amount_paid_elsewhere=D("100.00")), rank=3)
    found = cases(expect("invoice", "in_1", paid, *told))
    assert found == [("derive.paid_elsewhere", D(amount), "USD") for amount in wanted]


@pytest.mark.parametrize("status", ["succeeded", "failed"])
def test_a_refund_that_names_no_payment_is_a_case_with_its_money(status: str) -> None:
    alone = fact("refund", replace(REFUND, payment="", status=status))
    expectation = expect("refund", "re_1", alone)
    assert expectation.events == ()
    money = [("derive.refund_without_payment", D("40.00"), "USD")]
    assert cases(expectation) == (money if status == "succeeded" else [])


def test_a_refund_that_names_its_payment_later_is_the_payments() -> None:
    alone = fact("refund", replace(REFUND, payment=""))
    named = fact("refund", REFUND, serial=1)
    named = replace(named, translated=replace(named.translated, roots=(source("payment", "ch_1"),)))
    need = next(iter(rule_needs(alone)))
    expectation = expect("refund", "re_1", alone, found={need: (alone, named)})
    assert (expectation.events, expectation.blocked) == ((), ())


def rule_needs(one: Fact) -> tuple[Need, ...]:
    return rule_of("refund").needs((one,))
