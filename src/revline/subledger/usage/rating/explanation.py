"""How a charge came to its amount: every step, in words and as data. Pure.

Step amounts are exact before anything is rounded, so they may have digits no currency has, or none that end (a third). Their sum
and the one rounding step make the amount. Exact numbers are text: a plain decimal where one ends, "1700/31" where none does.
"""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import Final

import msgspec

from revline.core.money import decode_hook

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


class Numerals:
    """Writes exact numbers of one denominator."""

    __slots__ = ("_digits", "_factor", "denominator")

    def __init__(self, denominator: int) -> None:
        rest, twos, fives = denominator, 0, 0
        while rest % 2 == 0:
            rest, twos = rest // 2, twos + 1
        while rest % 5 == 0:
            rest, fives = rest // 5, fives + 1
        self.denominator = denominator
        self._digits = max(twos, fives)
        self._factor = 10**self._digits // denominator if rest == 1 else 0
        """What a numerator is multiplied by to count 10 to the power of minus `_digits`; 0 where no such power will do."""

    def exact(self, numerator: int) -> str:
        """The one text of a number: 2.5, or 1700/31 when no decimal is equal to it."""
        if not self._factor:
            number = Fraction(numerator, self.denominator)
            if number.denominator == self.denominator:
                return f"{number.numerator}/{number.denominator}"
            return numerals(number.denominator).exact(number.numerator)
        if not numerator:
            return "0"
        text = decimal_text(numerator * self._factor, self._digits)
        return text.rstrip("0").rstrip(".") if self._digits else text


@lru_cache(maxsize=1024)
def numerals(denominator: int) -> Numerals:
    """The writer of a denominator."""
    return Numerals(denominator)


def exact_text(number: Fraction) -> str:
    """The one text of an exact number."""
    return numerals(number.denominator).exact(number.numerator)


def exact_number(text: str) -> Fraction:
    """The number of an exact text. ValueError when it is none."""
    return Fraction(text)


def decimal_text(units: int, digits: int) -> str:
    """`units` with the point `digits` from the right: 1050 and 2 are 10.50."""
    if digits == 0:
        return str(units)
    text = str(abs(units)).zfill(digits + 1)
    return f"{'-' if units < 0 else ''}{text[:-digits]}.{text[-digits:]}"


def shown(number: Fraction, *, digits: int = 0) -> str:
    """A number for reading: thousands apart, at least `digits` after the point, six and … where it has no end."""
    return shown_text(exact_text(number), digits=digits)


def shown_text(text: str, *, digits: int = 0) -> str:
    """An exact text for reading."""
    endless = "/" in text
    if endless:
        number = Fraction(text)
        cut = abs(number.numerator) * 10**SHOWN_DIGITS // number.denominator
        text = decimal_text(-cut if number < 0 else cut, SHOWN_DIGITS)
    whole, _, part = text.partition(".")
    if len(whole) > 3:
        sign, whole = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
        whole = f"{sign}{int(whole):,}"
    if len(part) < digits:
        part = part.ljust(digits, "0")
    return f"{whole}{'.' if part else ''}{part}{'…' if endless else ''}"
