"""Whatever is sold, at whatever rate: every journal balances in both currencies, a mirror undoes it, the bytes repeat."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.core.canonical import InvoiceLine
from revline.core.events import EventKind
from revline.core.hashing import canonical_bytes
from revline.core.ids import reversal_id
from revline.core.journal import JournalEntry, decode_journal, imbalance
from revline.core.money import Rounding, from_minor_units, known_currency
from revline.subledger.posting.post import mirror, post
from revline.subledger.posting.setup import BookSetup, Rate
from tests.unit.posting.builders import booked, event, invoice, line, refund, starter_book

DAY = date(2026, 2, 1)
BOOK = starter_book()
CURRENCIES = st.sampled_from(["USD", "EUR", "JPY", "KWD", "KRW"])


@st.composite
def lines(draw: st.DrawFn, code: str) -> tuple[InvoiceLine, ...]:
    money = known_currency(code)

    def amount(low: int, high: int) -> str:
        return str(from_minor_units(units=draw(st.integers(low, high)), currency=money))

    return tuple(
        line(
            amount(-(10**9), 10**9),
            number=number,
            tax=amount(-(10**6), 10**6) if draw(st.booleans()) else "",
            inclusive=draw(st.booleans()),
            discount=amount(0, 10**5),
            family=draw(st.sampled_from(["", "hardware", "subscription"])),
        )
        for number in range(1, draw(st.integers(1, 12)) + 1)
    )


@st.composite
def books(draw: st.DrawFn, code: str) -> BookSetup:
    functional = draw(CURRENCIES)
    rate = draw(st.decimals(min_value="0.000001", max_value="100000", places=6))
    return msgspec.structs.replace(
        BOOK,
        functional_currency=functional,
        rounding=draw(st.sampled_from(list(Rounding))),
        rates={(code, functional): ((date(2020, 1, 1), Rate(rate=rate, source="any")),)},
    )


@st.composite
def invoiced(draw: st.DrawFn) -> tuple[JournalEntry, JournalEntry, Decimal]:
    code = draw(CURRENCIES)
    book, sold = draw(books(code)), invoice(*draw(lines(code)))
    happened = event(EventKind.INVOICE_ISSUED, sold, day=DAY, currency=code)
    again = event(EventKind.INVOICE_ISSUED, msgspec.structs.replace(sold), day=DAY, currency=code)
    return booked(post(event=happened, book=book)), booked(post(event=again, book=book)), sold.total


def balances(*entries: JournalEntry) -> dict[tuple[str, str], tuple[Decimal, Decimal]]:
    found: dict[tuple[str, str], tuple[Decimal, Decimal]] = defaultdict(lambda: (Decimal(0), Decimal(0)))
    for entry in entries:
        for each in entry.lines:
            own, functional = found[each.account, each.currency]
            found[each.account, each.currency] = (
                own + each.debit - each.credit,
                functional + each.functional_debit - each.functional_credit,
            )
    return found


@given(invoiced())
@settings(max_examples=300, deadline=None)
def test_every_invoice_balances_in_both_currencies_and_shows_no_negative_side(
    made: tuple[JournalEntry, JournalEntry, Decimal],
) -> None:
    entry, _, total = made
    assert imbalance(entry) is None
    receivable = [each for each in entry.lines if each.account == "accounts_receivable"]
    assert sum((each.debit - each.credit for each in receivable), Decimal(0)) == total
    for each in entry.lines:
        assert each.debit or each.credit
        assert min(each.functional_debit, each.functional_credit) == 0
        functional = known_currency(entry.functional_currency)
        assert max(each.functional_debit, each.functional_credit).as_tuple().exponent == -functional.scale


@given(invoiced())
@settings(max_examples=100, deadline=None)
def test_a_mirror_and_its_original_come_to_zero_on_every_account(
    made: tuple[JournalEntry, JournalEntry, Decimal],
) -> None:
    entry, _, _ = made
    undo = msgspec.structs.replace(
        event(EventKind.INVOICE_ISSUED, invoice(line("1.00")), day=date(2026, 3, 1)),
        event_id=reversal_id(reversed_id=entry.event_id),
        reverses=entry.event_id,
    )
    undone = mirror(event=undo, journal=entry)
    assert imbalance(undone) is None
    assert not any(own or functional for own, functional in balances(entry, undone).values())


@given(invoiced())
@settings(max_examples=100, deadline=None)
def test_the_same_event_gives_the_same_bytes_and_they_are_read_back_as_the_same_journal(
    made: tuple[JournalEntry, JournalEntry, Decimal],
) -> None:
    entry, again, _ = made
    assert canonical_bytes(entry) == canonical_bytes(again)
    assert canonical_bytes(decode_journal(canonical_bytes(entry))) == canonical_bytes(entry)


@given(st.integers(1, 10**9), st.data())
@settings(max_examples=100, deadline=None)
def test_a_refund_in_another_currency_balances_whatever_part_was_earned(units: int, data: st.DataObject) -> None:
    money = known_currency("EUR")
    amount = from_minor_units(units=units, currency=money)
    earned = from_minor_units(units=data.draw(st.integers(0, units)), currency=money)
    happened = event(EventKind.REFUND_PAID, refund(str(amount), str(earned)), day=DAY, currency="EUR")
    entry = booked(post(event=happened, book=data.draw(books("EUR"))))
    assert imbalance(entry) is None
    assert balances(entry)["processor_clearing", "EUR"][0] == -amount
