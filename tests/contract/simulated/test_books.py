"""The simulated ERP's own books: what each document books, what is refused, and that it all survives a restart."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from revline.connectors.simulated.control import set_up
from revline.connectors.simulated.queries import trial_balance
from revline.connectors.simulated.records import Ledger, Mode, Refused, Stored
from revline.connectors.simulated.setup import SetupBody
from revline.connectors.simulated.wire import (
    ApplicationBody,
    CustomerBody,
    InvoiceBody,
    InvoiceLineBody,
    InvoiceVoidBody,
    JournalBody,
    JournalLineBody,
    Kind,
    MoneyBody,
    TaxLineBody,
)
from revline.core.money import Rounding
from tests.contract.simulated.world import companies

AT = datetime(2026, 1, 20, tzinfo=UTC)
JANUARY = date(2026, 1, 15)
FEBRUARY = date(2026, 2, 3)


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(mode=Mode.UNIQUE)
    set_up(ledger=ledger, body=companies())
    ledger.create(kind=Kind.CUSTOMERS, body=CustomerBody(name="Acme", external_reference="CUSTOMER"), at=AT)
    return ledger


def invoice(ledger: Ledger, *amounts: str, tax: str = "0", **changes: Any) -> Stored:
    total = sum(Decimal(amount) for amount in amounts) + Decimal(tax)
    taxes = (TaxLineBody(account="2200", amount=Decimal(tax), taxable=Decimal(100)),) if tax != "0" else ()
    values: dict[str, Any] = {"company": "US01", "customer": "CUST-000001", "currency": "USD", "date": JANUARY}
    values |= {"receivable_account": "1100", "total": total, "tax_lines": taxes}
    values["lines"] = tuple(InvoiceLineBody(account="2400", amount=Decimal(amount)) for amount in amounts)
    return ledger.create(kind=Kind.INVOICES, body=InvoiceBody(**(values | changes)), at=AT)


def payment(ledger: Ledger, amount: str, **changes: Any) -> Stored:
    values: dict[str, Any] = {"company": "US01", "customer": "CUST-000001", "currency": "USD", "date": JANUARY}
    values |= {"amount": Decimal(amount), "from_account": "1100", "to_account": "1200"}
    return ledger.create(kind=Kind.PAYMENTS, body=MoneyBody(**(values | changes)), at=AT)


def apply(ledger: Ledger, invoice_id: str, payment_id: str, amount: str, **changes: Any) -> Stored:
    values: dict[str, Any] = {"company": "US01", "invoice": invoice_id, "payment": payment_id, "currency": "USD"}
    values |= {"amount": Decimal(amount), "date": JANUARY}
    return ledger.create(kind=Kind.APPLICATIONS, body=ApplicationBody(**(values | changes)), at=AT)


def journal_line(account: str, debit: str, credit: str, **changes: Any) -> JournalLineBody:
    values: dict[str, Any] = {"account": account, "debit": Decimal(debit), "credit": Decimal(credit), "currency": "USD"}
    values |= {"functional_debit": Decimal(debit), "functional_credit": Decimal(credit)}
    return JournalLineBody(**(values | changes))


def journal(ledger: Ledger, *lines: JournalLineBody, day: date = JANUARY) -> Stored:
    return ledger.create(kind=Kind.JOURNALS, body=JournalBody(company="US01", date=day, lines=lines), at=AT)


def booked(stored: Stored) -> list[tuple[str, str]]:
    return [(entry.account, str(entry.debit - entry.credit)) for entry in stored.entries]


def refused(code: str) -> Any:
    return pytest.raises(Refused, match=code)


def test_an_invoice_with_tax_debits_the_receivable_with_the_customer_on_it(ledger: Ledger) -> None:
    stored = invoice(ledger, "100.00", "-10.00", tax="18.00")
    assert booked(stored) == [("1100", "108.00"), ("2400", "-100.00"), ("2400", "10.00"), ("2200", "-18.00")]
    assert [entry.customer_reference for entry in stored.entries] == ["CUSTOMER", "", "", ""]
    assert stored.record.open_amount == Decimal("108.00")


def test_a_second_currency_is_converted_line_by_line_and_the_receivable_is_their_sum(ledger: Ledger) -> None:
    stored = invoice(ledger, "0.10", "0.10", "0.10", currency="EUR")
    # 0.10 EUR at 1.0825 is 0.10825 USD, rounded to 0.11 on each line; the total by itself would be 0.32.
    assert booked(stored) == [("1100", "0.33"), ("2400", "-0.11"), ("2400", "-0.11"), ("2400", "-0.11")]
    assert [str(entry.currency_amount) for entry in stored.entries] == ["0.30", "-0.10", "-0.10", "-0.10"]


def test_half_even_rounds_to_the_even_cent_where_the_company_does() -> None:
    ledger = Ledger(mode=Mode.UNIQUE)
    setup = companies().companies[0]
    set_up(ledger=ledger, body=SetupBody(companies=(msgspec.structs.replace(setup, rounding=Rounding.HALF_EVEN),)))
    ledger.create(kind=Kind.CUSTOMERS, body=CustomerBody(name="Acme"), at=AT)
    stored = invoice(ledger, "0.50", currency="EUR", rate=Decimal("1.25"))
    assert booked(stored) == [("1100", "0.62"), ("2400", "-0.62")]


def test_a_currency_without_decimals_takes_none(ledger: Ledger) -> None:
    with refused("invalid"):
        invoice(ledger, "100.5", company="JP01", currency="JPY")
    assert booked(invoice(ledger, "1000", company="JP01", currency="JPY"))[0] == ("1100", "1000")


def test_a_void_mirrors_the_invoice_on_its_own_day(ledger: Ledger) -> None:
    issued = invoice(ledger, "100.00", tax="20.00")
    body = InvoiceVoidBody(company="US01", invoice=issued.record.id, date=FEBRUARY)
    undone = ledger.create(kind=Kind.INVOICE_VOIDS, body=body, at=AT)
    assert booked(undone) == [("1100", "-120.00"), ("2400", "100.00"), ("2200", "20.00")]
    assert {entry.date for entry in undone.entries} == {FEBRUARY}
    assert ledger.get(kind=Kind.INVOICES, record_id=issued.record.id).record.state == "cancelled"
    with refused("already_void"):
        ledger.create(kind=Kind.INVOICE_VOIDS, body=body, at=AT)


def test_a_payment_settles_an_invoice_in_parts_and_never_more_than_is_open(ledger: Ledger) -> None:
    issued, received = invoice(ledger, "100.00").record.id, payment(ledger, "80.00").record.id
    assert apply(ledger, issued, received, "60.00").entries == ()
    with refused("over_applied"):
        apply(ledger, issued, received, "20.01")
    apply(ledger, issued, received, "20.00")
    open_invoice = ledger.get(kind=Kind.INVOICES, record_id=issued).record
    assert (open_invoice.state, open_invoice.open_amount) == ("posted", Decimal("20.00"))
    second = payment(ledger, "50.00").record.id
    apply(ledger, issued, second, "20.00")
    assert ledger.get(kind=Kind.INVOICES, record_id=issued).record.state == "paid"
    with refused("invoice_applied"):
        ledger.create(
            kind=Kind.INVOICE_VOIDS, body=InvoiceVoidBody(company="US01", invoice=issued, date=FEBRUARY), at=AT
        )


def test_a_payment_in_another_currency_is_not_applied(ledger: Ledger) -> None:
    issued, received = invoice(ledger, "100.00").record.id, payment(ledger, "80.00", currency="EUR").record.id
    with refused("currency_mismatch"):
        apply(ledger, issued, received, "10.00")


def test_a_journal_that_credits_the_receivable_can_be_applied(ledger: Ledger) -> None:
    issued = invoice(ledger, "100.00").record.id
    received = journal(
        ledger, journal_line("1200", "100.00", "0.00"), journal_line("1100", "0.00", "100.00", customer="CUST-000001")
    ).record
    apply(ledger, issued, received.id, "100.00", payment_kind=Kind.JOURNALS)
    assert ledger.get(kind=Kind.JOURNALS, record_id=received.id).record.open_amount == Decimal("0.00")


def test_a_journal_must_balance_in_each_currency_unless_a_line_converts(ledger: Ledger) -> None:
    with refused("unbalanced"):
        journal(ledger, journal_line("1200", "10.00", "0.00"), journal_line("1000", "0.00", "9.99"))
    euro = {"currency": "EUR", "functional_debit": Decimal("10.83")}
    dollars = journal_line("1000", "0.00", "10.83")
    with refused("unbalanced"):
        journal(ledger, journal_line("1200", "10.00", "0.00", **euro), dollars)
    converting = journal_line("1200", "10.00", "0.00", conversion=True, **euro)
    settled = journal(ledger, converting, journal_line("1000", "0.00", "10.83", conversion=True))
    assert booked(settled) == [("1200", "10.83"), ("1000", "-10.83")]


def test_what_the_chart_the_periods_and_the_customers_do_not_know_is_refused(ledger: Ledger) -> None:
    with refused("unknown_account"):
        journal(ledger, journal_line("9999", "1.00", "0.00"), journal_line("1000", "0.00", "1.00"))
    with refused("unknown_customer"):
        invoice(ledger, "1.00", customer="CUST-000009")
    with refused("unknown_company"):
        invoice(ledger, "1.00", company="XX")
    with refused("no_period"):
        invoice(ledger, "1.00", date=date(2025, 12, 31))
    with refused("no_rate"):
        invoice(ledger, "1.00", currency="GBP")
    with refused("total_mismatch"):
        invoice(ledger, "1.00", total=Decimal("2.00"))
    ledger.companies["US01"].set_period(name="2026-01", state="closed")
    with refused("period_closed"):
        invoice(ledger, "1.00")
    assert ledger.records[Kind.INVOICES] == {}


def test_a_draft_books_nothing_until_it_is_posted_and_meets_the_rules_again(ledger: Ledger) -> None:
    set_up(ledger=ledger, body=SetupBody(two_step=(Kind.INVOICES,)))
    draft = invoice(ledger, "100.00")
    assert (draft.record.state, draft.entries) == ("draft", ())
    ledger.companies["US01"].set_period(name="2026-01", state="closed")
    with refused("period_closed"):
        ledger.post(kind=Kind.INVOICES, record_id=draft.record.id, at=AT)
    ledger.companies["US01"].set_period(name="2026-01", state="open")
    posted = ledger.post(kind=Kind.INVOICES, record_id=draft.record.id, at=AT)
    assert booked(posted)[0] == ("1100", "100.00")
    assert ledger.post(kind=Kind.INVOICES, record_id=draft.record.id, at=AT) == posted


def test_a_unique_reference_is_taken_once_and_names_the_record_that_has_it(ledger: Ledger) -> None:
    first = invoice(ledger, "100.00", external_reference="R1")
    with pytest.raises(Refused) as caught:
        invoice(ledger, "200.00", external_reference="R1")
    assert caught.value.existing == first
    assert payment(ledger, "5.00", external_reference="R1").record.id == "PMT-000001"


def test_a_field_that_became_required_is_refused_when_it_is_empty(ledger: Ledger) -> None:
    set_up(ledger=ledger, body=SetupBody(required_fields={Kind.INVOICES: ("memo",)}))
    with refused("required_field"):
        invoice(ledger, "1.00")
    assert invoice(ledger, "1.00", memo="why").record.state == "posted"


def test_the_trial_balance_is_by_account_currency_and_period_and_balances(ledger: Ledger) -> None:
    issued = invoice(ledger, "100.00", tax="20.00")
    invoice(ledger, "10.00", currency="EUR")
    body = InvoiceVoidBody(company="US01", invoice=issued.record.id, date=FEBRUARY)
    ledger.create(kind=Kind.INVOICE_VOIDS, body=body, at=AT)
    found = trial_balance(ledger=ledger, company="US01")
    assert found.debit == found.credit == Decimal("250.83")
    rows = {(row.account, row.currency, row.period): row for row in found.rows}
    assert rows[("1100", "EUR", "2026-01")].debit == Decimal("10.83")
    assert rows[("1100", "EUR", "2026-01")].currency_debit == Decimal("10.00")
    assert rows[("1100", "USD", "2026-02")].credit == Decimal("120.00")


def test_two_companies_keep_separate_books(ledger: Ledger) -> None:
    invoice(ledger, "1000", company="JP01", currency="JPY")
    assert trial_balance(ledger=ledger, company="US01").rows == ()
    assert trial_balance(ledger=ledger, company="JP01").debit == Decimal(1000)


def test_the_same_calls_make_the_same_books() -> None:
    books = []
    for _ in range(2):
        ledger = Ledger(mode=Mode.UNIQUE)
        set_up(ledger=ledger, body=companies())
        ledger.create(kind=Kind.CUSTOMERS, body=CustomerBody(name="Acme"), at=AT)
        apply(ledger, invoice(ledger, "7.00").record.id, payment(ledger, "9.00").record.id, "7.00")
        books.append(ledger.records)
    assert books[0] == books[1]
