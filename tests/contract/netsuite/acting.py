"""A simulated account's books, acted upon directly: what the contract tests of its rules stand on."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from revline.connectors.netsuite.conformance import CODES, CURRENCIES, rehearsal
from revline.connectors.netsuite.simulator.books import Books
from revline.connectors.netsuite.simulator.setup import Settings
from revline.connectors.netsuite.simulator.values import Transaction

AT = datetime(2026, 1, 20, tzinfo=UTC)


def number(name: str) -> dict[str, str]:
    """A reference to a neutral account."""
    return {"id": CODES[name]}


class Acting:
    """Books with one customer in each subsidiary."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.books = Books()
        self.books.set_up(body=rehearsal(settings=settings), at=AT)
        self.customer = self.make("customer", companyName="Acme", subsidiary={"id": "1"})
        self.german = self.make("customer", companyName="Beispiel", subsidiary={"id": "3"})

    def make(self, record: str, **body: Any) -> str:
        """A record; its internal id."""
        return self.books.create(record=record, body=body, at=AT)

    def invoice(self, *amounts: str, **changes: Any) -> Transaction:
        """An invoice of deferred revenue."""
        lines = [{"item": {"id": "31"}, "amount": Decimal(amount)} for amount in amounts]
        body: dict[str, Any] = {"entity": {"id": self.customer}, "subsidiary": {"id": "1"}, "tranDate": "2026-01-15"}
        made = self.make("invoice", **(body | {"item": {"items": lines}} | changes))
        return self.books.transactions[made]

    def payment(self, amount: str, **changes: Any) -> Transaction:
        """A payment into clearing."""
        body: dict[str, Any] = {"customer": {"id": self.customer}, "tranDate": "2026-01-15", "autoApply": False}
        body |= {"subsidiary": {"id": "1"}, "account": number("processor_clearing"), "payment": Decimal(amount)}
        return self.books.transactions[self.make("customerPayment", **(body | changes))]

    def journal(self, *lines: tuple[str, str, str], **changes: Any) -> Transaction:
        """A journal of (account, debit, credit)."""
        shown = []
        for account, debit, credit in lines:
            line: dict[str, Any] = {"account": number(account)}
            line |= {"debit": Decimal(debit)} if debit else {"credit": Decimal(credit)}
            if account == "accounts_receivable":
                line["entity"] = {"id": self.customer}
            shown.append(line)
        body: dict[str, Any] = {"subsidiary": {"id": "1"}, "tranDate": "2026-01-15", "line": {"items": shown}}
        return self.books.transactions[self.make("journalEntry", **(body | changes))]

    def apply(self, payment: Transaction, invoice: Transaction, amount: str, record: str = "customerPayment") -> None:
        """Set a payment against an invoice."""
        line = {"doc": {"id": invoice.id}, "apply": True, "amount": Decimal(amount)}
        self.books.patch(record=record, number=payment.id, body={"apply": {"items": [line]}}, at=AT)


def currency(code: str) -> dict[str, str]:
    """A reference to a currency."""
    return {"id": CURRENCIES[code]}


def booked(made: Transaction) -> list[tuple[str, str]]:
    """(account, functional debit less credit) of each line."""
    names = {code: name for name, code in CODES.items()}
    return [(names[leg.account], str(leg.functional)) for leg in made.legs]
