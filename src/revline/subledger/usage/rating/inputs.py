"""What is rated of one charge, and what a price so needs of its meter. Pure; knows no meter."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

import msgspec

from revline.core.problem import Mender, Retryable, define
from revline.subledger.usage.rating.models import Matrix, Percentage, PriceTerms, TimeOfDay
from revline.subledger.usage.rating.week import Slot, week_of

TRANSACTIONS_MAX: Final = 1_000_000
"""Transactions of one charge; more are a problem, not a longer wait."""
OTHERWISE: Final = "otherwise"
"""The band of time that belongs to no band of a time-of-day price."""

define(
    code="usage.price_unmatched",
    title="Use that no price is given for",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Add a cell for these values to the matrix of the price, or give it an amount for all others (otherwise).",
)
define(
    code="usage.transactions_too_many",
    title="Too many transactions in one charge",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Bill the price more often, or let the meter group its transactions.",
)


class Shape(StrEnum):
    """What a price takes of each charge: one number (`quantity`), a quantity for each combination of values (`groups`), or the
    amount of each transaction in order (`transactions`)."""

    QUANTITY = "quantity"
    GROUPS = "groups"
    TRANSACTIONS = "transactions"


class MeterNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What the meter of a price has to give.

    group_by: fields in the order of a group's values. week: of a time-of-day price, the slots that fill the week and the band each
    belongs to; a group's one value is its band. time_zone: whose week it is, "" for that of the legal entity.
    """

    shape: Shape
    group_by: tuple[str, ...] = ()
    week: tuple[Slot, ...] = ()
    time_zone: str = ""


def needs_of(terms: PriceTerms) -> MeterNeeds:
    """What the meter of a checked price has to give."""
    match terms.model.one():
        case Percentage():
            return MeterNeeds(shape=Shape.TRANSACTIONS)
        case Matrix() as matrix:
            return MeterNeeds(shape=Shape.GROUPS, group_by=matrix.fields)
        case TimeOfDay() as model:
            week = week_of(bands=model.bands, otherwise=OTHERWISE)
            return MeterNeeds(shape=Shape.GROUPS, week=week, time_zone=model.time_zone)
        case _:
            return MeterNeeds(shape=Shape.QUANTITY)


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a billing period that is charged: `part` of `whole`, both counted in `unit` (days, seconds)."""

    part: int
    whole: int
    unit: str = "days"

    @property
    def fraction(self) -> Fraction:
        """The part as an exact number; 1 for the whole period."""
        return Fraction(self.part, self.whole)


WHOLE: Final = Share(part=1, whole=1)


class RatingInput(msgspec.Struct, frozen=True, kw_only=True):
    """What is rated of one charge. Which field counts is said by `needs_of` the price.

    quantity: of the meter, exact; for a dynamic price the sum of the amounts events carry. groups: (values in the order of
    `MeterNeeds.group_by`, quantity); for time of day the one value is the band. transactions: each amount, in order of time and
    then of receipt. share: the part of the billing period that is charged. before: with `cumulative` rounding what of all this
    earlier lines of the same period have rated already; quantities here are those of the period so far.
    """

    quantity: Decimal = Decimal(0)
    groups: tuple[tuple[tuple[str, ...], Decimal], ...] = ()
    transactions: tuple[Decimal, ...] = ()
    share: Share = WHOLE
    before: RatingInput | None = None
