"""What a customer may still owe: open items by currency against the limits of a credit policy. Pure.

A limit is per currency and never converted: what stands in one currency does not use up the limit of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.core.money import Amount, at_least_in_scale, currency
from revline.core.problem import FieldError, Mender, Problem, Retryable, define
from revline.platform.tenancy.kinds import LegalEntity, unknown_reference
from revline.subledger.receivables.balances import ItemBalance

ZERO: Final = Decimal(0)
OVERDUE_DAYS_MAX: Final = 3_650


class CustomerCredit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What holds for one customer instead of the default. limits: by currency. blocked: whatever is owed."""

    limits: dict[str, Amount] = {}
    blocked: bool = False
    reason: str = ""


class CreditPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much customers may owe.

    entity: the legal entity it is for, "" for every one without a policy of its own. limits: currency -> greatest amount owed, in
    that currency; a currency without one has no limit. customers: outside id -> what differs. block_overdue_days: more days than
    these after a due date block a customer, none for never.
    """

    entity: str = ""
    limits: dict[str, Amount] = {}
    customers: dict[str, CustomerCredit] = {}
    block_overdue_days: int | None = None


class CurrencyCredit(msgspec.Struct, frozen=True, kw_only=True):
    """One currency. open_amount: invoices not paid yet. overdue_amount: those due before the day. unapplied_cash, credit_balance:
    the customer's money, positive. balance: what is owed in all. limit, available: None without a limit."""

    currency: str
    open_amount: Amount
    overdue_amount: Amount
    oldest_overdue_days: int
    unapplied_cash: Amount
    credit_balance: Amount
    balance: Amount
    limit: Amount | None
    available: Amount | None


class CreditReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a customer is blocked: a problem code, what it is about, in words."""

    code: str
    field: str
    detail: str


class CreditStanding(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's credit at the end of a day."""

    as_of: date
    currencies: tuple[CurrencyCredit, ...]
    blocked: bool
    reasons: tuple[CreditReason, ...]


def credit_standing(
    *,
    items: Iterable[ItemBalance],
    policy: CreditPolicy | None,
    customer: str,
    as_of: date,
    currencies: Iterable[str] = (),
) -> CreditStanding:
    """Sums per currency and whether the customer is blocked. customer: outside id. currencies: shown also when nothing is open."""
    by_currency: dict[str, list[ItemBalance]] = {code: [] for code in currencies}
    for item in items:
        by_currency.setdefault(item.currency, []).append(item)
    own = None if policy is None else policy.customers.get(customer)
    limits = {} if policy is None else {**policy.limits, **(own.limits if own else {})}
    for code in limits:
        by_currency.setdefault(code, [])
    found = tuple(_of_currency(code, each, limits.get(code), as_of) for code, each in sorted(by_currency.items()))
    reasons: list[CreditReason] = []
    if own is not None and own.blocked:
        reasons.append(CreditReason(code="credit.blocked", field=customer, detail=own.reason or "blocked by policy"))
    for each in found:
        if each.available is not None and each.available < ZERO:
            detail = f"{each.balance} {each.currency} are owed, the limit is {each.limit}"
            reasons.append(CreditReason(code="credit.limit_exceeded", field=each.currency, detail=detail))
        days = None if policy is None else policy.block_overdue_days
        if days is not None and each.oldest_overdue_days > days:
            detail = f"an invoice is {each.oldest_overdue_days} days overdue, more than {days}"
            reasons.append(CreditReason(code="credit.overdue", field=each.currency, detail=detail))
    return CreditStanding(as_of=as_of, currencies=found, blocked=bool(reasons), reasons=tuple(reasons))


def _of_currency(code: str, items: list[ItemBalance], limit: Decimal | None, as_of: date) -> CurrencyCredit:
    owed = [item for item in items if item.owed > ZERO]
    overdue = [item for item in owed if item.due_on is not None and item.due_on < as_of]
    unapplied = -sum((item.owed for item in items if item.owed < ZERO and item.kind == "payment"), ZERO)
    credit = -sum((item.owed for item in items if item.owed < ZERO and item.kind != "payment"), ZERO)
    balance = at_least_in_scale(amount=sum((item.owed for item in items), ZERO), code=code)
    return CurrencyCredit(
        currency=code,
        open_amount=at_least_in_scale(amount=sum((item.owed for item in owed), ZERO), code=code),
        overdue_amount=at_least_in_scale(amount=sum((item.owed for item in overdue), ZERO), code=code),
        oldest_overdue_days=max(((as_of - item.due_on).days for item in overdue if item.due_on), default=0),
        unapplied_cash=at_least_in_scale(amount=unapplied, code=code),
        credit_balance=at_least_in_scale(amount=credit, code=code),
        balance=balance,
        limit=limit,
        available=None if limit is None else limit - balance,
    )


def check_credit_policy(
    name: str, spec: CreditPolicy, others: Mapping[type, Mapping[str, Any]]
) -> tuple[FieldError, ...]:
    """What is wrong: its entity, its currencies and amounts, a second policy for one entity."""
    entities = others.get(LegalEntity, {})
    found: list[FieldError] = []
    if spec.entity and spec.entity not in entities:
        found.append(unknown_reference(pointer="spec.entity", kind="LegalEntity", value=spec.entity, known=entities))
    tables = {"spec.limits": spec.limits}
    tables |= {f"spec.customers.{customer}.limits": own.limits for customer, own in spec.customers.items()}
    for pointer, limits in tables.items():
        for code, amount in limits.items():
            if isinstance(currency(code), Problem) or amount < ZERO:
                detail = f"{code}: {amount} is no limit in an ISO 4217 currency"
                found.append(FieldError(pointer=f"{pointer}.{code}", detail=detail, instead='USD: "10000.00"'))
    if spec.block_overdue_days is not None and not 0 <= spec.block_overdue_days <= OVERDUE_DAYS_MAX:
        instead = f"0 to {OVERDUE_DAYS_MAX} days"
        found.append(FieldError(pointer="spec.blockOverdueDays", detail="no number of days", instead=instead))
    for other_name, other in sorted(others.get(CreditPolicy, {}).items()):
        if other_name < name and other.entity == spec.entity:
            detail = f"{other_name} is already the credit policy of {spec.entity or 'every entity'}"
            found.append(FieldError(pointer="spec.entity", detail=detail, instead="one policy an entity"))
            break
    return tuple(found)


for _code, _title, _remedy in (
    ("credit.blocked", "The customer is blocked", "Lift the block in the CreditPolicy, or take payment first."),
    (
        "credit.limit_exceeded",
        "The credit limit is exceeded",
        "Take payment first, or raise the limit in the CreditPolicy.",
    ),
    (
        "credit.overdue",
        "Invoices are long overdue",
        "Collect them first, or change blockOverdueDays in the CreditPolicy.",
    ),
):
    define(code=_code, title=_title, status=409, retryable=Retryable.AFTER_FIX, mender=Mender.FINANCE, remedy=_remedy)
