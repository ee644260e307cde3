"""The queries Revline asks, as text. Pure. Every value that goes in is a record id or a moment that was checked for its shape.

A listing goes by (SystemModstamp, Id), so a page stays what it is while records change: a record that changes moves behind.
Source: "SOQL SELECT Syntax", "Date Formats and Date Literals".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from revline.connectors.salesforce.identifiers import is_record_id
from revline.connectors.salesforce.objects import Lines, Shape

START: Final = ""
SINCE: Final = "since:"
_CURSOR: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\|([A-Za-z0-9]{18})?\Z", re.ASCII)


def moment_text(*, moment: datetime) -> str:
    """A moment as a query writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1_000:03d}Z"


def cursor_of(*, moment: datetime, record_id: str) -> str:
    """A place in a listing: after the record of that time and id."""
    return f"{moment_text(moment=moment)}|{record_id}"


def after(*, cursor: str) -> str:
    """The condition of what comes after a cursor, "" from the start. ValueError when it is no cursor of ours."""
    if cursor == START:
        return ""
    if cursor.startswith(SINCE):
        return f"SystemModstamp >= {moment_text(moment=datetime.fromisoformat(cursor.removeprefix(SINCE)))}"
    match = _CURSOR.match(cursor)
    if match is None:
        raise ValueError("not a cursor of this listing")
    moment, record_id = match[1], match[2] or ""
    return f"SystemModstamp > {moment} OR (SystemModstamp = {moment} AND Id > '{record_id}')"


def listing(*, shape: Shape, fields: Collection[str], lines: Collection[str], cursor: str, limit: int) -> str:
    """A page of an object with its lines. fields, lines: what the org has of the shape's wishes."""
    condition = after(cursor=cursor)
    where = f" WHERE {condition}" if condition else ""
    columns = _columns(shape, fields, lines)
    return f"SELECT {columns} FROM {shape.object_name}{where} ORDER BY SystemModstamp, Id LIMIT {limit:d}"


def count(*, shape: Shape) -> str:
    """How many records of an object there are."""
    return f"SELECT COUNT() FROM {shape.object_name}"


def by_ids(*, shape: Shape, fields: Collection[str], lines: Collection[str], record_ids: Sequence[str]) -> str:
    """Records by their ids, with their lines. ValueError for what is no id."""
    columns = _columns(shape, fields, lines)
    return f"SELECT {columns} FROM {shape.object_name} WHERE Id IN ({_quoted(record_ids)})"


def changed_lines(*, lines: Lines, cursor: str, limit: int) -> str:
    """Lines changed since a cursor: which parents they belong to."""
    columns = f"Id, SystemModstamp, {lines.parent_field}"
    where = f" WHERE {condition}" if (condition := after(cursor=cursor)) else ""
    return f"SELECT {columns} FROM {lines.object_name}{where} ORDER BY SystemModstamp, Id LIMIT {limit:d}"


def parent_of_line(*, lines: Lines, record_id: str) -> str:
    """The parent of one line."""
    return f"SELECT {lines.parent_field} FROM {lines.object_name} WHERE Id IN ({_quoted([record_id])})"


def _columns(shape: Shape, fields: Collection[str], lines: Collection[str]) -> str:
    found = list(fields)
    if shape.lines is not None and lines:
        found.append(f"(SELECT {', '.join(lines)} FROM {shape.lines.relationship})")
    return ", ".join(found)


def _quoted(record_ids: Sequence[str]) -> str:
    wrong = [record_id for record_id in record_ids if not is_record_id(text=record_id)]
    if wrong:
        raise ValueError("not a record id")
    return ", ".join(f"'{record_id}'" for record_id in record_ids)
