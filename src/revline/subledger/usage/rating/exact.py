"""Columns of exact numbers: whole numerators over one common denominator. Pure; knows no price.

Numerators are machine words as long as no result can pass them, and Python's unbounded whole numbers from there on: the same code,
never a rounding, never an overflow. A column of one value stands for that value in every row.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from math import gcd, lcm
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.bool_]
Places: TypeAlias = npt.NDArray[np.int64]
WORD_MAX: Final = 2**62
"""Magnitudes below it are kept in machine words; half of what fits, so that one addition never passes."""


DIGITS_MAX: Final = 100
"""Digits a decimal may have, the point moved to its end."""
SAMPLE: Final = 32
"""Numbers of a column that are looked at for how many digits it has; most columns come from one scale."""


class Column:
    """Exact numbers, one a row. bound: no numerator is greater in magnitude."""

    __slots__ = ("bound", "denominator", "numerators")

    def __init__(self, numerators: Numbers, denominator: int, bound: int) -> None:
        self.numerators = numerators
        self.denominator = denominator
        self.bound = bound

    def __len__(self) -> int:
        return len(self.numerators)

    def at(self, row: int) -> Fraction:
        """The number of a row."""
        return Fraction(self.numerator(row), self.denominator)

    def numerator(self, row: int) -> int:
        """The numerator of a row."""
        return int(self.numerators[row if len(self.numerators) > 1 else 0])

    def is_zero(self) -> bool:
        """Whether every row is certainly zero."""
        return self.bound == 0

    def times(self, factor: Fraction) -> Column:
        """Every number times a factor."""
        shared = gcd(factor.numerator, self.denominator)
        by = factor.numerator // shared
        return _scaled(self, by, self.denominator // shared * factor.denominator)

    def times_column(self, other: Column) -> Column:
        """Row by row."""
        bound = self.bound * other.bound
        left, right = self._fit(bound), other._fit(bound)
        return Column(left * right, self.denominator * other.denominator, bound)

    def plus(self, other: Column) -> Column:
        """Row by row."""
        left, right = aligned(self, other)
        bound = left.bound + right.bound
        return Column(left._fit(bound) + right._fit(bound), left.denominator, bound)

    def minus(self, other: Column) -> Column:
        """Row by row."""
        left, right = aligned(self, other)
        bound = left.bound + right.bound
        return Column(left._fit(bound) - right._fit(bound), left.denominator, bound)

    def least(self, other: Column) -> Column:
        """The smaller of each row."""
        left, right = aligned(self, other)
        return Column(np.minimum(left.numerators, right.numerators), left.denominator, max(left.bound, right.bound))

    def greatest(self, other: Column) -> Column:
        """The greater of each row."""
        left, right = aligned(self, other)
        return Column(np.maximum(left.numerators, right.numerators), left.denominator, max(left.bound, right.bound))

    def where(self, mask: Mask, other: Column) -> Column:
        """This column's rows where the mask holds, the other's elsewhere."""
        left, right = aligned(self, other)
        chosen = np.where(mask, left.numerators, right.numerators)
        return Column(chosen, left.denominator, max(left.bound, right.bound))

    def only(self, mask: Mask) -> Column:
        """This column's rows where the mask holds, zero elsewhere."""
        return self.where(mask, ZERO)

    def above(self, other: Column) -> Mask:
        """Rows that are greater than the other's."""
        left, right = aligned(self, other)
        return np.asarray(left.numerators > right.numerators, dtype=np.bool_)

    def at_least(self, other: Column) -> Mask:
        """Rows that are greater than the other's or equal."""
        left, right = aligned(self, other)
        return np.asarray(left.numerators >= right.numerators, dtype=np.bool_)

    def down(self) -> Column:
        """The whole number not above each."""
        numerators = self._fit(max(self.bound, self.denominator))
        return Column(numerators // self.denominator, 1, self.bound // self.denominator + 1)

    def up(self) -> Column:
        """The whole number not below each."""
        numerators = self._fit(max(self.bound, self.denominator))
        return Column(-(-numerators // self.denominator), 1, self.bound // self.denominator + 1)

    def half_up(self) -> Column:
        """The nearest whole number, a half away from zero."""
        numerators = self._fit(2 * (self.bound + self.denominator))
        magnitude = (np.abs(numerators) * 2 + self.denominator) // (2 * self.denominator)
        signed = np.where(numerators < 0, -magnitude, magnitude)
        return Column(signed, 1, self.bound // self.denominator + 1)

    def half_even(self) -> Column:
        """The nearest whole number, a half to the even one."""
        numerators = self._fit(2 * (self.bound + self.denominator))
        whole, rest = numerators // self.denominator, numerators % self.denominator
        more = (rest * 2 > self.denominator) | ((rest * 2 == self.denominator) & (whole % 2 == 1))
        return Column(whole + np.asarray(more, dtype=np.int64), 1, self.bound // self.denominator + 1)

    def spread(self, rows: int) -> Column:
        """The same with one number for each of so many rows."""
        return self if len(self) == rows else Column(np.repeat(self.numerators, rows), self.denominator, self.bound)

    def taken(self, rows: Places) -> Column:
        """The numbers at places, in their order."""
        return self if len(self) == 1 else Column(self.numerators[rows], self.denominator, self.bound)

    def summed(self, offsets: Places) -> Column:
        """The sum of each run: rows offsets[i] up to offsets[i + 1]."""
        running, bound = self._running()
        return Column(running[offsets[1:]] - running[offsets[:-1]], self.denominator, bound)

    def before_each(self, offsets: Places, runs: Places) -> Column:
        """Of each row the sum of those before it in its run. runs: the run of each row."""
        running, bound = self._running()
        return Column(running[:-1] - running[offsets[:-1]][runs], self.denominator, bound)

    def _running(self) -> tuple[Numbers, int]:
        """Sums of all rows before each and after the last, and a bound of any difference of two."""
        bound = self.bound * max(len(self), 1)
        numerators = self._fit(bound)
        running = np.zeros(len(self) + 1, dtype=numerators.dtype)
        running[1:] = np.cumsum(numerators)
        return running, bound

    def _fit(self, bound: int) -> Numbers:
        """The numerators in a type that holds results up to a bound."""
        if bound < WORD_MAX or self.numerators.dtype == object:
            return self.numerators
        return self.numerators.astype(object)


def _scaled(column: Column, by: int, denominator: int) -> Column:
    bound = column.bound * abs(by)
    if by == 1 or column.bound == 0:
        return Column(column.numerators, denominator, bound)
    return Column(column._fit(bound) * by, denominator, bound)


def aligned(left: Column, right: Column) -> tuple[Column, Column]:
    """Both over the same denominator."""
    if left.denominator == right.denominator:
        return left, right
    common = lcm(left.denominator, right.denominator)
    return (
        _scaled(left, common // left.denominator, common),
        _scaled(right, common // right.denominator, common),
    )


def constant(number: Fraction | int) -> Column:
    """One number for every row."""
    exact = Fraction(number)
    kind = np.int64 if abs(exact.numerator) < WORD_MAX else object
    return Column(np.array([exact.numerator], dtype=kind), exact.denominator, abs(exact.numerator))


def whole_numbers(numbers: Sequence[int], *, denominator: int = 1) -> Column:
    """A column of numerators."""
    bound = max((abs(number) for number in numbers), default=0)
    return Column(np.array(numbers, dtype=np.int64 if bound < WORD_MAX else object), denominator, bound)


def decimals(numbers: Sequence[Decimal]) -> Column:
    """A column of finite decimals."""
    with localcontext() as context:
        context.prec = DIGITS_MAX
        digits = _digits(numbers[:SAMPLE])
        scaled = [number.scaleb(digits) for number in numbers]
        units = [int(number) for number in scaled]
        if units != scaled:
            digits = _digits(numbers)
            units = [int(number.scaleb(digits)) for number in numbers]
    return whole_numbers(units, denominator=10**digits)


def _digits(numbers: Sequence[Decimal]) -> int:
    """The most digits after the point that any of them has."""
    return max(0, *(-int(number.as_tuple().exponent) for number in numbers), 0)


def fractions(numbers: Sequence[Fraction]) -> Column:
    """A column of exact numbers."""
    common = lcm(*{number.denominator for number in numbers}) if numbers else 1
    return whole_numbers([number.numerator * (common // number.denominator) for number in numbers], denominator=common)


ZERO: Final = constant(0)
ONE: Final = constant(1)
