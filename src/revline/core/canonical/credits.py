"""Prepaid credits as facts: what a customer was granted, and what of it was given back. Owner: whoever grants; by default
Revline's own doors.

Credits are counted in a currency: a credit of 1 pays 1 of it. What they were sold for is their cost, and only that is ever
revenue.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from revline.core.money import Amount


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a grant pays for or a commitment counts. Each list: any of these, empty for every one; all lists must agree."""

    families: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    meters: tuple[str, ...] = ()

    def covers(self, *, family: str, price: str, meter: str) -> bool:
        """Whether a line of this product family, price and meter is in it."""
        return (
            (not self.families or family in self.families)
            and (not self.prices or price in self.prices)
            and (not self.meters or meter in self.meters)
        )


class Breakage(StrEnum):
    """What becomes of the cost of credits that are never used.

    at_expiry: revenue when they expire. proportional: what is expected never to be used is revenue in proportion to what is
    (ASC 606-10-55-48), and the rest when they expire. none: it stays a liability, as where unclaimed property goes to the
    state.
    """

    AT_EXPIRY = "at_expiry"
    PROPORTIONAL = "proportional"
    NONE = "none"


class Coverage(StrEnum):
    """Which lines a grant pays that begins or ends within their window. window_end: those whose last moment it covers.
    window_touched: those of whose window it covers any moment."""

    WINDOW_END = "window_end"
    WINDOW_TOUCHED = "window_touched"


class BookedBy(StrEnum):
    """What books the purchase of a grant. stated: the credit ledger states it. invoice: an invoice of the billing system does,
    whose line goes to deferred revenue; stated again it would stand twice."""

    STATED = "stated"
    INVOICE = "invoice"


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A length of calendar time where the entity keeps its books: months first, then days."""

    months: int = 0
    days: int = 0


class RollOver(msgspec.Struct, frozen=True, kw_only=True):
    """What stays when a grant ends: at most `amount` and at most `percent` of what was granted (None: no such cap).

    extends: how much longer it stays. times: how often at most. The rest expires.
    """

    extends: Span
    times: int = 1
    amount: Amount | None = None
    percent: Amount | None = None


class TopUp(msgspec.Struct, frozen=True, kw_only=True):
    """Credits granted when those of the plan fall below `threshold`: `amount` for `cost`, at most `limit` in a period of
    `months` (counted from January). lasts: how long they stay, None for ever."""

    threshold: Amount
    amount: Amount
    cost: Amount
    limit: int = 1
    months: int = 1
    lasts: Span | None = None


class CreditGrant(msgspec.Struct, frozen=True, kw_only=True, tag="credit_grant"):
    """Credits a customer was granted, with the terms they were granted under.

    amount: what they pay in all. cost: what was paid for all of them, 0 for a promotion. granted_at: when they were bought; of
    two equal grants the earlier is drawn first. starts_at, expires_at: they pay from the one (None: granted_at) up to, and not
    at, the other (None: for ever). priority: the smallest is drawn first. plan: the CreditPlan they were granted by, "" for
    none. expected_breakage: the share (0 to below 1) expected never to be used, for proportional breakage; None for 0. method:
    how they were paid. voided: the grant was a mistake and never was.
    """

    outside_id: str
    customer: str
    currency: str
    amount: Amount
    cost: Amount
    granted_at: datetime
    starts_at: datetime | None = None
    expires_at: datetime | None = None
    priority: int = 100
    scope: Scope = Scope()
    plan: str = ""
    title: str = ""
    product_family: str = ""
    coverage: Coverage = Coverage.WINDOW_END
    breakage: Breakage = Breakage.AT_EXPIRY
    expected_breakage: Amount | None = None
    roll_over: RollOver | None = None
    top_up: TopUp | None = None
    booked_by: BookedBy = BookedBy.STATED
    method: str = ""
    voided: bool = False

    @property
    def begins_at(self) -> datetime:
        """The first moment it pays for."""
        return self.granted_at if self.starts_at is None else self.starts_at


class CreditRefund(msgspec.Struct, frozen=True, kw_only=True, tag="credit_refund"):
    """Unused credits of a grant that were given back, and their cost with them.

    A refund that was paid stands: use that is learned of later draws only on the rest. voided: it never was.
    """

    outside_id: str
    customer: str
    grant: str
    amount: Amount
    refunded_at: datetime
    method: str = ""
    voided: bool = False
