"""What waits behind a case: how many other records, and their money. Kept on the case, so that cases can be sorted by it.

Cases know nothing of what waits for what: the room that owns the subjects counts, and writes here what it found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, or_, select, text

from revline.platform.cases.queries import AtRisk, Case, select_case, with_money
from revline.platform.cases.tables import case_behind, cause, exception_case

PAGE_MAX: Final = 1_000
UNCOUNTED: Final[Mapping[str, Any]] = {"behind": 0, "behind_more": False, "behind_at": None}
"""Columns of a case as they are before it is counted, and after it is closed."""
Place = tuple[Decimal, str]
"""(what cases are sorted by, case id) of the last one shown."""


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """What waits behind a record. records: how many, more: there are more than were counted. money: theirs, by currency."""

    records: int = 0
    more: bool = False
    money: tuple[AtRisk, ...] = ()


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """An open case as it was counted last. behind_at: when, None for never."""

    tenant_id: str
    case_id: str
    code: str
    subject_id: str
    behind: int
    behind_at: datetime | None


_FORGET: Final = text(
    """
    DELETE FROM case_behind USING unnest(CAST(:tenants AS text[]), CAST(:cases AS text[])) AS given(tenant_id, case_id)
    WHERE case_behind.tenant_id = given.tenant_id AND case_behind.case_id = given.case_id
    """
)
_MONEY: Final = text(
    """
    INSERT INTO case_behind (tenant_id, case_id, currency, amount)
    SELECT :tenant, given.case_id, given.currency, given.amount
    FROM unnest(CAST(:cases AS text[]), CAST(:currencies AS text[]), CAST(:amounts AS numeric[]))
         AS given(case_id, currency, amount)
    ON CONFLICT (tenant_id, case_id, currency) DO UPDATE SET amount = excluded.amount
    """
)
_COUNT: Final = text(
    """
    UPDATE exception_case SET behind = given.behind, behind_more = given.more, behind_at = :at
    FROM unnest(CAST(:cases AS text[]), CAST(:behind AS integer[]), CAST(:more AS boolean[]))
         AS given(case_id, behind, more)
    WHERE exception_case.tenant_id = :tenant AND exception_case.case_id = given.case_id
    """
)
_LOCK: Final = text(
    """
    SELECT case_id FROM exception_case WHERE tenant_id = :tenant AND case_id = ANY(CAST(:cases AS text[]))
    ORDER BY case_id FOR UPDATE
    """
)


def write_behind(connection: Connection, *, tenant_id: str, counted: Mapping[str, Behind], at: datetime) -> None:
    """Keep what was counted at a moment, by case id."""
    if not counted:
        return
    ids = sorted(counted)
    money = [(identity, one.currency, one.amount) for identity in ids for one in counted[identity].money]
    shared = {"tenant": tenant_id, "cases": ids}
    connection.execute(_LOCK, shared)
    forget_behind(connection, cases=[(tenant_id, identity) for identity in ids])
    if money:
        amounts = {
            "tenant": tenant_id,
            "cases": [one[0] for one in money],
            "currencies": [one[1] for one in money],
            "amounts": [one[2] for one in money],
        }
        connection.execute(_MONEY, amounts)
    parameters = {
        **shared,
        "behind": [counted[identity].records for identity in ids],
        "more": [counted[identity].more for identity in ids],
        "at": at,
    }
    connection.execute(_COUNT, parameters)


def forget_behind(connection: Connection, *, cases: Sequence[tuple[str, str]]) -> None:
    """Nothing waits behind these cases any more, since they are closed. cases: (tenant id, case id)."""
    if cases:
        parameters = {"tenants": [tenant for tenant, _ in cases], "cases": [case for _, case in cases]}
        connection.execute(_FORGET, parameters)


def longest_uncounted(
    connection: Connection, *, tenants: Sequence[str], subject_kind: str, before: datetime, limit: int
) -> tuple[Counted, ...]:
    """Open cases of one kind of subject that were not counted since a moment, those that waited longest first."""
    table = exception_case
    statement = (
        select(
            table.c.tenant_id,
            table.c.case_id,
            table.c.subject_id,
            table.c.behind,
            table.c.behind_at,
            cause.c.code,
        )
        .join(cause, (cause.c.tenant_id == table.c.tenant_id) & (cause.c.cause_id == table.c.cause_id))
        .where(
            table.c.tenant_id.in_(list(tenants)),
            cause.c.tenant_id.in_(list(tenants)),
            table.c.state == "open",
            table.c.subject_kind == subject_kind,
            or_(table.c.behind_at.is_(None), table.c.behind_at < before),
        )
        .order_by(table.c.behind_at.nulls_first(), table.c.tenant_id, table.c.case_id)
        .limit(min(limit, PAGE_MAX))
    )
    return tuple(Counted(**row) for row in connection.execute(statement).mappings())


def most_behind(
    connection: Connection, *, tenant_id: str, currency: str = "", after: Place | None = None, limit: int = 100
) -> tuple[Case, ...]:
    """Open cases with something behind them: those with the most money of one currency first, or with the most records ("").

    after: the place of the last one shown (`place_of`).
    """
    table, money = exception_case, case_behind
    statement = select_case(tenant_id).where(table.c.state == "open", table.c.behind > 0)
    measure = table.c.behind
    if currency:
        statement = statement.join(
            money, and_(money.c.tenant_id == table.c.tenant_id, money.c.case_id == table.c.case_id)
        ).where(money.c.tenant_id == tenant_id, money.c.currency == currency)
        measure = money.c.amount
    if after is not None:
        most, identity = after
        statement = statement.where(or_(measure < most, and_(measure == most, table.c.case_id > identity)))
    statement = statement.order_by(measure.desc(), table.c.case_id).limit(min(limit, PAGE_MAX))
    rows = connection.execute(statement).mappings().all()
    return with_money(connection, tenant_id=tenant_id, rows=rows)


def place_of(one: Case, *, currency: str = "") -> Place:
    """Where a case stands in `most_behind`."""
    amounts = {risk.currency: risk.amount for risk in one.behind_money}
    return (amounts.get(currency, Decimal(0)) if currency else Decimal(one.behind), one.case_id)


def currencies_behind(connection: Connection, *, tenant_id: str) -> tuple[str, ...]:
    """Currencies of the money that waits behind open cases, sorted; at most `PAGE_MAX`."""
    table = case_behind
    statement = select(table.c.currency).where(table.c.tenant_id == tenant_id).distinct().order_by(table.c.currency)
    return tuple(connection.execute(statement.limit(PAGE_MAX)).scalars())
