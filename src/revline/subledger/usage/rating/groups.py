"""Quantities of combinations (matrix) and of bands of time, each at its own price, over columns. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from revline.core.problem import Problem, problem
from revline.subledger.usage.rating.exact import ZERO, Column, Places, decimals
from revline.subledger.usage.rating.explanation import StepKind
from revline.subledger.usage.rating.inputs import OTHERWISE, RatingInput
from revline.subledger.usage.rating.models import ANY, Matrix, TimeOfDay
from revline.subledger.usage.rating.rated import StepColumn, Tally

Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Priced:
    """One price of a price list. label: in words."""

    label: str
    unit_amount: Decimal


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceList:
    """What each combination costs. exact: by values. wide: combinations with a value that may be anything, in order."""

    prices: tuple[Priced, ...]
    exact: Mapping[Key, int]
    wide: tuple[tuple[Key, int], ...]
    otherwise: int | None

    def place(self, key: Key) -> int | None:
        """Which price a combination has; the first cell that fits."""
        found = self.exact.get(key)
        for pattern, index in self.wide:
            if found is not None and found < index:
                break
            if len(pattern) == len(key) and all(each in {ANY, value} for each, value in zip(pattern, key, strict=True)):
                return index
        return self.otherwise if found is None else found


def matrix_prices(model: Matrix) -> PriceList:
    """The prices of a matrix."""
    prices = [Priced(label=_values(model.fields, cell.values), unit_amount=cell.unit_amount) for cell in model.cells]
    exact: dict[Key, int] = {}
    for index, cell in enumerate(model.cells):
        if ANY not in cell.values:
            exact.setdefault(cell.values, index)
    wide = tuple((cell.values, index) for index, cell in enumerate(model.cells) if ANY in cell.values)
    return _with_otherwise(prices, exact, wide, model.otherwise, "any other combination")


def band_prices(model: TimeOfDay) -> PriceList:
    """The prices of bands of time; bands of one name are one price."""
    prices: list[Priced] = []
    exact: dict[Key, int] = {}
    for band in model.bands:
        if (band.name,) not in exact:
            exact[band.name,] = len(prices)
            prices.append(Priced(label=band.name, unit_amount=band.unit_amount))
    if model.otherwise is not None:
        exact[OTHERWISE,] = len(prices)
        prices.append(Priced(label="outside all bands", unit_amount=model.otherwise))
    return PriceList(prices=tuple(prices), exact=exact, wide=(), otherwise=None)


def _with_otherwise(
    prices: list[Priced],
    exact: Mapping[Key, int],
    wide: tuple[tuple[Key, int], ...],
    otherwise: Decimal | None,
    label: str,
) -> PriceList:
    if otherwise is None:
        return PriceList(prices=tuple(prices), exact=exact, wide=wide, otherwise=None)
    prices.append(Priced(label=label, unit_amount=otherwise))
    return PriceList(prices=tuple(prices), exact=exact, wide=wide, otherwise=len(prices) - 1)


def _values(fields: tuple[str, ...], values: Key) -> str:
    return ", ".join(
        f"{field} {'any' if value == ANY else value or 'not given'}"
        for field, value in zip(fields, values, strict=True)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouped:
    """Every row's groups one after another. offsets: where each row's begin."""

    keys: Sequence[Key]
    quantity: Column
    offsets: Places


def grouped(inputs: Sequence[RatingInput]) -> Grouped:
    """The groups of all rows."""
    flat = [group for each in inputs for group in each.groups]
    offsets = np.zeros(len(inputs) + 1, dtype=np.int64)
    offsets[1:] = np.cumsum([len(each.groups) for each in inputs])
    return Grouped(
        keys=[key for key, _ in flat],
        quantity=decimals([quantity for _, quantity in flat]).spread(len(flat)),
        offsets=offsets,
    )


def charge_groups(*, given: Grouped, quantity: Column, prices: PriceList, tally: Tally) -> Problem | None:
    """Each group's quantity at the price of its combination, one step for each price."""
    places: dict[Key, int] = {}
    for key in dict.fromkeys(given.keys):
        place = prices.place(key)
        if place is None:
            return problem(
                "usage.price_unmatched",
                f"no price is given for {', '.join(repr(value[:40]) for value in key) or 'use without a group'}",
                field="/".join(key)[:200],
            )
        places[key] = place
    chosen = np.fromiter((places[key] for key in given.keys), dtype=np.int64, count=len(given.keys))
    for index, price in enumerate(prices.prices):
        mask = chosen == index
        if not mask.any():
            continue
        units = quantity.only(mask).summed(given.offsets) if len(mask) else ZERO
        rate = Fraction(price.unit_amount)
        tally.add(
            StepColumn(kind=StepKind.GROUP, label=price.label, amount=units.times(rate), quantity=units, rate=rate)
        )
    return None
