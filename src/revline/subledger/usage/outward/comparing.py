"""All of one customer's usage at one billing connection, compared: which charges a line bills, what is missing, what needs work.

Pure. A charge of just the line's window is what is expected of it; else the line's own window is rated. Charges whose window only
overlaps one that was billed count as billed by it, so they are not missing, and what they differ by shows in the line's finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.ids import SourceObject
from revline.core.money import summed
from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.charges.values import Charge, ChargeKind
from revline.subledger.usage.outward.accruals import BillingLink, billings
from revline.subledger.usage.outward.compare import compare_line, paired, unrated
from revline.subledger.usage.outward.ports import BillingConnection, Unrated
from revline.subledger.usage.outward.values import Billed, BillingSubject, Cause, Expected, Finding

ZERO: Final = Decimal(0)
BILLED_BY_LINE: Final = frozenset({ChargeKind.USAGE, ChargeKind.ADJUSTMENT})
"""Kinds of charge lines that lines of metered prices bill."""


class First(msgspec.Struct, frozen=True, kw_only=True):
    """What was expected when a finished invoice was first compared."""

    quantity: Decimal
    amount: Decimal


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with what is kept beside it. first: of a subject that was billed."""

    finding: Finding
    expected: Expected | None
    first: First | None


def charged(charges: Iterable[Charge], *, customer: SourceObject) -> tuple[Expected, ...]:
    """Charge lines as what billing should bill: one expectation for each price, window and currency."""
    found: dict[tuple[BillingSubject, str], list[Charge]] = {}
    for charge in charges:
        if charge.subject.customer == customer and not charge.held and charge.subject.kind in BILLED_BY_LINE:
            subject = BillingSubject(customer=customer, price=charge.subject.price, window=charge.subject.window)
            found.setdefault((subject, charge.currency), []).append(charge)
    return tuple(
        Expected(
            subject=subject,
            entity=lines[0].entity,
            product_family=lines[0].product_family,
            meter=lines[0].meter,
            unit=lines[0].unit,
            currency=code,
            quantity=summed(line.quantity for line in lines),
            amount=sum((line.amount for line in lines), ZERO),
            charges=tuple(sorted(line.charge_id for line in lines)),
        )
        for (subject, code), lines in sorted(found.items(), key=lambda one: one[0])
    )


def merged(
    expected: Mapping[BillingSubject, Expected | Unrated], charges: Iterable[Expected]
) -> Mapping[BillingSubject, Expected | Unrated]:
    """What is expected of what was billed: a charge of just its window where there is one, with what rating the billed quantity
    comes to."""
    found = dict(expected)
    for charge in charges:
        rated = found.get(charge.subject)
        if isinstance(rated, Expected) and rated.currency == charge.currency:
            found[charge.subject] = msgspec.structs.replace(
                charge, at_billed_quantity=rated.at_billed_quantity, unit_prices=rated.unit_prices
            )
        elif rated is not None:
            found[charge.subject] = charge
    return found


def renamed(billed: Iterable[Billed], prices: Mapping[str, str]) -> tuple[Billed, ...]:
    """What was billed under the names of our own prices, where a price of the billing system is one of ours."""
    return tuple(
        msgspec.structs.replace(
            one,
            subject=msgspec.structs.replace(one.subject, price=prices.get(one.subject.price, one.subject.price)),
        )
        for one in billed
    )


def compare_customer(
    *,
    billing: BillingConnection,
    billed: Sequence[Billed],
    expected: Mapping[BillingSubject, Expected | Unrated],
    charges: Sequence[Expected],
    first: Mapping[BillingSubject, First],
    now: datetime,
) -> tuple[Compared, ...]:
    """What comparing a customer comes to. expected: of what was billed; charges: what the customer's charge lines ask for."""
    tolerance = billing.spec.tolerance
    found: list[Compared] = []
    for one in billed:
        mine = expected.get(one.subject)
        if isinstance(mine, Unrated):
            if not mine.skip:
                finding = unrated(billed=one, cause=mine.cause, tolerance=tolerance, detail=mine.detail)
                found.append(Compared(finding=finding, expected=None, first=None))
            continue
        before = first.get(one.subject)
        if mine is not None and before is not None:
            mine = msgspec.structs.replace(mine, quantity_then=before.quantity, amount_then=before.amount)
        elif mine is not None:
            before = First(quantity=mine.quantity, amount=mine.amount)
        finding = compare_line(expected=mine, billed=one, tolerance=tolerance)
        found.append(Compared(finding=finding, expected=mine, first=before))
    for mine, bill in paired(expected=charges, billed=billed):
        overdue = mine is not None and mine.subject.window.end + timedelta(days=billing.spec.deadline_days) <= now
        if mine is not None and bill is None and overdue and (mine.amount or mine.quantity):
            finding = compare_line(expected=mine, billed=None, tolerance=tolerance)
            found.append(Compared(finding=finding, expected=mine, first=None))
    return tuple(found)


def next_deadline(
    *, charges: Sequence[Expected], billed: Sequence[Billed], deadline_days: int, now: datetime
) -> datetime | None:
    """The next moment at which a charge that nothing bills yet would be overdue; None when there is none."""
    waiting = [mine for mine, bill in paired(expected=charges, billed=billed) if mine is not None and bill is None]
    moments = (one.subject.window.end + timedelta(days=deadline_days) for one in waiting)
    return min((moment for moment in moments if moment > now), default=None)


def billings_of(
    *, charges: Sequence[Charge], billed: Sequence[Billed], customer: SourceObject
) -> Mapping[str, Billing]:
    """What takes back the accrual of each charge line that a finished invoice bills: by the charge a line names, else by price and
    window. A charge that nothing bills is not in it."""
    by_id = {charge.charge_id: charge for charge in charges}
    named: dict[str, list[Billed]] = {}
    links: list[BillingLink] = []
    for one in billed:
        for line in one.lines:
            if line.charge in by_id:
                named.setdefault(line.charge, []).append(msgspec.structs.replace(one, lines=(line,)))
    for charge_id, found in named.items():
        lines = tuple(line for one in found for line in one.lines)
        charge = by_id[charge_id]
        links.append(BillingLink(amounts={charge_id: charge.amount}, currency=charge.currency, lines=lines))
    rest = [charge for charge in charges if charge.charge_id not in named]
    left = [_without(one, named) for one in billed]
    for mine, bill in paired(expected=charged(rest, customer=customer), billed=[one for one in left if one.lines]):
        if mine is not None and bill is not None and mine.currency == bill.currency:
            amounts = {charge_id: by_id[charge_id].amount for charge_id in mine.charges}
            links.append(BillingLink(amounts=amounts, currency=mine.currency, lines=bill.lines))
    return billings(links)


def _without(one: Billed, named: Mapping[str, object]) -> Billed:
    return msgspec.structs.replace(one, lines=tuple(line for line in one.lines if line.charge not in named))


CODES: Final[Mapping[Cause, str]] = {
    Cause.QUANTITY: "usage.billed_quantity",
    Cause.PRICE: "usage.billed_price",
    Cause.TIER: "usage.billed_tier",
    Cause.ROUNDING: "usage.billed_rounding",
    Cause.LATE_USAGE: "usage.billed_too_early",
    Cause.CURRENCY: "usage.billed_currency",
    Cause.UNKNOWN_CUSTOMER: "usage.billed_stranger",
    Cause.UNKNOWN_METER: "usage.billed_unmetered",
    Cause.BILLED_WITHOUT_USAGE: "usage.billed_unused",
    Cause.USED_WITHOUT_BILL: "usage.used_unbilled",
}
"""The problem each cause makes above the tolerance."""
