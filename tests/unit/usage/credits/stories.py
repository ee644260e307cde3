"""Lines, grants and refunds of one customer in few words, for the tests of credits."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from revline.core.canonical.credits import CreditGrant, CreditRefund
from revline.core.ids import SourceObject
from revline.core.money import Amount
from revline.core.problem import Problem
from revline.subledger.usage.charges.values import ChargeKind, ChargeSubject
from revline.subledger.usage.credits.settling import settle
from revline.subledger.usage.credits.values import Entry, GrantBalance, Line, Statement
from revline.subledger.usage.versions import Window

TENANT = "acme"
ZONE = "America/New_York"
CUSTOMER = SourceObject(connection="billing", kind="customer", outside_id="cus_1")


def at(day: str) -> datetime:
    """The moment a day begins in New York."""
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), ZoneInfo(ZONE)).astimezone(UTC)


def line(charge_id: str, first: str, after: str, amount: str, **more: Any) -> Line:
    """A line of a window [first, after); price, family and meter as given."""
    price = more.pop("price", "api-calls")
    subject = ChargeSubject(
        customer=CUSTOMER, kind=ChargeKind.USAGE, price=price, window=Window(start=at(first), end=at(after))
    )
    return Line(charge_id=charge_id, subject=subject, currency="USD", amount=Decimal(amount), **more)


def january(charge_id: str, amount: str, **more: Any) -> Line:
    return line(charge_id, "2026-01-01", "2026-02-01", amount, **more)


def february(charge_id: str, amount: str, **more: Any) -> Line:
    return line(charge_id, "2026-02-01", "2026-03-01", amount, **more)


def march(charge_id: str, amount: str, **more: Any) -> Line:
    return line(charge_id, "2026-03-01", "2026-04-01", amount, **more)


def grant(
    outside_id: str, amount: str, cost: str | None = None, since: str = "2026-01-01", until: str = "", **more: Any
) -> CreditGrant:
    return CreditGrant(
        outside_id=outside_id,
        customer=CUSTOMER.outside_id,
        currency="USD",
        amount=Amount(amount),
        cost=Amount(amount if cost is None else cost),
        granted_at=at(since),
        expires_at=at(until) if until else None,
        **more,
    )


def refund(outside_id: str, of: str, amount: str, day: str) -> CreditRefund:
    return CreditRefund(
        outside_id=outside_id, customer=CUSTOMER.outside_id, grant=of, amount=Amount(amount), refunded_at=at(day)
    )


def settled(day: str, **facts: Any) -> Statement:
    """The statement as of the beginning of a day."""
    facts.setdefault("lines", ())
    found = settle(tenant_id=TENANT, at=at(day), time_zone=ZONE, **facts)
    assert not isinstance(found, Problem), found
    return found


def said(entry: Entry) -> tuple[str, ...]:
    """An entry as a row: day, grant, rule, cause, credits, cost."""
    key = entry.key
    return (entry.day.isoformat(), key.grant_id, key.rule.value, key.cause, str(entry.amount), str(entry.cost))


def ledger(statement: Statement) -> list[tuple[str, ...]]:
    return [said(entry) for entry in statement.entries]


def paid(statement: Statement) -> dict[str, dict[str, str]]:
    """By line: what each grant paid, and what is due in money."""
    return {
        one.line.charge_id: {**{draw.grant_id: str(draw.amount) for draw in one.draws}, "due": str(one.due)}
        for one in statement.lines
    }


def balance(statement: Statement, outside_id: str) -> GrantBalance:
    return next(one for one in statement.balances if one.grant.outside_id == outside_id)
