"""Time as a value that is passed in, and half-open periods. Nothing here reads a clock but the two that only app builds."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec


class Clock(Protocol):
    """Where a shell takes the time from, so that a simulation can own it."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class SteadyClock:
    """How time passes for this machine, as moments of no calendar: setting its clock, forward or back, does not move it.

    Two moments differ by the time that has passed, where the system can tell with that for which the machine was suspended.
    """

    def now(self) -> datetime:
        running = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        return _NO_CALENDAR + timedelta(microseconds=time.clock_gettime_ns(running) // 1_000)


_NO_CALENDAR = datetime(1970, 1, 1, tzinfo=UTC)


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """Days from `start` up to, and not with, `end`."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"a period can't end ({self.end}) before it starts ({self.start})")

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.start <= day < self.end

    @property
    def days(self) -> int:
        """Whole days in the period."""
        return (self.end - self.start).days


def month_of(*, day: date) -> Period:
    """The calendar month that holds `day`."""
    start = day.replace(day=1)
    return Period(start=start, end=(start + timedelta(days=32)).replace(day=1))


def period_name(*, day: date) -> str:
    """The calendar month's name, such as 2026-01: the accounting period of entities on calendar months."""
    return day.isoformat()[:7]


def local_date(*, moment: datetime, time_zone: str) -> date:
    """The calendar day of `moment` where the entity keeps its books. ValueError for a naive moment."""
    if moment.tzinfo is None:
        raise ValueError("a moment without an offset has no calendar day")
    return moment.astimezone(ZoneInfo(time_zone)).date()


def from_unix_seconds(*, seconds: int) -> datetime:
    """The aware UTC moment of a count of seconds since 1970. ValueError outside the years 1970 to 9999."""
    if not 0 <= seconds < 253_402_300_800:
        raise ValueError(f"{seconds} is no time between the years 1970 and 9999")
    return datetime.fromtimestamp(seconds, tz=UTC)
