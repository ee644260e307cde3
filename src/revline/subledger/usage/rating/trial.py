"""A price tried out before it is applied: where its bounds lie, what they cost, and where more use costs less. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import Final

import msgspec

from revline.core.problem import Problem
from revline.subledger.usage.rating.inputs import RatingInput, Shape, needs_of
from revline.subledger.usage.rating.models import (
    ANY,
    Capacity,
    Graduated,
    Matrix,
    Package,
    PriceTerms,
    TieredPercentage,
    TimeOfDay,
    Volume,
)
from revline.subledger.usage.rating.rate import rate

TRIED_MAX: Final = 400
AMOUNTS_TRIED: Final = tuple(Decimal(each) for each in (0, 1, 10, 100, 1_000, 10_000, 100_000))
EXAMPLE: Final = "example"


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One input and what it came to. given: the input in words. falls: it costs less than the one before, though it is more."""

    given: str
    amount: str
    exact: str
    falls: bool = False


def tried(terms: PriceTerms) -> tuple[Tried, ...] | Problem:
    """What checked terms cost where their price changes: at every bound, just above it, and without use."""
    inputs = list(_inputs(terms))[:TRIED_MAX]
    found = rate(terms=terms, inputs=[each for _, each in inputs])
    if isinstance(found, Problem):
        return found
    rising = needs_of(terms).shape is Shape.QUANTITY
    amounts = found.amounts()
    return tuple(
        Tried(
            given=words,
            amount=str(amounts[row]),
            exact=found.explain(row).exact,
            falls=rising and row > 0 and amounts[row] < amounts[row - 1],
        )
        for row, (words, _) in enumerate(inputs)
    )


def _inputs(terms: PriceTerms) -> Iterator[tuple[str, RatingInput]]:
    match needs_of(terms).shape:
        case Shape.QUANTITY:
            for quantity in _quantities(terms):
                yield f"{quantity:f}", RatingInput(quantity=quantity)
        case Shape.TRANSACTIONS:
            for amount in AMOUNTS_TRIED:
                yield f"one of {amount:f}", RatingInput(transactions=(amount,))
        case Shape.GROUPS:
            for key in _keys(terms):
                yield ", ".join(key), RatingInput(groups=((key, Decimal(1)),))


def _quantities(terms: PriceTerms) -> list[Decimal]:
    """Zero, one, and every bound as the meter counts it, with what lies just above."""
    model = terms.model.one()
    bounds: list[Decimal] = []
    match model:
        case Graduated() | Volume() | TieredPercentage():
            bounds = [each.up_to for each in model.tiers if each.up_to is not None]
        case Capacity():
            bounds = [each.up_to for each in model.levels if each.up_to is not None]
        case Package():
            bounds = [model.size, model.size * 2]
    free = terms.free_units
    with localcontext() as context:
        context.prec = 60
        by = Decimal(1) if terms.transform is None else terms.transform.divide_by
        edges = {each * by for bound in (Decimal(0), *bounds) for each in (bound, bound + free)}
        return sorted({*edges, *(edge + by for edge in edges)})


def _keys(terms: PriceTerms) -> Iterator[tuple[str, ...]]:
    model = terms.model.one()
    if isinstance(model, Matrix):
        for cell in model.cells:
            yield tuple(EXAMPLE if value == ANY else value for value in cell.values)
    if isinstance(model, TimeOfDay):
        yield from dict.fromkeys((slot.band,) for slot in needs_of(terms).week)
