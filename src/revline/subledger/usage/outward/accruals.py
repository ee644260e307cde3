"""The fact that links a charge to its invoice line, and what it does to the charge's accrual. Pure.

Usage that is used and not billed yet is accrued (`charges.accruing`). What takes it back is the billing link: a charge and the
lines of finished invoices that bill it, found by the charge a line names, else by customer, price and window. A link is there or it
is not: an invoice in draft or void makes none, so a void gives the accrual back. A line that carries the accrued account itself
(`accrued` on an invoice line) takes its amount off that account in the invoice's own entry, and the reversal takes the rest. So the
account ends at zero whoever clears it, and nothing is recognised twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.money import Currency, allocate, currency
from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.outward.values import BilledLine

UNBILLED: Final = frozenset({"unbilled_receivable", "contract_asset"})
ZERO: Final = Decimal(0)


class BillingLink(msgspec.Struct, frozen=True, kw_only=True):
    """Charges that the same lines bill: one line may bill several charges, and several lines one. amounts: charge id -> what the
    charge came to, in `currency`."""

    amounts: Mapping[str, Decimal]
    currency: str
    lines: tuple[BilledLine, ...]


def billings(links: Iterable[BillingLink]) -> Mapping[str, Billing]:
    """What each linked charge's accrual is taken back by."""
    found: dict[str, Billing] = {}
    for link in links:
        if not link.lines or not link.amounts:
            continue
        day = min(line.billed_on for line in link.lines)
        cleared = sum((line.amount for line in link.lines if line.accrued in UNBILLED), ZERO)
        shares = _shares(cleared, list(link.amounts.values()), link.currency)
        for charge_id, share in zip(link.amounts, shares, strict=True):
            found[charge_id] = Billing(charge_id=charge_id, day=day, cleared=share)
    return found


def _shares(amount: Decimal, of: Sequence[Decimal], code: str) -> tuple[Decimal, ...]:
    """An amount over the charges in proportion to what they came to; on the first of them where they came to nothing."""
    known = currency(code)
    weights = [abs(each) for each in of]
    if not isinstance(known, Currency) or not any(weights):
        return (amount, *[ZERO] * (len(weights) - 1))
    return allocate(total=amount, weights=weights, currency=known)
