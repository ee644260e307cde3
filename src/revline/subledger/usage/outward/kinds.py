"""The configuration kind UsageBilling: how a billing connection's prices and meters are ours, what differs enough, what is told."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from revline.core.problem import FieldError
from revline.platform.config.registry import Specs
from revline.platform.tenancy.kinds import Connection, unknown_reference
from revline.subledger.usage.metering.kinds import Meter
from revline.subledger.usage.outward.values import Tolerance
from revline.subledger.usage.rating.kinds import UsagePrice

DAYS_MAX: Final = 366
ROUNDING_UNITS_MAX: Final = 100
MINUTES_MAX: Final = 60 * 24 * 31


class Measure(StrEnum):
    """What is told of a charge. quantity: how much was used; billing prices it. amount: what it came to, in smallest units of its
    currency, for a price of one smallest unit each."""

    QUANTITY = "quantity"
    AMOUNT = "amount"


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the charges of a price are told. meter: what the system told knows the meter by (Stripe: the event name)."""

    meter: str
    measure: Measure = Measure.QUANTITY


class UsageBilling(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one connection bills metered use.

    connection: the billing system, or a folder. meters: its meter -> Meter that counts the same. prices: its price -> UsagePrice
    that rates the same; one that is not here is rated as the billing system has it. tolerance: what is nobody's work.
    deadline_days: how long after its window usage may wait for its invoice line. reports: UsagePrice -> how its charges are told
    to the connection; none for a connection that is only compared. negatives: the meters take negative values, so use that was
    told and is less now is taken back; otherwise it is a case. tell_every_minutes: how often a window that still runs is told of.
    """

    connection: str
    meters: dict[str, str] = {}
    prices: dict[str, str] = {}
    tolerance: Tolerance = Tolerance()
    deadline_days: int = 3
    reports: dict[str, Report] = {}
    negatives: bool = True
    tell_every_minutes: int = 60


def check_usage_billing(name: str, spec: UsageBilling, others: Specs) -> tuple[FieldError, ...]:
    """What is wrong: its connection, its meters and prices, its numbers, another one of the same connection."""
    found: list[FieldError] = []
    connections = others.get(Connection, {})
    if spec.connection not in connections:
        found.append(
            unknown_reference(pointer="spec.connection", kind="Connection", value=spec.connection, known=connections)
        )
    meters, prices = others.get(Meter, {}), others.get(UsagePrice, {})
    found.extend(
        unknown_reference(pointer=f"spec.meters.{outside}", kind="Meter", value=meter, known=meters)
        for outside, meter in spec.meters.items()
        if meter not in meters
    )
    found.extend(
        unknown_reference(pointer=f"spec.prices.{outside}", kind="UsagePrice", value=price, known=prices)
        for outside, price in spec.prices.items()
        if price not in prices
    )
    found.extend(
        unknown_reference(pointer=f"spec.reports.{price}", kind="UsagePrice", value=price, known=prices)
        for price in spec.reports
        if price not in prices
    )
    found.extend(_numbers(spec))
    found.extend(
        FieldError(
            pointer="spec.connection",
            detail=f"{other} says already how {spec.connection} bills",
            instead="one UsageBilling for a connection",
        )
        for other, each in sorted(others.get(UsageBilling, {}).items())
        if other < name and each.connection == spec.connection
    )
    return tuple(found)


def _numbers(spec: UsageBilling) -> list[FieldError]:
    found = []
    if not 0 <= spec.deadline_days <= DAYS_MAX:
        found.append(
            FieldError(
                pointer="spec.deadlineDays", detail=f"{spec.deadline_days} days", instead=f"0 to {DAYS_MAX} days"
            )
        )
    if not 1 <= spec.tell_every_minutes <= MINUTES_MAX:
        found.append(
            FieldError(
                pointer="spec.tellEveryMinutes",
                detail=f"every {spec.tell_every_minutes} minutes",
                instead=f"1 to {MINUTES_MAX}",
            )
        )
    if spec.tolerance.amount < 0 or spec.tolerance.percent < 0:
        found.append(
            FieldError(pointer="spec.tolerance", detail="a tolerance is not negative", instead='amount: "1.00"')
        )
    if not 0 <= spec.tolerance.rounding_units <= ROUNDING_UNITS_MAX:
        found.append(
            FieldError(
                pointer="spec.tolerance.roundingUnits",
                detail=f"{spec.tolerance.rounding_units} smallest units",
                instead=f"0 to {ROUNDING_UNITS_MAX}",
            )
        )
    return found
