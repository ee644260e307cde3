"""What every fact must satisfy before it is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from revline.core.canonical import (
    CreditMemo,
    CreditMemoStatus,
    Customer,
    Dispute,
    DisputeMovement,
    DisputeStatus,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Payment,
    PaymentStatus,
    TaxAmount,
)
from revline.core.facts import TranslatedFact
from revline.core.ids import SourceObject
from revline.core.money import Amount
from revline.intake.checks import check_fact

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def fact(snapshot: Any, **more: Any) -> TranslatedFact:
    source = SourceObject(connection="crm", kind="payment", outside_id="p")
    values: dict[str, Any] = {
        "source": source,
        "source_event": "e1",
        "event_type": "t",
        "occurred_at": NOON,
        "content_digest": "00",
        "order_key": (1,),
        "snapshot": snapshot,
        "roots": (source,),
        **more,
    }
    return TranslatedFact(**values)


def payment(amount: str = "1.00", currency: str = "USD") -> Payment:
    return Payment(
        outside_id="p", status=PaymentStatus.SUCCEEDED, currency=currency, amount=Amount(amount), created_at=NOON
    )


def invoice(**more: Any) -> Invoice:
    tax = TaxAmount(amount=Amount("8.00"), taxable=Amount("100.00"), rate_percent=Amount("8.125"))
    line = InvoiceLine(
        outside_id="l",
        quantity=Amount("3.5"),
        unit_price=Amount("28.571428571"),
        amount=Amount("100.00"),
        net=Amount("100.00"),
        taxes=(tax,),
    )
    values: dict[str, Any] = {
        "outside_id": "in",
        "number": "1",
        "status": InvoiceStatus.OPEN,
        "customer": "c",
        "currency": "USD",
        "subtotal": Amount("100.00"),
        "discount_total": Amount("0.00"),
        "tax_total": Amount("8.00"),
        "total": Amount("108.00"),
        "amount_paid": Amount("0.00"),
        "amount_remaining": Amount("108.00"),
        "lines": (line,),
        "created_at": NOON,
        **more,
    }
    return Invoice(**values)


def code_of(one: TranslatedFact) -> str:
    found = check_fact(one, received_at=NOON)
    return found.code if found else ""


@pytest.mark.parametrize(("hours", "code"), [(0, ""), (24, ""), (24.001, "time.invalid"), (-24 * 365 * 10, "")])
def test_the_future_is_refused_and_history_is_not(hours: float, code: str) -> None:
    assert code_of(fact(payment(), occurred_at=NOON + timedelta(hours=hours))) == code


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("1.00", "USD", ""),
        ("1.005", "USD", "amount.invalid"),
        ("100", "JPY", ""),
        ("100.5", "JPY", "amount.invalid"),
        ("1.005", "KWD", ""),
        ("1.00", "XXX", "currency.unknown"),
        ("1.00", "", "currency.unknown"),
    ],
)
def test_amounts_are_in_the_scale_of_a_currency_there_is(amount: str, currency: str, code: str) -> None:
    assert code_of(fact(payment(amount, currency))) == code


def test_a_customer_needs_no_currency() -> None:
    assert code_of(fact(Customer(outside_id="c", name="Ada"))) == ""
    assert code_of(fact(Customer(outside_id="c", name="Ada", currency="QQQ"))) == "currency.unknown"


def test_quantities_prices_and_rates_may_be_finer_than_the_currency() -> None:
    assert code_of(fact(invoice())) == ""


@pytest.mark.parametrize(("name", "amount"), [("total", "109.00"), ("tax_total", "7.00")])
def test_an_invoice_that_contradicts_itself_is_refused_unless_it_is_a_draft(name: str, amount: str) -> None:
    wrong = invoice(**{name: Amount(amount)})
    assert code_of(fact(wrong)) == "intake.value_invalid"
    assert code_of(fact(msgspec.structs.replace(wrong, status=InvoiceStatus.DRAFT))) == ""


def memo(**more: Any) -> CreditMemo:
    sold = invoice()
    zero = Amount("0.00")
    values: dict[str, Any] = {
        "outside_id": "cn", "number": "1", "status": CreditMemoStatus.ISSUED, "customer": "c", "currency": "USD",
        "lines": sold.lines, "tax_total": sold.tax_total, "total": sold.total, "applied_amount": sold.total,
        "credited_amount": zero, "refunded_amount": zero, "out_of_band_amount": zero, "earned": zero, "issued_at": NOON,
    }  # fmt: skip
    return CreditMemo(**(values | more))


@pytest.mark.parametrize(
    ("name", "amount", "code"),
    [
        ("total", "108.00", ""),
        ("total", "109.00", "intake.value_invalid"),
        ("tax_total", "7.00", "intake.value_invalid"),
        ("refunded_amount", "0.01", "intake.value_invalid"),
        ("applied_amount", "0.00", ""),
    ],
)
def test_a_memo_that_contradicts_itself_is_refused_and_one_that_is_not_settled_yet_is_not(
    name: str, amount: str, code: str
) -> None:
    assert code_of(fact(memo(**{name: Amount(amount)}))) == code


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("-12.34", "USD", ""),
        ("-12.345", "USD", "amount.invalid"),
        ("-12.34", "JPY", "amount.invalid"),
        ("-1", "XXX", "currency.unknown"),
    ],
)
def test_what_a_dispute_moved_is_counted_in_the_currency_that_moved(amount: str, currency: str, code: str) -> None:
    moved = DisputeMovement(
        outside_id="txn", currency=currency, amount=Amount(amount), fee=Amount("15"), created_at=NOON
    )
    claim = Dispute(
        outside_id="dp", payment="ch", status=DisputeStatus.OPEN, currency="JPY", amount=Amount("1800"), earned=Amount("0"),
        created_at=NOON, movements=(moved,),
    )  # fmt: skip
    assert code_of(fact(claim)) == code


def test_a_nested_amount_is_named_by_its_place() -> None:
    line = msgspec.structs.replace(invoice().lines[0], amount=Amount("100.001"))
    found = check_fact(fact(invoice(lines=(line,))), received_at=NOON)
    assert found is not None
    assert (found.code, found.field) == ("amount.invalid", "/lines/0/amount")


def test_ids_fit_an_index() -> None:
    assert code_of(fact(payment(), source_event="x" * 513)) == "intake.value_invalid"
    assert code_of(fact(payment(), source_event="")) == "intake.value_invalid"
    long = SourceObject(connection="crm", kind="payment", outside_id="é" * 128)
    assert code_of(fact(payment(), roots=(long,))) == "intake.value_invalid"
