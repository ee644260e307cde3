"""Rating alone: 50,000 quantities over five prices, every tier kind, exact, beside two floors.

`multiply` is one multiplication, one rounding and the same amounts out, in machine words: what no rating can be below. `by_hand` is
what is written without an engine: a loop over tiers in Decimal for each charge. All of it is processor time; nothing is read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import numpy as np

from benchmarks.common import Measured, interleaved, progress
from revline.core.problem import Problem
from revline.subledger.usage.rating.models import (
    Discount,
    Graduated,
    Model,
    Package,
    PercentageTier,
    PerUnit,
    PriceModel,
    PriceTerms,
    Tier,
    TieredPercentage,
    Volume,
)
from revline.subledger.usage.rating.rate import rate_quantities
from revline.subledger.usage.rating.rated import Rated

D = Decimal
SCALES: Final = {"small": (10_000, 5), "full": (10_000, 21)}
"""Quantities of each of the five prices, then rounds."""
CENT: Final = D("0.01")
TIERS: Final = (
    Tier(up_to=D(1_000), unit_amount=D("0.01")),
    Tier(up_to=D(50_000), unit_amount=D("0.0021"), flat_amount=D(5)),
    Tier(up_to=D(100_000), unit_amount=D("0.0011")),
    Tier(unit_amount=D("0.001")),
)
SHARES: Final = (PercentageTier(up_to=D(10_000), percent=D("2.9")), PercentageTier(percent=D("1.9")))


def run(scale: str) -> Measured:
    """Every contestant once a round, the same quantities."""
    count, rounds = SCALES[scale]
    prices = _prices()
    chance = random.Random(20_260_301)
    columns = [[D(chance.randrange(10**11)).scaleb(-6) for _ in range(count)] for _ in prices]
    words = [np.array([int(each.scaleb(6)) for each in column], dtype=np.int64) for column in columns]
    progress(f"{count * len(prices):,} quantities over {len(prices)} prices")
    rated = [_rated(price, column) for price, column in zip(prices, columns, strict=True)]
    contestants: dict[str, Callable[[], object]] = {
        "rating": lambda: [_rated(price, column).amounts() for price, column in zip(prices, columns, strict=True)],
        "multiply": lambda: [_multiplied(column) for column in words],
        "by_hand": lambda: [[_by_hand(TIERS, quantity) for quantity in column] for column in columns],
        "explaining": lambda: [each.explain(row).to_json() for each in rated for row in range(0, count, 10)],
    }
    taken = interleaved(contestants, rounds=rounds)
    seconds = {name: each.processor_seconds for name, each in taken.items()}
    return Measured(
        ratios={
            "rating_over_multiply": seconds["rating"] / seconds["multiply"],
            "rating_over_by_hand": seconds["rating"] / seconds["by_hand"],
        },
        figures={
            **{f"{name}_processor_seconds": value for name, value in seconds.items() if name != "explaining"},
            "rating_microseconds_a_charge": seconds["rating"] * 1e6 / (count * len(prices)),
            "explaining_microseconds_a_charge": seconds["explaining"] * 1e7 / (count * len(prices)),
        },
    )


def _prices() -> tuple[PriceTerms, ...]:
    return (
        _terms(Graduated(tiers=TIERS), "graduated"),
        _terms(Volume(tiers=TIERS), "volume"),
        _terms(Package(size=D(1_000), amount=D("1.50")), "package"),
        _terms(PerUnit(unit_amount=D("0.000123")), "per_unit"),
        _terms(TieredPercentage(tiers=SHARES), "tiered_percentage"),
    )


def _terms(model: Model, field: str) -> PriceTerms:
    return PriceTerms(
        currency="EUR",
        model=PriceModel(**{field: model}),  # type: ignore[arg-type]
        free_units=D(100),
        discounts=(Discount(name="ten", percent=D(10)),),
        minimum=D(5),
    )


def _rated(price: PriceTerms, column: Sequence[Decimal]) -> Rated:
    found = rate_quantities(terms=price, quantities=column)
    assert not isinstance(found, Problem)
    return found


def _multiplied(column: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Decimal]:
    cents = (column * 21 + 500_000) // 1_000_000
    return [D(each).scaleb(-2) for each in cents.tolist()]


def _by_hand(tiers: Sequence[Tier], quantity: Decimal) -> Decimal:
    left, low, amount = max(quantity - 100, D(0)), D(0), D(0)
    for tier in tiers:
        top = left if tier.up_to is None else min(left, tier.up_to)
        if top > low or low == 0:
            amount += max(top - low, D(0)) * tier.unit_amount + tier.flat_amount
        low = tier.up_to or low
    amount = max(amount - amount / 10, D(5))
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)
