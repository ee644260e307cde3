"""Tiers over columns: graduated, volume, levels and percentages are one walk through bounds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from revline.subledger.usage.rating.conventions import Conventions, FreeUnits, TierBound, ZeroUsage
from revline.subledger.usage.rating.exact import ONE, ZERO, Column, Mask, constant
from revline.subledger.usage.rating.explanation import StepKind, shown
from revline.subledger.usage.rating.inputs import Share
from revline.subledger.usage.rating.rated import Label, StepColumn, Tally


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """A tier in the engine's terms. rate: of one unit."""

    up_to: Decimal | None
    rate: Fraction = Fraction(0)
    flat: Fraction = Fraction(0)
    cap: Fraction | None = None


class Parts:
    """What part of the billing period each row is charged for. column: as numbers, one where all are charged for the whole."""

    __slots__ = ("column", "shares")

    def __init__(self, *, shares: Sequence[Share], column: Column) -> None:
        self.shares = shares
        self.column = column

    def of(self, amount: Column, *, prorated: bool) -> Column:
        """An amount of the whole period, for the part."""
        return amount.times_column(self.column) if prorated and self.column is not ONE else amount

    def label(self, text: str, *, prorated: bool) -> Label:
        """A step's words with the part where there is one."""
        if not prorated or self.column is ONE:
            return text
        return lambda row: f"{text}{_part_words(self.shares[row])}"


def _part_words(share: Share) -> str:
    return "" if share.part == share.whole else f", {share.part:,} of {share.whole:,} {share.unit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A column of quantities on its way through tiers.

    quantity: what fills them. start: where what is charged begins. shift: how far bounds are moved up.
    """

    quantity: Column
    start: Column
    shift: Column


def measured(*, quantity: Column, free: Column, conventions: Conventions) -> Measured:
    """Quantities with their free units, as the conventions want them."""
    if free.is_zero():
        return Measured(quantity=quantity, start=ZERO, shift=ZERO)
    match conventions.free_units:
        case FreeUnits.BEFORE_TIERS:
            return Measured(quantity=quantity, start=free, shift=free)
        case FreeUnits.WITHIN_TIERS:
            return Measured(quantity=quantity, start=free, shift=ZERO)
        case FreeUnits.UNTIL_EXCEEDED:
            counted = quantity.only(quantity.above(free) | ZERO.above(quantity))
            return Measured(quantity=counted, start=ZERO, shift=free)


def charged_units(given: Measured) -> Column:
    """The units that are charged: below zero all of them, else those past the start."""
    past = given.quantity.minus(given.start).greatest(ZERO)
    return given.quantity.where(ZERO.above(given.quantity), past)


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """How rungs are charged and said. flat_kind, unit_kind: kinds of their steps. percent: rates are said as percentages.
    flat_only: rungs have no rate."""

    conventions: Conventions
    parts: Parts
    percent: bool = False
    unit_kind: StepKind = StepKind.TIER
    flat_kind: StepKind = StepKind.TIER_FLAT
    name: str = "tier"
    flat_only: bool = False


def graduated(*, rungs: Sequence[Rung], given: Measured, walk: Walk, tally: Tally) -> None:
    """Each unit at the rate of its own rung."""
    due = _flat_due(given, walk)
    below: Column | None = None
    for index, rung in enumerate(rungs):
        bound = _bound(rung, given, walk)
        reached = due if below is None else due & _beyond(given, below, walk)
        _charge(rung, _part(given, below, bound), reached, _label(rungs, index, walk), walk, tally)
        if bound is None:
            return
        below = bound


def volume(*, rungs: Sequence[Rung], given: Measured, walk: Walk, tally: Tally) -> None:
    """All units at the rate of the rung the whole quantity falls in."""
    units = charged_units(given)
    due = _flat_due(given, walk)
    open_rows: Mask = ONE.above(ZERO)
    for index, rung in enumerate(rungs):
        bound = _bound(rung, given, walk)
        if bound is None:
            here = open_rows
        elif walk.conventions.tier_bound is TierBound.INCLUSIVE:
            here = open_rows & bound.at_least(given.quantity)
        else:
            here = open_rows & bound.above(given.quantity)
        _charge(rung, units.only(here), here & due, _label(rungs, index, walk), walk, tally)
        open_rows = open_rows & ~here
        if bound is None:
            return


def _bound(rung: Rung, given: Measured, walk: Walk) -> Column | None:
    if rung.up_to is None:
        return None
    bound = walk.parts.of(constant(Fraction(rung.up_to)), prorated=walk.conventions.prorate_tiers)
    return bound.plus(given.shift)


def _part(given: Measured, below: Column | None, bound: Column | None) -> Column:
    """The charged units between two bounds; of a quantity below zero the first rung has them all."""
    upper = given.quantity if bound is None else given.quantity.least(bound)
    if below is not None:
        return upper.minus(below.greatest(given.start)).greatest(ZERO)
    return given.quantity.where(ZERO.above(given.quantity), upper.minus(given.start).greatest(ZERO))


def _beyond(given: Measured, below: Column, walk: Walk) -> Mask:
    """Rows whose quantity goes on after a bound."""
    inclusive = walk.conventions.tier_bound is TierBound.INCLUSIVE
    return given.quantity.above(below) if inclusive else given.quantity.at_least(below)


def _flat_due(given: Measured, walk: Walk) -> Mask:
    """Rows that owe the flat amount of the rung they are in: all, or those with something left to charge."""
    if walk.conventions.zero_usage is ZeroUsage.BILLED:
        return ONE.above(ZERO)
    left = charged_units(given)
    return left.above(ZERO) | ZERO.above(left)


def _charge(rung: Rung, part: Column, reached: Mask, label: str, walk: Walk, tally: Tally) -> None:
    units = part.times(rung.rate)
    if not walk.flat_only:
        step = StepColumn(
            kind=walk.unit_kind, label=label, amount=units, quantity=part, rate=rung.rate, percent=walk.percent
        )
        tally.add(step)
    flat = ZERO
    if rung.flat:
        prorated = walk.conventions.prorate_flat
        flat = walk.parts.of(constant(rung.flat), prorated=prorated).only(reached)
        text = walk.parts.label(label if walk.flat_only else f"{label}, flat amount", prorated=prorated)
        tally.add(StepColumn(kind=walk.flat_kind, label=text, amount=flat))
    if rung.cap is not None:
        prorated = walk.conventions.prorate_flat
        cap = walk.parts.of(constant(rung.cap), prorated=prorated)
        text = walk.parts.label(f"{label}, at most {tally.money(rung.cap)}", prorated=prorated)
        over = cap.minus(units.plus(flat)).least(ZERO)
        tally.add(StepColumn(kind=StepKind.TIER_CAP, label=text, amount=over))


def _label(rungs: Sequence[Rung], index: int, walk: Walk) -> str:
    """Which tier it is, by the bounds as the price has them."""
    if len(rungs) == 1:
        return walk.name
    low = rungs[index - 1].up_to if index else None
    high = rungs[index].up_to
    inclusive = walk.conventions.tier_bound is TierBound.INCLUSIVE
    above, up_to = ("above", "up to") if inclusive else ("from", "below")
    words = []
    if low is not None:
        words.append(f"{above} {shown(Fraction(low))}")
    if high is not None:
        words.append(f"{up_to} {shown(Fraction(high))}")
    return f"{walk.name} {index + 1} ({' '.join(words)})"
