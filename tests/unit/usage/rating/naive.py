"""Rating as a person would do it: one charge, one step after another, fractions on paper. What the engine is compared with.

Written from the documented meaning of models and conventions, and on purpose in no way like the engine: no columns, no shared walk
through tiers, tiers found unit by unit range.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

from revline.core.money import Rounding, known_currency
from revline.subledger.usage.rating.conventions import (
    Conventions,
    DiscountBase,
    DiscountOrder,
    FreeEnd,
    FreeStraddle,
    FreeUnits,
    NegativeUsage,
    RoundingScope,
    TierBound,
    ZeroUsage,
)
from revline.subledger.usage.rating.inputs import OTHERWISE, RatingInput
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
    Tier,
    TieredPercentage,
    TierMode,
    TimeOfDay,
    UnitRounding,
    Volume,
)


def rounded_to(number: Fraction, digits: int, rounding: Rounding) -> Fraction:
    units = abs(number) * 10**digits
    whole = floor(units)
    rest = units - whole
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and (rounding is Rounding.HALF_UP or whole % 2)):
        whole += 1
    return Fraction(whole if number >= 0 else -whole, 10**digits)


def units_rounded(number: Fraction, how: UnitRounding) -> Fraction:
    match how:
        case UnitRounding.EXACT:
            return number
        case UnitRounding.UP:
            return Fraction(ceil(number))
        case UnitRounding.DOWN:
            return Fraction(floor(number))
        case UnitRounding.HALF_UP:
            return rounded_to(number, 0, Rounding.HALF_UP)


class Paper:
    """A list of amounts. base: what has come together, each rounded where every step is."""

    def __init__(self, terms: PriceTerms) -> None:
        self.terms = terms
        self.exact = Fraction(0)
        self.base = Fraction(0)

    def write(self, amount: Fraction) -> None:
        self.exact += amount
        self.base += self.cents(amount) if self.terms.conventions.rounding_scope is RoundingScope.STEP else amount

    def cents(self, amount: Fraction) -> Fraction:
        return rounded_to(amount, known_currency(self.terms.currency).scale, self.terms.conventions.rounding)


def naive_rate(terms: PriceTerms, given: RatingInput) -> tuple[Fraction, Fraction]:
    """The amount before rounding and after."""
    paper = on_paper(terms, given)
    if given.before is None:
        return paper.exact, paper.cents(paper.base)
    earlier = on_paper(terms, given.before)
    exact = paper.exact - earlier.exact
    if terms.conventions.rounding_scope is RoundingScope.CUMULATIVE:
        return exact, paper.cents(paper.base) - paper.cents(earlier.base)
    return exact, paper.cents(paper.base - earlier.base)


def on_paper(terms: PriceTerms, given: RatingInput) -> Paper:
    paper, rules, share = Paper(terms), terms.conventions, given.share.fraction
    model = terms.model.one()
    match model:
        case Percentage():
            _transactions(paper, model, rules, given, share)
        case Matrix() | TimeOfDay():
            _groups(paper, model, terms, given)
        case _:
            quantity = _prepared(terms, Fraction(given.quantity))
            free = Fraction(terms.free_units) * (share if rules.prorate_free_units else 1)
            _one_number(paper, terms, quantity, free, share)
    steps = [_discounts, _limits] if rules.discount_order is DiscountOrder.BEFORE_MINIMUM else [_limits, _discounts]
    for step in steps:
        step(paper, terms, share if rules.prorate_spend else Fraction(1))
    if rules.negative_usage is NegativeUsage.FLOOR and paper.base < 0:
        paper.write(-paper.base)
    return paper


def _prepared(terms: PriceTerms, quantity: Fraction) -> Fraction:
    if terms.conventions.negative_usage is NegativeUsage.ZERO and quantity < 0:
        quantity = Fraction(0)
    if terms.transform is not None:
        quantity = units_rounded(quantity / Fraction(terms.transform.divide_by), terms.transform.rounding)
    return quantity


def _one_number(paper: Paper, terms: PriceTerms, quantity: Fraction, free: Fraction, share: Fraction) -> None:
    rules, model = terms.conventions, terms.model.one()
    flat_share = share if rules.prorate_flat else Fraction(1)
    shift = Fraction(0)
    start = free
    if rules.free_units is FreeUnits.BEFORE_TIERS:
        shift = free
    if rules.free_units is FreeUnits.UNTIL_EXCEEDED and free:
        shift, start = free, Fraction(0)
        if 0 <= quantity <= free:
            quantity = Fraction(0)
    charged = quantity if quantity < 0 else max(quantity - start, Fraction(0))
    flats = rules.zero_usage is ZeroUsage.BILLED or charged != 0
    match model:
        case Flat():
            if flats:
                paper.write(Fraction(model.amount) * flat_share)
        case PerUnit():
            paper.write(charged * Fraction(model.unit_amount))
        case Dynamic():
            paper.write(charged * Fraction(model.multiplier))
        case Package():
            paper.write(units_rounded(charged / Fraction(model.size), model.rounding) * Fraction(model.amount))
        case Graduated():
            _graduated(paper, model.tiers, rules, quantity, start, shift, share, flats)
        case TieredPercentage() if model.mode is TierMode.GRADUATED:
            _graduated(paper, _as_tiers(model), rules, quantity, start, shift, share, flats)
        case Volume():
            _volume(paper, model.tiers, rules, quantity, charged, shift, share, flats)
        case TieredPercentage():
            _volume(paper, _as_tiers(model), rules, quantity, charged, shift, share, flats)
        case Capacity():
            tiers = tuple(Tier(up_to=level.up_to, flat_amount=level.amount) for level in model.levels)
            _volume(paper, tiers, rules, quantity, charged, shift, share, flats)
        case _:
            raise TypeError(model)


def _as_tiers(model: TieredPercentage) -> tuple[Tier, ...]:
    return tuple(
        Tier(up_to=tier.up_to, unit_amount=tier.percent / 100, flat_amount=tier.flat_amount, cap=tier.cap)
        for tier in model.tiers
    )


def _bounds(tiers: tuple[Tier, ...], rules: Conventions, shift: Fraction, share: Fraction) -> list[Fraction | None]:
    by = share if rules.prorate_tiers else Fraction(1)
    return [None if tier.up_to is None else Fraction(tier.up_to) * by + shift for tier in tiers]


def _tier(paper: Paper, tier: Tier, rules: Conventions, units: Fraction, share: Fraction, *, flat: bool) -> None:
    by = share if rules.prorate_flat else Fraction(1)
    amount = units * Fraction(tier.unit_amount)
    fee = Fraction(tier.flat_amount) * by if flat else Fraction(0)
    paper.write(amount)
    paper.write(fee)
    if tier.cap is not None and amount + fee > Fraction(tier.cap) * by:
        paper.write(Fraction(tier.cap) * by - amount - fee)


def _graduated(
    paper: Paper,
    tiers: tuple[Tier, ...],
    rules: Conventions,
    quantity: Fraction,
    start: Fraction,
    shift: Fraction,
    share: Fraction,
    flats: bool,
) -> None:
    low: Fraction | None = None
    for tier, high in zip(tiers, _bounds(tiers, rules, shift, share), strict=True):
        if low is not None and (quantity < low or (quantity == low and rules.tier_bound is TierBound.INCLUSIVE)):
            return
        if quantity < 0:
            units = quantity
        else:
            top = quantity if high is None or quantity < high else high
            units = max(top - max(start, low or Fraction(0)), Fraction(0))
        _tier(paper, tier, rules, units, share, flat=flats)
        if high is None:
            return
        low = high


def _volume(
    paper: Paper,
    tiers: tuple[Tier, ...],
    rules: Conventions,
    quantity: Fraction,
    charged: Fraction,
    shift: Fraction,
    share: Fraction,
    flats: bool,
) -> None:
    for tier, high in zip(tiers, _bounds(tiers, rules, shift, share), strict=True):
        if high is None or quantity < high or (quantity == high and rules.tier_bound is TierBound.INCLUSIVE):
            _tier(paper, tier, rules, charged, share, flat=flats)
            return


def _groups(paper: Paper, model: Matrix | TimeOfDay, terms: PriceTerms, given: RatingInput) -> None:
    together: dict[int, tuple[Fraction, Decimal]] = {}
    for key, quantity in given.groups:
        place, price = _price_of(model, key)
        before = together.get(place, (Fraction(0), price))[0]
        together[place] = (before + _prepared(terms, Fraction(quantity)), price)
    for quantity, price in together.values():
        paper.write(quantity * Fraction(price))


def _price_of(model: Matrix | TimeOfDay, key: tuple[str, ...]) -> tuple[int, Decimal]:
    if isinstance(model, TimeOfDay):
        names = list(dict.fromkeys(band.name for band in model.bands))
        for band in model.bands:
            if (band.name,) == key:
                return names.index(band.name), band.unit_amount
        assert key == (OTHERWISE,)
        assert model.otherwise is not None
        return -1, model.otherwise
    for index, cell in enumerate(model.cells):
        if all(value in {"*", part} for value, part in zip(cell.values, key, strict=True)):
            return index, cell.unit_amount
    assert model.otherwise is not None
    return -1, model.otherwise


def _transactions(paper: Paper, model: Percentage, rules: Conventions, given: RatingInput, share: Fraction) -> None:
    free = None
    if model.free_amount is not None:
        free = Fraction(model.free_amount) * (share if rules.prorate_free_units else 1)
    seen, place = Fraction(0), -1
    for decimal in given.transactions:
        amount = Fraction(decimal)
        if amount < 0:
            paper.write(
                Fraction(0) if rules.negative_usage is NegativeUsage.ZERO else amount * Fraction(model.percent) / 100
            )
            continue
        place += 1
        covered, wholly = _free_of(model, rules, amount, place, free, seen)
        seen += amount
        fee = (amount - covered) * Fraction(model.percent) / 100
        if not wholly:
            fee += Fraction(model.fixed_amount)
            if model.minimum is not None:
                fee = max(fee, Fraction(model.minimum))
            if model.maximum is not None:
                fee = min(fee, Fraction(model.maximum))
        paper.write(fee)


def _free_of(
    model: Percentage, rules: Conventions, amount: Fraction, place: int, free: Fraction | None, seen: Fraction
) -> tuple[Fraction, bool]:
    """How much of a transaction is free, and whether all of it is."""
    counted = place < model.free_transactions
    if free is None:
        return (amount, True) if counted else (Fraction(0), False)
    left = max(free - seen, Fraction(0))
    by_amount = min(amount, left)
    if amount > left > 0 and rules.free_straddle is FreeStraddle.FREE:
        by_amount = amount
    if amount > left and rules.free_straddle is FreeStraddle.WHOLE:
        by_amount = Fraction(0)
    free_by_amount = by_amount == amount and left > 0
    if not model.free_transactions:
        return by_amount, free_by_amount
    if rules.free_end is FreeEnd.EITHER:
        return (by_amount, free_by_amount) if counted else (Fraction(0), False)
    return (amount, True) if counted else (by_amount, free_by_amount)


def _discounts(paper: Paper, terms: PriceTerms, share: Fraction) -> None:
    original = paper.base
    for discount in terms.discounts:
        of = original if terms.conventions.discount_base is DiscountBase.ORIGINAL else paper.base
        if discount.percent is not None:
            off = max(of, Fraction(0)) * Fraction(discount.percent) / 100
        else:
            off = Fraction(discount.amount or 0) * share
        paper.write(-min(off, max(paper.base, Fraction(0))))


def _limits(paper: Paper, terms: PriceTerms, share: Fraction) -> None:
    if terms.maximum is not None and paper.base > Fraction(terms.maximum) * share:
        paper.write(Fraction(terms.maximum) * share - paper.base)
    if terms.minimum is not None and paper.base < Fraction(terms.minimum) * share:
        paper.write(Fraction(terms.minimum) * share - paper.base)
