"""Tryton's rows as Revline's records and ledger lines, and the text two sides are compared by. Pure: no wire, no clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from revline.connectors.tryton.manifest import INVOICE, MOVE, PARTY
from revline.core.farside import ErpEntry, ErpRecord

Values = dict[str, Any]
ZERO: Final = Decimal(0)


def line_text(
    account: str, amount: Decimal, currency: str = "", currency_amount: Decimal | None = None, party: int | None = None
) -> str:
    """One line as it is compared."""
    text = f"{account} {plain(amount)}"
    if currency:
        text += f" {plain(currency_amount or ZERO)} {currency}"
    return f"{text} of {party}" if party is not None else text


def joined(lines: Iterable[str]) -> str:
    """Lines in an order that doesn't depend on who gives them."""
    return "; ".join(sorted(lines))


def plain(amount: Decimal) -> str:
    """An amount without trailing zeros, so that 5 and 5.00 are equal."""
    text = format(amount, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text


def version_of(row: Values) -> str:
    """When Tryton last wrote the row, as text that sorts."""
    moment: datetime | None = row.get("write_date") or row.get("create_date")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") if moment else ""


def party_record(*, row: Values) -> ErpRecord:
    """A party. content: the number of its first address, its name."""
    addresses = row.get("addresses") or ()
    return ErpRecord(
        record_kind=PARTY,
        erp_id=str(row["id"]),
        number=row.get("code") or "",
        state="posted",
        version=version_of(row),
        external_reference=row.get("code") or "",
        content=(("address", str(min(addresses)) if addresses else ""), ("name", row.get("name") or "")),
    )


_INVOICE_STATES: Final[dict[str, str]] = {
    "draft": "draft",
    "validated": "draft",
    "posted": "posted",
    "paid": "paid",
    "cancelled": "cancelled",
}


def invoice_record(
    *, row: Values, lines: Iterable[Values], taxes: Iterable[Values], unfinished: bool = False
) -> ErpRecord:
    """A customer invoice or credit note. unfinished: it is posted, but a step of ours on it isn't done: it counts as a draft."""
    state = _INVOICE_STATES.get(str(row["state"]), str(row["state"]))
    day: date | None = row.get("accounting_date") or row.get("invoice_date")
    return ErpRecord(
        record_kind=INVOICE,
        erp_id=str(row["id"]),
        number=row.get("number") or "",
        state="draft" if unfinished and state == "posted" else state,
        version=version_of(row),
        external_reference=row.get("reference") or "",
        currency=row["currency."]["code"],
        amount=row["total_amount"],
        accounting_date=day,
        content=(
            ("currency", row["currency."]["code"]),
            ("customer", str(row["party"])),
            ("date", day.isoformat() if day else ""),
            ("invoice_date", row["invoice_date"].isoformat() if row.get("invoice_date") else ""),
            ("lines", joined(line_text(line["account."]["code"], line["amount"]) for line in lines)),
            ("number_of_source", row.get("description") or ""),
            ("taxes", joined(line_text(tax["account."]["code"], tax["amount"]) for tax in taxes)),
        ),
    )


def move_record(*, row: Values, lines: Iterable[Values], currency: str) -> ErpRecord:
    """A move. currency: of the company."""
    rows = tuple(lines)
    return ErpRecord(
        record_kind=MOVE,
        erp_id=str(row["id"]),
        number=row.get("number") or "",
        state=row["state"],
        version=version_of(row),
        external_reference=row.get("description") or "",
        currency=currency,
        amount=sum((line["debit"] for line in rows), ZERO),
        accounting_date=row["date"],
        content=(
            ("date", row["date"].isoformat()),
            (
                "lines",
                joined(
                    line_text(
                        line["account."]["code"],
                        line["debit"] - line["credit"],
                        _second_currency(line),
                        line["amount_second_currency"],
                        line["party"],
                    )
                    for line in rows
                ),
            ),
            ("origin", row.get("origin") or ""),
        ),
    )


def erp_entries(*, lines: Iterable[Values], currency: str) -> tuple[ErpEntry, ...]:
    """Ledger lines in Revline's words, in the order Tryton made them. currency: of the company."""
    return tuple(
        ErpEntry(
            line=number,
            account=line["account."]["code"],
            debit=line["debit"],
            credit=line["credit"],
            currency=_second_currency(line) or currency,
            currency_amount=(
                line["amount_second_currency"] or ZERO if _second_currency(line) else line["debit"] - line["credit"]
            ),
            day=line["date"],
            party_reference=(line.get("party.") or {}).get("code") or "",
        )
        for number, line in enumerate(sorted(lines, key=lambda each: int(each["id"])), start=1)
    )


def _second_currency(line: Values) -> str:
    return str((line.get("second_currency.") or {}).get("code") or "")
