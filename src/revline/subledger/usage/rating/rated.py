"""What rating gives: the amounts of a column of charges, and on demand how each of them came to be. Pure.

The steps an explanation is written from are the columns the amounts were added up from; nothing is computed a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from revline.core.money import Currency, Rounding
from revline.subledger.usage.rating.exact import ZERO, Column, Mask
from revline.subledger.usage.rating.explanation import (
    Explanation,
    Step,
    StepKind,
    decimal_text,
    exact_text,
    numerals,
    shown,
    shown_text,
)

Label = str | Callable[[int], str]
"""What a step says, of every row or of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepColumn:
    """One step of every row. seen: the rows that have it; None: those in which it has an amount or a quantity. percent: the rate is
    shown as one."""

    kind: StepKind
    label: Label
    amount: Column = ZERO
    quantity: Column | None = None
    rate: Fraction | None = None
    percent: bool = False
    seen: Mask | None = None

    def in_row(self, row: int) -> bool:
        """Whether a row has this step."""
        if self.seen is not None:
            return bool(self.seen[row if len(self.seen) > 1 else 0])
        return bool(self.amount.numerator(row)) or (self.quantity is not None and bool(self.quantity.numerator(row)))

    def step(self, row: int, *, digits: int) -> Step:
        """The step of a row. digits: of the currency, for reading."""
        amount = _text(self.amount, row)
        quantity = "" if self.quantity is None else _text(self.quantity, row)
        rate = "" if self.rate is None else exact_text(self.rate)
        label = self.label if isinstance(self.label, str) else self.label(row)
        return Step(
            kind=self.kind,
            words=f"{label}: {self._said(quantity, rate, amount, digits)}",
            amount=amount,
            quantity=quantity,
            rate=rate,
        )

    def _said(self, quantity: str, rate: str, amount: str, digits: int) -> str:
        if not quantity:
            return shown_text(amount, digits=digits)
        if self.rate is None:
            said = shown_text(quantity)
            return said if amount == "0" else f"{said} = {shown_text(amount, digits=digits)}"
        if self.percent:
            return f"{shown(self.rate * 100)} % of {shown_text(quantity)} = {shown_text(amount, digits=digits)}"
        return f"{shown_text(quantity)} at {shown_text(rate, digits=digits)} = {shown_text(amount, digits=digits)}"


def _text(column: Column, row: int) -> str:
    return numerals(column.denominator).exact(column.numerator(row))


class Tally:
    """The running sum of a column of charges.

    total: exact. charged: with what each step was rounded by, where the conventions round every step; the same as total elsewhere.
    """

    def __init__(self, *, currency: Currency, rounding: Rounding, each_step: bool) -> None:
        self.currency = currency
        self.rounding = rounding
        self.each_step = each_step
        self.steps: list[StepColumn] = []
        self.total: Column = ZERO
        self.charged: Column = ZERO

    def note(self, step: StepColumn) -> None:
        """A step without an amount."""
        self.steps.append(step)

    def add(self, step: StepColumn, *, charged: Column | None = None) -> None:
        """A step with an amount. charged: what it is rounded to where that is not the rounding of its sum."""
        self.steps.append(step)
        if step.amount.is_zero() and charged is None:
            return
        self.total = self.total.plus(step.amount)
        if not self.each_step:
            self.charged = self.total
        else:
            self.charged = self.charged.plus(self.rounded(step.amount) if charged is None else charged)

    def money(self, amount: Fraction) -> str:
        """An amount for reading."""
        return shown(amount, digits=self.currency.scale)

    def rounded(self, amount: Column) -> Column:
        """Amounts brought to the currency's scale, as amounts."""
        return self.minor_units(amount).times(Fraction(1, 10**self.currency.scale))

    def minor_units(self, amount: Column) -> Column:
        """Amounts as whole counts of the currency's smallest unit."""
        units = amount.times(Fraction(10**self.currency.scale))
        return units.half_up() if self.rounding is Rounding.HALF_UP else units.half_even()


class Rated:
    """The amounts of a column of charges, in the order of their inputs."""

    __slots__ = ("_exact", "_minor", "_quantity", "_rows", "_steps", "currency", "unit")

    def __init__(
        self,
        *,
        currency: Currency,
        unit: str,
        rows: int,
        quantity: Column,
        steps: tuple[StepColumn, ...],
        exact: Column,
        minor: Column,
    ) -> None:
        self.currency = currency
        self.unit = unit
        self._rows = rows
        self._quantity = quantity
        self._steps = steps
        self._exact = exact
        self._minor = minor

    def __len__(self) -> int:
        return self._rows

    def minor_units(self) -> list[int]:
        """Every amount as a count of the currency's smallest unit."""
        return [int(units) for units in self._minor.spread(self._rows).numerators.tolist()]

    def amounts(self) -> list[Decimal]:
        """Every amount, in the currency's scale."""
        scale = -self.currency.scale
        return [Decimal(units).scaleb(scale) for units in self.minor_units()]

    def amount(self, row: int = 0) -> Decimal:
        """The amount of a row, in the currency's scale."""
        return Decimal(self._amount_text(row))

    def exact(self, row: int = 0) -> Fraction:
        """The amount of a row before it was rounded."""
        return self._exact.at(row)

    def explain(self, row: int = 0) -> Explanation:
        """How the amount of a row came to be."""
        digits = self.currency.scale
        steps = [column.step(row, digits=digits) for column in self._steps if column.in_row(row)]
        amount = self._amount_text(row)
        numerator, denominator = self._exact.numerator(row), self._exact.denominator
        off = self._minor.numerator(row) * denominator - numerator * 10**digits
        if off:
            text = numerals(denominator * 10**digits).exact(off)
            words = f"rounded to {amount} {self.currency.code}: {shown_text(text, digits=digits)}"
            steps.append(Step(kind=StepKind.ROUNDING, words=words, amount=text))
        return Explanation(
            currency=self.currency.code,
            unit=self.unit,
            quantity=_text(self._quantity, row),
            steps=tuple(steps),
            exact=numerals(denominator).exact(numerator),
            amount=amount,
        )

    def _amount_text(self, row: int) -> str:
        return decimal_text(self._minor.numerator(row), self.currency.scale)
