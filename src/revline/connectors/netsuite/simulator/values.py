"""The simulated account's own values: ledger legs, transactions, refusals, and reading fields of a body. Pure."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

ZERO: Final = Decimal(0)
TYPE_CODES: Final = {
    "invoice": "CustInvc",
    "creditMemo": "CustCred",
    "customerPayment": "CustPymt",
    "customerRefund": "CustRfnd",
    "deposit": "Deposit",
    "journalEntry": "Journal",
}
"""REST record type -> what queries show as the transaction's type."""
MASTERS: Final = ("customer", "serviceSaleItem")
RECEIVABLE_TYPE: Final = "AcctRec"
DIMENSIONS: Final = ("department", "class", "location")


class Refusal(Exception):  # noqa: N818 - it is an answer, not an error of this program
    """NetSuite refuses. detail, code, path: as in o:errorDetails."""

    def __init__(self, detail: str, *, code: str = "USER_ERROR", path: str = "", status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.path = path
        self.status = status


def invalid_content(detail: str, path: str) -> Refusal:
    """A body that is no body of its record type."""
    return Refusal(detail, code="INVALID_CONTENT", path=path)


def invalid_value(value: str, field: str, path: str = "") -> Refusal:
    """A reference to what is not there."""
    text = f"You have entered an Invalid Field Value {value[:40]} for the following field: {field}"
    return Refusal(f"Error while accessing a resource. {text}", path=path or field)


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a transaction with its ledger effect: signed, debit positive. main: the transaction's own line."""

    account: str
    foreign: Decimal
    functional: Decimal
    entity: str = ""
    item: str = ""
    memo: str = ""
    quantity: Decimal | None = None
    main: bool = False
    dimensions: tuple[tuple[str, str], ...] = ()


class Transaction(msgspec.Struct, kw_only=True):
    """A transaction as it stands. open: unpaid or unapplied, positive. applied: transaction id -> amount set against it.

    created: when it was committed, for queries that lag; modified: shown to the second.
    """

    id: str
    type: str
    external_id: str
    number: str
    day: date
    entity: str
    currency: str
    rate: Decimal
    subsidiary: str
    memo: str
    total: Decimal
    open: Decimal = ZERO
    applied: dict[str, Decimal] = {}
    created_from: str = ""
    legs: tuple[Leg, ...] = ()
    created: datetime
    modified: datetime


class Master(msgspec.Struct, kw_only=True):
    """A customer or an item. values: column -> text."""

    id: str
    type: str
    external_id: str
    values: dict[str, str]
    created: datetime
    modified: datetime


def text_of(body: dict[str, Any], name: str, *, maximum: int = 4_000) -> str:
    """A text field, "" when absent."""
    value = body.get(name, "")
    if not isinstance(value, str) or len(value) > maximum:
        raise invalid_content(f"Invalid value for property '{name}'.", name)
    return value


def reference_of(body: dict[str, Any], name: str, path: str = "") -> str:
    """The id in {"id": "5"}, or in plain "5"; "" when absent."""
    value = body.get(name, "")
    if isinstance(value, dict):
        value = value.get("id", "")
    if isinstance(value, int):
        value = str(value)
    if not isinstance(value, str):
        raise invalid_content(f"Invalid value for property '{name}'.", path or name)
    return value


def number_of(body: dict[str, Any], name: str, path: str = "") -> Decimal:
    """A JSON number exactly; 0 when absent. A number in a text is refused."""
    value = body.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise invalid_content(f"Invalid value for property '{name}'.", path or name)
    return Decimal(value)


def day_of(body: dict[str, Any], name: str) -> date:
    """A day; required."""
    try:
        return date.fromisoformat(text_of(body, name))
    except ValueError:
        raise invalid_content(f"Invalid date in property '{name}'.", name) from None


def items_of(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The members of a sublist; empty when absent."""
    sublist = body.get(name, {"items": []})
    members = sublist.get("items") if isinstance(sublist, dict) else None
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise invalid_content(f"Invalid sublist '{name}'.", name)
    return members


def dimensions_of(line: dict[str, Any], header: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Department, class and location of a line, from the line or else the header."""
    found = [(name, reference_of(line, name) or reference_of(header, name)) for name in DIMENSIONS]
    return tuple((name, value) for name, value in found if value)
