"""The configuration kind UsagePrice: what a meter's quantities cost, whom, from when, billed how often. Types; see `checks`."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Final

import msgspec

from revline.subledger.usage.rating.models import PriceTerms

CUSTOMERS_MAX: Final = 10_000


class Interval(StrEnum):
    """How often a price is billed."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Billing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Billing periods: half-open, from local midnight to local midnight of the legal entity.

    interval, interval_count: every so many of them; a quarter is three months. anchor: the first day of some period; left out, the
    calendar's own (Monday, the first of the month, the first of January). An anchor on a day a month does not have begins on its
    last day.
    """

    interval: Interval = Interval.MONTH
    interval_count: int = 1
    anchor: date | None = None


class AppliesTo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who pays a price. Left out: every customer of the tenant whose use the meter counts.

    customers: named ones, as connection/outside id. subscription_prices: those with a running subscription to one of these prices,
    as connection/outside id of the price.
    """

    customers: tuple[str, ...] = ()
    subscription_prices: tuple[str, ...] = ()


class GroupLines(StrEnum):
    """What a price makes of a meter's groups it does not price one by one: one line over all (`together`), or one line and so one
    set of tiers, free units, minimum and maximum for `each`."""

    TOGETHER = "together"
    EACH = "each"


class UsagePrice(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the quantities of a meter cost.

    meter: Meter that counts; it has to give what the model needs. entity: LegalEntity that sells. terms: what it costs. product:
    what it is a price of, for those who read it, such as the outside id of a product. group_lines: what becomes of a meter's
    groups. effective_from, effective_to: days on which it is in force, half-open; a billing period that one of them cuts is charged
    for its part. Where several prices of one meter, product and entity meet a customer, the one that names the customer counts,
    then the one by subscription price, then the one for everyone.
    """

    title: str
    meter: str
    entity: str
    terms: PriceTerms
    product: str = ""
    product_family: str = ""
    billing: Billing = Billing()
    applies_to: AppliesTo = AppliesTo()
    group_lines: GroupLines = GroupLines.TOGETHER
    effective_from: date | None = None
    effective_to: date | None = None
