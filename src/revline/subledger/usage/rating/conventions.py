"""The settings of a price on which billing systems disagree, each with its default. Pure types; `rate` obeys them.

None of them is a silent choice: every value is named here, explained on the page of usage conventions and shown by a test.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from revline.core.money import Rounding


class ZeroUsage(StrEnum):
    """Flat amounts of a period in which nothing is left to charge: `billed` all the same, or `not_billed`."""

    BILLED = "billed"
    NOT_BILLED = "not_billed"


class TierBound(StrEnum):
    """Where a quantity of exactly a tier's `upTo` belongs: to that tier (`inclusive`) or to the next one (`exclusive`)."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"


class FreeUnits(StrEnum):
    """How free units meet tiers.

    before_tiers: they are taken off first, the rest begins in the first tier. within_tiers: they are the first units of the tiers
    at no charge, the whole quantity says which tiers are reached. until_exceeded: nothing is charged up to them, and once they are
    exceeded every unit is, with the bounds moved up by them.
    """

    BEFORE_TIERS = "before_tiers"
    WITHIN_TIERS = "within_tiers"
    UNTIL_EXCEEDED = "until_exceeded"


class NegativeUsage(StrEnum):
    """A quantity below zero: counts as `zero`; is priced, but the line is no less than zero (`floor`); or is a `credit`.

    Where it is priced it takes the first tier's unit amount and uses no free units.
    """

    ZERO = "zero"
    FLOOR = "floor"
    CREDIT = "credit"


class RoundingScope(StrEnum):
    """What is rounded to the currency's scale.

    line: the charge, once. step: each step (a tier's units, its flat amount, each transaction, each discount), then added.
    cumulative: the charge of the whole period so far, less what earlier lines of the period came to: no cent is lost between them.
    """

    LINE = "line"
    STEP = "step"
    CUMULATIVE = "cumulative"


class ProrationBy(StrEnum):
    """How the part of a billing period is measured: not at all (`none`), in local calendar days (`day`), in seconds that really
    passed (`second`: a day of 23 or 25 hours counts so), or in months of thirty days (`thirty_day_month`)."""

    NONE = "none"
    DAY = "day"
    SECOND = "second"
    THIRTY_DAY_MONTH = "thirty_day_month"


class PeriodEnd(StrEnum):
    """Whether the day a part of a period ends on is counted in it: `excluded` (half-open) or `included`."""

    EXCLUDED = "excluded"
    INCLUDED = "included"


class DiscountOrder(StrEnum):
    """Discounts are taken off before minimum and maximum are looked at (`before_minimum`), or after (`after_minimum`)."""

    BEFORE_MINIMUM = "before_minimum"
    AFTER_MINIMUM = "after_minimum"


class DiscountBase(StrEnum):
    """What a later percentage is taken of: what earlier discounts left (`remaining`) or the amount before any (`original`)."""

    REMAINING = "remaining"
    ORIGINAL = "original"


class FreeEnd(StrEnum):
    """When both a number of transactions and an amount are free: free until the first of them is used up (`either`), or until both
    are (`both`)."""

    EITHER = "either"
    BOTH = "both"


class FreeStraddle(StrEnum):
    """The transaction in which the free amount ends: only the rest of it is charged (`rest`), none of it (`free`), or all of it
    (`whole`)."""

    REST = "rest"
    FREE = "free"
    WHOLE = "whole"


class Conventions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a price is read where billing systems disagree. What is left out has the default given here.

    zero_usage: flat amounts when nothing is left to charge. tier_bound: where exactly `upTo` belongs. free_units: how free units
    meet tiers. negative_usage: a quantity below zero. rounding: how an amount between two of the currency's steps is brought to
    one. rounding_scope: what is rounded. proration: how part of a period is measured. period_end: whether its last day counts.
    prorate_flat: flat amounts (of tiers and levels too) are charged for the part. prorate_free_units, prorate_tiers,
    prorate_spend: free units, bounds of tiers, and minimum with maximum shrink with it. discount_order, discount_base: when
    discounts are taken, and of what. free_end, free_straddle: where the free part of transactions ends.
    """

    zero_usage: ZeroUsage = ZeroUsage.BILLED
    tier_bound: TierBound = TierBound.INCLUSIVE
    free_units: FreeUnits = FreeUnits.BEFORE_TIERS
    negative_usage: NegativeUsage = NegativeUsage.ZERO
    rounding: Rounding = Rounding.HALF_UP
    rounding_scope: RoundingScope = RoundingScope.LINE
    proration: ProrationBy = ProrationBy.DAY
    period_end: PeriodEnd = PeriodEnd.EXCLUDED
    prorate_flat: bool = True
    prorate_free_units: bool = True
    prorate_tiers: bool = False
    prorate_spend: bool = True
    discount_order: DiscountOrder = DiscountOrder.BEFORE_MINIMUM
    discount_base: DiscountBase = DiscountBase.REMAINING
    free_end: FreeEnd = FreeEnd.EITHER
    free_straddle: FreeStraddle = FreeStraddle.REST
