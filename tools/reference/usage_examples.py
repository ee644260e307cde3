"""Of each convention of a price one case in which its values come to different amounts, and who is known to do which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.core.problem import Problem
from revline.subledger.usage.calendar import instant_of
from revline.subledger.usage.rating.billing import share_of
from revline.subledger.usage.rating.conventions import Conventions
from revline.subledger.usage.rating.inputs import RatingInput, Share
from revline.subledger.usage.rating.models import (
    Discount,
    Flat,
    Graduated,
    Percentage,
    PerUnit,
    PriceModel,
    PriceTerms,
    Tier,
    Volume,
)
from revline.subledger.usage.rating.rate import rate
from revline.subledger.usage.versions import Window

D = Decimal
ZONE: Final = "Europe/Berlin"
HALF_MARCH: Final = Share(part=15, whole=31)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A case. story: in words. lines: what is rated, one charge after another; their amounts are summed. part: days of March 2026
    in Berlin that are charged, measured as the conventions say. costs: value of the setting -> amount. seen: who does which."""

    setting: str
    story: str
    terms: PriceTerms
    costs: Mapping[Any, str]
    lines: tuple[RatingInput, ...] = (RatingInput(),)
    part: tuple[date, date] | None = None
    seen: Mapping[str, str] = field(default_factory=dict)

    def cost(self, value: object) -> Decimal:
        """What the case comes to under one value of the setting."""
        rules: Conventions = msgspec.structs.replace(self.terms.conventions, **{self.setting: value})
        terms = msgspec.structs.replace(self.terms, conventions=rules)
        found = rate(terms=terms, inputs=[self._shared(each, rules) for each in self.lines])
        assert not isinstance(found, Problem)
        return sum(found.amounts(), D("0.00"))

    def _shared(self, given: RatingInput, rules: Conventions) -> RatingInput:
        if self.part is None:
            return given
        share = share_of(
            conventions=rules,
            whole=_window(date(2026, 3, 1), date(2026, 4, 1)),
            part=_window(*self.part),
            time_zone=ZONE,
        )
        return msgspec.structs.replace(given, share=share)


def _window(start: date, end: date) -> Window:
    return Window(start=instant_of(day=start, time_zone=ZONE), end=instant_of(day=end, time_zone=ZONE))


def _terms(model: PriceModel, **others: Any) -> PriceTerms:
    return PriceTerms(currency="EUR", unit="call", model=model, **others)


def _graduated(*tiers: Tier) -> PriceModel:
    return PriceModel(graduated=Graduated(tiers=tiers))


def _volume(*tiers: Tier) -> PriceModel:
    return PriceModel(volume=Volume(tiers=tiers))


def _each(amount: str) -> PriceModel:
    return PriceModel(per_unit=PerUnit(unit_amount=D(amount)))


def _used(quantity: str, **others: Any) -> RatingInput:
    return RatingInput(quantity=D(quantity), **others)


def _paid(*amounts: str) -> RatingInput:
    return RatingInput(transactions=tuple(D(each) for each in amounts))


HUNDRED_THEN_CHEAPER: Final = _volume(Tier(up_to=D(100), unit_amount=D(1)), Tier(unit_amount=D("0.50")))

EXAMPLES: Final = (
    Example(
        setting="zero_usage",
        story="A first tier with a flat amount of 5.00; nothing was used.",
        terms=_terms(_graduated(Tier(unit_amount=D("0.10"), flat_amount=D(5)))),
        costs={"billed": "5.00", "not_billed": "0.00"},
        seen={"billed": "Stripe, Lago, OpenMeter", "not_billed": "Flexprice"},
    ),
    Example(
        setting="tier_bound",
        story="Volume tiers: up to 100 calls 1.00 each, more 0.50 each; exactly 100 were made.",
        terms=_terms(HUNDRED_THEN_CHEAPER),
        lines=(_used("100"),),
        costs={"inclusive": "100.00", "exclusive": "50.00"},
        seen={"inclusive": "Stripe and most others", "exclusive": "Meteroid, which names a tier's first unit"},
    ),
    Example(
        setting="free_units",
        story="The same tiers with 20 free calls; 110 were made.",
        terms=_terms(HUNDRED_THEN_CHEAPER, free_units=D(20)),
        lines=(_used("110"),),
        costs={"before_tiers": "90.00", "within_tiers": "45.00", "until_exceeded": "110.00"},
        seen={"until_exceeded": "Autumn, with volume tiers"},
    ),
    Example(
        setting="negative_usage",
        story="A flat amount of 10.00 and 2.00 a call; corrections leave -8 calls.",
        terms=_terms(_graduated(Tier(unit_amount=D(2), flat_amount=D(10)))),
        lines=(_used("-8"),),
        costs={"zero": "10.00", "floor": "0.00", "credit": "-6.00"},
        seen={"zero": "Stripe, Polar", "floor": "Lago", "credit": "OpenMeter's deltas, Autumn where it is switched on"},
    ),
    Example(
        setting="rounding",
        story="One call at 0.125.",
        terms=_terms(_each("0.125")),
        lines=(_used("1"),),
        costs={"half_up": "0.13", "half_even": "0.12"},
        seen={"half_up": "Stripe"},
    ),
    Example(
        setting="rounding_scope",
        story="Every call 0.001, the fifth begins a new tier. Three lines of one month: after 5, 10 and 16 calls.",
        terms=_terms(_graduated(Tier(up_to=D(4), unit_amount=D("0.001")), Tier(unit_amount=D("0.001")))),
        lines=(_used("5"), _used("10", before=_used("5")), _used("16", before=_used("10"))),
        costs={"line": "0.03", "step": "0.01", "cumulative": "0.02"},
        seen={"line": "Flexprice", "step": "Stripe, where every tier is a line", "cumulative": "OpenMeter's deltas"},
    ),
    Example(
        setting="proration",
        story="31.00 a month, from 17 March 2026 in Berlin, where the clock is set forward on the 29th.",
        terms=_terms(PriceModel(flat=Flat(amount=D(31)))),
        part=(date(2026, 3, 17), date(2026, 4, 1)),
        costs={"none": "31.00", "day": "15.00", "second": "14.98", "thirty_day_month": "14.47"},
        seen={"day": "Lago", "second": "Stripe, Polar", "thirty_day_month": "Kill Bill, as an option"},
    ),
    Example(
        setting="period_end",
        story="31.00 a month, ended on 17 March.",
        terms=_terms(PriceModel(flat=Flat(amount=D(31)))),
        part=(date(2026, 3, 1), date(2026, 3, 17)),
        costs={"excluded": "16.00", "included": "17.00"},
        seen={"excluded": "Meteroid, Polar, Kill Bill", "included": "Flexprice"},
    ),
    Example(
        setting="prorate_flat",
        story="A tier with a flat amount of 31.00, in force for 15 of 31 days.",
        terms=_terms(_graduated(Tier(flat_amount=D(31)))),
        lines=(RatingInput(share=HALF_MARCH),),
        costs={True: "15.00", False: "31.00"},
    ),
    Example(
        setting="prorate_free_units",
        story="310 free calls a month, then 0.10 each; 310 were made in 15 of 31 days.",
        terms=_terms(_each("0.10"), free_units=D(310)),
        lines=(_used("310", share=HALF_MARCH),),
        costs={True: "16.00", False: "0.00"},
    ),
    Example(
        setting="prorate_tiers",
        story="Volume tiers: up to 310 calls 1.00 each, more 0.50 each; 200 were made in 15 of 31 days.",
        terms=_terms(_volume(Tier(up_to=D(310), unit_amount=D(1)), Tier(unit_amount=D("0.50")))),
        lines=(_used("200", share=HALF_MARCH),),
        costs={True: "100.00", False: "200.00"},
    ),
    Example(
        setting="prorate_spend",
        story="At least 62.00 a month; nothing was used in 15 of 31 days.",
        terms=_terms(_each("0.10"), minimum=D(62)),
        lines=(_used("0", share=HALF_MARCH),),
        costs={True: "30.00", False: "62.00"},
    ),
    Example(
        setting="discount_order",
        story="100.00 of use, 20 % off, at least 90.00.",
        terms=_terms(_each("1"), minimum=D(90), discounts=(Discount(name="spring", percent=D(20)),)),
        lines=(_used("100"),),
        costs={"before_minimum": "90.00", "after_minimum": "80.00"},
    ),
    Example(
        setting="discount_base",
        story="100.00 of use, 10 % off twice.",
        terms=_terms(
            _each("1"), discounts=(Discount(name="spring", percent=D(10)), Discount(name="partner", percent=D(10)))
        ),
        lines=(_used("100"),),
        costs={"remaining": "81.00", "original": "80.00"},
    ),
    Example(
        setting="free_end",
        story="10 % of each payment; two payments and 100.00 are free. Payments of 60.00, 30.00 and 50.00.",
        terms=_terms(PriceModel(percentage=Percentage(percent=D(10), free_transactions=2, free_amount=D(100)))),
        lines=(_paid("60", "30", "50"),),
        costs={"either": "5.00", "both": "4.00"},
    ),
    Example(
        setting="free_straddle",
        story="10 % of each payment, 100.00 are free. Two payments of 60.00.",
        terms=_terms(PriceModel(percentage=Percentage(percent=D(10), free_amount=D(100)))),
        lines=(_paid("60", "60"),),
        costs={"rest": "2.00", "free": "0.00", "whole": "6.00"},
    ),
)
