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

from revline.core.canonical.credits import CreditGrant
from revline.core.problem import Problem
from revline.subledger.usage.charges.values import ChargeSubject
from revline.subledger.usage.versions import Window

ZERO: Final = Decimal(0)
GRANTS_MAX: Final = 10_000
LINES_MAX: Final = 200_000
"""Grants and lines of one customer that one statement takes."""


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """What one grant paid of one line; negative where an adjustment gave back."""

    grant_id: str
    amount: Decimal


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
    fixed: tuple[Draw, ...] | None = None

    @property
    def draws_at(self) -> datetime:
        """The moment it is charged."""
        return self.subject.window.end if self.due_at is None else self.due_at


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
    """One movement of credits. amount: credits; cost: what they had cost. day: where the entity keeps its books; what ends at
    midnight counts for the day that ends. product_family: of the line it paid, else of the grant."""

    key: EntryKey
    at: datetime
    day: date
    product_family: str
    currency: str
    amount: Decimal
    cost: Decimal


class SettledLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line with what paid for it. due: what is left to be paid in money: amount less the draws."""

    line: Line
    draws: tuple[Draw, ...]
    due: Decimal


class GrantBalance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a grant's credits and their cost are. drawn is net of what came back. left: held still; available: of that, what
    open windows and refunds leave. granted = drawn + expired + taken_back + left, for credits and for cost."""

    grant: CreditGrant
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
    top_ups: tuple[CreditGrant, ...] = ()
    findings: tuple[Problem, ...] = ()
