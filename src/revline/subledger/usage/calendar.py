"""Calendar time in a time zone: adding months, cutting a term into windows, the day a moment ends. Pure.

Windows are cut where the entity keeps its books, then kept as instants, so a day of 23 or 25 hours is one day.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from revline.subledger.usage.versions import Window

WINDOWS_MAX: Final = 100_000
"""Windows of one term: eleven years of hours."""


HOUR: Final = timedelta(hours=1)


class Every(StrEnum):
    """How long one window of a term is; term: the whole of it."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    TERM = "term"


_MONTHS: Final = {Every.MONTH: 1, Every.QUARTER: 3, Every.YEAR: 12}


def plus_months(*, day: date, months: int) -> date:
    """The same day of a later month; its last day where that month is shorter. 31 January and a month: 28 or 29 February."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def instant_of(*, day: date, time_zone: str) -> datetime:
    """The moment a day begins in a time zone, in UTC."""
    return datetime.combine(day, time(), ZoneInfo(time_zone)).astimezone(UTC)


def plus_span(*, moment: datetime, months: int, days: int, time_zone: str) -> datetime:
    """A moment later by calendar months and then days, at the same time of day in the zone; in UTC."""
    local = moment.astimezone(ZoneInfo(time_zone))
    later = plus_months(day=local.date(), months=months) + timedelta(days=days)
    return datetime.combine(later, local.time(), ZoneInfo(time_zone)).astimezone(UTC)


def day_of(*, moment: datetime, time_zone: str) -> date:
    """The day a moment is on."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


def last_day(*, moment: datetime, time_zone: str) -> date:
    """The day of the last moment before a moment: what ends at midnight counts for the day that ends."""
    return day_of(moment=moment - timedelta(microseconds=1), time_zone=time_zone)


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """One window of a term. share: how much of a whole one it is, by days; below 1 where the term's end cuts it short."""

    window: Window
    share: Fraction


def cut(*, start: date, end: date | None, every: Every, until: datetime | None, time_zone: str) -> Iterator[Cut]:
    """The windows of a term [start, end) that begin before `until`, at most WINDOWS_MAX.

    end None: it has none, and `every` is not the term. until None: all of them. Months count from the first day, each from it
    and not from the one before: 31 January, 28 February, 31 March. The last window is cut at the end.
    """
    last = None if end is None else instant_of(day=end, time_zone=time_zone)
    for number in range(WINDOWS_MAX):
        begins = _edge(start, end, number, every, time_zone)
        if (last is not None and begins >= last) or (until is not None and begins >= until):
            return
        ends = _edge(start, end, number + 1, every, time_zone)
        if last is None or ends <= last:
            yield Cut(window=Window(start=begins, end=ends), share=Fraction(1))
        else:
            yield Cut(window=Window(start=begins, end=last), share=_share(begins, last, ends, every, time_zone))


def _edge(start: date, end: date | None, number: int, every: Every, time_zone: str) -> datetime:
    """Where a window begins, by its number from 0, and so where the one before ends."""
    if every is Every.HOUR:
        return instant_of(day=start, time_zone=time_zone) + number * HOUR
    if every is Every.DAY:
        return instant_of(day=start + timedelta(days=number), time_zone=time_zone)
    if every is Every.TERM:
        assert end is not None, "a term that is one window has an end"
        return instant_of(day=end if number else start, time_zone=time_zone)
    return instant_of(day=plus_months(day=start, months=number * _MONTHS[every]), time_zone=time_zone)


def _share(begins: datetime, last: datetime, ends: datetime, every: Every, time_zone: str) -> Fraction:
    """By days, each as long as any other; an hour by its seconds."""
    if every is Every.HOUR:
        return Fraction((last - begins).seconds, (ends - begins).seconds)
    zone = ZoneInfo(time_zone)
    first, cut_at, whole = (moment.astimezone(zone).date() for moment in (begins, last, ends))
    return Fraction((cut_at - first).days, (whole - first).days)
