"""Usage that is used and not billed yet: what is accrued for a charge, and what the line that bills it takes back. Pure.

Two stated events stand for one charge line, each a root of its own, so that neither is ever edited by the other:

- the accrual (`<charge id>.accrued`), on the last day of its window, for its amount;
- what billing takes back (`<charge id>.billed`), on the day the first invoice that bills it was finished.

The fact that links them is the billing link: a charge and the lines of finished invoices that bill it (`BillingLink`), found by
the charge the line names, else by customer, price and window. A link is there or it is not: an invoice in draft or void makes
none, so a void gives the accrual back. Where the line carries the accrued account itself (`accrued` on an invoice line), the
invoice's own entry credits that account, and only what differs from the accrual is left to take back. So the account ends at zero
whoever clears it, and nothing is recognised twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.canonical import StatedEvent
from revline.core.canonical.stated import RecognizedRevenue
from revline.core.events import EventKind
from revline.subledger.usage.outward.values import BilledLine

ACCRUED_SUFFIX: Final = ".accrued"
BILLED_SUFFIX: Final = ".billed"
UNBILLED: Final = "unbilled_receivable"


class BillingLink(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of finished invoices that bill a charge; one line may bill several charges, and several lines one.

    share: this charge's part of what the lines that clear the accrued account themselves come to; None when it is all of it.
    """

    charge_id: str
    currency: str
    lines: tuple[BilledLine, ...]
    share: Decimal | None = None

    @property
    def billed_on(self) -> date:
        """The day of the first invoice that bills it."""
        return min(line.billed_on for line in self.lines)


class Accrual(msgspec.Struct, frozen=True, kw_only=True):
    """A charge line as it is accrued. amount: in currency. last_day: the last day of its window where the entity keeps its
    books. voided: the charge is no more."""

    charge_id: str
    customer: str
    currency: str
    amount: Decimal
    last_day: date
    product_family: str = ""
    contract: str = ""
    voided: bool = False


def accrual_events(
    *, accrual: Accrual, link: BillingLink | None, stated: Sequence[str] = ()
) -> tuple[StatedEvent, ...]:
    """What should be stated of a charge line now. stated: outside ids that were stated before; one that should be no more is
    stated voided, and one that never was is not mentioned."""
    accrued = _event(accrual, suffix=ACCRUED_SUFFIX, day=accrual.last_day, amount=accrual.amount)
    found = [] if accrual.voided or not accrual.amount else [accrued]
    if found and link is not None and link.lines:
        amount = _cleared(link) - accrual.amount
        if amount:
            found.append(_event(accrual, suffix=BILLED_SUFFIX, day=link.billed_on, amount=amount))
    wanted = {one.outside_id for one in found}
    for suffix in (ACCRUED_SUFFIX, BILLED_SUFFIX):
        outside_id = accrual.charge_id + suffix
        if outside_id in stated and outside_id not in wanted:
            gone = _event(accrual, suffix=suffix, day=accrual.last_day, amount=accrual.amount)
            found.append(msgspec.structs.replace(gone, voided=True))
    return tuple(found)


def _cleared(link: BillingLink) -> Decimal:
    """What the invoices' own entries take off the accrued account."""
    if link.share is not None:
        return link.share
    return sum((line.amount for line in link.lines if line.accrued == UNBILLED), Decimal(0))


def _event(accrual: Accrual, *, suffix: str, day: date, amount: Decimal) -> StatedEvent:
    return StatedEvent(
        outside_id=accrual.charge_id + suffix,
        event=EventKind.USAGE_ACCRUED.value,
        occurred_on=day,
        currency=accrual.currency,
        customer=accrual.customer,
        payload=RecognizedRevenue(
            amount=amount,
            against=UNBILLED,
            product_family=accrual.product_family,
            contract=accrual.contract,
        ),
    )
