"""Prices and quantities for tests: short ways to write them, and strategies over all that may be configured."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import strategies as st

from revline.core.money import Rounding
from revline.core.problem import Problem
from revline.subledger.usage.rating.checks import terms_errors
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
from revline.subledger.usage.rating.inputs import OTHERWISE, RatingInput, Shape, Share, needs_of
from revline.subledger.usage.rating.models import (
    Band,
    Capacity,
    CapacityLevel,
    Discount,
    Dynamic,
    Flat,
    Graduated,
    Matrix,
    MatrixCell,
    Model,
    Package,
    Percentage,
    PercentageTier,
    PerUnit,
    PriceModel,
    PriceTerms,
    Tier,
    TieredPercentage,
    TierMode,
    TimeOfDay,
    Transform,
    UnitRounding,
    Volume,
)
from revline.subledger.usage.rating.rate import rate
from revline.subledger.usage.rating.rated import Rated

D = Decimal
FIELD_OF = {
    Flat: "flat",
    PerUnit: "per_unit",
    Graduated: "graduated",
    Volume: "volume",
    Package: "package",
    Percentage: "percentage",
    TieredPercentage: "tiered_percentage",
    Matrix: "matrix",
    Capacity: "capacity",
    TimeOfDay: "time_of_day",
    Dynamic: "dynamic",
}


def terms(
    model: Model, *, currency: str = "USD", conventions: dict[str, Any] | None = None, **others: Any
) -> PriceTerms:
    """Terms of a model; `conventions` names those that are not the default."""
    return PriceTerms(
        currency=currency,
        unit="call",
        model=PriceModel(**{FIELD_OF[type(model)]: model}),
        conventions=Conventions(**(conventions or {})),
        **others,
    )


def tier(up_to: str | None, unit: str = "0", *, flat: str = "0", cap: str | None = None) -> Tier:
    return Tier(
        up_to=None if up_to is None else D(up_to),
        unit_amount=D(unit),
        flat_amount=D(flat),
        cap=None if cap is None else D(cap),
    )


def graduated(*tiers: Tier) -> Graduated:
    return Graduated(tiers=tiers)


def volume(*tiers: Tier) -> Volume:
    return Volume(tiers=tiers)


def rated(price: PriceTerms, *inputs: RatingInput) -> Rated:
    found = rate(terms=price, inputs=inputs)
    assert not isinstance(found, Problem), found
    return found


def cost(price: PriceTerms, quantity: str | int, **others: Any) -> Decimal:
    """What one quantity comes to."""
    return rated(price, RatingInput(quantity=D(quantity), **others)).amount()


def decimals(low: int, high: int, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals of at most so many digits after the point."""
    return st.builds(
        lambda units, digits: D(units).scaleb(-digits) if digits else D(units),
        st.integers(low, high),
        st.integers(0, places),
    )


prices = st.one_of(decimals(0, 5_000, 4), decimals(0, 10**9, 12), st.just(D(0)))
amounts = decimals(0, 20_000, 2)
quantities = st.one_of(decimals(-300, 3_000, 3), decimals(-(10**6), 10**12, 9), st.integers(0, 40).map(D))
percents = decimals(0, 1_000, 3).map(lambda each: each % 101)
maybe_amounts = st.one_of(st.none(), amounts)


@st.composite
def bounds(draw: st.DrawFn) -> list[Decimal | None]:
    found = draw(st.lists(st.integers(1, 60), max_size=3, unique=True))
    part = draw(st.sampled_from([D(1), D("0.5"), D(7)]))
    return [*(D(each) * part for each in sorted(found)), None]


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    return tuple(
        Tier(up_to=up_to, unit_amount=draw(prices), flat_amount=draw(amounts), cap=draw(maybe_amounts))
        for up_to in draw(bounds())
    )


@st.composite
def percentage_tiers(draw: st.DrawFn) -> tuple[PercentageTier, ...]:
    return tuple(
        PercentageTier(up_to=up_to, percent=draw(percents), flat_amount=draw(amounts), cap=draw(maybe_amounts))
        for up_to in draw(bounds())
    )


@st.composite
def percentages(draw: st.DrawFn) -> Percentage:
    minimum, maximum = sorted([draw(amounts), draw(amounts)])
    return Percentage(
        percent=draw(percents),
        fixed_amount=draw(amounts),
        free_transactions=draw(st.integers(0, 4)),
        free_amount=draw(maybe_amounts),
        minimum=draw(st.one_of(st.none(), st.just(minimum))),
        maximum=draw(st.one_of(st.none(), st.just(maximum))),
    )


regions = st.sampled_from(["eu", "us", "asia"])
sizes = st.sampled_from(["small", "large"])


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    star = st.just("*")
    values = draw(st.lists(st.tuples(regions | star, sizes | star), min_size=1, max_size=6, unique=True))
    return Matrix(
        fields=("region", "size"),
        cells=tuple(MatrixCell(values=each, unit_amount=draw(prices)) for each in values),
        otherwise=draw(prices),
    )


DAY_AND_NIGHT = TimeOfDay(
    bands=(
        Band(name="day", start="08:00", end="20:00", unit_amount=D("0.30")),
        Band(name="night", start="22:00", unit_amount=D("0.105")),
        Band(name="night", end="06:00", unit_amount=D("0.105")),
    ),
    otherwise=D("0.20"),
)
models: st.SearchStrategy[Model] = st.one_of(
    st.builds(Flat, amount=amounts),
    st.builds(PerUnit, unit_amount=prices),
    st.builds(Graduated, tiers=tiers()),
    st.builds(Volume, tiers=tiers()),
    st.builds(Package, size=decimals(1, 500, 1), amount=prices, rounding=st.sampled_from(UnitRounding)),
    percentages(),
    st.builds(TieredPercentage, tiers=percentage_tiers(), mode=st.sampled_from(TierMode)),
    matrices(),
    bounds().flatmap(
        lambda found: st.builds(
            Capacity,
            levels=st.tuples(*(st.builds(CapacityLevel, up_to=st.just(each), amount=amounts) for each in found)),
        )
    ),
    st.just(DAY_AND_NIGHT),
    st.builds(Dynamic, multiplier=prices),
)
conventions = st.builds(
    Conventions,
    zero_usage=st.sampled_from(ZeroUsage),
    tier_bound=st.sampled_from(TierBound),
    free_units=st.sampled_from(FreeUnits),
    negative_usage=st.sampled_from(NegativeUsage),
    rounding=st.sampled_from(Rounding),
    rounding_scope=st.sampled_from(RoundingScope),
    prorate_flat=st.booleans(),
    prorate_free_units=st.booleans(),
    prorate_tiers=st.booleans(),
    prorate_spend=st.booleans(),
    discount_order=st.sampled_from(DiscountOrder),
    discount_base=st.sampled_from(DiscountBase),
    free_end=st.sampled_from(FreeEnd),
    free_straddle=st.sampled_from(FreeStraddle),
)
discounts = st.one_of(
    st.builds(Discount, name=st.just("spring"), percent=percents),
    st.builds(Discount, name=st.just("voucher"), amount=amounts),
)


@st.composite
def price_terms(draw: st.DrawFn) -> PriceTerms:
    """Terms that pass their checks."""
    model = draw(models)
    minimum, maximum = sorted([draw(amounts), draw(amounts)])
    one_number = not isinstance(model, Percentage | Matrix | TimeOfDay)
    transforms = st.builds(Transform, divide_by=decimals(1, 300, 1), rounding=st.sampled_from(UnitRounding))
    made = terms(
        model,
        currency=draw(st.sampled_from(["USD", "JPY", "KWD"])),
        transform=None if isinstance(model, Percentage) else draw(st.none() | transforms),
        free_units=draw(st.just(D(0)) | decimals(0, 500, 1)) if one_number else D(0),
        discounts=tuple(draw(st.lists(discounts, max_size=3))),
        minimum=draw(st.none() | st.just(minimum)),
        maximum=draw(st.none() | st.just(maximum)),
    )
    made = msgspec.structs.replace(made, conventions=draw(conventions))
    assert not list(terms_errors(made))
    return made


shares = st.one_of(
    st.just(Share(part=1, whole=1)),
    st.integers(1, 31).flatmap(lambda whole: st.builds(Share, part=st.integers(0, whole), whole=st.just(whole))),
)


def inputs_for(price: PriceTerms, *, with_before: bool = True) -> st.SearchStrategy[RatingInput]:
    """Inputs of the shape a price needs."""
    before = st.none() | inputs_for(price, with_before=False) if with_before else st.none()
    match needs_of(price).shape:
        case Shape.QUANTITY:
            return st.builds(RatingInput, quantity=quantities, share=shares, before=before)
        case Shape.TRANSACTIONS:
            several = st.lists(quantities, max_size=6).map(tuple)
            return st.builds(RatingInput, transactions=several, share=shares, before=before)
        case Shape.GROUPS:
            model = price.model.one()
            keys: Any = st.tuples(regions, sizes)
            if isinstance(model, TimeOfDay):
                keys = st.sampled_from([("day",), ("night",), (OTHERWISE,)])
            groups = st.lists(st.tuples(keys, quantities), max_size=6).map(tuple)
            return st.builds(RatingInput, groups=groups, share=shares, before=before)


@st.composite
def rated_columns(draw: st.DrawFn) -> tuple[PriceTerms, list[RatingInput]]:
    """Terms with a column of inputs they need."""
    price = draw(price_terms())
    return price, draw(st.lists(inputs_for(price), min_size=1, max_size=5))
