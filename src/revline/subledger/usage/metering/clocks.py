"""Buckets of a local clock: which one a moment is in, as whole-number arithmetic a query can do, and how many a window has. Pure.

The zone's changes within a window are found here, from the time zone data Revline ships with, and handed to the query as numbers:
engines bring time zone tables of their own, of other years.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from revline.subledger.usage.metering.dialects import Dialect, micros
from revline.subledger.usage.metering.kinds import BucketSize
from revline.subledger.usage.versions import Window

SECOND: Final = 1_000_000
SIZES: Final = {
    BucketSize.FIVE_MINUTES: 300 * SECOND,
    BucketSize.QUARTER_HOUR: 900 * SECOND,
    BucketSize.HOUR: 3_600 * SECOND,
    BucketSize.DAY: 86_400 * SECOND,
}
YEARS_MAX: Final = 30
"""The longest window whose buckets are cut."""
FAR: Final = 100_000 * 86_400 * SECOND
"""Added so that moments before 1970 divide like later ones: a whole number of every size."""
_STEP: Final = timedelta(days=1)


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """From a moment on the zone is so many microseconds ahead of UTC."""

    start: datetime
    offset: int


def stretches(*, window: Window, time_zone: str) -> tuple[Stretch, ...]:
    """The zone's offsets over a window, each from when it begins. ValueError for a window over `YEARS_MAX`."""
    if window.end - window.start > YEARS_MAX * timedelta(days=366):
        raise ValueError(f"a window of more than {YEARS_MAX} years has too many buckets")
    zone = ZoneInfo(time_zone)
    found = [Stretch(start=window.start, offset=_offset(window.start, zone))]
    moment = window.start
    while moment < window.end:
        later = min(moment + _STEP, window.end)
        if _offset(later, zone) != found[-1].offset:
            found.append(Stretch(start=(change := _change(moment, later, zone)), offset=_offset(change, zone)))
        moment = later
    return tuple(each for each in found if each.start < window.end or each is found[0])


def bucket_number(dialect: Dialect, *, moment: str, size: BucketSize, window: Window, time_zone: str) -> str:
    """SQL for the number of the bucket a moment is in. Numbers rise with time; two moments in one bucket have the same.

    A day is numbered by its local date, a shorter bucket by the moment it begins.
    """
    offset = _offset_sql(dialect, moment, stretches(window=window, time_zone=time_zone))
    length = dialect.integer(SIZES[size])
    local = f"{dialect.since_1970(moment)} + {offset} + {dialect.integer(FAR)}"
    number = dialect.whole_part(local, length)
    return number if size is BucketSize.DAY else f"({number} * {length} - {offset})"


def buckets_in(*, window: Window, size: BucketSize, time_zone: str) -> int:
    """How many buckets a window meets; one that it cuts counts."""
    found = stretches(window=window, time_zone=time_zone)
    length = SIZES[size]
    numbers: set[int] = set()
    total = 0
    for place, stretch in enumerate(found):
        end = found[place + 1].start if place + 1 < len(found) else window.end
        first = (micros(stretch.start) + stretch.offset) // length
        last = (micros(end) - 1 + stretch.offset) // length
        if size is BucketSize.DAY:
            numbers.update(range(first, last + 1))
        else:
            starts = {first * length - stretch.offset, last * length - stretch.offset}
            total += last - first + 1 - len(starts & numbers)
            numbers = starts
    return len(numbers) if size is BucketSize.DAY else total


def _offset(moment: datetime, zone: ZoneInfo) -> int:
    found = moment.astimezone(zone).utcoffset()
    return 0 if found is None else found // timedelta(microseconds=1)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The second at which the offset changes; it does between the two."""
    low, high = int(before.timestamp()), int(after.timestamp()) + 1
    old = _offset(before, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, tz=UTC), zone) == old:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, tz=UTC)


def _offset_sql(dialect: Dialect, moment: str, found: tuple[Stretch, ...]) -> str:
    if len(found) == 1:
        return dialect.integer(found[0].offset)
    cases = " ".join(
        f"WHEN {moment} >= {dialect.moment(each.start)} THEN {dialect.integer(each.offset)}"
        for each in reversed(found[1:])
    )
    return f"(CASE {cases} ELSE {dialect.integer(found[0].offset)} END)"
