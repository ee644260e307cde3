"""What settling takes and gives: lines to pay, grants, refunds; entries of the ledger, balances, a statement. Pure.

Credits are counted in a currency: a credit of 1 pays 1 of it. What it was sold for is its cost, and only that is ever revenue.
Every amount is exact and in its currency's ISO 4217 scale. Nothing here knows where a line came from or who keeps the ledger.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.subledger.usage.charges.values import ChargeSubject
from revline.subledger.usage.versions import Window

ZERO: Final = Decimal(0)
SCOPE_NAMES_MAX: Final = 100
"""Names in one list of a scope."""
GRANTS_MAX: Final = 10_000
LINES_MAX: Final = 200_000
"""Grants and lines of one customer that one statement takes."""


class Scope(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a grant pays for or a commitment counts. Each list: any of these, empty for every one; all lists must agree."""

    families: tuple[str, ...] = ()
    prices: tuple[str, ...] = ()
    meters: tuple[str, ...] = ()

    def covers(self, *, family: str, price: str, meter: str) -> bool:
        """Whether a line of this family, price and meter is in it."""
        return (
            (not self.families or family in self.families)
            and (not self.prices or price in self.prices)
            and (not self.meters or meter in self.meters)
        )


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A priced line as settling sees it: of any kind but CREDIT.

    charge_id: its identity. amount: what it costs, negative for an adjustment that gives back. quantity: what was priced.
    adjusts: the charge a negative line gives back of; what credits had paid of that goes back to them. due_at: when it is
    charged, which is when it draws; None: the end of its window.
    """

    charge_id: str
    subject: ChargeSubject
    product_family: str = ""
    meter: str = ""
    currency: str
    amount: Decimal
    quantity: Decimal = ZERO
    adjusts: str = ""
    due_at: datetime | None = None

    @property
    def draws_at(self) -> datetime:
        """The moment it is charged."""
        return self.subject.window.end if self.due_at is None else self.due_at


class Breakage(StrEnum):
    """What becomes of the cost of credits that are never used.

    at_expiry: revenue when they expire. proportional: what is expected never to be used is revenue in proportion to what is
    (ASC 606-10-55-48); the rest when they expire. none: it stays a liability, as where unclaimed property goes to the state.
    """

    AT_EXPIRY = "at_expiry"
    PROPORTIONAL = "proportional"
    NONE = "none"


class Coverage(StrEnum):
    """Which lines a grant that begins or ends within their window pays: window_end: those whose last moment it covers.
    window_touched: those of whose window it covers any moment."""

    WINDOW_END = "window_end"
    WINDOW_TOUCHED = "window_touched"


class BookedBy(StrEnum):
    """What books the purchase of a grant. stated: the credit ledger states it. invoice: an invoice of the billing system does,
    whose line goes to deferred revenue; stated again it would stand twice."""

    STATED = "stated"
    INVOICE = "invoice"


class Span(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A length of calendar time in the entity's time zone: months first, then days. Both 0: none."""

    months: int = 0
    days: int = 0


class RollOver(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What stays when a grant expires: at most `amount` (none: no such cap) and at most `percent` of what was granted (100:
    all).

    extends: how long it stays. times: how often at most. The rest expires.
    """

    extends: Span
    times: int = 1
    amount: Decimal | None = None
    percent: Decimal = Decimal(100)


class TopUp(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Credits granted when those of the plan fall below `threshold`: `amount` for `cost`, at most `at_most` in a period of
    `every` months (counted from January). lasts: how long they stay, none for ever."""

    threshold: Decimal
    amount: Decimal
    cost: Decimal
    at_most: int = 1
    every_months: int = 1
    lasts: Span | None = None


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """Credits somebody has, with the terms they were granted under.

    grant_id: its outside id. amount: what it pays. cost: what was paid for all of it, 0 for a promotion; revenue follows it.
    priority: the smallest is drawn first. starts_at, expires_at: it pays from the one up to, and not at, the other. granted_at:
    which of two equal ones was granted first. plan: its CreditPlan, "" for none. expected_breakage: the share (0 to below 1)
    that is expected never to be used, for proportional breakage.
    """

    grant_id: str
    customer: SourceObject
    currency: str
    amount: Decimal
    cost: Decimal
    granted_at: datetime
    starts_at: datetime
    expires_at: datetime | None = None
    priority: int = 100
    scope: Scope = Scope()
    plan: str = ""
    title: str = ""
    product_family: str = ""
    coverage: Coverage = Coverage.WINDOW_END
    breakage: Breakage = Breakage.AT_EXPIRY
    expected_breakage: Decimal = ZERO
    roll_over: RollOver | None = None
    top_up: TopUp | None = None
    booked_by: BookedBy = BookedBy.STATED
    method: str = ""


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Unused credits of a grant that were given back, and their cost with them. A refund that was paid stands: use that is
    learned of later draws only on the rest."""

    refund_id: str
    grant_id: str
    amount: Decimal
    refunded_at: datetime
    method: str = ""


class Account(StrEnum):
    """The accounts of the ledger. granted: by the seller (negative). held: by the customer. drawn, expired, taken_back: where
    they went."""

    GRANTED = "granted"
    HELD = "held"
    DRAWN = "drawn"
    EXPIRED = "expired"
    TAKEN_BACK = "taken_back"


class Rule(StrEnum):
    """Why an entry stands. granted; drawn: paid a line. returned: an adjustment gave back what a draw had paid. expired: at its
    end. breakage: expected never to be used, cost alone. taken_back: refunded."""

    GRANTED = "granted"
    DRAWN = "drawn"
    RETURNED = "returned"
    EXPIRED = "expired"
    BREAKAGE = "breakage"
    TAKEN_BACK = "taken_back"


MOVES: Final[dict[Rule, tuple[Account, Account]]] = {
    Rule.GRANTED: (Account.GRANTED, Account.HELD),
    Rule.DRAWN: (Account.HELD, Account.DRAWN),
    Rule.RETURNED: (Account.DRAWN, Account.HELD),
    Rule.EXPIRED: (Account.HELD, Account.EXPIRED),
    Rule.BREAKAGE: (Account.HELD, Account.EXPIRED),
    Rule.TAKEN_BACK: (Account.HELD, Account.TAKEN_BACK),
}
"""From which account to which an entry of each rule moves."""


class EntryKey(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What an entry is of: one grant, one rule, and the charge line, refund or roll-over that made it ("" for the grant
    itself)."""

    grant_id: str
    rule: Rule
    cause: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of credits. amount: credits; cost: what they had cost. day: in the entity's time zone, the one of the last
    moment before `at`."""

    key: EntryKey
    at: datetime
    day: date
    currency: str
    amount: Decimal
    cost: Decimal


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """What one grant paid of one line; negative where an adjustment gave back."""

    grant_id: str
    amount: Decimal


class SettledLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line with what paid for it. due: what is left to be paid in money: amount less the draws."""

    line: Line
    draws: tuple[Draw, ...]
    due: Decimal


class GrantBalance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a grant's credits and their cost are. drawn is net of what came back. left: held still; available: of that, what
    open windows have not drawn yet. granted = drawn + expired + taken_back + left, for credits and for cost."""

    grant: Grant
    expires_at: datetime | None
    rolled_over: int
    granted: Decimal
    drawn: Decimal
    expired: Decimal
    taken_back: Decimal
    left: Decimal
    available: Decimal
    cost_granted: Decimal
    cost_drawn: Decimal
    cost_expired: Decimal
    cost_taken_back: Decimal
    cost_left: Decimal


class StatementCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A line that settling adds: COMMITMENT or MINIMUM (what was promised and not used, or the overage's price), or CREDIT
    (negative: what a grant paid of a line). explanation: the figures it came from, in order."""

    subject: ChargeSubject
    product_family: str
    currency: str
    amount: Decimal
    explanation: tuple[tuple[str, str], ...] = ()


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A commitment in one of its windows. promised, counted: in money or quantity, as it is measured, to date where it is
    cumulative. shortfall, overage: beyond them. charged: what its lines of this window come to. open: the window has not
    ended."""

    commitment: str
    window: Window
    promised: Decimal
    counted: Decimal
    shortfall: Decimal
    overage: Decimal
    charged: Decimal
    open: bool


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one customer, settled as of a moment.

    lines: every line given and every one added, with what paid for it, in the order of settling. charges: the lines added.
    entries: the ledger's, of windows that have ended. pending: draws of windows that are still open. top_ups: grants a rule
    asks for that are not among those given; they are in the entries and balances. findings: what could not be carried out as it
    was given.
    """

    at: datetime
    lines: tuple[SettledLine, ...] = ()
    charges: tuple[StatementCharge, ...] = ()
    commitments: tuple[Judged, ...] = ()
    entries: tuple[Entry, ...] = ()
    pending: tuple[Entry, ...] = ()
    balances: tuple[GrantBalance, ...] = ()
    top_ups: tuple[Grant, ...] = ()
    findings: tuple[Problem, ...] = ()
