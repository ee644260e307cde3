"""Whole-number arithmetic that ends a query: one division, one rounding, by name. Pure."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from revline.subledger.usage.metering.kinds import Conversion, Rounding


def rounded(value: Fraction, *, scale: int, rounding: Rounding) -> int:
    """A value as a whole number of 10^-scale."""
    numerator, denominator = value.numerator * int(10**scale), value.denominator
    whole, rest = divmod(int(numerator), int(denominator))  # toward minus infinity, so rest is never negative
    if not rest:
        return whole
    negative = numerator < 0
    match rounding:
        case Rounding.FLOOR:
            return whole
        case Rounding.CEILING:
            return whole + 1
        case Rounding.DOWN:
            return whole + 1 if negative else whole
        case Rounding.UP:
            return whole if negative else whole + 1
        case Rounding.HALF_UP | Rounding.HALF_EVEN:
            twice = 2 * rest - denominator
            if twice:
                return whole + 1 if twice > 0 else whole
            if rounding is Rounding.HALF_EVEN:
                return whole + whole % 2
            return whole if negative else whole + 1


def converted(value: Fraction, conversion: Conversion) -> int:
    """A quantity in the unit that is sold, as a whole number of 10^-conversion.scale."""
    factor = Fraction(conversion.multiply) / Fraction(conversion.divide)
    return rounded(value * factor, scale=conversion.scale, rounding=conversion.rounding)


def decimal_of(unscaled: int, scale: int) -> Decimal:
    """The decimal of a scaled whole number, exact."""
    return Decimal((1 if unscaled < 0 else 0, tuple(map(int, str(abs(unscaled)))), -scale))
