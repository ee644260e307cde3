"""Which rule books an event, and every way it can't be booked."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from revline.core.events import AppliedPayment, EventKind
from revline.core.money import Rounding
from revline.core.problem import Problem
from revline.subledger.posting.functions import FUNCTIONS, functions_for
from revline.subledger.posting.kinds import Each
from revline.subledger.posting.post import post
from tests.unit.posting.builders import (
    CUSTOMER,
    booked,
    event,
    invoice,
    line,
    money,
    starter_book,
)

DAY = date(2026, 2, 1)
LATER_RULE = """
apiVersion: revline/v1
kind: PostingRule
metadata: {name: payment-received-2026, tenant: acme}
spec:
  event: payment.received
  effectiveFrom: 2026-01-01
  entries:
    - {account: bank, side: debit, amount: amount}
    - {account: accounts_receivable, side: credit, amount: amount, party: customer}
"""
ENDED = {
    "51-rules-money.yaml": (
        "event: payment.received\n  effectiveFrom: 2020-01-01",
        "event: payment.received\n  effectiveFrom: 2020-01-01\n  effectiveTo: 2026-01-01",
    )
}


@pytest.mark.parametrize(
    ("day", "account"),
    [(date(2025, 12, 31), "processor_clearing"), (date(2026, 1, 1), "bank"), (date(2030, 1, 1), "bank")],
)
def test_the_rule_in_force_on_the_accounting_date_books_the_event(day: date, account: str) -> None:
    book = starter_book(ENDED, LATER_RULE)
    entry = booked(post(event=event(EventKind.PAYMENT_RECEIVED, money("10.00"), day=day), book=book))
    assert entry.lines[0].account == account


def test_an_event_before_every_rule_is_a_problem_that_names_book_and_event() -> None:
    missing = post(event=event(EventKind.PAYMENT_RECEIVED, money("10.00"), day=date(2019, 12, 31)), book=starter_book())
    assert isinstance(missing, Problem)
    assert (missing.code, missing.field) == ("posting.rule_missing", "us-gaap:payment.received")


def test_two_rules_whose_conditions_both_hold_are_a_problem_that_names_them_with_their_lines() -> None:
    conditional = {
        "51-rules-money.yaml": ("event: payment.received\n", 'event: payment.received\n  when: money.method != "x"\n')
    }
    other = LATER_RULE.replace("  effectiveFrom", '  when: money.reference != "x"\n  effectiveFrom')
    ambiguous = post(
        event=event(EventKind.PAYMENT_RECEIVED, money("10.00"), day=DAY), book=starter_book(conditional, other)
    )
    assert isinstance(ambiguous, Problem)
    assert ambiguous.code == "posting.rule_ambiguous"
    assert "payment-received (51-rules-money.yaml:2)" in ambiguous.detail
    assert "payment-received-2026 (99-extra.yaml:2)" in ambiguous.detail


def test_a_policy_none_without_a_rule_makes_no_entry() -> None:
    changes = {
        "30-book.yaml": (
            "    - {event: payment.applied, maker: native}",
            "    - {event: payment.received, maker: none}",
        )
    }
    unbooked = post(
        event=event(EventKind.PAYMENT_RECEIVED, money("10.00"), day=date(2019, 1, 1)), book=starter_book(changes)
    )
    assert unbooked is None


def test_an_applied_payment_makes_no_entry() -> None:
    payload = AppliedPayment(invoice=CUSTOMER, payment=CUSTOMER, amount=Decimal("10.00"))
    assert post(event=event(EventKind.PAYMENT_APPLIED, payload, day=DAY), book=starter_book()) is None


def test_a_currency_without_a_rate_is_a_problem_that_names_the_pair() -> None:
    missing = post(
        event=event(EventKind.PAYMENT_RECEIVED, money("10.00"), day=DAY, currency="GBP"), book=starter_book()
    )
    assert isinstance(missing, Problem)
    assert (missing.code, missing.field) == ("posting.rate_missing", "GBP/USD")


def test_a_rate_is_not_used_before_its_day() -> None:
    happened = event(EventKind.PAYMENT_RECEIVED, money("10.00"), day=date(2023, 12, 31), currency="EUR")
    missing = post(event=happened, book=starter_book())
    assert isinstance(missing, Problem)
    assert missing.code == "posting.rate_missing"


def test_a_mirror_without_its_original_is_a_problem() -> None:
    missing = post(event=event(EventKind.PAYOUT_FAILED, money("10.00"), day=DAY), book=starter_book())
    assert isinstance(missing, Problem)
    assert missing.code == "posting.original_missing"


def test_a_free_invoice_gives_an_entry_without_lines() -> None:
    entry = booked(post(event=event(EventKind.INVOICE_ISSUED, invoice(line("0.00")), day=DAY), book=starter_book()))
    assert entry.lines == ()


def test_an_amount_finer_than_its_currency_is_a_problem_and_never_rounded() -> None:
    finer = post(event=event(EventKind.PAYMENT_RECEIVED, money("10.001"), day=DAY), book=starter_book())
    assert isinstance(finer, Problem)
    assert finer.code == "amount.invalid"


def test_no_condition_that_holds_is_a_problem_that_names_the_accounts() -> None:
    changes = {
        "50-rules-invoices.yaml": (
            "        - {account: deferred_revenue}\n    # Each tax",
            '        - {when: line.product_family != "services", account: deferred_revenue}\n    # Each tax',
        )
    }
    happened = event(EventKind.INVOICE_ISSUED, invoice(line("10.00", family="services")), day=DAY)
    missing = post(event=happened, book=starter_book(changes))
    assert isinstance(missing, Problem)
    assert missing.code == "posting.account_missing"
    assert "invoice-issued (50-rules-invoices.yaml:" in missing.detail


def test_a_required_dimension_that_nobody_gives_is_a_problem_that_names_it() -> None:
    changes = {
        "30-book.yaml": (
            "  rounding: half_up ",
            "  requiredDimensions: {deferred_revenue: [region]}\n  rounding: half_up ",
        )
    }
    happened = event(EventKind.INVOICE_ISSUED, invoice(line("10.00")), day=DAY)
    missing = post(event=happened, book=starter_book(changes))
    assert isinstance(missing, Problem)
    assert (missing.code, missing.field) == ("posting.dimension_missing", "region")


def test_a_book_rounds_converted_amounts_by_its_own_rule() -> None:
    rate = {"30-book.yaml": ('rate: "1.08"', 'rate: "1.005"')}
    happened = event(EventKind.PAYMENT_RECEIVED, money("1.00"), day=DAY, currency="EUR")
    book = starter_book(rate)
    half_up = booked(post(event=happened, book=book))
    half_even = booked(post(event=happened, book=msgspec.structs.replace(book, rounding=Rounding.HALF_EVEN)))
    assert [entry.lines[0].functional_debit for entry in (half_up, half_even)] == [Decimal("1.01"), Decimal("1.00")]


def test_every_entry_of_a_journal_knows_its_rule_and_which_entry_of_it() -> None:
    entry = booked(
        post(event=event(EventKind.INVOICE_ISSUED, invoice(line("10.00", tax="2.00")), day=DAY), book=starter_book())
    )
    assert entry.rule == "invoice-issued"
    assert [each.rule_entry for each in entry.lines] == [0, 1, 2]


def test_every_named_amount_is_documented_and_suits_some_event() -> None:
    assert all(found.meaning.endswith(".") and found.events for found in FUNCTIONS.values())
    assert functions_for(event=EventKind.REFUND_PAID, each=Each.EVENT) == (
        "refund_amount",
        "refund_deferred",
        "refund_earned",
    )
