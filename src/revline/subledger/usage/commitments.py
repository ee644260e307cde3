"""The configuration kind Commitment: what one customer promised to use or to spend, and how it is judged. Pure."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.canonical.credits import Scope
from revline.core.ids import SourceObject
from revline.core.money import Amount, Currency, currency, in_scale
from revline.core.problem import FieldError, Problem
from revline.platform.config.registry import Specs
from revline.platform.tenancy.kinds import Connection, unknown_reference
from revline.subledger.usage.calendar import Every

FACTOR_MAX: Final = 100
SCOPE_NAMES_MAX: Final = 100
"""Names in one list of a scope."""


class Measure(StrEnum):
    """What is promised: money, or a quantity whose missing part costs `unitPrice`."""

    AMOUNT = "amount"
    QUANTITY = "quantity"


class Mode(StrEnum):
    """windowed: each window stands alone. cumulative: what was used early counts later; the promise grows evenly over the
    term."""

    WINDOWED = "windowed"
    CUMULATIVE = "cumulative"


class Promise(StrEnum):
    """What the difference is called on a bill, and the kind of its charge lines."""

    COMMITMENT = "commitment"
    MINIMUM = "minimum"


class Commitment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one customer promised.

    connection, customer: whose promise, by the customer's outside id there. promise: a commitment, or a minimum spend across
    lines. promised: of one window when windowed, of the whole term when cumulative; in `currency`, or a quantity. starts_on,
    ends_on: the term [first day, day after the last) where the entity keeps its books; no end: until it is given one (windowed
    alone). every: how long a window is. true_up: the shortfall of a window is charged. gives_back: cumulative use above the
    promise gives back earlier shortfalls that were charged. overage_factor: what lies beyond the promise costs this many times
    its price (1: no more, 0.8: a fifth less). prorated: a window cut short by the term's end promises its share of days.
    paid_by_credits: credits pay what is charged here. product_family: of the lines charged.
    """

    title: str
    connection: str
    customer: str
    currency: str
    promised: Amount
    starts_on: date
    ends_on: date | None = None
    every: Every = Every.MONTH
    promise: Promise = Promise.COMMITMENT
    measure: Measure = Measure.AMOUNT
    unit_price: Amount = Amount(0)
    mode: Mode = Mode.WINDOWED
    true_up: bool = True
    gives_back: bool = False
    overage_factor: Amount = Amount(1)
    prorated: bool = True
    paid_by_credits: bool = False
    scope: Scope = Scope()
    product_family: str = ""


class NamedCommitment(msgspec.Struct, frozen=True, kw_only=True):
    """A commitment by the name of its document."""

    name: str
    spec: Commitment

    @property
    def customer(self) -> SourceObject:
        """Whose promise it is."""
        return SourceObject(connection=self.spec.connection, kind="customer", outside_id=self.spec.customer)


def check_commitment(name: str, spec: Commitment, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong with a commitment: its connection, its term, its amounts."""
    del name
    found: list[FieldError] = []
    connections = others.get(Connection, {})
    if spec.connection not in connections:
        found.append(
            unknown_reference(pointer="spec.connection", kind="Connection", value=spec.connection, known=connections)
        )
    if not spec.customer:
        found.append(FieldError(pointer="spec.customer", detail="no customer", instead="customer: its outside id"))
    found.extend(_term_errors(spec))
    found.extend(_amount_errors(spec))
    found.extend(scope_errors(spec.scope))
    return tuple(found)


def _term_errors(spec: Commitment) -> list[FieldError]:
    found = []
    if spec.ends_on is not None and spec.ends_on <= spec.starts_on:
        found.append(
            FieldError(
                pointer="spec.endsOn",
                detail="the term ends before it begins",
                instead="endsOn: the day after the last",
            )
        )
    if spec.ends_on is None and (spec.mode is Mode.CUMULATIVE or spec.every is Every.TERM):
        found.append(
            FieldError(
                pointer="spec.endsOn",
                detail="a promise of a whole term needs its end",
                instead="endsOn: the day after the last",
            )
        )
    return found


def _amount_errors(spec: Commitment) -> list[FieldError]:
    found = []
    money = currency(spec.currency)
    if not isinstance(money, Currency):
        found.append(
            FieldError(pointer="spec.currency", detail=money.detail, instead="currency: USD (a code of ISO 4217)")
        )
    elif spec.measure is Measure.AMOUNT and isinstance(in_scale(amount=spec.promised, currency=money), Problem):
        found.append(
            FieldError(
                pointer="spec.promised",
                detail=f"more digits than {spec.currency} has",
                instead=f"at most {money.scale} digits after the point",
            )
        )
    if spec.promised <= 0:
        found.append(FieldError(pointer="spec.promised", detail="nothing is promised", instead="an amount above 0"))
    if spec.measure is Measure.QUANTITY and spec.true_up and spec.unit_price <= 0:
        found.append(
            FieldError(
                pointer="spec.unitPrice",
                detail="a quantity that is missing has no price",
                instead="unitPrice: what one of it costs, or trueUp: false",
            )
        )
    if not 0 <= spec.overage_factor <= FACTOR_MAX:
        found.append(
            FieldError(
                pointer="spec.overageFactor",
                detail=f"{spec.overage_factor} is no factor",
                instead=f"from 0 to {FACTOR_MAX}; 1 for the same price",
            )
        )
    return found


def scope_errors(scope: Scope) -> list[FieldError]:
    """A scope with too many names."""
    return [
        FieldError(
            pointer=f"spec.scope.{name}",
            detail=f"{len(names)} names",
            instead=f"at most {SCOPE_NAMES_MAX}, or none for every one",
        )
        for name, names in (("families", scope.families), ("prices", scope.prices), ("meters", scope.meters))
        if len(names) > SCOPE_NAMES_MAX
    ]
