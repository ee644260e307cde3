"""A price that could not be rated, or only by chance, is refused before it is applied, at its place."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from revline.platform.tenancy.kinds import Connection, LegalEntity
from revline.subledger.usage.metering.kinds import Aggregation, Bucket, BucketSize, Meter
from revline.subledger.usage.rating.checks import check_usage_price
from revline.subledger.usage.rating.kinds import AppliesTo, Billing, GroupLines, UsagePrice
from revline.subledger.usage.rating.models import (
    Band,
    Capacity,
    CapacityLevel,
    Discount,
    Flat,
    Matrix,
    MatrixCell,
    Model,
    Package,
    Percentage,
    PerUnit,
    PriceModel,
    PriceTerms,
    TimeOfDay,
    Transform,
)
from tests.unit.usage.rating.terms import DAY_AND_NIGHT, D, graduated, terms, tier

CALLS = Meter(title="Calls", event_type="call", aggregation=Aggregation.COUNT)
TOKENS = Meter(title="Tokens", event_type="call", aggregation=Aggregation.SUM, field="tokens")
PEAK = Meter(
    title="Peak",
    event_type="call",
    aggregation=Aggregation.SUM,
    field="tokens",
    bucket=Bucket(size=BucketSize.HOUR, aggregation=Aggregation.SUM),
)
BY_REGION = Meter(title="By region", event_type="call", aggregation=Aggregation.COUNT, group_by=("region",))
SUMS_BY_REGION = Meter(
    title="Sums by region", event_type="call", aggregation=Aggregation.SUM, field="tokens", group_by=("region",)
)
OTHERS: dict[type, dict[str, Any]] = {
    LegalEntity: {"us": LegalEntity(title="Acme", functional_currency="USD", time_zone="America/New_York")},
    Connection: {"stripe-us": Connection(connector="stripe", entity="us")},
    Meter: {"calls": CALLS, "tokens": TOKENS, "peak": PEAK, "by-region": BY_REGION, "sums-by-region": SUMS_BY_REGION},
}


def price(model: Model | PriceTerms, **fields: Any) -> UsagePrice:
    found = model if isinstance(model, PriceTerms) else terms(model)
    return UsagePrice(**{"title": "A price", "meter": "tokens", "entity": "us", "terms": found, **fields})


def pointers(spec: UsagePrice, **others: UsagePrice) -> list[str]:
    known = {**OTHERS, UsagePrice: {"this": spec, **others}}
    return [each.pointer for each in check_usage_price("this", spec, known)]


GOOD = PerUnit(unit_amount=D("0.01"))


@pytest.mark.parametrize(
    "spec",
    [
        price(GOOD),
        price(Percentage(percent=D("2.9"))),
        price(DAY_AND_NIGHT, meter="calls"),
        price(Matrix(fields=("region",), cells=(MatrixCell(values=("eu",), unit_amount=D(1)),)), meter="by-region"),
        price(GOOD, applies_to=AppliesTo(customers=("stripe-us/cus_1",)), group_lines=GroupLines.EACH),
        price(TimeOfDay(bands=(Band(name="always", unit_amount=D(1)),))),
    ],
)
def test_a_good_price_has_nothing_against_it(spec: UsagePrice) -> None:
    assert pointers(spec) == []


MODEL = "spec.terms.model"


@pytest.mark.parametrize(
    ("model", "pointer"),
    [
        (Flat(amount=D(-1)), f"{MODEL}.flat.amount"),
        (graduated(), f"{MODEL}.graduated.tiers"),
        (graduated(tier("100", "1")), f"{MODEL}.graduated.tiers[0].upTo"),
        (graduated(tier("100", "1"), tier("100", "1"), tier(None)), f"{MODEL}.graduated.tiers[1].upTo"),
        (graduated(tier(None, "1"), tier(None)), f"{MODEL}.graduated.tiers[0].upTo"),
        (graduated(tier(None, "-1")), f"{MODEL}.graduated.tiers[0].unitAmount"),
        (graduated(tier(None, "1", cap="-1")), f"{MODEL}.graduated.tiers[0].cap"),
        (Package(size=D(0), amount=D(1)), f"{MODEL}.package.size"),
        (Capacity(levels=(CapacityLevel(up_to=D(5), amount=D(1)),)), f"{MODEL}.capacity.levels[0].upTo"),
        (Percentage(percent=D(1), minimum=D(2), maximum=D(1)), f"{MODEL}.percentage.minimum"),
        (Percentage(percent=D(1), free_transactions=-1), f"{MODEL}.percentage.freeTransactions"),
        (TimeOfDay(bands=()), f"{MODEL}.timeOfDay.bands"),
        (TimeOfDay(bands=(Band(name="day", start="08:00", unit_amount=D(1)),)), f"{MODEL}.timeOfDay.bands"),
        (
            TimeOfDay(bands=(Band(name="a", start="22:00", end="06:00", unit_amount=D(1)),), otherwise=D(0)),
            f"{MODEL}.timeOfDay.bands[0]",
        ),
        (
            TimeOfDay(
                bands=(Band(name="a", unit_amount=D(1)), Band(name="b", start="08:00", unit_amount=D(2))),
                otherwise=D(0),
            ),
            f"{MODEL}.timeOfDay.bands[1]",
        ),
        (
            TimeOfDay(bands=(Band(name="always", unit_amount=D(1)),), time_zone="Berlin/Europe"),
            f"{MODEL}.timeOfDay.timeZone",
        ),
    ],
)
def test_a_model_that_can_not_be_rated_is_refused(model: Model, pointer: str) -> None:
    assert pointers(price(model)) == [pointer]


def test_there_is_exactly_one_model() -> None:
    none, two = PriceModel(), PriceModel(flat=Flat(amount=D(1)), per_unit=GOOD)

    assert [pointers(price(PriceTerms(currency="USD", model=each))) for each in (none, two)] == [
        ["spec.terms.model"]
    ] * 2


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"currency": "XXX"}, "spec.terms.currency"),
        ({"transform": Transform(divide_by=D(0))}, "spec.terms.transform.divideBy"),
        ({"free_units": D(-1)}, "spec.terms.freeUnits"),
        ({"minimum": D(5), "maximum": D(4)}, "spec.terms.minimum"),
        ({"discounts": (Discount(name="none"),)}, "spec.terms.discounts[0]"),
        ({"discounts": (Discount(name="all", percent=D(101)),)}, "spec.terms.discounts[0].percent"),
        ({"discounts": (Discount(name="more", amount=D(-1)),)}, "spec.terms.discounts[0].amount"),
    ],
)
def test_terms_that_contradict_themselves_are_refused(fields: dict[str, Any], pointer: str) -> None:
    assert pointers(price(terms(GOOD, **fields))) == [pointer]


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        (price(GOOD, meter="minutes"), "spec.meter"),
        (price(GOOD, entity="fr"), "spec.entity"),
        (price(Percentage(percent=D(1)), meter="calls"), "spec.meter"),
        (price(Percentage(percent=D(1)), meter="peak"), "spec.meter"),
        (price(DAY_AND_NIGHT, meter="peak"), "spec.meter"),
        (price(terms(Percentage(percent=D(1)), free_units=D(5))), "spec.terms.freeUnits"),
        (price(terms(Percentage(percent=D(1)), transform=Transform(divide_by=D(5)))), "spec.terms.transform"),
        (
            price(Matrix(fields=("size",), cells=(MatrixCell(values=("l",), unit_amount=D(1)),)), meter="by-region"),
            "spec.terms.model.matrix.fields",
        ),
        (price(Percentage(percent=D(1)), meter="sums-by-region"), "spec.groupLines"),
        (price(DAY_AND_NIGHT, group_lines=GroupLines.EACH), "spec.groupLines"),
        (price(GOOD, billing=Billing(interval_count=0)), "spec.billing.intervalCount"),
        (price(GOOD, effective_from=date(2026, 2, 1), effective_to=date(2026, 2, 1)), "spec.effectiveTo"),
        (price(GOOD, applies_to=AppliesTo(customers=("cus_1",))), "spec.appliesTo.customers[0]"),
        (price(GOOD, applies_to=AppliesTo(subscription_prices=("crm/p1",))), "spec.appliesTo.subscriptionPrices[0]"),
    ],
)
def test_a_price_that_does_not_fit_its_surroundings_is_refused(spec: UsagePrice, pointer: str) -> None:
    assert pointers(spec) == [pointer]


def test_two_prices_that_could_only_win_by_chance_are_refused() -> None:
    everyone, named = price(GOOD), AppliesTo(customers=("stripe-us/cus_1",))

    assert pointers(everyone, other=everyone) == ["spec.meter"]
    assert pointers(everyone, other=price(GOOD, product="support")) == []
    assert pointers(everyone, other=price(GOOD, applies_to=named)) == [], "the one that names a customer is nearer"
    assert pointers(price(GOOD, applies_to=named), other=price(GOOD, applies_to=named)) == ["spec.meter"]
    assert (
        pointers(price(GOOD, effective_from=date(2026, 3, 1)), other=price(GOOD, effective_to=date(2026, 3, 1))) == []
    )
