"""What billing is still to be told of a customer's charges: the difference to what it was told, in a minute of its own. Pure.

A report adds to those before it, so what is told is always the difference: nothing is told twice, and less use is a negative report
where the meter takes one. The minute a report counts in is taken by no other report of the same customer, price and window: so a
system that can sum up a minute can say whether it has the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.ids import SourceObject, derived_id
from revline.core.money import Currency, currency, parse_amount, to_minor_units
from revline.core.problem import Problem, problem
from revline.subledger.usage.charges.values import Charge
from revline.subledger.usage.outward import problems  # noqa: F401 - defines the codes
from revline.subledger.usage.outward.kinds import Measure, Report
from revline.subledger.usage.outward.ports import BillingConnection
from revline.subledger.usage.versions import Window

MINUTE: Final = timedelta(minutes=1)
ZERO: Final = Decimal(0)
CHARGES_PER_REPORT_MAX: Final = 1_000


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a target was told. told: the sum of all reports. ordinal: of the last one, from 0. first_at, last_at: the minutes that
    reports took lie between them. told_at: when the last one was made."""

    told: Decimal
    ordinal: int
    first_at: datetime
    last_at: datetime
    told_at: datetime


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """One report to make. value: what it adds; total: what all of them come to then. charges: (charge id, revision), sorted."""

    target_id: str
    ordinal: int
    connection: str
    customer: SourceObject
    price: str
    window: Window
    report: Report
    unit: str
    value: Decimal
    total: Decimal
    at: datetime
    charges: tuple[tuple[str, int], ...]
    quantity: Decimal
    amount: Decimal
    currency: str


class Untold(msgspec.Struct, frozen=True, kw_only=True):
    """A report that can't be made, and why. amount: what the charges come to."""

    problem: Problem
    amount: Decimal
    currency: str


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be told of one customer. again_at: when more may be due without anything new."""

    tellings: tuple[Telling, ...] = ()
    untold: tuple[Untold, ...] = ()
    again_at: datetime | None = None


def target_of(
    *, tenant_id: str, connection: str, customer: SourceObject, price: str, window: Window, currency_code: str
) -> str:
    """The id of what one connection is told of one customer's use at a price over a window, in a currency."""
    return derived_id(
        "usage-target", tenant_id, connection, customer.connection, customer.outside_id, price,
        window.start.isoformat(), window.end.isoformat(), currency_code,
    )  # fmt: skip


def due_tellings(
    *,
    tenant_id: str,
    billing: BillingConnection,
    charges: Iterable[Charge],
    told: Mapping[str, Told],
    billed: frozenset[tuple[str, Window]] = frozenset(),
    now: datetime,
) -> Due:
    """What one connection is to be told of one customer now.

    billed: (price, window) that a finished invoice bills already: that invoice takes no more, and what is missing on it is a
    finding. A connection that brings customers is told of its own alone.
    """
    found: list[Telling] = []
    untold: list[Untold] = []
    later: list[datetime] = []
    for customer, price, window, lines in _targets(charges, billing):
        target = target_of(
            tenant_id=tenant_id,
            connection=billing.name,
            customer=customer,
            price=price,
            window=window,
            currency_code=lines[0].currency,
        )
        before = told.get(target)
        wait = _waits_until(before, window, billing, now)
        if wait is not None:
            later.append(wait)
        elif (price, window) not in billed:
            made = _telling(target, billing, price, window, lines, before, now)
            if isinstance(made, Telling):
                found.append(made)
            elif isinstance(made, Problem):
                amount = sum((line.amount for line in lines), ZERO)
                untold.append(Untold(problem=made, amount=abs(amount), currency=lines[0].currency))
    return Due(tellings=tuple(found), untold=tuple(untold), again_at=min(later, default=None))


def _targets(
    charges: Iterable[Charge], billing: BillingConnection
) -> Iterable[tuple[SourceObject, str, Window, list[Charge]]]:
    found: dict[tuple[SourceObject, str, Window, str], list[Charge]] = {}
    for charge in charges:
        subject = charge.subject
        theirs = bool(billing.entity) and subject.customer.connection != billing.name
        if subject.price in billing.spec.reports and not charge.held and not theirs:
            key = (subject.customer, subject.price, subject.window, charge.currency)
            found.setdefault(key, []).append(charge)
    for (customer, price, window, _), lines in sorted(found.items(), key=lambda one: one[0]):
        yield customer, price, window, lines


def _waits_until(before: Told | None, window: Window, billing: BillingConnection, now: datetime) -> datetime | None:
    """Until when a window that still runs is told of no more; what has ended is told of at once."""
    if before is None or now >= window.end:
        return None
    next_at = min(before.told_at + timedelta(minutes=billing.spec.tell_every_minutes), window.end)
    return next_at if next_at > now else None


def _telling(
    target: str,
    billing: BillingConnection,
    price: str,
    window: Window,
    lines: Sequence[Charge],
    before: Told | None,
    now: datetime,
) -> Telling | Problem | None:
    report = billing.spec.reports[price]
    total = _total(report, lines)
    if isinstance(total, Problem):
        return total
    # What is stored has zeros at its end.
    value = (total - (ZERO if before is None else before.told)).normalize() + ZERO
    if not value:
        return None
    if value < 0 and not billing.spec.negatives:
        detail = f"{-value} less than was told, and the meter {report.meter[:60]} takes no negative values"
        return problem("usage.report_final", detail, field=price)
    at = minute_for(window=window, now=now, told=before)
    if at is None or len(lines) > CHARGES_PER_REPORT_MAX:
        return problem("usage.report_impossible", "no minute of the window is left, or too many charges", field=price)
    return Telling(
        target_id=target,
        ordinal=0 if before is None else before.ordinal + 1,
        connection=billing.name,
        customer=lines[0].subject.customer,
        price=price,
        window=window,
        report=report,
        unit=lines[0].unit,
        value=value,
        total=total,
        at=at,
        charges=tuple(sorted((line.charge_id, line.revision) for line in lines)),
        quantity=sum((line.quantity for line in lines), ZERO),
        amount=sum((line.amount for line in lines), ZERO),
        currency=lines[0].currency,
    )


def _total(report: Report, lines: Sequence[Charge]) -> Decimal | Problem:
    """What the target should have been told in all."""
    if report.measure is Measure.AMOUNT:
        known = currency(lines[0].currency)
        if not isinstance(known, Currency):
            return known
        return Decimal(sum(to_minor_units(amount=line.amount, currency=known) for line in lines))
    quantity = sum((line.quantity for line in lines), ZERO).normalize() + ZERO
    return parse_amount(format(quantity, "f"))


def minute_for(*, window: Window, now: datetime, told: Told | None) -> datetime | None:
    """A whole minute of the window that no report took: the present one while the window runs, else its last; then the one before
    all that were taken. None where there is none."""
    first, last = _up(window.start), _down(window.end) - MINUTE
    wanted = min(max(_down(now), first), last)
    if told is not None and wanted <= told.last_at:
        wanted = told.first_at - MINUTE
    return wanted if first <= wanted <= last else None


def after_telling(telling: Telling, *, before: Told | None, now: datetime) -> Told:
    """What the target has been told once a report is made."""
    return Told(
        told=telling.total,
        ordinal=telling.ordinal,
        first_at=telling.at if before is None else min(before.first_at, telling.at),
        last_at=telling.at if before is None else max(before.last_at, telling.at),
        told_at=now,
    )


def _down(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _up(moment: datetime) -> datetime:
    down = _down(moment)
    return down if down == moment else down + MINUTE
