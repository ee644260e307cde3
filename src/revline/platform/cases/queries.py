"""Reads of causes and cases, counted in records and in money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, select

from revline.core.money import at_least_in_scale
from revline.core.problem import CATALOGUE
from revline.platform.cases.tables import case_behind, case_transition, cause, exception_case

PAGE_MAX: Final = 1_000
_ELSEWHERE: Final = frozenset({"code", "connection", "field", "behind_money"})
"""Fields of a case that are no columns of its row."""


class AtRisk(msgspec.Struct, frozen=True, kw_only=True):
    """Money at risk in one currency."""

    currency: str
    amount: Decimal


class CauseSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A cause with what stands for it. title, remedy, mender: of the code's catalogue entry."""

    cause_id: str
    code: str
    title: str
    remedy: str
    mender: str
    connection: str
    field: str
    cases: int
    at_risk: tuple[AtRisk, ...]
    oldest: datetime
    example: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A case as it stands. behind: other records that wait for this one, with their money, as last counted; behind_more: there
    are more than were counted."""

    case_id: str
    cause_id: str
    code: str
    connection: str
    field: str
    subject_kind: str
    subject_id: str
    state: str
    case_class: str
    detail: str
    currency: str
    amount: Decimal | None
    openings: int
    opened_at: datetime
    closed_at: datetime | None
    actor: str
    reason: str
    behind: int = 0
    behind_more: bool = False
    behind_money: tuple[AtRisk, ...] = ()


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a case at one moment."""

    state: str
    detail: str
    actor: str
    reason: str
    at: datetime
    position: int


class CaseCount(msgspec.Struct, frozen=True, kw_only=True):
    """Open cases of one tenant by class, with the money of one currency."""

    case_class: str
    currency: str
    cases: int
    amount: Decimal


def causes(connection: Connection, *, tenant_id: str, cause_id: str = "", limit: int = 100) -> tuple[CauseSummary, ...]:
    """Causes with open cases, or the one named, those with the most cases first, at most `limit`."""
    table = exception_case
    statement = (
        select(
            table.c.cause_id,
            table.c.currency,
            func.count().label("cases"),
            func.coalesce(func.sum(table.c.amount), 0).label("amount"),
            func.min(table.c.opened_at).label("oldest"),
            func.min(table.c.detail).label("example"),
        )
        .where(table.c.tenant_id == tenant_id, table.c.state == "open")
        .group_by(table.c.cause_id, table.c.currency)
        .order_by(table.c.cause_id, table.c.currency)
    )
    if cause_id:
        statement = statement.where(table.c.cause_id == cause_id)
    grouped: dict[str, list[tuple[str, int, Decimal, datetime, str]]] = {}
    for row in connection.execute(statement):
        grouped.setdefault(row.cause_id, []).append((row.currency, row.cases, row.amount, row.oldest, row.example))
    kinds = {row.cause_id: row for row in connection.execute(select(cause).where(cause.c.tenant_id == tenant_id))}
    found = [
        CauseSummary(
            cause_id=identity,
            code=kinds[identity].code,
            title=CATALOGUE[kinds[identity].code].title if kinds[identity].code in CATALOGUE else kinds[identity].code,
            remedy=CATALOGUE[kinds[identity].code].remedy if kinds[identity].code in CATALOGUE else "",
            mender=CATALOGUE[kinds[identity].code].mender if kinds[identity].code in CATALOGUE else "",
            connection=kinds[identity].connection,
            field=kinds[identity].field,
            cases=sum(part[1] for part in parts),
            at_risk=tuple(
                AtRisk(currency=part[0], amount=at_least_in_scale(amount=part[2], code=part[0]))
                for part in parts
                if part[0]
            ),
            oldest=min(part[3] for part in parts),
            example=parts[0][4],
        )
        for identity, parts in grouped.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.cases, one.cause_id))[: min(limit, PAGE_MAX)])


def cases(
    connection: Connection,
    *,
    tenant_id: str,
    cause_id: str = "",
    state: str = "open",
    subject_kind: str = "",
    subject_id: str = "",
    after: str = "",
    limit: int = 100,
) -> tuple[Case, ...]:
    """Cases by id after the cursor, of one cause or one subject where named, in one state ("" for any)."""
    table = exception_case
    statement = select_case(tenant_id).where(table.c.case_id > after)
    if cause_id:
        statement = statement.where(table.c.cause_id == cause_id)
    if state:
        statement = statement.where(table.c.state == state)
    if subject_kind:
        statement = statement.where(table.c.subject_kind == subject_kind, table.c.subject_id == subject_id)
    rows = connection.execute(statement.order_by(table.c.case_id).limit(min(limit, PAGE_MAX))).mappings().all()
    return with_money(connection, tenant_id=tenant_id, rows=rows)


def case(connection: Connection, *, tenant_id: str, case_id: str) -> Case | None:
    """One case by its id."""
    statement = select_case(tenant_id).where(exception_case.c.case_id == case_id)
    rows = connection.execute(statement).mappings().all()
    return next(iter(with_money(connection, tenant_id=tenant_id, rows=rows)), None)


def with_money(connection: Connection, *, tenant_id: str, rows: Sequence[Mapping[Any, Any]]) -> tuple[Case, ...]:
    """Rows of `select_case` as cases, each with the money that waits behind it."""
    behind = [row["case_id"] for row in rows if row["behind"]]
    table = case_behind
    statement = (
        select(table.c.case_id, table.c.currency, table.c.amount)
        .where(table.c.tenant_id == tenant_id, table.c.case_id.in_(behind))
        .order_by(table.c.case_id, table.c.currency)
    )
    money: dict[str, list[AtRisk]] = {}
    for row in connection.execute(statement) if behind else ():
        amount = at_least_in_scale(amount=row.amount, code=row.currency)
        money.setdefault(row.case_id, []).append(AtRisk(currency=row.currency, amount=amount))
    return tuple(Case(**_in_scale(row), behind_money=tuple(money.get(row["case_id"], ()))) for row in rows)


def transitions(connection: Connection, *, tenant_id: str, case_id: str) -> tuple[Transition, ...]:
    """What became of a case, oldest first, at most `PAGE_MAX`."""
    table = case_transition
    statement = (
        select(table.c.state, table.c.detail, table.c.actor, table.c.reason, table.c.at, table.c.position)
        .where(table.c.tenant_id == tenant_id, table.c.case_id == case_id)
        .order_by(table.c.position, table.c.ordinal)
        .limit(PAGE_MAX)
    )
    rows = connection.execute(statement).mappings()
    return tuple(Transition(**{str(key): value for key, value in row.items()}) for row in rows)


def counts(connection: Connection, *, tenant_id: str) -> tuple[CaseCount, ...]:
    """Open cases by class and currency."""
    table = exception_case
    statement = (
        select(
            table.c.case_class,
            table.c.currency,
            func.count().label("cases"),
            func.coalesce(func.sum(table.c.amount), 0).label("amount"),
        )
        .where(table.c.tenant_id == tenant_id, table.c.state == "open")
        .group_by(table.c.case_class, table.c.currency)
        .order_by(table.c.case_class, table.c.currency)
    )
    rows = connection.execute(statement).mappings()
    return tuple(CaseCount(**_in_scale(row)) for row in rows)


def _in_scale(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row by column; its amount, stored padded with zeros, with its currency's digits."""
    values = {str(name): value for name, value in row.items()}
    if values["amount"] is not None:
        values["amount"] = at_least_in_scale(amount=values["amount"], code=values["currency"])
    return values


def select_case(tenant_id: str) -> Select[tuple[object, ...]]:
    """Cases of a tenant as `with_money` takes their rows."""
    table = exception_case
    joined = table.join(cause, (cause.c.tenant_id == table.c.tenant_id) & (cause.c.cause_id == table.c.cause_id))
    chosen = [table.c[name] for name in Case.__struct_fields__ if name not in _ELSEWHERE]
    return (
        select(*chosen, cause.c.code, cause.c.connection, cause.c.field)
        .select_from(joined)
        .where(table.c.tenant_id == tenant_id)
    )
