"""Lists as files: CSV and XLSX, the same rows as on the page. A text that a spreadsheet would take for a formula stays a text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import xlsxwriter

from revline.core.money import amount_text, at_least_in_scale
from revline.doors.console.states import look
from revline.doors.console.values import Cell, Code, Column, Count, Download, Moment, Money, Row, State, Text

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The wide forms too, which spreadsheets of some languages read as the narrow ones (OWASP, CSV injection)."""
ROWS_MAX: Final = 50_000
SHEET_NAME_LENGTH_MAX: Final = 31
EXACT_DIGITS_MAX: Final = 15
"""A spreadsheet keeps numbers in binary; beyond 15 digits an amount is written as text, so that none is changed silently."""


def as_csv(*, name: str, columns: Sequence[Column], rows: Sequence[Row]) -> Download:
    """The rows as RFC 4180 CSV in UTF-8 with a byte order mark, which spreadsheets need to read it as such."""
    text = io.StringIO()
    # Where lists are apart by semicolons, a text with one would be two cells, and the second could start a formula.
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(list(_titles(columns)))
    for row in rows:
        writer.writerow([safe(value) for value in _values(columns, row)])
    return Download(
        name=f"{name}.csv", media_type="text/csv; charset=utf-8", body=b"\xef\xbb\xbf" + text.getvalue().encode()
    )


def as_xlsx(*, name: str, columns: Sequence[Column], rows: Sequence[Row]) -> Download:
    """The rows as a workbook of one sheet, its first line frozen."""
    data = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = xlsxwriter.Workbook(data, options)
    sheet = book.add_worksheet(name[:SHEET_NAME_LENGTH_MAX])
    bold = book.add_format({"bold": True, "bottom": 1})
    for column, title in enumerate(_titles(columns)):
        sheet.write_string(0, column, title, bold)
        sheet.set_column(column, column, max(12, min(len(title) + 4, 40)))
    formats: dict[int, Any] = {}
    for number, row in enumerate(rows, start=1):
        for column, value in enumerate(_values(columns, row)):
            if isinstance(value, Decimal) and len(value.as_tuple().digits) <= EXACT_DIGITS_MAX:
                scale = max(0, -int(value.as_tuple().exponent))
                if scale not in formats:
                    pattern = f"#,##0.{'0' * scale}" if scale else "#,##0"
                    formats[scale] = book.add_format({"num_format": pattern})
                sheet.write_number(number, column, value, formats[scale])
            elif isinstance(value, int):
                sheet.write_number(number, column, value)
            else:
                sheet.write_string(number, column, safe(value))
    sheet.freeze_panes(1, 0)
    book.close()
    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return Download(name=f"{name}.xlsx", media_type=media_type, body=data.getvalue())


def safe(value: object) -> str:
    """A value as a spreadsheet may read it: an apostrophe before a text that would start a formula. Numbers keep their sign."""
    if isinstance(value, Decimal):
        return amount_text(value)
    text = str(value)
    risky = text.startswith(FORMULA_STARTS) or text.lstrip().startswith(FORMULA_STARTS)
    return f"'{text}" if risky and not isinstance(value, int) else text


def _titles(columns: Sequence[Column]) -> Iterator[str]:
    for column in columns:
        yield column.title
        if column.kind == "money":
            yield f"{column.title} currency"


def _values(columns: Sequence[Column], row: Row) -> Iterator[str | int | Decimal]:
    for column, one in zip(columns, row.cells, strict=True):
        yield _value(one)
        if column.kind == "money":
            yield one.currency if isinstance(one, Money) else ""


def _value(one: Cell) -> str | int | Decimal:
    match one:
        case Text() | Code():
            return one.text
        case State():
            return look(one.word).word
        case Count():
            return one.number
        case Money():
            return "" if one.amount is None else _in_scale(one.amount, one.currency)
        case Moment():
            if isinstance(one.at, datetime):
                return one.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return "" if one.at is None else one.at.isoformat()


def _in_scale(amount: Decimal, currency: str) -> Decimal:
    return at_least_in_scale(amount=amount, code=currency) if currency else amount
