"""The simulated account's own books: what each record books, what it is set against, what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from revline.connectors.netsuite.simulator.setup import PeriodChange, Settings
from revline.connectors.netsuite.simulator.suiteql import trial_balance
from revline.connectors.netsuite.simulator.values import Refusal
from tests.contract.netsuite.acting import AT, Acting, booked, currency, number


def refused(text: str) -> Any:
    return pytest.raises(Refusal, match=text)


def test_an_invoice_debits_the_receivable_and_credits_each_items_income_account() -> None:
    made = Acting().invoice("100.00", "-10.00")
    assert booked(made) == [
        ("accounts_receivable", "90.00"),
        ("deferred_revenue", "-100.00"),
        ("deferred_revenue", "10.00"),
    ]
    assert made.open == Decimal("90.00")


def test_the_tax_engines_cents_stay_as_lines_of_an_item() -> None:
    acting = Acting()
    lines = [{"item": {"id": "31"}, "amount": Decimal("33.33")}, {"item": {"id": "32"}, "amount": Decimal("6.67")}]
    made = acting.invoice(item={"items": lines})
    assert booked(made)[1:] == [("deferred_revenue", "-33.33"), ("tax_payable", "-6.67")]


def test_a_second_currency_is_converted_line_by_line_and_the_receivable_is_their_sum() -> None:
    made = Acting().invoice("0.10", "0.10", "0.10", currency=currency("EUR"))
    assert booked(made)[0] == ("accounts_receivable", "0.33")
    assert made.legs[0].foreign == Decimal("0.30")


def test_a_subsidiary_keeps_its_books_in_its_own_currency() -> None:
    acting = Acting()
    made = acting.invoice("100.00", entity={"id": acting.german}, subsidiary={"id": "3"})
    assert made.currency == "EUR"
    assert booked(made)[0] == ("accounts_receivable", "100.00")
    assert trial_balance(books=acting.books, subsidiary="1") == {}
    assert sum(trial_balance(books=acting.books, subsidiary="3").values()) == 0


def test_an_account_with_subsidiaries_wants_one_named() -> None:
    acting = Acting()
    with refused("Please enter value.* for: Subsidiary"):
        acting.make("journalEntry", tranDate="2026-01-15", line={"items": []})


def test_a_payment_is_unapplied_until_its_list_says_otherwise() -> None:
    acting = Acting()
    invoice, payment = acting.invoice("100.00"), acting.payment("80.00")
    assert (invoice.open, payment.open) == (Decimal("100.00"), Decimal("80.00"))
    acting.apply(payment, invoice, "60.00")
    acting.apply(payment, invoice, "60.00")
    assert (invoice.open, payment.open) == (Decimal("40.00"), Decimal("20.00"))
    acting.apply(payment, invoice, "0.00")
    assert (invoice.open, payment.open) == (Decimal("100.00"), Decimal("80.00"))


def test_more_than_is_open_or_unapplied_is_refused_and_changes_nothing() -> None:
    acting = Acting()
    invoice, payment = acting.invoice("50.00"), acting.payment("80.00")
    with refused("may not exceed"):
        acting.apply(payment, invoice, "50.01")
    with refused("may not exceed"):
        acting.apply(payment, acting.invoice("500.00"), "80.01")
    with refused("may not exceed"):
        acting.apply(payment, acting.invoice("50.00", currency=currency("EUR")), "1.00")
    assert (invoice.open, payment.open) == (Decimal("50.00"), Decimal("80.00"))


def test_a_journals_credit_is_applied_by_a_payment_of_nothing() -> None:
    acting = Acting()
    invoice = acting.invoice("100.00")
    received = acting.journal(("processor_clearing", "100.00", ""), ("accounts_receivable", "", "100.00"))
    lists = {
        name: {"items": [{"doc": {"id": made.id}, "apply": True, "amount": Decimal("100.00")}]}
        for name, made in (("apply", invoice), ("credit", received))
    }
    nothing = acting.payment("0", **lists)
    assert (invoice.open, received.open, booked(nothing)) == (0, 0, [])


def test_applying_at_another_rate_books_the_difference_on_the_payment() -> None:
    acting = Acting()
    invoice = acting.invoice("100.00", currency=currency("EUR"), exchangeRate=Decimal("1.10"))
    payment = acting.payment("100.00", currency=currency("EUR"), exchangeRate=Decimal("1.08"))
    acting.apply(payment, invoice, "100.00")
    assert booked(payment)[2:] == [("accounts_receivable", "-2.00"), ("fx_realized_loss", "2.00")]
    assert sum(trial_balance(books=acting.books, subsidiary="1").values()) == 0
    receivable = [net for key, net in trial_balance(books=acting.books, subsidiary="1").items() if key[0] == "119"]
    assert receivable == []


def test_a_transformed_credit_memo_has_the_invoices_lines_and_settles_it() -> None:
    acting = Acting()
    invoice = acting.invoice("100.00", "20.00")
    apply = {"items": [{"doc": {"id": invoice.id}, "apply": True, "amount": Decimal("120.00")}]}
    made = acting.books.transform(source=invoice.id, body={"tranDate": "2026-02-03", "apply": apply}, at=AT)
    memo = acting.books.transactions[made]
    assert booked(memo) == [(name, str(-Decimal(amount))) for name, amount in booked(invoice)]
    assert (invoice.open, memo.open, memo.created_from) == (0, 0, invoice.id)


def test_a_refund_pays_out_a_credit_where_the_account_asks_for_one() -> None:
    acting = Acting(Settings(refunds_need_credit=True))
    payment = acting.payment("80.00")
    body: dict[str, Any] = {"customer": {"id": acting.customer}, "tranDate": "2026-01-16", "account": number("bank")}
    with refused("Please enter value"):
        acting.make("customerRefund", **body, total=Decimal("80.00"))
    apply = {"items": [{"doc": {"id": payment.id}, "apply": True, "amount": Decimal("80.00")}]}
    made = acting.books.transactions[acting.make("customerRefund", **body, apply=apply)]
    assert booked(made) == [("bank", "-80.00"), ("accounts_receivable", "80.00")]
    assert payment.open == 0


def test_a_journal_must_balance_and_have_one_side_a_line() -> None:
    acting = Acting()
    with refused("Please balance"):
        acting.journal(("bank", "10.00", ""), ("processor_clearing", "", "9.99"))
    with refused("a debit or a credit"):
        acting.journal(("bank", "0", ""), ("processor_clearing", "", "0"))


def test_nothing_is_dated_in_a_closed_or_locked_month_or_one_that_is_not_there() -> None:
    acting = Acting()
    wanted = "not within the date range of your accounting period"
    with refused(wanted):
        acting.invoice("1.00", tranDate="2025-12-31")
    acting.books.lists.set_period(change=PeriodChange(period="2026-01", state="locked", subsidiary="1"))
    with refused(wanted):
        acting.invoice("1.00")
    acting.invoice("1.00", entity={"id": acting.german}, subsidiary={"id": "3"})
    acting.books.lists.set_period(change=PeriodChange(period="2026-01", state="closed"))
    with refused(wanted):
        acting.invoice("1.00", entity={"id": acting.german}, subsidiary={"id": "3"})


def test_an_external_id_names_one_record_of_a_type() -> None:
    acting = Acting()
    acting.invoice("1.00", externalId="R1")
    with refused("already exists"):
        acting.invoice("2.00", externalId="R1")
    assert acting.payment("2.00", externalId="R1").external_id == "R1"


def test_a_required_dimension_must_stand_on_every_line() -> None:
    acting = Acting(Settings(required_dimensions=("department",)))
    with refused("Please enter value.* for: Department"):
        acting.invoice("1.00")
    made = acting.invoice("1.00", department={"id": "10"})
    assert made.legs[1].dimensions == (("department", "10"),)
    with refused("Invalid Field Value 99"):
        acting.invoice("1.00", department={"id": "99"})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"entity": {"id": "999"}}, "Invalid Field Value 999 .* entity"),
        ({"item": {"items": [{"item": {"id": "77"}, "amount": 1}]}}, "Invalid Field Value 77 .* item"),
        ({"currency": {"id": "99"}}, "Invalid Field Value 99 .* currency"),
        ({"subsidiary": {"id": "9"}}, "Invalid Field Value 9 .* subsidiary"),
        ({"colour": "red"}, "Unknown property 'colour'"),
        ({"item": {"items": [{"item": {"id": "31"}, "amount": "1.00"}]}}, "Invalid value for property 'amount'"),
        ({"item": {"items": [{"item": {"id": "31"}, "amount": Decimal("1.005")}]}}, "Invalid amount"),
        ({"tranDate": "15/01/2026"}, "Invalid date"),
    ],
)
def test_what_the_account_does_not_know_is_refused(changes: dict[str, Any], text: str) -> None:
    acting = Acting()
    with refused(text):
        acting.invoice("1.00", **changes)
    assert acting.books.transactions == {}


def test_two_customers_of_one_name_are_refused() -> None:
    acting = Acting()
    with refused("This entity already exists"):
        acting.make("customer", companyName="Acme", subsidiary={"id": "1"})
    with refused("You must enter a value for Company Name"):
        acting.make("customer", subsidiary={"id": "1"})


def test_the_same_acts_make_the_same_books() -> None:
    def acted() -> Any:
        acting = Acting()
        acting.apply(acting.payment("9.00"), acting.invoice("7.00"), "7.00")
        return acting.books.transactions

    assert acted() == acted()
