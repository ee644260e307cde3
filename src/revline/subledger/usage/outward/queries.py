"""Reads lines that bill usage, findings and what was told. Each takes an open connection that names the tenant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, RowMapping, func, select

from revline.core.ids import SourceObject
from revline.core.money import at_least_in_scale, decode_hook
from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.charges.tables import charge_billing
from revline.subledger.usage.outward.compare import gather
from revline.subledger.usage.outward.comparing import First
from revline.subledger.usage.outward.tables import usage_billed_line, usage_finding
from revline.subledger.usage.outward.values import Billed, BilledLine, BillingSubject, Direction, Finding
from revline.subledger.usage.versions import Window

ROWS_MAX: Final = 100_000
PAGE_MAX: Final = 1_000
ZERO: Final = Decimal(0)


class StoredFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding as it stands. compared_at: when it was last compared."""

    finding_id: str
    finding: Finding
    entity: str
    product_family: str
    compared_at: datetime


class FindingFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which findings are asked for; "" and None for all. window_from, window_to: half-open, of a window's end. all: also those that
    are equal or within the tolerance."""

    connection: str = ""
    customer: str = ""
    cause: str = ""
    direction: str = ""
    window_from: datetime | None = None
    window_to: datetime | None = None
    all: bool = False


class CauseTotal(msgspec.Struct, frozen=True, kw_only=True):
    """Findings of one connection, currency, cause and direction. difference: the sum, billed less expected."""

    connection: str
    currency: str
    cause: str
    direction: str
    tolerated: bool
    findings: int
    expected: Decimal
    billed: Decimal
    difference: Decimal


def billed_of(connection: Connection, *, tenant_id: str, customer_root: str) -> tuple[str, tuple[Billed, ...]]:
    """(billing connection, what it bills a customer together), by the billing system's own prices; "" where nothing is known."""
    table = usage_billed_line
    statement = (
        select(table)
        .where(table.c.tenant_id == tenant_id, table.c.customer_root == customer_root)
        .order_by(table.c.invoice, table.c.line)
        .limit(ROWS_MAX + 1)
    )
    rows = connection.execute(statement).mappings().all()
    if len(rows) > ROWS_MAX:
        raise TooManyLinesError(f"a customer has more than {ROWS_MAX} billed lines")
    lines = [_line(row) for row in rows if row["live"]]
    return (rows[0]["connection"] if rows else ""), gather(lines)


class TooManyLinesError(Exception):
    """A customer has more billed lines than one comparison takes."""


def _line(row: RowMapping) -> tuple[BillingSubject, str, BilledLine]:
    customer = SourceObject(connection=row["connection"], kind="customer", outside_id=row["customer"])
    window = Window(start=row["window_start"], end=row["window_end"])
    line = BilledLine(
        invoice=row["invoice"],
        line=row["line"],
        quantity=at_least_in_scale(amount=row["quantity"], code=""),
        unit_price=at_least_in_scale(amount=row["unit_price"], code=""),
        amount=at_least_in_scale(amount=row["amount"], code=row["currency"]),
        billed_on=row["billed_on"],
        charge=row["charge"],
        accrued=row["accrued"],
    )
    return BillingSubject(customer=customer, price=row["price"], window=window), row["currency"], line


def lines_of_invoice(
    connection: Connection, *, tenant_id: str, source: str, invoice: str
) -> Mapping[str, Mapping[str, Any]]:
    """The rows of one invoice by line."""
    table = usage_billed_line
    statement = select(table).where(
        table.c.tenant_id == tenant_id, table.c.connection == source, table.c.invoice == invoice
    )
    return {row["line"]: dict(row) for row in connection.execute(statement).mappings()}


def first_of(connection: Connection, *, tenant_id: str, customer_root: str) -> Mapping[str, First]:
    """What was expected of each subject when it was first compared, by finding id."""
    table = usage_finding
    statement = select(table.c.finding_id, table.c.first_quantity, table.c.first_amount, table.c.currency).where(
        table.c.tenant_id == tenant_id, table.c.customer_root == customer_root, table.c.first_amount.is_not(None)
    )
    return {
        row.finding_id: First(
            quantity=at_least_in_scale(amount=row.first_quantity, code=""),
            amount=at_least_in_scale(amount=row.first_amount, code=row.currency),
        )
        for row in connection.execute(statement)
    }


def finding_ids(connection: Connection, *, tenant_id: str, customer_root: str) -> frozenset[str]:
    """The findings of a customer that are stored."""
    table = usage_finding
    statement = select(table.c.finding_id).where(table.c.tenant_id == tenant_id, table.c.customer_root == customer_root)
    return frozenset(connection.execute(statement).scalars())


def billings_by_charge(connection: Connection, *, tenant_id: str, charge_ids: Collection[str]) -> Mapping[str, Billing]:
    """What was said last of what bills these charge lines; those that nothing bills are left out."""
    table = charge_billing
    statement = select(table).where(
        table.c.tenant_id == tenant_id, table.c.charge_id.in_(sorted(charge_ids)), table.c.billed
    )
    rows = connection.execute(statement) if charge_ids else ()
    return {row.charge_id: Billing(charge_id=row.charge_id, day=row.day, cleared=row.cleared) for row in rows}


def customers_of(connection: Connection, *, tenant_id: str, ids: Collection[str]) -> tuple[str, ...]:
    """The customer roots of these findings."""
    table = usage_finding
    statement = select(table.c.customer_root).where(table.c.tenant_id == tenant_id, table.c.finding_id.in_(sorted(ids)))
    return tuple(sorted(set(connection.execute(statement).scalars()))) if ids else ()


def billed_customers(connection: Connection, *, tenant_id: str, source: str = "") -> tuple[str, ...]:
    """The customer roots that are billed metered use, or have findings, on one connection or on any."""
    found: set[str] = set()
    for table in (usage_billed_line, usage_finding):
        statement = select(table.c.customer_root).where(table.c.tenant_id == tenant_id).distinct().limit(ROWS_MAX)
        if source:
            statement = statement.where(table.c.connection == source)
        found.update(connection.execute(statement).scalars())
    return tuple(sorted(found))


def findings(
    connection: Connection,
    *,
    tenant_id: str,
    wanted: FindingFilter,
    after: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> tuple[StoredFinding, ...]:
    """A page of findings, newest window first. after: (end of window, id) of the last one of the page before."""
    table = usage_finding
    statement = (
        select(table)
        .where(table.c.tenant_id == tenant_id, *_conditions(wanted))
        .order_by(table.c.window_end.desc(), table.c.finding_id)
        .limit(min(limit, PAGE_MAX))
    )
    if after is not None:
        end, identity = after
        statement = statement.where(
            (table.c.window_end < end) | ((table.c.window_end == end) & (table.c.finding_id > identity))
        )
    return tuple(_stored(row) for row in connection.execute(statement).mappings())


def finding(connection: Connection, *, tenant_id: str, finding_id: str) -> StoredFinding | None:
    """One finding."""
    table = usage_finding
    statement = select(table).where(table.c.tenant_id == tenant_id, table.c.finding_id == finding_id)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _stored(row)


def totals(connection: Connection, *, tenant_id: str, wanted: FindingFilter) -> tuple[CauseTotal, ...]:
    """Findings by connection, currency, cause and direction, the largest differences first."""
    table = usage_finding
    keys = (table.c.connection, table.c.currency, table.c.cause, table.c.direction, table.c.tolerated)
    sums = [func.sum(table.c[name]).label(name) for name in ("expected_amount", "billed_amount", "difference")]
    statement = (
        select(*keys, func.count().label("findings"), *sums)
        .where(table.c.tenant_id == tenant_id, *_conditions(wanted))
        .group_by(*keys)
        .order_by(func.abs(func.sum(table.c.difference)).desc(), *keys)
        .limit(PAGE_MAX)
    )
    return tuple(
        CauseTotal(
            connection=row.connection,
            currency=row.currency,
            cause=row.cause,
            direction=row.direction,
            tolerated=row.tolerated,
            findings=row.findings,
            expected=at_least_in_scale(amount=row.expected_amount, code=row.currency),
            billed=at_least_in_scale(amount=row.billed_amount, code=row.currency),
            difference=at_least_in_scale(amount=row.difference, code=row.currency),
        )
        for row in connection.execute(statement)
    )


def _conditions(wanted: FindingFilter) -> Sequence[Any]:
    table = usage_finding
    found: list[Any] = [
        table.c[name] == value
        for name, value in (
            ("connection", wanted.connection),
            ("customer", wanted.customer),
            ("cause", wanted.cause),
            ("direction", wanted.direction),
        )
        if value
    ]
    if wanted.window_from is not None:
        found.append(table.c.window_end > wanted.window_from)
    if wanted.window_to is not None:
        found.append(table.c.window_end <= wanted.window_to)
    if not wanted.all:
        found += [table.c.direction != Direction.EQUAL.value, ~table.c.tolerated]
    return found


def _stored(row: RowMapping) -> StoredFinding:
    return StoredFinding(
        finding_id=row["finding_id"],
        finding=_FINDINGS.decode(bytes(row["content"])),
        entity=row["entity"],
        product_family=row["product_family"],
        compared_at=row["compared_at"],
    )


_FINDINGS: Final = msgspec.json.Decoder(Finding, dec_hook=decode_hook)
