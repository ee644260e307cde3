"""The configuration kind CreditPlan: the terms credits are granted under, and the grant they make. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Final

import msgspec

from revline.core.canonical.credits import (
    BookedBy,
    Breakage,
    Coverage,
    CreditGrant,
    RollOver,
    Scope,
    Span,
    TopUp,
)
from revline.core.money import PRECISION, Amount, Currency, Rounding, currency, in_scale, known_currency, round_amount
from revline.core.problem import FieldError, Problem
from revline.platform.config.registry import Specs
from revline.subledger.usage.calendar import day_of, instant_of, plus_months
from revline.subledger.usage.commitments import scope_errors

PRIORITY_MAX: Final = 10_000
TIMES_MAX: Final = 120
LIMIT_MAX: Final = 100
MONTHS_MAX: Final = 1_200


class CreditPlan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How credits are granted.

    amount: of one grant where nobody says another. cost_basis: what a credit of 1 is sold for, 0 for a promotion. lasts: how
    long a grant pays, from the day it begins to the beginning of the same day so much later; none: for ever. The other fields
    are those of a grant, which keeps them: a plan that is changed changes what is granted from then on.
    """

    title: str
    currency: str
    amount: Amount
    cost_basis: Amount = Amount(1)
    lasts: Span | None = None
    priority: int = 100
    scope: Scope = Scope()
    product_family: str = ""
    coverage: Coverage = Coverage.WINDOW_END
    breakage: Breakage = Breakage.AT_EXPIRY
    expected_breakage: Amount | None = None
    roll_over: RollOver | None = None
    top_up: TopUp | None = None
    booked_by: BookedBy = BookedBy.STATED


def granted(
    *,
    plan: str,
    spec: CreditPlan,
    outside_id: str,
    customer: str,
    granted_at: datetime,
    time_zone: str,
    amount: Decimal | None = None,
    cost: Decimal | None = None,
    starts_at: datetime | None = None,
    expires_at: datetime | None = None,
    method: str = "",
) -> CreditGrant:
    """The grant a plan makes. cost: by the cost basis, rounded half up, unless it is given. expires_at: by `lasts` unless it
    is."""
    size = spec.amount if amount is None else Amount(amount)
    with localcontext() as context:
        context.prec = PRECISION
        price = size * spec.cost_basis
    money = known_currency(spec.currency)
    begins = granted_at if starts_at is None else starts_at
    if expires_at is None and spec.lasts is not None:
        expires_at = _end(begins, spec.lasts, time_zone)
    return CreditGrant(
        outside_id=outside_id,
        customer=customer,
        currency=spec.currency,
        amount=size,
        cost=Amount(round_amount(amount=price if cost is None else cost, currency=money, rounding=Rounding.HALF_UP)),
        granted_at=granted_at,
        starts_at=starts_at,
        expires_at=expires_at,
        priority=spec.priority,
        scope=spec.scope,
        plan=plan,
        title=spec.title,
        product_family=spec.product_family,
        coverage=spec.coverage,
        breakage=spec.breakage,
        expected_breakage=spec.expected_breakage,
        roll_over=spec.roll_over,
        top_up=spec.top_up,
        booked_by=spec.booked_by,
        method=method,
    )


def _end(begins: datetime, lasts: Span, time_zone: str) -> datetime:
    later = plus_months(day=day_of(moment=begins, time_zone=time_zone), months=lasts.months)
    return instant_of(day=later + timedelta(days=lasts.days), time_zone=time_zone)


def check_plan(name: str, spec: CreditPlan, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a plan: its currency, amounts, shares and spans."""
    del name, others
    money = currency(spec.currency)
    if not isinstance(money, Currency):
        return (FieldError(pointer="spec.currency", detail=money.detail, instead="currency: USD (a code of ISO 4217)"),)
    found = [
        *_amount_errors("spec.amount", spec.amount, money, above_zero=True),
        *_span_errors("spec.lasts", spec.lasts),
        *scope_errors(spec.scope),
    ]
    if not spec.cost_basis >= 0:
        found.append(
            _wrong("spec.costBasis", "credits are not sold for less than nothing", "0 or more; 0 for a promotion")
        )
    if spec.expected_breakage is not None and not 0 <= spec.expected_breakage < 1:
        found.append(_wrong("spec.expectedBreakage", "this is no share", "from 0 to below 1, such as 0.1 for a tenth"))
    if not 0 <= spec.priority <= PRIORITY_MAX:
        found.append(_wrong("spec.priority", "this priority is out of range", f"from 0 to {PRIORITY_MAX}"))
    if spec.roll_over is not None:
        found += _roll_over_errors(spec.roll_over, money)
    if spec.top_up is not None:
        found += _top_up_errors(spec.top_up, money)
    return tuple(found)


def _roll_over_errors(rule: RollOver, money: Currency) -> list[FieldError]:
    found = _span_errors("spec.rollOver.extends", rule.extends)
    if rule.amount is not None:
        found += _amount_errors("spec.rollOver.amount", rule.amount, money, above_zero=True)
    if rule.percent is not None and not 0 < rule.percent <= 100:
        found.append(_wrong("spec.rollOver.percent", "this is no share", "above 0, at most 100"))
    if not 1 <= rule.times <= TIMES_MAX:
        found.append(_wrong("spec.rollOver.times", "out of range", f"from 1 to {TIMES_MAX}"))
    return found


def _top_up_errors(rule: TopUp, money: Currency) -> list[FieldError]:
    found = [
        *_amount_errors("spec.topUp.threshold", rule.threshold, money, above_zero=True),
        *_amount_errors("spec.topUp.amount", rule.amount, money, above_zero=True),
        *_amount_errors("spec.topUp.cost", rule.cost, money, above_zero=False),
        *_span_errors("spec.topUp.lasts", rule.lasts),
    ]
    if not 1 <= rule.limit <= LIMIT_MAX:
        found.append(_wrong("spec.topUp.limit", "out of range", f"from 1 to {LIMIT_MAX}"))
    if not 1 <= rule.months <= MONTHS_MAX:
        found.append(_wrong("spec.topUp.months", "out of range", f"from 1 to {MONTHS_MAX}"))
    return found


def _amount_errors(pointer: str, amount: Decimal, money: Currency, *, above_zero: bool) -> list[FieldError]:
    if isinstance(in_scale(amount=amount, currency=money), Problem):
        return [_wrong(pointer, f"more digits than {money.code} has", f"at most {money.scale} digits after the point")]
    if amount < 0 or (above_zero and not amount):
        return [_wrong(pointer, "too little", "an amount above 0" if above_zero else "0 or more")]
    return []


def _span_errors(pointer: str, span: Span | None) -> list[FieldError]:
    if span is None or (0 <= span.months <= MONTHS_MAX and span.days >= 0 and span.months + span.days > 0):
        return []
    return [_wrong(pointer, "this is no length of time", "months and days of 0 or more, not both 0")]


def _wrong(pointer: str, detail: str, instead: str) -> FieldError:
    return FieldError(pointer=pointer, detail=detail, instead=instead)
