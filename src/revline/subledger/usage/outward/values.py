"""Expected and billed usage, and what came of comparing them. Pure; knows no meter query, no rating and no far system."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.ids import SourceObject, derived_id
from revline.core.money import Amount, summed
from revline.subledger.usage.versions import Window

LINES_MAX: Final = 1_000
"""Invoice lines of one customer, price and window: a tiered price makes a line for each tier."""


class Cause(StrEnum):
    """Why an amount was billed otherwise than expected.

    quantity: billing counted another quantity. price: the same quantity at another price. tier: our prices, spread otherwise over
    the tiers. rounding: no more than a few smallest units. late_usage: used in time and known after the invoice was finished.
    currency: another currency. unknown_customer, unknown_meter: a line we can't rate. billed_without_usage: a line for which we
    know no usage. used_without_bill: usage for which no line came in time.
    """

    QUANTITY = "quantity"
    PRICE = "price"
    TIER = "tier"
    ROUNDING = "rounding"
    LATE_USAGE = "late_usage"
    CURRENCY = "currency"
    UNKNOWN_CUSTOMER = "unknown_customer"
    UNKNOWN_METER = "unknown_meter"
    BILLED_WITHOUT_USAGE = "billed_without_usage"
    USED_WITHOUT_BILL = "used_without_bill"


class Direction(StrEnum):
    """equal: nothing to do. leakage: less was billed than was used. overbilled: more."""

    EQUAL = "equal"
    LEAKAGE = "leakage"
    OVERBILLED = "overbilled"


class BillingSubject(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What is compared, and so a finding's identity: one customer's use at one price over one window.

    customer: as the billing system names it. price: the billing system's price, or the name of ours where we pushed. meter: the
    billing system's meter or ours, "" where it has none.
    """

    customer: SourceObject
    price: str
    window: Window

    def finding_id(self, tenant_id: str) -> str:
        """The same for every invoice, revision and rating of it."""
        return derived_id(
            "usage-finding",
            tenant_id,
            self.customer.connection,
            self.customer.outside_id,
            self.price,
            self.window.start.isoformat(),
            self.window.end.isoformat(),
        )


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What we expect of billing for a subject.

    amount: our rating of `quantity`, in `currency`. quantity_then, amount_then: as they were known when the invoice was finished;
    None when nothing came since. at_billed_quantity: our rating of the quantity that was billed; None where it can't be rated.
    unit_prices: every unit price our price has, to tell another price from another spread over the tiers. charges: ids of the
    charge lines that make it up, () where the rating was made for the comparison alone.
    """

    subject: BillingSubject
    entity: str = ""
    product_family: str = ""
    meter: str = ""
    unit: str = ""
    currency: str
    quantity: Decimal
    amount: Decimal
    quantity_then: Decimal | None = None
    amount_then: Decimal | None = None
    at_billed_quantity: Decimal | None = None
    unit_prices: tuple[Decimal, ...] = ()
    charges: tuple[str, ...] = ()


class BilledLine(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One line of a finished invoice that bills metered use. amount: before discounts, without tax on top. billed_on: the day the
    invoice was finished, where the entity keeps its books. accrued: as on an invoice line. charge: our charge it names, or ""."""

    invoice: str
    line: str
    quantity: Amount
    unit_price: Amount
    amount: Amount
    billed_on: date
    charge: str = ""
    accrued: str = ""


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """Every line that bills a subject, in order of invoice and line; a credit of a line is a line with a negative amount."""

    subject: BillingSubject
    currency: str
    lines: tuple[BilledLine, ...]

    @property
    def quantity(self) -> Decimal:
        """The quantity of all lines. A tiered price has each unit on one line, beside lines of quantity 0 or 1 for flat fees."""
        return summed(line.quantity for line in self.lines)

    @property
    def amount(self) -> Decimal:
        """What the lines come to."""
        return sum((line.amount for line in self.lines), Decimal(0))


class Tolerance(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Below what a difference is nobody's work. amount: in the line's currency. percent: of what was expected. Either suffices.
    rounding_units: smallest units of the currency that count as rounding, for each line."""

    amount: Amount = Decimal("0.00")
    percent: Amount = Decimal("0.0")
    rounding_units: int = 1

    def allows(self, *, difference: Decimal, expected: Decimal) -> bool:
        """Whether a difference is small enough."""
        return abs(difference) <= self.amount or abs(difference) * 100 <= abs(expected) * self.percent


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a difference. amount: signed, in the line's currency; the parts of a finding add up to its difference."""

    cause: Cause
    amount: Amount
    quantity: Amount = Decimal(0)
    detail: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What comparing a subject came to. difference: billed less expected. cause: of the largest part, None when nothing differs.
    tolerated: the difference is within the tolerance, or rounding alone."""

    subject: BillingSubject
    currency: str
    expected_quantity: Amount
    expected_amount: Amount
    billed_quantity: Amount
    billed_amount: Amount
    difference: Amount
    direction: Direction
    cause: Cause | None
    parts: tuple[Part, ...]
    tolerated: bool
    charges: tuple[str, ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
