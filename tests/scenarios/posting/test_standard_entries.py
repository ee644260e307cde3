"""The starter's rules book every event of this house as the standard entries say (sim/oracle/journal_examples.json)."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from revline.core.events import EventKind
from revline.sim.oracle.companies import GOLDEN as EXAMPLES_FILE
from revline.subledger.posting.post import post
from tests.unit.posting.builders import (
    as_golden,
    booked,
    event,
    invoice,
    line,
    money,
    refund,
    starter_book,
    uncollectible,
)

GOLDEN = json.loads(EXAMPLES_FILE.read_text(encoding="utf-8"))
EXAMPLES: dict[str, Any] = {each["id"]: each for each in GOLDEN["events"]}


def golden(name: str, journal: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = EXAMPLES[name]["journals"][journal]
    return found


CASES = [
    pytest.param(
        "invoice-advance-with-tax",
        0,
        EventKind.INVOICE_ISSUED,
        invoice(line("1200.00", tax="240.00")),
        id="an annual subscription with tax, in advance",
    ),
    pytest.param("payment-by-card-and-payout", 0, EventKind.PAYMENT_RECEIVED, money("1440.00"), id="a card payment"),
    pytest.param("payment-by-card-and-payout", 1, EventKind.PROCESSOR_FEE_CHARGED, money("42.06"), id="its fee"),
    pytest.param("payment-by-card-and-payout", 2, EventKind.PAYOUT_PAID, money("1397.94"), id="the payout next day"),
    pytest.param(
        "refund-of-paid-invoice", 0, EventKind.REFUND_PAID, refund("90.00", "31.00"), id="a refund, 31.00 earned"
    ),
]


@pytest.mark.parametrize(("name", "number", "kind", "payload"), CASES)
def test_the_starter_books_the_standard_entry(name: str, number: int, kind: EventKind, payload: Any) -> None:
    expected = golden(name, number)
    happened = event(kind, payload, day=date.fromisoformat(expected["date"]))
    entry = booked(post(event=happened, book=starter_book()))
    assert as_golden(entry) == {"date": expected["date"], "lines": expected["lines"]}


def test_an_uncollectible_invoice_is_bad_debt_against_the_receivable() -> None:
    entry = booked(
        post(
            event=event(EventKind.INVOICE_MARKED_UNCOLLECTIBLE, uncollectible("300.00"), day=date(2025, 6, 30)),
            book=starter_book(),
        )
    )
    assert as_golden(entry)["lines"] == [
        {"account": "bad_debt_expense", "debit": "300.00", "credit": "0.00"},
        {"account": "accounts_receivable", "debit": "0.00", "credit": "300.00"},
    ]


@pytest.mark.parametrize(
    ("kind", "undo", "payload"),
    [
        (EventKind.INVOICE_ISSUED, EventKind.INVOICE_VOIDED, invoice(line("1200.00", tax="240.00"))),
        (EventKind.REFUND_PAID, EventKind.REFUND_FAILED, refund("90.00", "31.00")),
        (EventKind.PAYOUT_PAID, EventKind.PAYOUT_FAILED, money("1397.94")),
    ],
)
def test_a_void_or_failure_mirrors_the_original_on_its_own_day(kind: EventKind, undo: EventKind, payload: Any) -> None:
    book = starter_book()
    original = booked(post(event=event(kind, payload, day=date(2025, 1, 5)), book=book))
    undone = booked(post(event=event(undo, payload, day=date(2025, 2, 7)), book=book, mirrored=original))
    assert undone.accounting_date == date(2025, 2, 7)
    assert undone.reverses == original.journal_id
    assert [(each.account, each.debit, each.credit, each.party) for each in undone.lines] == [
        (each.account, each.credit, each.debit, each.party) for each in original.lines
    ]


def test_a_rule_that_names_the_product_family_chooses_the_account_of_the_line() -> None:
    sold = invoice(line("100.00", number=1, family="hardware"), line("50.00", number=2, family="subscription"))
    entry = booked(post(event=event(EventKind.INVOICE_ISSUED, sold, day=date(2025, 3, 1)), book=starter_book()))
    assert [(each.account, each.credit, each.source_line) for each in entry.lines[1:]] == [
        ("revenue_product", Decimal("100.00"), "il_1"),
        ("deferred_revenue", Decimal("50.00"), "il_2"),
    ]


def test_a_credit_for_unused_time_goes_to_the_other_side() -> None:
    upgraded = invoice(line("-30.00", number=1, tax="-6.00"), line("80.00", number=2, tax="16.00"))
    entry = booked(post(event=event(EventKind.INVOICE_ISSUED, upgraded, day=date(2025, 3, 1)), book=starter_book()))
    assert as_golden(entry)["lines"] == [
        {"account": "accounts_receivable", "debit": "60.00", "credit": "0.00"},
        {"account": "deferred_revenue", "debit": "30.00", "credit": "0.00"},
        {"account": "deferred_revenue", "debit": "0.00", "credit": "80.00"},
        {"account": "tax_payable", "debit": "6.00", "credit": "0.00"},
        {"account": "tax_payable", "debit": "0.00", "credit": "16.00"},
    ]


def test_an_invoice_in_another_currency_is_converted_line_by_line_and_the_receivable_is_their_sum() -> None:
    sold = invoice(line("33.33", number=1), line("33.33", number=2), line("33.34", number=3))
    happened = event(EventKind.INVOICE_ISSUED, sold, day=date(2026, 2, 1), currency="EUR")
    changes = {"30-book.yaml": ('rate: "1.08"', 'rate: "1.0833"')}
    entry = booked(post(event=happened, book=starter_book(changes)))
    assert [each.functional_credit for each in entry.lines[1:]] == [
        Decimal("36.11"),
        Decimal("36.11"),
        Decimal("36.12"),
    ]
    receivable = entry.lines[0]
    assert receivable.debit == Decimal("100.00")
    assert receivable.functional_debit == Decimal("108.34"), "the sum of the lines, not 108.33, the converted total"
    assert {(each.rate, each.rate_source) for each in entry.lines} == {(Decimal("1.0833"), "treasury")}


def test_the_golden_invoice_in_euro_is_booked_at_the_rate_of_its_day() -> None:
    expected = golden("fx-invoice-remeasure-settle")
    happened = event(
        EventKind.INVOICE_ISSUED, invoice(line("500.00")), day=date.fromisoformat(expected["date"]), currency="EUR"
    )
    entry = booked(post(event=happened, book=starter_book()))
    assert [
        {"account": each.account, "debit": str(each.functional_debit), "credit": str(each.functional_credit)}
        for each in entry.lines
    ] == expected["lines"]


def test_every_line_has_the_entitys_dimensions_unless_the_rule_says_otherwise() -> None:
    changes = {
        "50-rules-invoices.yaml": (
            "{account: tax_payable, side: credit, amount: tax_amount, each: tax}",
            "{account: tax_payable, side: credit, amount: tax_amount, each: tax, dimensions: {department: tax}}",
        )
    }
    happened = event(EventKind.INVOICE_ISSUED, invoice(line("10.00", tax="2.00")), day=date(2025, 1, 1))
    entry = booked(post(event=happened, book=starter_book(changes)))
    assert [dict(each.dimensions) for each in entry.lines] == [
        {"department": "shared"},
        {"department": "shared"},
        {"department": "tax"},
    ]
