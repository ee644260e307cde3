"""What NetSuite holds, in Revline's words: rows to records and ledger entries, and the fields that are compared. Pure.

A transaction's lines are compared as sums by item or account, customer and dimensions, so neither their order nor a line that
NetSuite splits makes a difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.connectors.netsuite.journals import second_currency
from revline.connectors.netsuite.manifest import TYPE_CODES
from revline.connectors.netsuite.marks import CURRENCY, DIMENSIONS, amount_in
from revline.core.differences import FieldDifference, differences_of
from revline.core.farside import ErpEntry, ErpRecord, PreparedStep
from revline.core.money import amount_text, at_least_in_scale

Row = Mapping[str, str]
RECORDS_OF: Final = {code: record for record, code in TYPE_CODES.items()}
ITEM_RECORDS: Final = frozenset({"invoice", "creditMemo"})
ZERO: Final = Decimal(0)


def envelope_of(step: PreparedStep) -> dict[str, Any]:
    """The envelope in a prepared step."""
    decoded: dict[str, Any] = msgspec.json.decode(step.body)
    return decoded


def expected_content(*, envelope: Mapping[str, Any]) -> dict[str, str]:
    """The fields that a record made from this envelope shows."""
    record, values = envelope["record"], envelope["values"]
    if record == "customer":
        found = {"companyname": values["companyName"], "email": values.get("email", "")}
        return {name: value for name, value in found.items() if value}
    if record not in TYPE_CODES:
        return {"itemid": values["itemId"], "incomeaccount": values["incomeAccount"]["id"]}
    if "mirrors" in envelope:
        mirrored = {name: _unmarked(value) for name, value in envelope["mirrors"].items()}
        return mirrored | {"trandate": values["tranDate"]}
    found = {"trandate": values["tranDate"], "currency": values["currency"][CURRENCY]}
    for name in ("entity", "customer"):
        if name in values:
            found["entity"] = values[name]["id"]
    if "subsidiary" in values:
        found["subsidiary"] = values["subsidiary"]["id"]
    if record in ITEM_RECORDS:
        found["receivable"] = values["account"]["id"]
    return found | _sums(_expected_parts(record, values), code=found["currency"])


def _unmarked(value: Any) -> str:
    return value if isinstance(value, str) else amount_text(amount_in(value))


def _expected_parts(record: str, values: Mapping[str, Any]) -> Iterable[tuple[str, Decimal]]:
    match record:
        case "invoice" | "creditMemo":
            sign = -1 if record == "invoice" else 1
            for line in values["item"]["items"]:
                yield _key("item", line["item"]["id"], "", _ids(line)), sign * amount_in(line["amount"])
        case "customerPayment":
            amount = amount_in(values["payment"])
            if amount:
                yield _key("account", values["account"]["id"]), amount
                yield _key("account", values["arAcct"]["id"]), -amount
        case "customerRefund":
            yield _key("account", values["account"]["id"]), -amount_in(values["total"])
            yield _key("account", values["arAcct"]["id"]), amount_in(values["total"])
        case "deposit":
            for line in values["other"]["items"]:
                yield _key("account", values["account"]["id"]), amount_in(line["amount"])
                yield _key("account", line["account"]["id"]), -amount_in(line["amount"])
        case _:
            for line in values["line"]["items"]:
                amount = amount_in(line["debit"]) if "debit" in line else -amount_in(line["credit"])
                entity = line["entity"]["id"] if "entity" in line else ""
                yield _key("account", line["account"]["id"], entity, _ids(line)), amount


def _ids(line: Mapping[str, Any]) -> dict[str, str]:
    return {name: line[name]["id"] for name in DIMENSIONS if name in line}


def _key(kind: str, number: str, entity: str = "", dimensions: Mapping[str, str] | None = None) -> str:
    named = "".join(f" {name} {(dimensions or {})[name]}" for name in DIMENSIONS if name in (dimensions or {}))
    return f"{kind}.{number}" + (f" customer {entity}" if entity else "") + named


def _sums(parts: Iterable[tuple[str, Decimal]], *, code: str) -> dict[str, str]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for key, amount in parts:
        sums[key] += amount
    return {key: amount_text(at_least_in_scale(amount=amount, code=code)) for key, amount in sums.items() if amount}


def differing_fields(*, expected: Mapping[str, str], found: Mapping[str, str]) -> tuple[FieldDifference, ...]:
    """The fields that are not the same, by name. What NetSuite fills in where we send nothing doesn't count, and neither does the
    subsidiary of what has no ledger line: a payment of nothing, which sets a journal's credit against an invoice."""
    named = expected.keys() | {name for name in found if name.startswith(("item.", "account."))}
    named -= set() if found.get("subsidiary") else {"subsidiary"}
    return differences_of(expected=expected, found=found, names=named)


def transaction_record(*, head: Row, lines: Sequence[Row], currencies: Mapping[str, str], void: bool) -> ErpRecord:
    """A transaction. currencies: internal id -> ISO 4217 code. void: a credit memo of ours undoes this invoice."""
    record = RECORDS_OF[head["type"]]
    code = currencies.get(head.get("currency", ""), "")
    own = next((line for line in lines if line.get("mainline") == "T"), lines[0] if lines else {})
    content = {"trandate": head.get("trandate", ""), "currency": code, "entity": head.get("entity", "")}
    content["subsidiary"] = own.get("subsidiary", "") or head.get("subsidiary", "")
    if record in ITEM_RECORDS:
        content["receivable"] = own.get("account", "")
    content = {name: value for name, value in content.items() if value} | _sums(_found_parts(record, lines), code=code)
    total = head.get("foreigntotal")
    return ErpRecord(
        record_kind=record,
        erp_id=head["id"],
        number=head.get("tranid", ""),
        state=_state(record, head, void=void),
        version=head.get("lastmodified", ""),
        external_reference=head.get("externalid", ""),
        currency=code,
        amount=None if total is None else abs(Decimal(total)),
        accounting_date=date.fromisoformat(head["trandate"]) if head.get("trandate") else None,
        content=tuple(sorted(content.items())),
    )


def _found_parts(record: str, lines: Sequence[Row]) -> Iterable[tuple[str, Decimal]]:
    for line in lines:
        amount = Decimal(line.get("foreignamount", "0"))
        dimensions = {name: line[name] for name in DIMENSIONS if line.get(name)}
        if record in ITEM_RECORDS:
            if line.get("mainline") != "T":
                yield _key("item", line.get("item", ""), "", dimensions), amount
        elif record == "journalEntry":
            yield _key("account", line.get("account", ""), line.get("entity", ""), dimensions), amount
        else:
            yield _key("account", line.get("account", "")), amount


def _state(record: str, head: Row, *, void: bool) -> str:
    if record != "invoice" or Decimal(head.get("foreignamountunpaid", "1")):
        return "posted"
    return "cancelled" if void else "paid"


def entries_of(*, head: Row, lines: Sequence[Row], currencies: Mapping[str, str]) -> tuple[ErpEntry, ...]:
    """The ledger lines of a transaction. party_reference: the customer's external id."""
    code = currencies.get(head.get("currency", ""), "")
    entries = []
    for number, line in enumerate(lines, start=1):
        debit, credit = Decimal(line.get("debit", "0")), Decimal(line.get("credit", "0"))
        own = second_currency(line.get("memo", "")) if head["type"] == TYPE_CODES["journalEntry"] else None
        currency, amount = own or (code, Decimal(line.get("foreignamount", "0")))
        if not debit and not credit and not amount:
            continue
        entries.append(
            ErpEntry(
                line=number,
                account=line.get("account", ""),
                debit=debit,
                credit=credit,
                currency=currency,
                currency_amount=amount,
                day=date.fromisoformat(head["trandate"]),
                party_reference=line.get("party", ""),
            )
        )
    return tuple(entries)


def master_record(*, record: str, row: Row, currencies: Mapping[str, str]) -> ErpRecord:
    """A customer or an item."""
    names = ("companyname", "email") if record == "customer" else ("itemid", "incomeaccount")
    return ErpRecord(
        record_kind=record,
        erp_id=row["id"],
        number=row.get("entityid", "") or row.get("itemid", ""),
        state="posted",
        version=row.get("lastmodified", ""),
        external_reference=row.get("externalid", ""),
        currency=currencies.get(row.get("currency", ""), ""),
        content=tuple(sorted((name, row[name]) for name in names if row.get(name))),
    )
