"""Which segments are merged: small ones of one month into larger ones, so that each row is rewritten a few times at most. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby

import msgspec

from revline.subledger.usage.store.values import Segment, SegmentKind
from revline.subledger.usage.versions import Window


class MergeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """files: so many segments of about one size are merged. rows: a segment of so many is large enough. job_rows: at most in one
    merge. smallest: segments with fewer rows are all of one size."""

    files: int = 8
    rows: int = 4_000_000
    job_rows: int = 8_000_000
    smallest: int = 20_000


def merges(
    segments: Sequence[Segment], *, limits: MergeLimits, everything: bool = False
) -> tuple[tuple[Segment, ...], ...]:
    """Groups to merge now, none with a segment of another. everything: also where there are fewer, and what is not sorted yet."""
    found = []
    for _, month in groupby(sorted(segments, key=_place), key=_place):
        small = [one for one in month if one.kind is not SegmentKind.COMPACTED or one.rows < limits.rows // 2]
        found += list(_of_month(small, limits, everything=everything))
    return tuple(found)


def _of_month(small: Sequence[Segment], limits: MergeLimits, *, everything: bool) -> Iterator[tuple[Segment, ...]]:
    if everything:
        tiers = [sorted(small, key=_age)]
    else:
        tiers = [sorted(each, key=_age) for _, each in groupby(sorted(small, key=_tier(limits)), key=_tier(limits))]
    for tier in tiers:
        group: list[Segment] = []
        for one in tier:
            if group and sum(each.rows for each in group) + one.rows > limits.job_rows:
                yield from _worth(group, limits, everything=everything)
                group = []
            group.append(one)
        yield from _worth(group, limits, everything=everything)


def _worth(group: list[Segment], limits: MergeLimits, *, everything: bool) -> Iterator[tuple[Segment, ...]]:
    unsorted = any(one.kind is not SegmentKind.COMPACTED for one in group)
    if (
        len(group) >= limits.files
        or (everything and (unsorted or len(group) > 1))
        or (sum(one.rows for one in group) >= limits.rows and unsorted)
    ):
        yield tuple(group)


def _place(one: Segment) -> tuple[int, int]:
    """The month all of it lies in; (0, 0) for one of several months."""
    first, last = (one.first_at.year, one.first_at.month), (one.last_at.year, one.last_at.month)
    return first if first == last else (0, 0)


def _age(one: Segment) -> tuple[datetime, str]:
    return one.first_at, one.segment_id


class _Tier:
    def __init__(self, limits: MergeLimits) -> None:
        self._smallest, self._factor = limits.smallest, limits.files

    def __call__(self, one: Segment) -> int:
        tier, bound = 0, self._smallest
        while one.rows >= bound:
            tier, bound = tier + 1, bound * self._factor
        return tier


_tier = _Tier


def months_of(segments: Sequence[Segment]) -> tuple[Window, ...]:
    """The calendar months of UTC that segments have events in, first to last."""
    first, last = min(one.first_at for one in segments), max(one.last_at for one in segments)
    found, start = [], datetime(first.year, first.month, 1, tzinfo=UTC)
    while start <= last:
        end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        window = Window(start=start, end=end)
        if any(one.meets(window) for one in segments):
            found.append(window)
        start = end
    return tuple(found)
