"""Expected and booked entries, compared per account and currency."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from revline.core.farside import ErpEntry
from revline.core.journal import JournalLine
from revline.delivery.expectation import difference

ACCOUNTS = {"cash": "1000", "sales": "4000", "tax": "2200"}


def expected(account: str, amount: str, *, currency: str = "USD", functional: str = "") -> JournalLine:
    value, ours = Decimal(amount), Decimal(functional or amount)
    return JournalLine(
        line=1,
        account=account,
        debit=max(value, Decimal(0)),
        credit=max(-value, Decimal(0)),
        currency=currency,
        functional_debit=max(ours, Decimal(0)),
        functional_credit=max(-ours, Decimal(0)),
        rate=Decimal(1),
        rate_source="identity",
    )


def booked(account: str, amount: str, *, currency: str = "USD", functional: str = "") -> ErpEntry:
    ours = Decimal(functional or amount)
    return ErpEntry(
        line=1,
        account=account,
        debit=max(ours, Decimal(0)),
        credit=max(-ours, Decimal(0)),
        currency=currency,
        currency_amount=Decimal(amount),
        day=date(2026, 1, 31),
    )


def test_equal_sums_are_equal_however_the_lines_are_cut() -> None:
    lines = [expected("cash", "10.00"), expected("sales", "-10")]
    entries = [booked("4000", "-4.00"), booked("1000", "10.0"), booked("4000", "-6.00")]
    assert difference(expected=lines, accounts=ACCOUNTS, entries=entries) is None


def test_a_cent_on_another_account_is_named() -> None:
    lines = [expected("cash", "10.00"), expected("sales", "-10.00")]
    entries = [booked("1000", "10.00"), booked("4000", "-9.99"), booked("2200", "-0.01")]
    found = difference(expected=lines, accounts=ACCOUNTS, entries=entries)
    assert found is not None
    assert (found.code, found.field) == ("erp.entries_differ", "2200,4000")


def test_the_second_currency_must_agree_too() -> None:
    lines = [expected("cash", "10.00", currency="EUR", functional="11.00")]
    equal = booked("1000", "10.00", currency="EUR", functional="11.00")
    other = booked("1000", "10.01", currency="EUR", functional="11.00")
    assert difference(expected=lines, accounts=ACCOUNTS, entries=[equal]) is None
    assert difference(expected=lines, accounts=ACCOUNTS, entries=[other])
    assert difference(expected=lines, accounts=ACCOUNTS, entries=[booked("1000", "11.00")])


def test_an_account_without_a_code_differs_under_its_own_name() -> None:
    found = difference(expected=[expected("fees", "1.00")], accounts=ACCOUNTS, entries=[booked("6000", "1.00")])
    assert found is not None
    assert found.field == "6000,fees"
