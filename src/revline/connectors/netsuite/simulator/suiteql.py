"""Queries of the simulated account: its records as tables of an in-memory SQLite, opened for reading only.

SuiteQL is close enough to SQL that the text runs as it comes, after the table named `transaction` is quoted. Every value is
text, so no amount meets a float. What a query may do is held by SQLite's authorizer: read and call functions, nothing else.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from revline.connectors.netsuite.simulator.books import Books
from revline.connectors.netsuite.simulator.values import TYPE_CODES, Leg, Refusal, Transaction
from revline.core.money import amount_text

PAGE_MAX: Final = 1_000
QUERY_CHARACTERS_MAX: Final = 100_000
ROWS_MAX: Final = 100_000
STEPS_MAX: Final = 100_000
MOMENT: Final = "%Y-%m-%d %H:%M:%S"
_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION})
_TRANSACTION: Final = re.compile(r"\btransaction\b", re.IGNORECASE)
_QUOTED: Final = re.compile(r"('(?:[^']|'')*')")
_COLUMNS: Final = {
    "all_transactions": "id INTEGER, type, tranid, externalid, trandate, entity, currency, exchangerate, foreigntotal,"
    " foreignamountunpaid, memo, lastmodifieddate, created",
    "all_lines": "transaction_id INTEGER, id INTEGER, linesequencenumber INTEGER, mainline, foreignamount, entity, item, memo,"
    " subsidiary, department, class, location, quantity, createdfrom",
    "all_impacts": "transaction_id INTEGER, transactionline INTEGER, account, accountingbook, amount, debit, credit, posting",
    "all_customers": "id INTEGER, entityid, companyname, email, externalid, subsidiary, currency, lastmodifieddate, created",
    "all_items": "id INTEGER, itemid, displayname, externalid, incomeaccount, itemtype, lastmodifieddate, created",
    "currency": "id, symbol, name",
    "subsidiary": "id, name, currency, isinactive",
    "account": "id, acctnumber, fullname, accttype",
    "accountingperiod": "id, periodname, startdate, enddate, closed, alllocked, arlocked, isyear, isquarter, isadjust",
    "horizon": "moment",
}
_VIEWS: Final = {
    '"transaction"': "SELECT * FROM all_transactions WHERE created <= (SELECT moment FROM horizon)",
    "customer": "SELECT * FROM all_customers WHERE created <= (SELECT moment FROM horizon)",
    "item": "SELECT * FROM all_items WHERE created <= (SELECT moment FROM horizon)",
    "transactionline": 'SELECT transaction_id AS "transaction", * FROM all_lines',
    "transactionaccountingline": 'SELECT transaction_id AS "transaction", * FROM all_impacts',
}


class Tables:
    """The tables, kept in step with the books."""

    def __init__(self, *, books: Books) -> None:
        self._books = books
        self._seen: dict[str, datetime] = {}
        self._open = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        for name, columns in _COLUMNS.items():
            self._open.execute(f"CREATE TABLE {name} ({columns})")
        for name, text in _VIEWS.items():
            self._open.execute(f"CREATE VIEW {name} AS {text}")
        self._open.create_function("to_char", 2, _to_char, deterministic=True)
        self._open.create_function("to_date", 2, _to_date, deterministic=True)
        self._stale: set[str] = set()

    def touch(self, *, number: str) -> None:
        """A transaction or master changed; "" for the lists."""
        self._stale.add(number)

    def page(
        self, *, text: str, parameters: Sequence[Any], limit: int, offset: int, now: datetime, lag: timedelta
    ) -> tuple[list[dict[str, str | None]], int]:
        """Rows from `offset`, at most `limit`, and how many there are. Refusal for a query that can't be."""
        if len(text) > QUERY_CHARACTERS_MAX or not re.match(r"\s*(select|with)\b", text, re.IGNORECASE):
            raise _unsearchable("A query begins with SELECT.")
        self._refresh()
        self._open.execute("DELETE FROM horizon")
        self._open.execute("INSERT INTO horizon VALUES (?)", ((now - lag).isoformat(),))
        self._open.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
        budget = [STEPS_MAX]
        self._open.set_progress_handler(lambda: _spend(budget), 1_000)
        try:
            cursor = self._open.execute(_as_sqlite(text), [str(value) for value in parameters])
            names = [str(column[0]).lower() for column in cursor.description or ()]
            rows = cursor.fetchmany(ROWS_MAX)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as failure:
            raise _unsearchable(str(failure)) from None
        finally:
            self._open.set_authorizer(None)
            self._open.set_progress_handler(None, 0)
        shown = [
            {name: None if value is None or value == "" else str(value) for name, value in zip(names, row, strict=True)}
            for row in rows[offset : offset + limit]
        ]
        return shown, len(rows)

    def _refresh(self) -> None:
        stale, self._stale = self._stale, set()
        for number in sorted(stale):
            if number == "":
                self._lists()
                continue
            for table in ("all_transactions", "all_customers", "all_items"):
                self._open.execute(f"DELETE FROM {table} WHERE id = ?", (number,))
            self._open.execute("DELETE FROM all_lines WHERE transaction_id = ?", (number,))
            self._open.execute("DELETE FROM all_impacts WHERE transaction_id = ?", (number,))
            self._transaction(number)
            self._masters(number)

    def _transaction(self, number: str) -> None:
        found = self._books.transactions.get(number)
        if found is None:
            return
        unpaid = amount_text(found.open) if found.type in {"invoice", "creditMemo", "customerPayment"} else None
        sign = -1 if found.type in {"creditMemo", "customerPayment", "customerRefund"} else 1
        currency = self._books.lists.currency_of(symbol=found.currency).id
        row: tuple[Any, ...] = (
            number,
            TYPE_CODES[found.type],
            found.number,
            found.external_id,
            found.day.isoformat(),
            found.entity,
        )
        row += (currency, amount_text(found.rate), amount_text(sign * found.total), unpaid, found.memo)
        row += (found.modified.strftime(MOMENT), found.created.isoformat())
        self._insert("all_transactions", row)
        for place, leg in enumerate(found.legs):
            self._leg(found, place, leg)

    def _leg(self, of: Transaction, place: int, leg: Leg) -> None:
        named = dict(leg.dimensions)
        quantity = None if leg.quantity is None else amount_text(-leg.quantity)
        row: tuple[Any, ...] = (of.id, place, place, "T" if place == 0 else "F", amount_text(leg.foreign), leg.entity)
        row += (leg.item, leg.memo, of.subsidiary, named.get("department"), named.get("class"), named.get("location"))
        self._insert("all_lines", (*row, quantity, of.created_from))
        debit = amount_text(leg.functional) if leg.functional > 0 else None
        credit = amount_text(-leg.functional) if leg.functional < 0 else None
        self._insert("all_impacts", (of.id, place, leg.account, "1", amount_text(leg.functional), debit, credit, "T"))

    def _masters(self, number: str) -> None:
        for key in (f"customer/{number}", f"item/{number}"):
            found = self._books.masters.get(key)
            if found is None:
                continue
            values, when = found.values, (found.modified.strftime(MOMENT), found.created.isoformat())
            if found.type == "customer":
                names = ("entityid", "companyname", "email")
                row = (number, *(values[name] for name in names), found.external_id)
                self._insert("all_customers", (*row, values["subsidiary"], values["currency"], *when))
            else:
                row = (number, values["itemid"], values["displayname"], found.external_id, values["incomeaccount"])
                self._insert("all_items", (*row, "Service", *when))

    def _lists(self) -> None:
        lists = self._books.lists
        for table in ("currency", "subsidiary", "account", "accountingperiod"):
            self._open.execute(f"DELETE FROM {table}")
        for each in lists.currencies.values():
            self._insert("currency", (each.id, each.symbol, each.symbol))
        for subsidiary in lists.subsidiaries.values():
            base = lists.currency_of(symbol=subsidiary.currency).id
            self._insert("subsidiary", (subsidiary.id, subsidiary.name, base, "F"))
        for account in lists.accounts.values():
            self._insert("account", (account.id, account.number, account.name, account.type))
        for month in lists.months.values():
            locked = "T" if "" in month.locked else "F"
            row = (month.id, month.start.strftime("%b %Y"), month.start.isoformat(), month.end.isoformat())
            self._insert("accountingperiod", (*row, "T" if month.closed else "F", locked, locked, "F", "F", "F"))
        for key in self._books.masters:
            if key.startswith("item/"):
                self._open.execute("DELETE FROM all_items WHERE id = ?", (key[5:],))
                self._masters(key[5:])

    def _insert(self, table: str, row: tuple[Any, ...]) -> None:
        self._open.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _as_sqlite(text: str) -> str:
    parts = _QUOTED.split(text)
    return "".join(part if place % 2 else _TRANSACTION.sub('"transaction"', part) for place, part in enumerate(parts))


def _spend(budget: list[int]) -> int:
    budget[0] -= 1
    return 1 if budget[0] <= 0 else 0


def _unsearchable(detail: str) -> Refusal:
    return Refusal(
        f"Invalid search query. Detailed unprocessed description follows. {detail}", code="INVALID_PARAMETER"
    )


def _to_char(value: str | None, form: str) -> str | None:
    if value is None:
        return None
    return value[:10] if form.upper() == "YYYY-MM-DD" else value


def _to_date(value: str | None, _form: str) -> str | None:
    """Moments and days are kept as text that sorts as they do."""
    if value is None:
        return None
    datetime.fromisoformat(value)
    return value


def trial_balance(*, books: Books, subsidiary: str) -> dict[tuple[str, str, str], Decimal]:
    """(account id, currency, YYYY-MM) -> functional debit less credit, of one subsidiary; without zeros."""
    sums: dict[tuple[str, str, str], Decimal] = {}
    for each in books.transactions.values():
        if each.subsidiary != subsidiary:
            continue
        for leg in each.legs:
            key = (leg.account, each.currency, f"{each.day.year:04d}-{each.day.month:02d}")
            sums[key] = sums.get(key, Decimal(0)) + leg.functional
    return {key: amount for key, amount in sums.items() if amount}
