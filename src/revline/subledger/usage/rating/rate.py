"""From inputs and terms to amounts: one engine over columns; a single charge is a column of one. Pure and exact.

The order is always: quantity, transform, free units, model, discounts with maximum and minimum, floor, rounding. What imports this
imports numpy; what is read at every start (`models`, `kinds`, `checks`) does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

import numpy as np

from revline.core.money import Currency, known_currency
from revline.core.problem import Problem
from revline.subledger.usage.rating.adjusting import adjust
from revline.subledger.usage.rating.conventions import Conventions, FreeUnits, NegativeUsage, RoundingScope
from revline.subledger.usage.rating.exact import ONE, ZERO, Column, Mask, constant, decimals, fractions
from revline.subledger.usage.rating.explanation import StepKind, shown
from revline.subledger.usage.rating.groups import band_prices, charge_groups, grouped, matrix_prices
from revline.subledger.usage.rating.inputs import RatingInput, Shape, needs_of
from revline.subledger.usage.rating.ladders import rungs_of, walk_of
from revline.subledger.usage.rating.models import (
    Capacity,
    Dynamic,
    Flat,
    Graduated,
    Matrix,
    Package,
    Percentage,
    PerUnit,
    PriceTerms,
    TieredPercentage,
    TierMode,
    TimeOfDay,
    Transform,
    UnitRounding,
    Volume,
)
from revline.subledger.usage.rating.rated import Rated, StepColumn, Tally
from revline.subledger.usage.rating.tiers import (
    Measured,
    Parts,
    Walk,
    charged_units,
    graduated,
    measured,
    volume,
)
from revline.subledger.usage.rating.transactions import charge_transactions, transactions

FREE_WORDS: Final = {
    FreeUnits.BEFORE_TIERS: "free units",
    FreeUnits.WITHIN_TIERS: "free units, the first of the tiers",
    FreeUnits.UNTIL_EXCEEDED: "free until exceeded",
}


def rate(*, terms: PriceTerms, inputs: Sequence[RatingInput]) -> Rated | Problem:
    """The amount of each input under checked terms, in their order.

    Exact until the one rounding to the currency's scale that the conventions name. Problems: `usage.price_unmatched` for a
    combination of values no cell prices, `usage.transactions_too_many`.
    """
    now = _Run(terms=terms, inputs=inputs).run()
    if isinstance(now, Problem):
        return now
    if all(each.before is None for each in inputs):
        return now.rated(now.tally.charged)
    earlier = _Run(terms=terms, inputs=[each.before or RatingInput() for each in inputs]).run()
    if isinstance(earlier, Problem):
        return earlier
    return now.less(earlier, np.array([each.before is not None for each in inputs], dtype=np.bool_))


def rate_quantities(*, terms: PriceTerms, quantities: Sequence[Decimal]) -> Rated | Problem:
    """The amount of each quantity for a whole billing period, of a price that needs one number (`needs_of`). ValueError for
    another price."""
    if needs_of(terms).shape is not Shape.QUANTITY:
        raise ValueError("this price needs more than one number")
    run = _Run(terms=terms, inputs=(), rows=len(quantities))
    run.charge_quantities(decimals(quantities))
    run.adjusted()
    return run.rated(run.tally.charged)


class _Run:
    """One column of inputs on its way through one price."""

    def __init__(self, *, terms: PriceTerms, inputs: Sequence[RatingInput], rows: int | None = None) -> None:
        self.terms = terms
        self.inputs = inputs
        self.rows = len(inputs) if rows is None else rows
        self.conventions: Conventions = terms.conventions
        self.currency: Currency = known_currency(terms.currency)
        self.quantity: Column = ZERO
        self.parts = _parts(inputs)
        self.tally = Tally(
            currency=self.currency,
            rounding=self.conventions.rounding,
            each_step=self.conventions.rounding_scope is RoundingScope.STEP,
        )

    def run(self) -> _Run | Problem:
        """Everything up to the rounding."""
        failed: Problem | None = None
        match needs_of(self.terms).shape:
            case Shape.QUANTITY:
                self.charge_quantities(decimals([each.quantity for each in self.inputs]))
            case Shape.GROUPS:
                failed = self._charge_groups()
            case Shape.TRANSACTIONS:
                failed = self._charge_transactions()
        if failed is not None:
            return failed
        self.adjusted()
        return self

    def adjusted(self) -> None:
        """Discounts, maximum, minimum and floor."""
        adjust(terms=self.terms, parts=self.parts, tally=self.tally)

    def rated(self, charged: Column) -> Rated:
        """The amounts, rounded."""
        return Rated(
            currency=self.currency,
            unit=self.terms.unit,
            rows=self.rows,
            quantity=self.quantity,
            steps=tuple(self.tally.steps),
            exact=self.tally.total,
            minor=self.tally.minor_units(charged),
        )

    def less(self, earlier: _Run, known: Mask) -> Rated:
        """What is left after what earlier lines of the period came to."""
        exact, charged = earlier.tally.total.only(known), earlier.tally.charged.only(known)
        cumulative = self.conventions.rounding_scope is RoundingScope.CUMULATIVE
        whole = self.tally.charged
        left = self.tally.rounded(whole).minus(self.tally.rounded(charged)) if cumulative else whole.minus(charged)
        self.tally.steps.append(
            StepColumn(
                kind=StepKind.RATED_BEFORE,
                label="charged on earlier lines of this period",
                amount=ZERO.minus(exact),
                quantity=earlier.quantity.only(known),
            )
        )
        self.tally.total = self.tally.total.minus(exact)
        return self.rated(left)

    def charge_quantities(self, quantity: Column) -> None:
        """A price that needs one number."""
        self.quantity = quantity
        given = measured(quantity=self._counted(quantity), free=self._free(), conventions=self.conventions)
        walk = Walk(conventions=self.conventions, parts=self.parts)
        model = self.terms.model.one()
        match model:
            case Package():
                self._charge_packages(model, given)
            case Volume() | Capacity() | Flat():
                volume(rungs=rungs_of(model), given=given, walk=walk_of(model, walk), tally=self.tally)
            case TieredPercentage() if model.mode is TierMode.VOLUME:
                volume(rungs=rungs_of(model), given=given, walk=walk_of(model, walk), tally=self.tally)
            case Graduated() | PerUnit() | Dynamic() | TieredPercentage():
                graduated(rungs=rungs_of(model), given=given, walk=walk_of(model, walk), tally=self.tally)

    def _counted(self, quantity: Column) -> Column:
        """The quantity that is priced."""
        self.tally.note(StepColumn(kind=StepKind.QUANTITY, label="quantity", quantity=quantity, seen=ONE.above(ZERO)))
        counted = quantity
        if self.conventions.negative_usage is NegativeUsage.ZERO:
            counted = quantity.greatest(ZERO)
            below = ZERO.above(quantity)
            if below.any():
                step = StepColumn(
                    kind=StepKind.QUANTITY, label="a quantity below zero counts as", quantity=counted, seen=below
                )
                self.tally.note(step)
        if self.terms.transform is not None:
            counted = _transformed(counted, self.terms.transform)
            label = f"divided by {shown(Fraction(self.terms.transform.divide_by))}"
            self.tally.note(StepColumn(kind=StepKind.TRANSFORMED, label=label, quantity=counted))
        return counted

    def _free(self) -> Column:
        free = constant(Fraction(self.terms.free_units))
        prorated = self.conventions.prorate_free_units
        column = self.parts.of(free, prorated=prorated)
        if not column.is_zero():
            label = self.parts.label(FREE_WORDS[self.conventions.free_units], prorated=prorated)
            self.tally.note(StepColumn(kind=StepKind.FREE_UNITS, label=label, quantity=column))
        return column

    def _charge_packages(self, model: Package, given: Measured) -> None:
        packages = _rounded(charged_units(given).times(1 / Fraction(model.size)), model.rounding)
        rate = Fraction(model.amount)
        label = f"packages of {shown(Fraction(model.size))}"
        self.tally.add(
            StepColumn(kind=StepKind.PACKAGES, label=label, amount=packages.times(rate), quantity=packages, rate=rate)
        )

    def _charge_groups(self) -> Problem | None:
        model = self.terms.model.one()
        assert isinstance(model, Matrix | TimeOfDay)
        prices = matrix_prices(model) if isinstance(model, Matrix) else band_prices(model)
        given = grouped(self.inputs)
        self.quantity = given.quantity.summed(given.offsets)
        self.tally.note(
            StepColumn(kind=StepKind.QUANTITY, label="quantity", quantity=self.quantity, seen=ONE.above(ZERO))
        )
        quantity = given.quantity
        if self.conventions.negative_usage is NegativeUsage.ZERO:
            quantity = quantity.greatest(ZERO)
        if self.terms.transform is not None:
            quantity = _transformed(quantity, self.terms.transform)
        return charge_groups(given=given, quantity=quantity, prices=prices, tally=self.tally)

    def _charge_transactions(self) -> Problem | None:
        model = self.terms.model.one()
        assert isinstance(model, Percentage)
        given = transactions(self.inputs)
        if isinstance(given, Problem):
            return given
        self.quantity = given.amount.summed(given.offsets)
        self.tally.note(
            StepColumn(
                kind=StepKind.QUANTITY,
                label=lambda row: f"sum of {len(self.inputs[row].transactions):,} transactions",
                quantity=self.quantity,
                seen=ONE.above(ZERO),
            )
        )
        charge_transactions(model=model, given=given, conventions=self.conventions, parts=self.parts, tally=self.tally)
        return None


def _parts(inputs: Sequence[RatingInput]) -> Parts:
    shares = [each.share for each in inputs]
    whole = all(share.part == share.whole for share in shares)
    return Parts(shares=shares, column=ONE if whole else fractions([share.fraction for share in shares]))


def _transformed(quantity: Column, transform: Transform) -> Column:
    return _rounded(quantity.times(1 / Fraction(transform.divide_by)), transform.rounding)


def _rounded(quantity: Column, rounding: UnitRounding) -> Column:
    match rounding:
        case UnitRounding.EXACT:
            return quantity
        case UnitRounding.UP:
            return quantity.up()
        case UnitRounding.DOWN:
            return quantity.down()
        case UnitRounding.HALF_UP:
            return quantity.half_up()
