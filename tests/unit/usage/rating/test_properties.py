"""What always holds of rating, whatever the price, its conventions and the quantities."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.core.problem import Problem
from revline.subledger.usage.rating.conventions import RoundingScope
from revline.subledger.usage.rating.explanation import StepKind, exact_number, from_json
from revline.subledger.usage.rating.inputs import RatingInput, Shape, Share, needs_of
from revline.subledger.usage.rating.models import Flat, PriceTerms, Tier
from revline.subledger.usage.rating.rate import rate_quantities
from tests.unit.usage.rating.naive import naive_rate
from tests.unit.usage.rating.terms import (
    D,
    amounts,
    decimals,
    graduated,
    inputs_for,
    price_terms,
    quantities,
    rated,
    rated_columns,
    terms,
    tier,
    tiers,
)

MANY = settings(max_examples=150, deadline=None)
SOME = settings(max_examples=40, deadline=None)


@MANY
@given(rated_columns())
def test_a_column_comes_to_what_each_charge_comes_to_on_paper(drawn: tuple[PriceTerms, list[RatingInput]]) -> None:
    price, inputs = drawn
    found = rated(price, *inputs)

    for row, each in enumerate(inputs):
        exact, amount = naive_rate(price, each)
        assert found.exact(row) == exact
        assert Fraction(found.amount(row)) == amount
    assert found.amounts() == [found.amount(row) for row in range(len(inputs))]


@MANY
@given(rated_columns())
def test_a_column_is_its_single_ratings(drawn: tuple[PriceTerms, list[RatingInput]]) -> None:
    price, inputs = drawn
    found = rated(price, *inputs)

    for row, each in enumerate(inputs):
        alone = rated(price, each)
        assert alone.amount() == found.amount(row)
        assert alone.explain() == found.explain(row)


@MANY
@given(rated_columns())
def test_the_steps_sum_to_the_exact_amount_and_one_rounding_makes_it_money(
    drawn: tuple[PriceTerms, list[RatingInput]],
) -> None:
    price, inputs = drawn
    found = rated(price, *inputs)

    for row in range(len(inputs)):
        said = from_json(found.explain(row).to_json())
        roundings = [step for step in said.steps if step.kind is StepKind.ROUNDING]
        charged = [exact_number(step.amount) for step in said.steps if step.kind is not StepKind.ROUNDING]
        assert sum(charged, Fraction(0)) == exact_number(said.exact) == found.exact(row)
        assert len(roundings) == (Fraction(said.amount) != found.exact(row))
        assert sum((exact_number(step.amount) for step in said.steps), Fraction(0)) == Fraction(said.amount)
        assert Decimal(said.amount) == found.amount(row)
        assert all(step.words for step in said.steps)


@MANY
@given(st.data())
def test_a_step_with_a_rate_is_its_quantity_at_that_rate(data: st.DataObject) -> None:
    price = data.draw(price_terms())
    said = rated(price, data.draw(inputs_for(price))).explain()

    for step in said.steps:
        if step.rate:
            assert exact_number(step.quantity) * exact_number(step.rate) == exact_number(step.amount)


@SOME
@given(tiers(), st.lists(quantities, min_size=2, max_size=6))
def test_graduated_without_caps_never_falls_when_more_is_used(steps: tuple[Tier, ...], used: list[Decimal]) -> None:
    uncapped = tuple(msgspec.structs.replace(each, cap=None) for each in steps)
    amounts = rate_quantities(terms=terms(graduated(*uncapped)), quantities=sorted(used))

    assert not isinstance(amounts, Problem)
    assert amounts.amounts() == sorted(amounts.amounts())


@SOME
@given(tiers(), st.lists(decimals(0, 10**6, 3), min_size=1, max_size=6))
def test_parts_of_a_period_add_up_to_the_whole_with_cumulative_rounding(
    steps: tuple[Tier, ...], parts: list[Decimal]
) -> None:
    """Lines of parts of a period, each told what was rated before it, come to the charge of the whole."""
    price = terms(graduated(*steps), conventions={"rounding_scope": RoundingScope.CUMULATIVE})
    before: RatingInput | None = None
    charged = []
    for index in range(len(parts)):
        now = RatingInput(quantity=sum(parts[: index + 1], D(0)))
        charged.append(rated(price, msgspec.structs.replace(now, before=before)).amount())
        before = now

    assert sum(charged, D(0)) == rated(price, RatingInput(quantity=sum(parts, D(0)))).amount()


@SOME
@given(tiers(), quantities.filter(lambda each: each >= 0))
def test_a_quantity_split_at_a_bound_of_its_tiers_adds_up(steps: tuple[Tier, ...], used: Decimal) -> None:
    """What lies up to a bound is the charge of that bound; what lies above it is the rest, exactly."""
    uncapped = tuple(msgspec.structs.replace(each, cap=None, flat_amount=D(0)) for each in steps)
    for index, step in enumerate(uncapped[:-1]):
        assert step.up_to is not None
        below = min(used, step.up_to)
        rest = [
            msgspec.structs.replace(each, up_to=None if each.up_to is None else each.up_to - step.up_to)
            for each in uncapped[index + 1 :]
        ]
        whole, low = rated(terms(graduated(*uncapped)), RatingInput(quantity=used), RatingInput(quantity=below)), 1
        high = rated(terms(graduated(*rest)), RatingInput(quantity=used - below))
        assert whole.exact(low) + high.exact() == whole.exact(0)


@SOME
@given(price_terms(), st.lists(st.integers(0, 31), max_size=3), st.data())
def test_shares_that_follow_each_other_sum_to_the_whole(
    price: PriceTerms, cuts: list[int], data: st.DataObject
) -> None:
    """A flat amount charged for parts of a period comes to the amount of the whole, before rounding."""
    edges = sorted({0, 31, *cuts})
    flat = terms(Flat(amount=data.draw(amounts)), currency=price.currency)
    parts = [Share(part=end - start, whole=31) for start, end in pairwise(edges)]
    found = rated(flat, RatingInput(), *(RatingInput(share=each) for each in parts))

    assert sum((found.exact(row) for row in range(1, len(parts) + 1)), Fraction(0)) == found.exact(0)


@SOME
@given(price_terms(), st.lists(quantities, max_size=5))
def test_quantities_alone_are_inputs_of_a_whole_period(price: PriceTerms, used: list[Decimal]) -> None:
    if needs_of(price).shape is not Shape.QUANTITY:
        return
    plain = rate_quantities(terms=price, quantities=used)

    assert not isinstance(plain, Problem)
    assert plain.amounts() == rated(price, *(RatingInput(quantity=each) for each in used)).amounts()


def test_numbers_beyond_a_machine_word_are_exact() -> None:
    price = terms(
        graduated(tier("1000000000000000000", "0.000000000001"), tier(None, "123456789012345678.123456789012"))
    )
    used = D("12345678901234567890123456.789012345678")
    found = rated(price, RatingInput(quantity=used), RatingInput(quantity=D(3)))

    exact, amount = naive_rate(price, RatingInput(quantity=used))
    assert found.exact(0) == exact
    assert Fraction(found.explain(0).amount) == amount
    assert found.exact(1) == Fraction(3, 10**12)
