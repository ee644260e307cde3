"""Prices of a billing platform as terms of ours, so that the same engine says what its lines should come to. Pure.

The conventions are those of the platform the canonical price is modelled on (docs.stripe.com/products-prices/pricing-models,
/billing/subscriptions/decimal-amounts): bounds inclusive, flat amounts of the first tier also without use, a quantity below zero
counts as zero, every tier and every flat amount a line of its own that is rounded half up.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from revline.core.canonical import Price, PriceTier
from revline.core.money import currency
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.usage.rating.checks import terms_errors
from revline.subledger.usage.rating.conventions import Conventions, RoundingScope
from revline.subledger.usage.rating.models import (
    Graduated,
    PerUnit,
    PriceModel,
    PriceTerms,
    Tier,
    Transform,
    UnitRounding,
    Volume,
)

define(
    code="usage.source_price_unclear",
    title="A billing platform's price that Revline can't rate",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Read the price again with its tiers, or write a UsagePrice for it.",
)

SOURCE_CONVENTIONS: Final = Conventions(rounding_scope=RoundingScope.STEP)
ROUNDINGS: Final = {"up": UnitRounding.UP, "down": UnitRounding.DOWN}


def from_source_price(price: Price, *, unit: str = "unit") -> PriceTerms | Problem:
    """Terms that give exactly the amounts the platform bills for a quantity, before tax, coupons and proration.

    `usage.source_price_unclear` for a price without an amount (tiers that were not read, an amount the customer chooses) and one
    whose parts contradict each other.
    """
    model = _model(price)
    if isinstance(model, Problem):
        return model
    if isinstance(currency(price.currency), Problem):
        return _unclear(price, f"its currency {price.currency[:12]!r} is unknown")
    transform = None
    if price.package_size is not None:
        rounding = ROUNDINGS.get(price.package_rounding)
        if rounding is None:
            return _unclear(price, f"packages are rounded {price.package_rounding[:20]!r}")
        transform = Transform(divide_by=price.package_size, rounding=rounding)
    terms = PriceTerms(
        currency=price.currency, unit=unit, model=model, transform=transform, conventions=SOURCE_CONVENTIONS
    )
    wrong = next(terms_errors(terms), None)
    return terms if wrong is None else _unclear(price, f"{wrong.pointer}: {wrong.detail}")


def _model(price: Price) -> PriceModel | Problem:
    tiers = tuple(_tier(each) for each in price.tiers)
    if price.tiers_mode and not tiers:
        return _unclear(price, "its tiers were not read")
    if price.tiers_mode == "graduated":
        return PriceModel(graduated=Graduated(tiers=tiers))
    if price.tiers_mode == "volume":
        return PriceModel(volume=Volume(tiers=tiers))
    if price.tiers_mode or tiers:
        return _unclear(price, f"tiers of the mode {price.tiers_mode[:20]!r}")
    if price.unit_amount is None:
        return _unclear(price, "it has no amount")
    return PriceModel(per_unit=PerUnit(unit_amount=Decimal(price.unit_amount)))


def _tier(tier: PriceTier) -> Tier:
    return Tier(up_to=tier.up_to, unit_amount=tier.unit_amount, flat_amount=tier.flat_amount)


def _unclear(price: Price, why: str) -> Problem:
    return problem("usage.source_price_unclear", f"the price {price.outside_id[:60]} can't be rated: {why}")
