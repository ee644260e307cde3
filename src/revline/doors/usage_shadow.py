"""Shadow rating as every door shows it: findings and their totals as plain values, a report as a file, and asking for it anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from revline.core.hashing import plain
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.services import Services
from revline.subledger.usage.outward import queries, record
from revline.subledger.usage.outward.queries import PAGE_MAX, CauseTotal, FindingFilter, StoredFinding
from revline.subledger.usage.outward.values import Cause, Direction

ROWS_MAX: Final = 50_000
TOTAL_COLUMNS: Final = (
    "connection", "currency", "direction", "cause", "findings", "expected", "billed", "difference",
)  # fmt: skip
COLUMNS: Final = (
    "window_start", "window_end", "connection", "customer", "price", "currency", "expected_quantity", "billed_quantity",
    "expected", "billed", "difference", "direction", "cause", "parts", "invoices", "charges", "tolerated", "entity",
    "product_family", "finding",
)  # fmt: skip
MONEY: Final = frozenset({"expected", "billed", "difference"})
SHOWN: Final = ("customer", "price", "window_end", "currency", "expected", "billed", "difference", "parts")

define(
    code="usage.report_format",
    title="A report has no such format",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Name a file that ends in .csv or .xlsx.",
)


def filter_of(
    *,
    connection: str = "",
    customer: str = "",
    cause: str = "",
    direction: str = "",
    since: str = "",
    until: str = "",
    everything: bool = False,
) -> FindingFilter | Problem:
    """What somebody asks for. since, until: days or times, of a window's end, half-open."""
    if cause and cause not in set(Cause):
        return problem("http.request_invalid", f"cause is one of: {', '.join(Cause)}", field="cause")
    if direction and direction not in set(Direction):
        return problem("http.request_invalid", f"direction is one of: {', '.join(Direction)}", field="direction")
    bounds: list[datetime | None] = []
    for name, text in (("since", since), ("until", until)):
        found = _moment(text)
        if text and found is None:
            return problem("http.request_invalid", f"{name} is a day or a time with an offset", field=name)
        bounds.append(found)
    return FindingFilter(
        connection=connection,
        customer=customer,
        cause=cause,
        direction=direction,
        window_from=bounds[0],
        window_to=bounds[1],
        all=everything,
    )


def _moment(text: str) -> datetime | None:
    """A time with an offset, or the beginning of a day in UTC."""
    try:
        found = datetime.fromisoformat(text if "T" in text else f"{date.fromisoformat(text)}T00:00:00+00:00")
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def totals(services: Services, *, tenant_id: str, wanted: FindingFilter) -> Sequence[CauseTotal]:
    """Findings by connection, currency, cause and direction."""
    with services.database.read(tenants=[tenant_id]) as connection:
        return queries.totals(connection, tenant_id=tenant_id, wanted=wanted)


def findings(
    services: Services, *, tenant_id: str, wanted: FindingFilter, limit: int = PAGE_MAX
) -> Sequence[StoredFinding]:
    """Findings, newest window first, at most `limit`, 50,000 at the most."""
    found: list[StoredFinding] = []
    after: tuple[datetime, str] | None = None
    limit = min(limit, ROWS_MAX)
    while len(found) < limit:
        with services.database.read(tenants=[tenant_id]) as connection:
            size = min(PAGE_MAX, limit - len(found))
            page = queries.findings(connection, tenant_id=tenant_id, wanted=wanted, after=after, limit=size)
        found += page
        if len(page) < size:
            break
        after = (page[-1].finding.subject.window.end, page[-1].finding_id)
    return found


def again(services: Services, *, tenant_id: str, connection: str, actor: str, reason: str) -> int:
    """Compare every customer of a billing connection again, or of all; gives how many."""
    now = services.clock.now()
    with services.database.unit(
        tenants=[tenant_id], kind="usage_billing", actor=actor, reason=reason, recorded_at=now
    ) as unit:
        roots = queries.billed_customers(unit.connection, tenant_id=tenant_id, source=connection)
        record.request_customers(unit, tenant_id=tenant_id, roots=roots)
    return len(roots)


def plain_total(one: CauseTotal) -> dict[str, Any]:
    """A total as doors show it."""
    found: dict[str, Any] = plain(one)
    return found


def plain_finding(one: StoredFinding) -> dict[str, Any]:
    """A finding as doors show it: flat, amounts as text."""
    finding = one.finding
    found: dict[str, Any] = plain(
        {
            "finding": one.finding_id,
            "connection": finding.subject.customer.connection,
            "customer": finding.subject.customer.outside_id,
            "price": finding.subject.price,
            "window_start": finding.subject.window.start,
            "window_end": finding.subject.window.end,
            "entity": one.entity,
            "product_family": one.product_family,
            "currency": finding.currency,
            "expected_quantity": finding.expected_quantity,
            "billed_quantity": finding.billed_quantity,
            "expected": finding.expected_amount,
            "billed": finding.billed_amount,
            "difference": finding.difference,
            "direction": finding.direction,
            "cause": finding.cause or "",
            "parts": finding.parts,
            "tolerated": finding.tolerated,
            "invoices": sorted({invoice for invoice, _ in finding.lines}),
            "lines": finding.lines,
            "charges": finding.charges,
            "compared_at": one.compared_at,
        }
    )
    return found


def flat(one: StoredFinding) -> dict[str, Any]:
    """A finding as one line of a table."""
    row = plain_finding(one)
    parts = "; ".join(f"{part['cause']} {part['amount']}" for part in row["parts"])
    return {**row, "parts": parts, "invoices": " ".join(row["invoices"]), "charges": " ".join(row["charges"])}


def write_report(path: Path, *, found: Sequence[StoredFinding]) -> Problem | None:
    """A report as CSV or XLSX, by the file's name; the file appears whole or not at all."""
    # The library that writes workbooks takes a moment to import, and no other command needs it.
    from revline.doors.console import exports  # noqa: PLC0415
    from revline.doors.console.values import Column, Row  # noqa: PLC0415

    made = {".csv": exports.as_csv, ".xlsx": exports.as_xlsx}.get(path.suffix.lower())
    if made is None:
        return problem("usage.report_format", f"{path.name[:60]} ends in neither .csv nor .xlsx", field="output")
    columns = [Column(key=name, title=name, kind="money" if name in MONEY else "text") for name in COLUMNS]
    rows = [Row(cells=tuple(_cells(flat(one)))) for one in found]
    download = made(name="usage-findings", columns=columns, rows=rows)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(download.body)
    temporary.replace(path)
    return None


def _cells(row: Mapping[str, Any]) -> Iterator[Any]:
    from revline.doors.console.values import Money, Text  # noqa: PLC0415 - as above

    for name in COLUMNS:
        value = row[name]
        yield Money(amount=Decimal(value), currency=row["currency"]) if name in MONEY else Text(text=str(value))
