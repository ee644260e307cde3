"""Every convention has a case in which its values come to different amounts, and each comes to the amount that is told."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from revline.core.problem import Problem
from revline.subledger.usage.rating import transactions
from revline.subledger.usage.rating.conventions import (
    Conventions,
    FreeUnits,
    NegativeUsage,
    PeriodEnd,
    ProrationBy,
    RoundingScope,
    TierBound,
    ZeroUsage,
)
from revline.subledger.usage.rating.inputs import RatingInput
from revline.subledger.usage.rating.models import Percentage, PerUnit
from revline.subledger.usage.rating.rate import rate
from tests.unit.usage.rating.terms import DAY_AND_NIGHT, D, cost, graduated, rated, terms, tier
from tools.reference.usage_conventions import values_of
from tools.reference.usage_examples import EXAMPLES, Example

SETTINGS = {each.name: each for each in msgspec.structs.fields(Conventions)}


def test_every_setting_has_its_case() -> None:
    assert sorted(each.setting for each in EXAMPLES) == sorted(SETTINGS)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each.setting)
def test_each_value_of_a_setting_comes_to_its_own_amount(example: Example) -> None:
    values = values_of(SETTINGS[example.setting])

    assert {value: example.cost(value) for value in values} == {
        value: Decimal(example.costs[value]) for value in values
    }
    assert len(set(example.costs.values())) == len(values)


def test_the_defaults_are_these() -> None:
    """A changed default changes what every price that leaves the setting out comes to."""
    rules = Conventions()

    assert (rules.zero_usage, rules.tier_bound) == (ZeroUsage.BILLED, TierBound.INCLUSIVE)
    assert (rules.free_units, rules.negative_usage) == (FreeUnits.BEFORE_TIERS, NegativeUsage.ZERO)
    assert (rules.rounding_scope, rules.proration) == (RoundingScope.LINE, ProrationBy.DAY)
    assert rules.period_end is PeriodEnd.EXCLUDED
    assert (rules.prorate_flat, rules.prorate_free_units, rules.prorate_tiers, rules.prorate_spend) == (
        True,
        True,
        False,
        True,
    )


def test_a_third_on_three_lines_loses_no_cent_when_rounding_is_cumulative() -> None:
    """100 over three lines of a third each: 99.99 when each line is rounded, 100.00 when the period is."""
    charged = {}
    for scope in (RoundingScope.LINE, RoundingScope.CUMULATIVE):
        price = terms(graduated(tier(None, "33.333333333334")), conventions={"rounding_scope": scope})
        months = [RatingInput(quantity=D(each), before=RatingInput(quantity=D(each - 1))) for each in (1, 2, 3)]
        charged[scope] = sum(rated(price, *months).amounts(), D(0))

    assert charged == {RoundingScope.LINE: D("99.99"), RoundingScope.CUMULATIVE: D("100.00")}


@pytest.mark.parametrize(
    ("how", "used", "comes_to"),
    [
        (FreeUnits.BEFORE_TIERS, 20, "0.00"),
        (FreeUnits.BEFORE_TIERS, 130, "104.00"),
        (FreeUnits.WITHIN_TIERS, 130, "92.00"),
        (FreeUnits.UNTIL_EXCEEDED, 20, "0.00"),
        (FreeUnits.UNTIL_EXCEEDED, 130, "124.00"),
    ],
)
def test_free_units_in_graduated_tiers(how: FreeUnits, used: int, comes_to: str) -> None:
    """Up to 100 at 1.00, more at 0.40, 20 free. Of 130: 100 at 1.00 and 10 at 0.40; 80 and 30; 120 and 10."""
    price = terms(graduated(tier("100", "1"), tier(None, "0.40")), free_units=D(20), conventions={"free_units": how})

    assert cost(price, used) == D(comes_to)


def test_a_flat_amount_of_the_next_tier_is_due_at_its_bound_when_bounds_are_exclusive() -> None:
    tiers = graduated(tier("100", "1"), tier(None, "1", flat="7"))

    assert cost(terms(tiers), 100) == D("100.00")
    assert cost(terms(tiers, conventions={"tier_bound": TierBound.EXCLUSIVE}), 100) == D("107.00")


def test_the_explanation_says_how_free_units_were_counted() -> None:
    price = terms(PerUnit(unit_amount=D(1)), free_units=D(20))
    said = [
        rated(msgspec.structs.replace(price, conventions=Conventions(free_units=each)), RatingInput(quantity=D(30)))
        .explain()
        .steps[1]
        .words
        for each in FreeUnits
    ]

    assert said == ["free units: 20", "free units, the first of the tiers: 20", "free until exceeded: 20"]


def test_more_transactions_than_one_charge_may_have_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "TRANSACTIONS_MAX", 2)
    price = terms(Percentage(percent=D(1)))
    found = rate(terms=price, inputs=[RatingInput(transactions=(D(1), D(2), D(3)))])

    assert isinstance(found, Problem)
    assert found.code == "usage.transactions_too_many"


def test_an_empty_column_is_rated_to_nothing() -> None:
    for model in (PerUnit(unit_amount=D(1)), Percentage(percent=D(1)), DAY_AND_NIGHT):
        assert rated(terms(model)).amounts() == []
