"""The SuiteQL texts the connector sends; parameters stand apart from the text. Pure.

Dates are asked for in ISO form, since a plain date column follows the format of the integration's user.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

DAY: Final = "'YYYY-MM-DD'"
MOMENT: Final = "'YYYY-MM-DD HH24:MI:SS'"
CHUNK: Final = 200
"""Ids or references named in one query."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """A text with a ? for each parameter."""

    text: str
    parameters: tuple[str, ...] = ()


CURRENCIES: Final = Query(text="SELECT id, symbol FROM currency ORDER BY id")
SUBSIDIARIES: Final = Query(text="SELECT id, name, currency FROM subsidiary WHERE isinactive = 'F' ORDER BY id")
PERIODS: Final = Query(
    text=f"SELECT id, periodname, TO_CHAR(startdate, {DAY}) AS first, TO_CHAR(enddate, {DAY}) AS last, closed, alllocked,"
    " arlocked FROM accountingperiod WHERE isyear = 'F' AND isquarter = 'F' AND isadjust = 'F' ORDER BY startdate"
)
_HEAD: Final = (
    f"SELECT t.id, t.type, t.tranid, t.externalid, TO_CHAR(t.trandate, {DAY}) AS trandate, t.entity, t.currency,"
    f" t.foreigntotal, t.foreignamountunpaid, t.memo, TO_CHAR(t.lastmodifieddate, {MOMENT}) AS lastmodified"
    " FROM transaction t WHERE "
)
_IN_SUBSIDIARY: Final = " AND EXISTS (SELECT 1 FROM transactionline s WHERE s.transaction = t.id AND s.subsidiary = ?)"


def _marks(values: Sequence[str]) -> str:
    return "(" + ", ".join("?" * len(values)) + ")"


def heads_by_id(*, ids: Sequence[str]) -> Query:
    """Transactions by internal id."""
    return Query(text=f"{_HEAD}t.id IN {_marks(ids)} ORDER BY t.id", parameters=tuple(ids))


def heads_by_reference(*, code: str, references: Sequence[str], subsidiary: str) -> Query:
    """Transactions of a type by external id; subsidiary: "" for any."""
    text = f"{_HEAD}t.type = ? AND t.externalid IN {_marks(references)}"
    text, more = (text + _IN_SUBSIDIARY, (subsidiary,)) if subsidiary else (text, ())
    return Query(text=text + " ORDER BY t.id", parameters=(code, *references, *more))


def heads_changed(*, code: str, subsidiary: str, moment: str, after_id: str) -> Query:
    """Transactions of a type changed since (moment, id), oldest change first."""
    text, parameters = f"{_HEAD}t.type = ?", [code]
    if subsidiary:
        text, parameters = text + _IN_SUBSIDIARY, [*parameters, subsidiary]
    text, parameters = _since(text, parameters, "t.", moment, after_id)
    return Query(text=text + " ORDER BY t.lastmodifieddate, t.id", parameters=tuple(parameters))


def heads_noted(*, note: str) -> Query:
    """Payments and credit memos whose memo holds a note."""
    text = f"{_HEAD}t.type IN ('CustPymt', 'CustCred') AND t.memo LIKE ? ORDER BY t.id"
    return Query(text=text, parameters=(f"%{note}%",))


def lines(*, ids: Sequence[str], book: str, one_world: bool) -> Query:
    """Ledger lines of transactions, in order."""
    subsidiary = " l.subsidiary," if one_world else ""
    text = (
        "SELECT i.transaction, l.linesequencenumber AS line, l.mainline, i.account, i.debit, i.credit, l.foreignamount,"
        f" l.entity, l.item, l.memo,{subsidiary} l.department, l.class, l.location, c.externalid AS party"
        " FROM transactionaccountingline i"
        " JOIN transactionline l ON l.transaction = i.transaction AND l.id = i.transactionline"
        " LEFT JOIN customer c ON c.id = l.entity"
        f" WHERE i.accountingbook = ? AND i.posting = 'T' AND i.transaction IN {_marks(ids)}"
        " ORDER BY i.transaction, l.linesequencenumber"
    )
    return Query(text=text, parameters=(book, *ids))


def credited(*, ids: Sequence[str]) -> Query:
    """Credit memos that were made of these invoices."""
    text = (
        "SELECT l.createdfrom AS source, t.id, t.memo FROM transaction t"
        " JOIN transactionline l ON l.transaction = t.id AND l.mainline = 'T'"
        f" WHERE t.type = 'CustCred' AND l.createdfrom IN {_marks(ids)} ORDER BY t.id"
    )
    return Query(text=text, parameters=tuple(ids))


_MASTERS: Final = {
    "customer": "SELECT m.id, m.entityid, m.companyname, m.email, m.externalid, m.currency,"
    f" TO_CHAR(m.lastmodifieddate, {MOMENT}) AS lastmodified FROM customer m WHERE ",
    "item": "SELECT m.id, m.itemid, m.externalid, m.incomeaccount,"
    f" TO_CHAR(m.lastmodifieddate, {MOMENT}) AS lastmodified FROM item m WHERE ",
}


def _master(record: str) -> str:
    return _MASTERS["customer" if record == "customer" else "item"]


def masters_by_id(*, record: str, ids: Sequence[str]) -> Query:
    """Customers or items by internal id."""
    return Query(text=f"{_master(record)}m.id IN {_marks(ids)} ORDER BY m.id", parameters=tuple(ids))


def masters_by_reference(*, record: str, references: Sequence[str]) -> Query:
    """Customers or items by external id."""
    return Query(
        text=f"{_master(record)}m.externalid IN {_marks(references)} ORDER BY m.id", parameters=tuple(references)
    )


def masters_changed(*, record: str, moment: str, after_id: str) -> Query:
    """Customers or items changed since (moment, id), oldest change first."""
    text, parameters = _since(f"{_master(record)}m.id > 0", [], "m.", moment, after_id)
    return Query(text=text + " ORDER BY m.lastmodifieddate, m.id", parameters=tuple(parameters))


def _since(text: str, parameters: list[str], alias: str, moment: str, after_id: str) -> tuple[str, list[str]]:
    if not moment:
        return text, parameters
    changed = f"{alias}lastmodifieddate"
    since = f"TO_DATE(?, {MOMENT})"
    text += f" AND ({changed} > {since} OR ({changed} = {since} AND {alias}id > ?))"
    return text, [*parameters, moment, moment, after_id]
