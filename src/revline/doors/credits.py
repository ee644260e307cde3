"""Prepaid credits as every door offers them: what is asked for in words, acts, and statements as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from revline.core.canonical import CreditGrant, CreditRefund
from revline.core.hashing import plain
from revline.core.ids import SourceObject
from revline.core.money import parse_amount
from revline.core.problem import Problem, problem
from revline.doors.services import Services
from revline.subledger.usage.calendar import instant_of
from revline.subledger.usage.credits.queries import GrantRow, LedgerRow
from revline.subledger.usage.credits.running import Settled
from revline.subledger.usage.credits.service import Wanted


class GrantAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A grant as somebody asks for it. amounts: decimal strings; "" for what the plan says. starts, expires: a day, which
    begins where the entity keeps its books, or a time with an offset; "" for now and for what the plan says."""

    customer: str
    plan: str
    connection: str = ""
    grant: str = ""
    amount: str = ""
    cost: str = ""
    starts: str = ""
    expires: str = ""
    method: str = ""


def customer_of(services: Services, *, tenant_id: str, customer: str, connection: str) -> SourceObject | Problem:
    """A customer by its outside id; its connection may be left out where the tenant has one that brings customers."""
    setup = services.credits.setups.credit_setup(tenant_id=tenant_id)
    if isinstance(setup, Problem):
        return setup
    name = connection or (next(iter(setup.zones)) if len(setup.zones) == 1 else "")
    if name not in setup.zones:
        known = ", ".join(sorted(setup.zones)[:20]) or "none"
        what = f"there is no source connection {name[:60]!r}" if name else "name the customer's connection"
        return problem("connection.unknown", f"{what}; there are: {known}", field="connection")
    return SourceObject(connection=name, kind="customer", outside_id=customer)


def moment_of(
    services: Services, *, tenant_id: str, connection: str, text: str, field: str
) -> datetime | Problem | None:
    """A day, as the moment it begins where the entity keeps its books, or a time with an offset; None for ""."""
    if not text:
        return None
    setup = services.credits.setups.credit_setup(tenant_id=tenant_id)
    if isinstance(setup, Problem):
        return setup
    try:
        if len(text) == len("2026-01-31"):
            return instant_of(day=date.fromisoformat(text), time_zone=setup.zones.get(connection, "UTC"))
        moment = datetime.fromisoformat(text[:40])
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.utcoffset() is None or not 1970 <= moment.year <= 9000:
        return problem("time.invalid", f"{field} is {text[:40]!r}: a day such as 2026-01-31, or a time with an offset")
    return moment


def amount_of(text: str, *, field: str) -> Decimal | Problem | None:
    """A decimal string; None for ""."""
    if not text:
        return None
    found = parse_amount(text)
    return problem(found.code, found.detail, field=field) if isinstance(found, Problem) else found


def grant(services: Services, *, tenant_id: str, asked: GrantAsked, actor: str, reason: str) -> CreditGrant | Problem:
    """Grant credits by a plan."""
    customer = customer_of(services, tenant_id=tenant_id, customer=asked.customer, connection=asked.connection)
    if isinstance(customer, Problem):
        return customer
    values: dict[str, Any] = {}
    for name, text in (("amount", asked.amount), ("cost", asked.cost)):
        values[name] = amount_of(text, field=name)
    for name, text in (("starts_at", asked.starts), ("expires_at", asked.expires)):
        values[name] = moment_of(services, tenant_id=tenant_id, connection=customer.connection, text=text, field=name)
    wrong = next((value for value in values.values() if isinstance(value, Problem)), None)
    if wrong is not None:
        return wrong
    wanted = Wanted(customer=customer, plan=asked.plan, outside_id=asked.grant, method=asked.method, **values)
    return services.credits.grant(tenant_id=tenant_id, wanted=wanted, actor=actor, reason=reason)


def end(
    services: Services, *, tenant_id: str, grant: str, connection: str, at: str, actor: str, reason: str
) -> CreditGrant | Problem:
    """Let a grant expire early."""
    place = customer_of(services, tenant_id=tenant_id, customer="", connection=connection)
    if isinstance(place, Problem):
        return place
    moment = moment_of(services, tenant_id=tenant_id, connection=place.connection, text=at, field="at")
    if isinstance(moment, Problem):
        return moment
    return services.credits.end(
        tenant_id=tenant_id, connection=place.connection, outside_id=grant, at=moment, actor=actor, reason=reason
    )


def void(
    services: Services, *, tenant_id: str, grant: str, connection: str, actor: str, reason: str
) -> CreditGrant | Problem:
    """Take a grant back that was a mistake."""
    place = customer_of(services, tenant_id=tenant_id, customer="", connection=connection)
    if isinstance(place, Problem):
        return place
    return services.credits.void(
        tenant_id=tenant_id, connection=place.connection, outside_id=grant, actor=actor, reason=reason
    )


def refund(
    services: Services,
    *,
    tenant_id: str,
    grant: str,
    connection: str,
    amount: str,
    refund_id: str,
    method: str,
    actor: str,
    reason: str,
) -> CreditRefund | Problem:
    """Give unused credits back."""
    place = customer_of(services, tenant_id=tenant_id, customer="", connection=connection)
    if isinstance(place, Problem):
        return place
    wanted = amount_of(amount, field="amount")
    if isinstance(wanted, Problem):
        return wanted
    return services.credits.refund(
        tenant_id=tenant_id,
        connection=place.connection,
        outside_id=grant,
        amount=wanted,
        refund_id=refund_id,
        method=method,
        actor=actor,
        reason=reason,
    )


def statement(
    services: Services, *, tenant_id: str, customer: str, connection: str, at: str = ""
) -> tuple[SourceObject, Settled] | Problem:
    """A customer's statement, as of now or a moment."""
    found = customer_of(services, tenant_id=tenant_id, customer=customer, connection=connection)
    if isinstance(found, Problem):
        return found
    moment = moment_of(services, tenant_id=tenant_id, connection=found.connection, text=at, field="at")
    if isinstance(moment, Problem):
        return moment
    settled = services.credits.statement(tenant_id=tenant_id, customer=found, at=moment)
    return settled if isinstance(settled, Problem) else (found, settled)


def plain_grant(row: GrantRow) -> dict[str, Any]:
    """A grant with what the ledger holds, as JSON."""
    values: dict[str, Any] = plain(row)
    return {**values.pop("grant"), **values, "grant": row.grant.outside_id}


def plain_statement(customer: SourceObject, settled: Settled, ledger: Sequence[LedgerRow]) -> dict[str, Any]:
    """A statement with what the ledger holds, as JSON. balances: each grant; lines: what paid each line; ledger: what was
    posted."""
    found = settled.statement
    return {
        "customer": plain(customer),
        "at": plain(found.at),
        "balances": [_plain_balance(plain(one)) for one in found.balances],
        "lines": [
            {
                "charge_id": one.line.charge_id,
                "price": one.line.subject.price,
                "window": plain(one.line.subject.window),
                "currency": one.line.currency,
                "amount": plain(one.line.amount),
                "draws": plain(one.draws),
                "due": plain(one.due),
            }
            for one in found.lines
        ],
        "commitments": plain(found.commitments),
        "pending": [_plain_entry(plain(one)) for one in found.pending],
        "top_ups": plain(found.top_ups),
        "findings": plain(found.findings),
        "ledger": plain(ledger),
    }


def _plain_balance(values: dict[str, Any]) -> dict[str, Any]:
    grant = values.pop("grant")
    kept = ("plan", "title", "currency", "priority", "scope", "granted_at", "starts_at")
    return {"grant": grant["outside_id"], **{name: grant[name] for name in kept}, **values}


def _plain_entry(values: dict[str, Any]) -> dict[str, Any]:
    key = values.pop("key")
    return {"grant": key["grant_id"], "rule": key["rule"], "cause": key["cause"], **values}
