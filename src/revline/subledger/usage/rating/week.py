"""The week cut into bands of a time-of-day price. Pure: local clock time in, band out; knows no zone and no event."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

import msgspec

from revline.subledger.usage.rating.models import Band, Weekday

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
