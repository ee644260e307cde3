"""What is done to a charge after its model: discounts, maximum and minimum, and the floor. Pure."""

from __future__ import annotations

from fractions import Fraction

from revline.subledger.usage.rating.conventions import DiscountBase, DiscountOrder, NegativeUsage
from revline.subledger.usage.rating.exact import ZERO, Column, constant
from revline.subledger.usage.rating.explanation import StepKind, shown
from revline.subledger.usage.rating.models import Discount, PriceTerms
from revline.subledger.usage.rating.rated import StepColumn, Tally
from revline.subledger.usage.rating.tiers import Parts


def adjust(*, terms: PriceTerms, parts: Parts, tally: Tally) -> None:
    """Discounts, maximum and minimum in the order the conventions name, then the floor where they want one."""
    if terms.conventions.discount_order is DiscountOrder.BEFORE_MINIMUM:
        _discounts(terms, parts, tally)
        _limits(terms, parts, tally)
    else:
        _limits(terms, parts, tally)
        _discounts(terms, parts, tally)
    if terms.conventions.negative_usage is NegativeUsage.FLOOR:
        under = ZERO.minus(tally.charged).greatest(ZERO)
        tally.add(StepColumn(kind=StepKind.FLOOR, label="never below zero", amount=under))


def _discounts(terms: PriceTerms, parts: Parts, tally: Tally) -> None:
    original = tally.charged
    for discount in terms.discounts:
        base = original if terms.conventions.discount_base is DiscountBase.ORIGINAL else tally.charged
        label, off = _off(discount, base, terms, parts, tally)
        left = tally.charged.greatest(ZERO)
        tally.add(
            StepColumn(
                kind=StepKind.DISCOUNT,
                label=parts.label(label, prorated=discount.percent is None and terms.conventions.prorate_spend),
                amount=ZERO.minus(off.least(left)),
            )
        )


def _off(discount: Discount, base: Column, terms: PriceTerms, parts: Parts, tally: Tally) -> tuple[str, Column]:
    if discount.percent is not None:
        percent = Fraction(discount.percent)
        return f"{discount.name}, {shown(percent)} % off", base.greatest(ZERO).times(percent / 100)
    amount = Fraction(discount.amount or 0)
    prorated = terms.conventions.prorate_spend
    return f"{discount.name}, {tally.money(amount)} off", parts.of(constant(amount), prorated=prorated)


def _limits(terms: PriceTerms, parts: Parts, tally: Tally) -> None:
    prorated = terms.conventions.prorate_spend
    if terms.maximum is not None:
        maximum = Fraction(terms.maximum)
        over = parts.of(constant(maximum), prorated=prorated).minus(tally.charged).least(ZERO)
        label = parts.label(f"at most {tally.money(maximum)}", prorated=prorated)
        tally.add(StepColumn(kind=StepKind.MAXIMUM, label=label, amount=over))
    if terms.minimum is not None:
        minimum = Fraction(terms.minimum)
        under = parts.of(constant(minimum), prorated=prorated).minus(tally.charged).greatest(ZERO)
        label = parts.label(f"at least {tally.money(minimum)}", prorated=prorated)
        tally.add(StepColumn(kind=StepKind.MINIMUM, label=label, amount=under))
