"""How a charge came to its amount: every step, in words and as data. Pure.

Step amounts are exact before anything is rounded, so they may have digits no currency has, or none that end (a third). Their sum
and the one rounding step make the amount. Exact numbers are text: a plain decimal where one ends, "1700/31" where none does.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

import msgspec

from revline.core.money import amount_text, decode_hook

SHOWN_DIGITS: Final = 6
"""Digits after the point shown in words of a number that has no end; the data has it exactly."""


class StepKind(StrEnum):
    """What a step does. Only those that charge or take off have an amount; the others say how the quantity came to be."""

    QUANTITY = "quantity"
    TRANSFORMED = "transformed"
    FREE_UNITS = "free_units"
    FLAT = "flat"
    UNITS = "units"
    TIER = "tier"
    TIER_FLAT = "tier_flat"
    TIER_CAP = "tier_cap"
    PACKAGES = "packages"
    LEVEL = "level"
    GROUP = "group"
    PERCENTAGE = "percentage"
    FREE_TRANSACTIONS = "free_transactions"
    TRANSACTION_FIXED = "transaction_fixed"
    TRANSACTION_MINIMUM = "transaction_minimum"
    TRANSACTION_MAXIMUM = "transaction_maximum"
    PRICED = "priced"
    DISCOUNT = "discount"
    MAXIMUM = "maximum"
    MINIMUM = "minimum"
    FLOOR = "floor"
    RATED_BEFORE = "rated_before"
    ROUNDING = "rounding"


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step. words: the step in plain English. amount: what it adds, exact, in the price's currency. quantity, rate: what was
    multiplied, exact, "" where nothing was."""

    kind: StepKind
    words: str
    amount: str = "0"
    quantity: str = ""
    rate: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The way from a quantity to an amount. exact: the sum of all steps but the rounding. amount: rounded, in the currency's
    scale; the steps, rounding included, sum to it."""

    currency: str
    unit: str
    quantity: str
    steps: tuple[Step, ...]
    exact: str
    amount: str

    def to_json(self) -> bytes:
        """As a charge keeps it."""
        return msgspec.json.encode(self)


def from_json(content: bytes) -> Explanation:
    """An explanation from `Explanation.to_json`. msgspec.ValidationError when it is none."""
    return msgspec.json.decode(content, type=Explanation, dec_hook=decode_hook)


def exact_text(number: Fraction) -> str:
    """The one text of an exact number: 2.5, or 1700/31 when no decimal is equal to it."""
    rest, digits = number.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest //= prime
            power += 1
        digits = max(digits, power)
    if rest != 1:
        return f"{number.numerator}/{number.denominator}"
    return decimal_text(number.numerator * 10**digits // number.denominator, digits)


def exact_number(text: str) -> Fraction:
    """The number of an exact text. ValueError when it is none."""
    return Fraction(text)


def decimal_text(units: int, digits: int) -> str:
    """`units` with the point `digits` from the right: 1050 and 2 are 10.50."""
    if digits == 0:
        return str(units)
    whole, part = divmod(abs(units), 10**digits)
    return f"{'-' if units < 0 else ''}{whole}.{part:0{digits}d}"


def shown(number: Fraction, *, digits: int = 0) -> str:
    """A number for reading: thousands apart, at least `digits` after the point, six and … where it has no end."""
    text = exact_text(number)
    endless = "/" in text
    if endless:
        cut = abs(number.numerator) * 10**SHOWN_DIGITS // number.denominator
        text = decimal_text(-cut if number < 0 else cut, SHOWN_DIGITS)
    whole, _, part = text.partition(".")
    sign, whole = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    part = part.ljust(digits, "0")
    return f"{sign}{int(whole):,}{'.' if part else ''}{part}{'…' if endless else ''}"


def shown_amount(amount: Decimal) -> str:
    """A rounded amount for reading, with its currency's digits and thousands apart."""
    whole, _, part = amount_text(amount).partition(".")
    sign, whole = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    return f"{sign}{int(whole):,}{'.' if part else ''}{part}"
