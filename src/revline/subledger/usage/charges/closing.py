"""When a billing period closes and an accounting month takes no more changes, and what late usage of a closed one does. Pure.

A period is open, then closed; nothing opens it again. All depends on moments that are passed in, so that a run can be repeated.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from revline.core.clock import month_of
from revline.subledger.usage.charges.policy import LateUsage, UsagePolicy
from revline.subledger.usage.versions import Window


class Late(msgspec.Struct, frozen=True, kw_only=True):
    """What a run does with a closed period's late usage. counted: false when it came after the policy's last day. held: its
    adjustments wait for a person. in_original: their revenue counts in the month the usage was made in."""

    counted: bool
    held: bool = False
    in_original: bool = False


def closes_at(window: Window, policies: tuple[UsagePolicy, ...]) -> datetime | None:
    """When a billing period closes by itself: the longest grace of the policies of its lines; None when a person closes it."""
    graces = [each.grace for each in policies]
    if not graces or any(grace is None for grace in graces):
        return None
    return window.end + max(grace for grace in graces if grace is not None)


def close_policy(*, policy: UsagePolicy, origin: Window, as_of: datetime) -> Late:
    """What late usage of a closed period does at a moment."""
    limit = policy.late_days_max
    if limit is not None and as_of >= origin.end + timedelta(days=limit):
        return Late(counted=False)
    return Late(
        counted=True,
        held=policy.late is LateUsage.HOLD,
        in_original=policy.late is LateUsage.ADJUST_ORIGINAL,
    )


def books_open_from(*, policy: UsagePolicy, closed_through: date | None, as_of: datetime, time_zone: str) -> date:
    """The first day of the earliest accounting month that takes accruals of usage: after what a person closed (closed_through: the
    last closed day) and after what the policy closed by itself."""
    earliest = date.min if closed_through is None else month_of(day=closed_through).end
    grace = policy.books_grace
    if grace is not None:
        # The month a moment `grace` ago lies in had not ended then, so it is still open.
        open_month = month_of(day=(as_of - grace).astimezone(ZoneInfo(time_zone)).date()).start
        earliest = max(earliest, open_month)
    return earliest


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a billing period that lies in one accounting month. name: the month, 2026-01. end: the instant it ends, the
    period's own end in the last one. day: its last day in the entity's books."""

    name: str
    end: datetime
    day: date


def parts_of(*, window: Window, time_zone: str) -> tuple[Part, ...]:
    """A billing period by accounting months of the entity's time zone, in order."""
    zone = ZoneInfo(time_zone)
    start = window.start.astimezone(zone)
    last = (window.end - timedelta(microseconds=1)).astimezone(zone)
    parts = []
    month = month_of(day=start.date())
    while month.start <= last.date():
        end = min(window.end, midnight(month.end, time_zone))
        day = min(month.end - timedelta(days=1), last.date())
        parts.append(Part(name=f"{month.start:%Y-%m}", end=end, day=day))
        month = month_of(day=month.end)
    return tuple(parts)


def midnight(day: date, time_zone: str) -> datetime:
    """The instant a day begins in a time zone, in UTC."""
    zone = ZoneInfo("UTC")
    return datetime.combine(day, time(), ZoneInfo(time_zone)).astimezone(zone)


def next_boundary(
    *, window: Window, policies: tuple[UsagePolicy, ...], time_zone: str, after: datetime, closed: bool
) -> datetime | None:
    """The next moment at which a period must be looked at although no usage came: a month's end, its own end, its close."""
    moments = {part.end for part in parts_of(window=window, time_zone=time_zone)}
    close = closes_at(window, policies)
    if close is not None and not closed:
        moments.add(close)
    return min((moment for moment in moments if moment > after), default=None)
