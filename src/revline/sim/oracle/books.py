"""Expected balances from raw Stripe input.

Reads the webhooks and balance transactions as Stripe writes them, the configuration folder as plain YAML, and which account is
debited and credited by which event from the golden journal examples. Knows nothing of Revline's code; must not import it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from revline.sim.oracle.companies import BookData, golden_pairs, read_books

ZERO_DECIMAL = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
THREE_DECIMAL = {"bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"}
RANK = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}


@dataclass(frozen=True, order=True)
class Key:
    """What a balance is kept by. period: YYYY-MM."""

    entity: str
    book: str
    account: str
    currency: str
    period: str


@dataclass
class Balance:
    """Debits less credits, in the transaction currency and in the book's functional currency."""

    amount: Decimal = Decimal(0)
    functional: Decimal = Decimal(0)


class Books:
    """Balances of one entity's books, filled from raw input."""

    def __init__(self, books: Iterable[BookData]) -> None:
        self.books = list(books)
        self.pairs = golden_pairs()
        self.balances: dict[Key, Balance] = defaultdict(Balance)

    def book(self, day: date, currency: str, lines: list[tuple[str, Decimal]], total_account: str) -> None:
        """One entry: (account, signed amount) lines; `total_account` takes what is left in both currencies."""
        for book in self.books:
            functional_left = amount_left = Decimal(0)
            for account, amount in lines:
                converted = self._convert(book, amount, currency, day)
                self._add(book, account, currency, day, amount, converted)
                amount_left -= amount
                functional_left -= converted
            self._add(book, total_account, currency, day, amount_left, functional_left)

    def _add(
        self, book: BookData, account: str, currency: str, day: date, amount: Decimal, functional: Decimal
    ) -> None:
        balance = self.balances[Key(book.entity, book.name, account, currency, f"{day:%Y-%m}")]
        balance.amount += amount
        balance.functional += functional

    def _convert(self, book: BookData, amount: Decimal, currency: str, day: date) -> Decimal:
        if currency == book.functional:
            return amount
        rate = [each for each in book.rates if each[0] == currency and each[1] <= day][-1][2]
        quantum = Decimal(1).scaleb(-_scale(book.functional))
        return (amount * rate).quantize(quantum, rounding=ROUND_HALF_EVEN if book.half_even else ROUND_HALF_UP)


def expected(
    *,
    folder: Path,
    entity: str,
    webhooks: Iterable[bytes],
    balance_transactions: Iterable[bytes],
    credit_movements: Iterable[bytes] = (),
) -> dict[Key, Balance]:
    """Balances of every book of one entity after all of this input, whatever its order and repeats.

    credit_movements: customers' balance transactions, as the API lists them.
    """
    return expected_in(
        books=read_books(folder)[entity],
        webhooks=webhooks,
        balance_transactions=balance_transactions,
        credit_movements=credit_movements,
    )


def expected_in(
    *,
    books: list[BookData],
    webhooks: Iterable[bytes],
    balance_transactions: Iterable[bytes],
    credit_movements: Iterable[bytes] = (),
) -> dict[Key, Balance]:
    """`expected` of one entity whose books are read already."""
    return _filled(Books(books), webhooks, balance_transactions, credit_movements)


def _filled(
    books: Books,
    webhooks: Iterable[bytes],
    balance_transactions: Iterable[bytes],
    credit_movements: Iterable[bytes],
) -> dict[Key, Balance]:
    zone = ZoneInfo(books.books[0].time_zone)
    objects: dict[tuple[str, str], list[tuple[tuple[int, int], Mapping[str, Any], str]]] = defaultdict(list)
    for body in webhooks:
        event = json.loads(body, parse_float=Decimal)
        thing = event["data"]["object"]
        rank = RANK.get(str(thing.get("status")), 0) if thing["object"] == "invoice" else _settled(thing)
        objects[(thing["object"], thing["id"])].append(((rank, event["created"]), thing, event["type"]))
    for body in balance_transactions:
        thing = json.loads(body, parse_float=Decimal)
        objects[("balance_transaction", thing["id"])].append(((0, 0), thing, "import"))
    for body in credit_movements:
        thing = json.loads(body, parse_float=Decimal)
        _credit_movement(books, zone, thing)
    _book_all(books, zone, objects)
    return dict(books.balances)


Seen = Mapping[tuple[str, str], list[tuple[tuple[int, int], Mapping[str, Any], str]]]
"""(kind, id) -> every copy that was seen: its rank and moment, the object, and the event that brought it."""


def _book_all(books: Books, zone: ZoneInfo, objects: Seen) -> None:
    paid_by_memo = {
        linked["refund"]
        for (kind, _), seen in objects.items()
        for _, thing, _ in seen
        if kind == "credit_note"
        for linked in thing["refunds"]
    }
    charges = {key[1]: max(seen, key=lambda each: each[0])[1] for key, seen in objects.items() if key[0] == "charge"}
    for (kind, _), seen in sorted(objects.items()):
        newest = max(seen, key=lambda each: each[0])[1]
        match kind:
            case "invoice":
                _invoice(books, zone, newest, [each[1] for each in seen if each[1]["status"] == "uncollectible"])
            case "charge":
                if newest["status"] == "succeeded" and newest.get("captured", True):
                    captured = newest.get("amount_captured") or newest["amount"]
                    _pair(books, zone, "payment.received", newest["created"], newest, captured)
            case "refund":
                _refund(books, zone, newest, seen, memo=newest["id"] in paid_by_memo)
            case "credit_note":
                invoices = [each[1] for each in objects.get(("invoice", newest["invoice"]), ())]
                _credit_note(books, zone, newest, invoices[0])
            case "dispute":
                _dispute(books, zone, newest, seen)
            case "payout":
                _payout(books, zone, newest, seen)
            case "balance_transaction":
                if newest["type"] in {"charge", "payment"} and newest["fee"]:
                    assert newest["currency"] == charges[newest["source"]]["currency"]
                    _pair(books, zone, "processor_fee.charged", newest["created"], newest, newest["fee"])
                if newest["type"] == "stripe_fee":
                    _pair(books, zone, "processor_fee.charged", newest["created"], newest, -newest["net"])


def _settled(thing: Mapping[str, Any]) -> int:
    ranks = {"pending": 0, "in_transit": 1, "succeeded": 2, "paid": 2, "failed": 3, "canceled": 3, "void": 3}
    ranks |= {"needs_response": 1, "lost": 3, "won": 4}
    return ranks.get(str(thing.get("status")), 0)


def _invoice(books: Books, zone: ZoneInfo, invoice: Mapping[str, Any], given_up: list[Mapping[str, Any]]) -> None:
    transitions = invoice["status_transitions"]
    if not transitions.get("finalized_at") or not invoice["total"]:
        return
    currency = invoice["currency"]
    receivable, deferred = books.pairs["invoice.net"]
    _, tax_payable = books.pairs["invoice.tax"]
    lines: list[tuple[str, Decimal]] = []
    for line in invoice["lines"]["data"]:
        family = str({**(line.get("metadata") or {})}.get("product_family", ""))
        account = next((book.families[family] for book in books.books if family in book.families), deferred)
        inclusive = sum(tax["amount"] for tax in line.get("taxes") or [] if tax["tax_behavior"] == "inclusive")
        off = sum(each["amount"] for each in line.get("discount_amounts") or [])
        lines.append((account, -_amount(line["amount"] - off - inclusive, currency)))
        lines += [(tax_payable, -_amount(tax["amount"], currency)) for tax in line.get("taxes") or []]
    day = _local(transitions["finalized_at"], zone)
    books.book(day, currency.upper(), lines, receivable)
    if given_up:
        newest = max(given_up, key=lambda each: each["status_transitions"]["marked_uncollectible_at"])
        lost = _amount(newest["amount_remaining"], currency)
        debit, credit = books.pairs["invoice.uncollectible"]
        lost_on = _local(newest["status_transitions"]["marked_uncollectible_at"], zone)
        books.book(lost_on, currency.upper(), [(debit, lost)], credit)
    if invoice["status"] == "void":
        # The mirror keeps the rate, so it is the converted lines with the opposite sign on another day.
        _mirror(books, day, _local(transitions["voided_at"], zone), currency.upper(), lines, receivable)


def _mirror(
    books: Books, first: date, second: date, currency: str, lines: list[tuple[str, Decimal]], total: str
) -> None:
    for book in books.books:
        functional_left = amount_left = Decimal(0)
        for account, amount in lines:
            converted = books._convert(book, amount, currency, first)
            books._add(book, account, currency, second, -amount, -converted)
            amount_left += amount
            functional_left += converted
        books._add(book, total, currency, second, amount_left, functional_left)


def _credit_note(books: Books, zone: ZoneInfo, note: Mapping[str, Any], invoice: Mapping[str, Any]) -> None:
    """What the invoice's line deferred goes back to deferred revenue; what it made revenue at once is contra-revenue."""
    currency = note["currency"]
    deferred, receivable = books.pairs["memo.deferred"]
    contra, _ = books.pairs["memo.earned"]
    tax_payable, _ = books.pairs["memo.tax"]
    families = {line["id"]: (line.get("metadata") or {}).get("product_family", "") for line in invoice["lines"]["data"]}
    lines: list[tuple[str, Decimal]] = []
    for line in note["lines"]["data"]:
        at_once = any(families.get(line["invoice_line_item"], "") in book.families for book in books.books)
        inclusive = sum(tax["amount"] for tax in line["taxes"] if tax["tax_behavior"] == "inclusive")
        net = line["amount"] - sum(each["amount"] for each in line["discount_amounts"]) - inclusive
        lines.append((contra if at_once else deferred, _amount(net, currency)))
        lines += [(tax_payable, _amount(tax["amount"], currency)) for tax in line["taxes"]]
    day = _local(note["effective_at"] or note["created"], zone)
    books.book(day, currency.upper(), lines, receivable)
    if note["status"] == "void":
        _mirror(books, day, _local(note["voided_at"], zone), currency.upper(), lines, receivable)


def _credit_movement(books: Books, zone: ZoneInfo, movement: Mapping[str, Any]) -> None:
    """Stripe counts what the customer owes, so credit given is negative and credit used positive."""
    granted = movement["type"] == "credit_note"
    assert granted or movement["type"] == "applied_to_invoice"
    kind = "credit.granted" if granted else "credit.applied"
    _pair(books, zone, kind, movement["created"], movement, -movement["amount"] if granted else movement["amount"])


def _dispute(books: Books, zone: ZoneInfo, dispute: Mapping[str, Any], seen: list[Any]) -> None:
    """Taken with its fee, given back with its fee, or lost on the day it was closed."""
    receivable, clearing = books.pairs["dispute.taken"]
    fees, _ = books.pairs["dispute.fee"]
    currency = dispute["currency"]
    moved = {each["id"]: each for _, thing, _ in seen for each in thing["balance_transactions"]}
    for each in moved.values():
        lines = [(receivable, -_amount(each["amount"], currency)), (fees, _amount(each["fee"], currency))]
        books.book(_local(each["created"], zone), currency.upper(), lines, clearing)
    if dispute["status"] == "lost":
        closed = min(key[1] for key, _, event in seen if event == "charge.dispute.closed")
        left = -sum(each["amount"] for each in moved.values())
        _pair(books, zone, "dispute.lost", closed, dispute, left)


def _refund(books: Books, zone: ZoneInfo, refund: Mapping[str, Any], seen: list[Any], *, memo: bool) -> None:
    if refund["status"] not in {"succeeded", "failed"}:
        return
    debit, credit = books.pairs["refund.memo" if memo else "refund.deferred"]
    amount = _amount(refund["amount"], refund["currency"])
    day = _local(refund["created"], zone)
    lines = [(debit, amount)]
    books.book(day, refund["currency"].upper(), lines, credit)
    if refund["status"] == "failed":
        back = [key[1] for key, _, event in seen if event == "refund.failed"]
        second = _local(min(back), zone) if back else day
        _mirror(books, day, second, refund["currency"].upper(), lines, credit)


def _payout(books: Books, zone: ZoneInfo, payout: Mapping[str, Any], seen: list[Any]) -> None:
    if payout["status"] not in {"paid", "failed"}:
        return
    debit, credit = books.pairs["payout.paid"]
    day = datetime.fromtimestamp(payout["arrival_date"], UTC).date()
    lines = [(debit, _amount(payout["amount"], payout["currency"]))]
    books.book(day, payout["currency"].upper(), lines, credit)
    if payout["status"] == "failed":
        back = [key[1] for key, _, event in seen if event == "payout.failed"]
        second = _local(min(back), zone) if back else day
        _mirror(books, day, second, payout["currency"].upper(), lines, credit)


def _pair(books: Books, zone: ZoneInfo, event: str, moment: int, thing: Mapping[str, Any], minor: int) -> None:
    debit, credit = books.pairs[event]
    day = _local(moment, zone)
    books.book(day, thing["currency"].upper(), [(debit, _amount(minor, thing["currency"]))], credit)


def _local(moment: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(moment, UTC).astimezone(zone).date()


def _scale(currency: str) -> int:
    code = currency.lower()
    return 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2


def _amount(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-_scale(currency))
