"""A Stripe price read by its connector and rated by us comes to the invoice lines Stripe makes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.connectors.stripe.simulator.metered import portions
from revline.core.canonical import Price, PriceTier
from revline.core.problem import Problem
from revline.subledger.usage.rating.inputs import RatingInput
from revline.subledger.usage.rating.models import PriceTerms
from revline.subledger.usage.rating.source_prices import from_source_price
from tests.contract.stripe.inputs import imported, stripe_object
from tests.unit.usage.rating.terms import D, cost, decimals, rated


def terms_of_stripe(**wire: Any) -> PriceTerms:
    """A price as Stripe sends it, all the way."""
    (found,) = imported(stripe_object("price", **wire))
    assert isinstance(found.snapshot, Price)
    terms = from_source_price(found.snapshot)
    assert not isinstance(terms, Problem), terms
    return terms


def wire_tier(up_to: int | None, unit: str | None = None, flat: str | None = None) -> dict[str, Any]:
    return {
        "up_to": up_to,
        "unit_amount": None,
        "unit_amount_decimal": unit,
        "flat_amount": None,
        "flat_amount_decimal": flat,
    }


def tiered(mode: str, *tiers: dict[str, Any]) -> dict[str, Any]:
    return {
        "unit_amount": None,
        "unit_amount_decimal": None,
        "tiers_mode": mode,
        "tiers": list(tiers),
        "transform_quantity": None,
    }


def test_five_hundredths_of_a_cent_thirty_times_is_two_cents() -> None:
    """The example of docs.stripe.com/billing/subscriptions/decimal-amounts: 1.5 cents are rounded up to 2."""
    price = terms_of_stripe(unit_amount=None, unit_amount_decimal="0.05")

    assert cost(price, 30) == D("0.02")


@pytest.mark.parametrize(
    ("fonts", "dollars"), [(1, "7.00"), (5, "35.00"), (6, "41.50"), (20, "127.50"), (25, "157.50")]
)
def test_the_graduated_example_of_the_documentation(fonts: int, dollars: str) -> None:
    """docs.stripe.com/subscriptions/pricing-models/tiered-pricing: 7 USD to five, 6.50 to ten, 6 beyond."""
    price = terms_of_stripe(**tiered("graduated", wire_tier(5, "700"), wire_tier(10, "650"), wire_tier(None, "600")))

    assert cost(price, fonts) == D(dollars)


@pytest.mark.parametrize(("fonts", "dollars"), [(1, "7.00"), (5, "35.00"), (6, "39.00"), (20, "120.00")])
def test_the_volume_example_of_the_documentation(fonts: int, dollars: str) -> None:
    price = terms_of_stripe(**tiered("volume", wire_tier(5, "700"), wire_tier(10, "650"), wire_tier(None, "600")))

    assert cost(price, fonts) == D(dollars)


def test_every_tier_is_rounded_on_its_own_line() -> None:
    price = terms_of_stripe(**tiered("graduated", wire_tier(1, "0.5"), wire_tier(None, "0.5")))

    assert cost(price, 2) == D("0.02"), "half a cent twice, each rounded up"
    assert rated(price, RatingInput(quantity=D(2))).exact() == D("0.01")


def test_the_first_flat_fee_is_due_without_use() -> None:
    price = terms_of_stripe(**tiered("graduated", wire_tier(100, "0", "2000"), wire_tier(None, "4", "500")))

    assert [cost(price, used) for used in (0, 100, 101)] == [D("20.00"), D("20.00"), D("25.04")]


@pytest.mark.parametrize(("how", "packages"), [("up", 3), ("down", 2)])
def test_packages_are_rounded_as_the_price_says(how: str, packages: int) -> None:
    price = terms_of_stripe(
        unit_amount=1000, unit_amount_decimal="1000", transform_quantity={"divide_by": 1000, "round": how}
    )

    assert cost(price, 2001) == D(10) * packages


unit_amounts = decimals(0, 10**7, 5).map(lambda each: format(each, "f"))
flat_amounts = st.none() | decimals(0, 10**5, 2).map(lambda each: format(each, "f"))


@st.composite
def stripe_prices(draw: st.DrawFn) -> dict[str, Any]:
    mode = draw(st.sampled_from(["", "graduated", "volume"]))
    if not mode:
        transform = {"divide_by": draw(st.integers(2, 100)), "round": draw(st.sampled_from(["up", "down"]))}
        return {
            "unit_amount": None,
            "unit_amount_decimal": draw(unit_amounts),
            "transform_quantity": draw(st.none() | st.just(transform)),
            "tiers_mode": None,
            "tiers": None,
        }
    bounds = sorted(draw(st.lists(st.integers(1, 50), max_size=3, unique=True)))
    return tiered(mode, *(wire_tier(each, draw(unit_amounts), draw(flat_amounts)) for each in [*bounds, None]))


@settings(max_examples=100, deadline=None)
@given(stripe_prices(), decimals(-20, 2000, 1))
def test_any_price_comes_to_the_lines_the_simulated_stripe_makes(wire: dict[str, Any], used: Decimal) -> None:
    lines = portions(wire, max(used, D(0)))

    assert cost(terms_of_stripe(**wire), str(used)) == sum((line.amount for line in lines), D(0)) / 100


@pytest.mark.parametrize(
    "price",
    [
        Price(outside_id="price_1", product="prod_1", currency="USD"),
        Price(outside_id="price_1", product="prod_1", currency="USD", tiers_mode="graduated"),
        Price(outside_id="price_1", product="prod_1", currency="USD", unit_amount=D(1), package_size=D(5)),
        Price(
            outside_id="price_1",
            product="prod_1",
            currency="USD",
            tiers_mode="volume",
            tiers=(PriceTier(up_to=D(5), unit_amount=D(1), flat_amount=D(0)),),
        ),
    ],
)
def test_a_price_without_what_rating_needs_says_so(price: Price) -> None:
    found = from_source_price(price)

    assert isinstance(found, Problem)
    assert found.code == "usage.source_price_unclear"
