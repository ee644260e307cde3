"""When a price is billed and whom: periods cut from the calendar, the part of one that is charged, the price a customer has. Pure.

Periods are cut at local midnight of the legal entity and kept as instants, so a day the clock is changed on is one day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from revline.core.ids import SourceObject
from revline.subledger.usage.calendar import day_of, instant_of, plus_months
from revline.subledger.usage.rating.conventions import Conventions, PeriodEnd, ProrationBy
from revline.subledger.usage.rating.inputs import WHOLE, Share
from revline.subledger.usage.rating.kinds import Billing, Interval, UsagePrice
from revline.subledger.usage.versions import Window

FIRST_DAY: Final = date(1970, 1, 1)
FIRST_MONDAY: Final = date(1970, 1, 5)
PERIODS_MAX: Final = 10_000
"""Billing periods of one price that are looked at together."""
MONTHS: Final = {Interval.MONTH: 1, Interval.YEAR: 12}
DAYS: Final = {Interval.DAY: 1, Interval.WEEK: 7}


class BillingPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """One period of a price. whole: as the calendar cuts it. window: what the price is in force of it. share: that part of it, as
    the price's conventions count it."""

    whole: Window
    window: Window
    share: Share


class Subscribed(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A price that a customer subscribed to. price: connection/outside id. start, end: when it ran, half-open; None where it has no
    such end."""

    price: str
    start: datetime | None = None
    end: datetime | None = None

    def runs_in(self, window: Window) -> bool:
        """Whether it ran at some time of a window."""
        return (self.start is None or self.start < window.end) and (self.end is None or self.end > window.start)


def period_at(*, billing: Billing, moment: datetime, time_zone: str) -> Window:
    """The billing period that holds a moment."""
    local = day_of(moment=moment, time_zone=time_zone)
    number = _number(billing, local)
    return _whole(billing, number, time_zone)


def charged_periods(
    *,
    prices: Mapping[str, UsagePrice],
    customer: SourceObject,
    subscribed: Collection[Subscribed],
    time_zone: str,
    within: Window,
) -> Iterator[tuple[str, BillingPeriod]]:
    """Every period, or part of one, that a customer is charged for, with the name of its price; price by price and in order.

    Only what touches `within`. Of several prices for one meter, product and entity the nearest counts: one that names the customer,
    then one by subscription price (for every period the subscription ran in), then one for everyone; for days on which a nearer one
    is not in force the next one counts.
    """
    for name, price in sorted(prices.items()):
        rank = reach(price=price, customer=customer, subscribed=subscribed)
        if rank is None:
            continue
        rivals = [
            other
            for other in prices.values()
            if (other.meter, other.product, other.entity) == (price.meter, price.product, price.entity)
        ]
        for whole in _wholes(price.billing, time_zone, within):
            running = [each for each in subscribed if each.runs_in(whole)]
            if reach(price=price, customer=customer, subscribed=running) != rank:
                continue
            pieces = [held] if (held := in_force(price=price, window=whole, time_zone=time_zone)) else []
            for rival in rivals:
                nearer = reach(price=rival, customer=customer, subscribed=running)
                taken = in_force(price=rival, window=whole, time_zone=time_zone)
                if nearer is not None and nearer < rank and taken is not None:
                    pieces = [left for piece in pieces for left in _without(piece, taken)]
            for window in pieces:
                if window.end > within.start and window.start < within.end:
                    rules = price.terms.conventions
                    share = share_of(conventions=rules, whole=whole, part=window, time_zone=time_zone)
                    yield name, BillingPeriod(whole=whole, window=window, share=share)


def _wholes(billing: Billing, time_zone: str, within: Window) -> Iterator[Window]:
    """The calendar's periods that touch a stretch of time."""
    number = _number(billing, day_of(moment=within.start, time_zone=time_zone))
    for later in range(PERIODS_MAX):
        whole = _whole(billing, number + later, time_zone)
        if whole.start >= within.end:
            return
        yield whole


def _without(window: Window, taken: Window) -> Iterator[Window]:
    """What is left of a window."""
    if taken.end <= window.start or taken.start >= window.end:
        yield window
        return
    if window.start < taken.start:
        yield Window(start=window.start, end=taken.start)
    if taken.end < window.end:
        yield Window(start=taken.end, end=window.end)


def in_force(*, price: UsagePrice, window: Window, time_zone: str) -> Window | None:
    """The part of a window a price is in force in, or None."""
    start, end = window.start, window.end
    if price.effective_from is not None:
        start = max(start, instant_of(day=price.effective_from, time_zone=time_zone))
    if price.effective_to is not None:
        end = min(end, instant_of(day=price.effective_to, time_zone=time_zone))
    return Window(start=start, end=end) if start < end else None


def share_of(*, conventions: Conventions, whole: Window, part: Window, time_zone: str) -> Share:
    """What part of a billing period a stretch within it is, as the conventions count; the whole for all of it.

    Stretches that follow each other sum to the whole, unless the last day of each is counted (`period_end: included`).
    """
    if part == whole or conventions.proration is ProrationBy.NONE:
        return WHOLE
    if conventions.proration is ProrationBy.SECOND:
        unit = timedelta(seconds=1)
        if any((moment - whole.start) % unit for moment in (part.start, part.end, whole.end)):
            return _share(part, whole, timedelta(microseconds=1), "microseconds")
        return _share(part, whole, unit, "seconds")
    count = _thirty_day_days if conventions.proration is ProrationBy.THIRTY_DAY_MONTH else _calendar_days
    first, last, start, end = (
        day_of(moment=moment, time_zone=time_zone) for moment in (whole.start, whole.end, part.start, part.end)
    )
    charged, every = count(start, end), count(first, last)
    if conventions.period_end is PeriodEnd.INCLUDED and part.end < whole.end:
        charged += 1
    return Share(part=min(charged, every), whole=every)


def reach(*, price: UsagePrice, customer: SourceObject, subscribed: Collection[Subscribed]) -> int | None:
    """How near a price is to a customer, whenever its subscriptions ran: 0 names it, 1 by subscription price, 2 for everyone; None
    when it is not for it."""
    who = price.applies_to
    if f"{customer.connection}/{customer.outside_id}" in who.customers:
        return 0
    if any(each.price in who.subscription_prices for each in subscribed):
        return 1
    return None if who.customers or who.subscription_prices else 2


def _number(billing: Billing, day: date) -> int:
    """The number of the period that holds a day, from the one the anchor begins."""
    anchor = _anchor(billing)
    if billing.interval in DAYS:
        return (day - anchor).days // (DAYS[billing.interval] * billing.interval_count)
    months = MONTHS[billing.interval] * billing.interval_count
    number = ((day.year - anchor.year) * 12 + day.month - anchor.month) // months
    return number if _edge(billing, number) <= day else number - 1


def _edge(billing: Billing, number: int) -> date:
    """The first day of a period; each from the anchor, so 31 January, 28 February, 31 March."""
    anchor = _anchor(billing)
    if billing.interval in DAYS:
        return anchor + timedelta(days=number * DAYS[billing.interval] * billing.interval_count)
    return plus_months(day=anchor, months=number * MONTHS[billing.interval] * billing.interval_count)


def _anchor(billing: Billing) -> date:
    return billing.anchor or (FIRST_MONDAY if billing.interval is Interval.WEEK else FIRST_DAY)


def _whole(billing: Billing, number: int, time_zone: str) -> Window:
    return Window(
        start=instant_of(day=_edge(billing, number), time_zone=time_zone),
        end=instant_of(day=_edge(billing, number + 1), time_zone=time_zone),
    )


def _share(part: Window, whole: Window, unit: timedelta, name: str) -> Share:
    return Share(part=(part.end - part.start) // unit, whole=(whole.end - whole.start) // unit, unit=name)


def _calendar_days(start: date, end: date) -> int:
    return (end - start).days


def _thirty_day_days(start: date, end: date) -> int:
    months = (end.year - start.year) * 12 + end.month - start.month
    return months * 30 + min(end.day, 30) - min(start.day, 30)
