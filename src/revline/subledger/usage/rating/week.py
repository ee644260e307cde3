"""The week cut into bands of a time-of-day price, and a billing period cut by them. Pure; knows no event."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from revline.subledger.usage.rating.models import Band, Weekday
from revline.subledger.usage.versions import Window

MINUTES_OF_DAY: Final = 24 * 60
MINUTES_OF_WEEK: Final = 7 * MINUTES_OF_DAY
TIME_PATTERN: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]\Z")
DAYS: Final = tuple(Weekday)


class Slot(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Minutes of the local week, from Monday 00:00, [start, end), that belong to one band."""

    start: int
    end: int
    band: str


def slots_of(band: Band) -> tuple[Slot, ...]:
    """A band's minutes, one slot a day. ValueError for times that are none or an end that is not after the start."""
    start, end = minute_of_day(band.start), minute_of_day(band.end) or MINUTES_OF_DAY
    if end <= start:
        raise ValueError(f"{band.start} to {band.end}")
    days = (DAYS.index(day) * MINUTES_OF_DAY for day in band.days or DAYS)
    return tuple(sorted(Slot(start=day + start, end=day + end, band=band.name) for day in days))


def minute_of_day(text: str) -> int:
    """Minutes since midnight of a time written as 08:30. ValueError for anything else."""
    if not TIME_PATTERN.match(text):
        raise ValueError(f"{text[:20]!r} is no time of day")
    return int(text[:2]) * 60 + int(text[3:])


def week_of(*, bands: tuple[Band, ...], otherwise: str) -> tuple[Slot, ...]:
    """The whole week without gaps, in order: the slots of all bands, and `otherwise` between them. The bands don't overlap."""
    filled: list[Slot] = []
    reached = 0
    for slot in sorted(slot for band in bands for slot in slots_of(band)):
        if slot.start > reached:
            filled.append(Slot(start=reached, end=slot.start, band=otherwise))
        filled.append(slot)
        reached = slot.end
    if reached < MINUTES_OF_WEEK:
        filled.append(Slot(start=reached, end=MINUTES_OF_WEEK, band=otherwise))
    return tuple(filled)


def band_at(*, week: tuple[Slot, ...], local: datetime) -> str:
    """The band of a moment on the local clock. An hour that the clock shows twice is in its band both times."""
    minute = local.weekday() * MINUTES_OF_DAY + local.hour * 60 + local.minute
    return next(slot.band for slot in week if slot.start <= minute < slot.end)


class BandWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a billing period that belongs to one band."""

    window: Window
    band: str


def cut_by_week(*, week: tuple[Slot, ...], window: Window, time_zone: str) -> tuple[BandWindow, ...]:
    """A period cut at every change of band, in order and without gaps: what a meter is asked for, then summed by band.

    Where the clock is set back, the hours it shows twice are cut twice; the hour it skips belongs to no slot.
    """
    found: list[BandWindow] = []
    for steady in _steady(window, ZoneInfo(time_zone)):
        for piece in _cut_steady(week, steady, ZoneInfo(time_zone)):
            if found and found[-1].band == piece.band:
                whole = Window(start=found[-1].window.start, end=piece.window.end)
                found[-1] = BandWindow(window=whole, band=piece.band)
            else:
                found.append(piece)
    return tuple(found)


def _steady(window: Window, zone: ZoneInfo) -> list[Window]:
    """The stretches of a window in which the clock is not set."""
    found, start = [], window.start
    while start < window.end:
        end = min(start + timedelta(days=1), window.end)
        while end < window.end and _offset(end, zone) == _offset(start, zone):
            end = min(end + timedelta(days=1), window.end)
        last = end - timedelta(microseconds=1)
        if _offset(last, zone) != _offset(start, zone):
            end = _set_at(start, last, zone)
        found.append(Window(start=start, end=end))
        start = end
    return found


def _set_at(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the clock is set between two moments of different offset."""
    before = _offset(low, zone)
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return high.replace(microsecond=0)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _cut_steady(week: tuple[Slot, ...], window: Window, zone: ZoneInfo) -> list[BandWindow]:
    offset = _offset(window.start, zone)
    local = (window.start + offset).replace(tzinfo=None)
    monday = local.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=local.weekday())
    monday_instant = window.start - (local - monday)
    found = []
    while monday_instant < window.end:
        for slot in week:
            start = max(monday_instant + timedelta(minutes=slot.start), window.start)
            end = min(monday_instant + timedelta(minutes=slot.end), window.end)
            if start < end:
                found.append(BandWindow(window=Window(start=start, end=end), band=slot.band))
        monday_instant += timedelta(days=7)
    return found
