"""How a record of the simulated ERP is shown: its body flattened to fields of text that can be compared and edited. Pure.

A connector compares these fields with what it meant to send, so the flattening is part of the documented API.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from revline.connectors.simulated.wire import (
    ApplicationBody,
    CustomerBody,
    InvoiceBody,
    InvoiceVoidBody,
    JournalBody,
    MoneyBody,
)
from revline.core.money import amount_text


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case Decimal():
            return amount_text(value)
        case date():
            return value.isoformat()
        case dict():
            return ",".join(f"{key}={item}" for key, item in sorted(value.items()))
        case _:
            return str(value)


def _row(*values: Any) -> str:
    return "|".join(_text(value) for value in values)


def shown_fields(body: Any) -> dict[str, str]:
    """The comparable fields of a body; a line is one field, `line.N`, of its parts with | between. Empty ones are left out.

    References and rates are no part of it: the reference finds the record, and a rate shows in the ledger.
    """
    match body:
        case CustomerBody():
            fields = {"name": body.name, "email": body.email, "currency": body.currency, "address": _text(body.address)}
            fields |= {"source_id": body.source_id, "tax_ids": _text(dict(body.tax_ids))}
        case InvoiceBody():
            fields = _flat(body, "company number customer currency date due_date receivable_account total invoice memo")
            for number, line in enumerate(body.lines, start=1):
                fields[f"line.{number}"] = _row(line.account, line.amount, line.dimensions)
            for number, tax in enumerate(body.tax_lines, start=1):
                fields[f"tax.{number}"] = _row(tax.account, tax.amount, tax.taxable, tax.code, tax.dimensions)
        case InvoiceVoidBody():
            fields = _flat(body, "company invoice date memo")
        case MoneyBody():
            fields = _flat(body, "company customer currency date amount from_account to_account memo dimensions")
        case ApplicationBody():
            fields = _flat(body, "company invoice payment payment_kind currency amount date")
        case JournalBody():
            fields = _flat(body, "company date memo")
            for number, entry in enumerate(body.lines, start=1):
                fields[f"line.{number}"] = _row(
                    entry.account,
                    entry.debit,
                    entry.credit,
                    entry.currency,
                    entry.functional_debit,
                    entry.functional_credit,
                    entry.customer,
                    entry.dimensions,
                )
        case _:
            raise TypeError(f"{type(body).__name__} is no document")
    return {name: value for name, value in fields.items() if value}


def _flat(body: msgspec.Struct, names: str) -> dict[str, str]:
    return {name: _text(getattr(body, name)) for name in names.split()}
