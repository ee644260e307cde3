"""Top-ups: when credits of a plan run low, the grant its rule asks for. Pure.

The id of a top-up says its customer, plan, period and number in the period, so whoever computes it again finds the one that was
made.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from revline.core.canonical.credits import CreditGrant, TopUp
from revline.core.ids import derived_id
from revline.subledger.usage.calendar import plus_span
from revline.subledger.usage.credits.lots import Lot
from revline.subledger.usage.credits.values import ZERO


def due_top_up(
    *, plan: str, lots: Mapping[str, Lot], known: Mapping[str, CreditGrant], at: datetime, time_zone: str
) -> CreditGrant | None:
    """The top-up of a plan that is due after what happened at `at`, None when none is.

    The rule is that of the plan's newest grant. One that was made counts from the moment it was due, also where it begins
    later. It pays what is charged after it.
    """
    mine = [lot for lot in lots.values() if plan and lot.grant.plan == plan]
    newest = max(mine, key=lambda lot: (lot.grant.granted_at, lot.grant.outside_id), default=None)
    if newest is None or newest.grant.top_up is None:
        return None
    rule, last = newest.grant.top_up, newest.grant
    balance = sum((lot.left for lot in mine if not lot.over and lot.grant.currency == last.currency), ZERO)
    period = _period(at, rule, time_zone)
    for number in range(1, rule.limit + 1):
        identity = top_up_id(grant=last, plan=plan, period=period, number=number)
        made = known.get(identity)
        if made is None:
            return _made(last, rule, identity, at, time_zone) if balance < rule.threshold else None
        balance += made.amount if made.granted_at > at else ZERO
    return None


def top_up_id(*, grant: CreditGrant, plan: str, period: str, number: int) -> str:
    """The outside id of a top-up."""
    identity = derived_id("top-up", grant.customer, plan, grant.currency, period, number)
    return f"top-up-{identity}"


def _period(at: datetime, rule: TopUp, time_zone: str) -> str:
    """The first month of the period, periods counted from January of year 1."""
    local = at.astimezone(ZoneInfo(time_zone))
    index = (local.year * 12 + local.month - 1) // rule.months * rule.months
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def _made(last: CreditGrant, rule: TopUp, identity: str, at: datetime, time_zone: str) -> CreditGrant:
    span = rule.lasts
    return msgspec.structs.replace(
        last,
        outside_id=identity,
        amount=rule.amount,
        cost=rule.cost,
        granted_at=at,
        starts_at=None,
        expires_at=None
        if span is None
        else plus_span(moment=at, months=span.months, days=span.days, time_zone=time_zone),
    )
