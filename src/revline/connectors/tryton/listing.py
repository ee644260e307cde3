"""Lists what changed in Tryton since a cursor, oldest first.

Tryton stamps a row's creation and its last write in two columns, the second empty until the first write, and sorts by one column
only: so both kinds are asked for and put together here. A cursor is "stamp|number" of the last row seen.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from revline.connectors.tryton.manifest import INVOICE, PARTY
from revline.connectors.tryton.reading import FIELDS, Company, TrytonReader
from revline.connectors.tryton.records import Values, version_of
from revline.core.farside import ChangedPage
from revline.core.problem import Mender, Problem, Retryable, define, problem

STAMP: Final = "%Y-%m-%dT%H:%M:%S.%f"
OVERLAP: Final = timedelta(minutes=5)
"""A transaction commits rows under the moment it began, so a later listing begins this much earlier than the last one ended."""


async def list_page(
    reader: TrytonReader, company: Company, *, model: str, cursor: str, limit: int
) -> ChangedPage | Problem:
    """One page of parties, invoices or moves. Problem `tryton.cursor_invalid`."""
    since = _parse(cursor)
    if isinstance(since, Problem):
        return since
    base: list[Any] = [] if model == PARTY else [["company", "=", company.number]]
    if model == INVOICE:
        base.append(["type", "=", "out"])
    written = await _rows(reader, company, model, [*base, ["write_date", "!=", None]], "write_date", since, limit + 1)
    created = await _rows(reader, company, model, [*base, ["write_date", "=", None]], "create_date", since, limit + 1)
    rows = sorted(written + created, key=lambda row: (version_of(row), row["id"]))[: limit + 1]
    page = rows[:limit]
    records = await reader.as_records(company, model, page)
    more = len(rows) > limit
    return ChangedPage(
        records=tuple(records),
        next_cursor=f"{version_of(page[-1])}|{page[-1]['id']}" if more and page else "",
        resume=cursor_at(datetime.strptime(version_of(page[-1]), STAMP) - OVERLAP) if page else "",  # noqa: DTZ007
    )


def cursor_at(moment: datetime) -> str:
    """A cursor from which whatever was written at or after a naive UTC moment is shown."""
    return f"{moment.strftime(STAMP)}|0"


async def _rows(
    reader: TrytonReader,
    company: Company,
    model: str,
    domain: list[Any],
    column: str,
    since: tuple[datetime, int] | None,
    limit: int,
) -> list[Values]:
    if since is not None:
        moment, number = since
        domain = [*domain, ["OR", [column, ">", moment], [[column, "=", moment], ["id", ">", number]]]]
    return await reader.rows(
        model, domain, FIELDS[model], company=company.number, order=[[column, "ASC"], ["id", "ASC"]], limit=limit
    )


def _parse(cursor: str) -> tuple[datetime, int] | Problem | None:
    if not cursor:
        return None
    stamp, _, number = cursor.partition("|")
    try:
        return datetime.strptime(stamp, STAMP), int(number)  # noqa: DTZ007 - Tryton's stamps are naive
    except ValueError:
        return problem("tryton.cursor_invalid", "the cursor is not one this connector gave", field="cursor")


define(
    code="tryton.cursor_invalid",
    title="Not a cursor of this connector",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.OPERATOR,
    remedy="Start the listing again without a cursor.",
)
