"""Who an event counts for: subjects and the numbered windows ("slots") of their customers, as columns a query joins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from revline.subledger.usage.metering.clocks import buckets_in
from revline.subledger.usage.metering.dialects import MICROSECOND
from revline.subledger.usage.metering.kinds import Bucket
from revline.subledger.usage.metering.subjects import ALWAYS, Route
from revline.subledger.usage.metering.values import CustomerWindow
from revline.subledger.usage.versions import Window

MOMENT = pa.timestamp("us", "UTC")


class Slots:
    """Windows of customers in order; a slot is the number of one."""

    def __init__(self, windows: Iterable[CustomerWindow]) -> None:
        self.windows = tuple(sorted(set(windows)))

    @cached_property
    def _columns(self) -> Mapping[str, pa.Array]:
        customers = [each.customer for each in self.windows]
        return {
            "connection": pa.array([each.connection for each in customers], pa.string()),
            "outside_id": pa.array([each.outside_id for each in customers], pa.string()),
            "window_start": pa.array([each.window.start for each in self.windows], MOMENT),
            "window_end": pa.array([each.window.end for each in self.windows], MOMENT),
        }

    def described(self, slots: pa.ChunkedArray) -> dict[str, pa.Array]:
        """The columns that say whose windows slots are."""
        return {name: column.take(slots.combine_chunks()) for name, column in self._columns.items()}

    def micros(self, slot: int) -> int:
        """How long a slot's window is, in microseconds."""
        window = self.windows[slot].window
        return (window.end - window.start) // MICROSECOND


class Routes:
    """The routes of one query: which subject's events of which time are in which slot."""

    def __init__(self, *, slots: Slots, rows: Sequence[tuple[str, int, datetime, datetime, datetime]]) -> None:
        self.slots = slots
        self._rows = rows

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Every subject, once, in order."""
        return tuple(sorted({row[0] for row in self._rows}))

    @cached_property
    def window(self) -> Window | None:
        """From the first start to the last end; None without routes."""
        if not self._rows:
            return None
        return Window(start=min(row[2] for row in self._rows), end=max(row[3] for row in self._rows))

    @property
    def only(self) -> int | None:
        """The slot of the one route there is, or None."""
        return self._rows[0][1] if len(self._rows) == 1 else None

    @cached_property
    def edges(self) -> frozenset[Window]:
        """Every stretch of time that a route has."""
        return frozenset(Window(start=row[2], end=row[3]) for row in self._rows)

    @cached_property
    def uniform(self) -> bool:
        """Whether every route is the same window, and no subject has two."""
        return len({row[2:4] for row in self._rows}) <= 1 and len(self.subjects) == len(self._rows)

    def table(self, *, apart: Collection[str], bucket: Bucket | None) -> pa.Table:
        """The routes as columns. apart: subjects with events that were taken back."""
        subjects, slots, begins, ends, since = (
            [list(column) for column in zip(*self._rows, strict=True)] if self._rows else [[], [], [], [], []]
        )
        totals: dict[Window, int] = {}
        columns: dict[str, Any] = {
            "subject": pa.array(subjects, pa.string()),
            "slot": pa.array(slots, pa.int32()),
            "begins": pa.array(begins, MOMENT),
            "ends": pa.array(ends, MOMENT),
            "since": pa.array(since, MOMENT),
            "apart": pa.array([each in apart for each in subjects] if apart else [False] * len(subjects), pa.bool_()),
        }
        if bucket:
            for window in {each.window for each in self.slots.windows}:
                totals[window] = buckets_in(window=window, size=bucket.size, time_zone=bucket.time_zone)
            columns["buckets"] = pa.array([totals[self.slots.windows[each].window] for each in slots], pa.int64())
        return pa.table(columns)


def routed(*, routes: Iterable[Route], window: Window | None, customers: Collection[CustomerWindow]) -> Routes:
    """Subjects' routes cut to windows: everyone's in one window, or those of named customers in their own."""
    found = list(routes)
    if window is not None:
        kept = [each for each in found if each.window.start < window.end and each.window.end > window.start]
        slots = Slots(CustomerWindow(customer=each.customer, window=window) for each in kept)
        windows = {each.customer: [window] for each in kept}
    else:
        named = defaultdict(list)
        for each in sorted(set(customers)):
            named[each.customer].append(each.window)
        kept = [each for each in found if each.customer in named]
        slots = Slots(customers)
        windows = dict(named)
    numbers = {(each.customer, each.window): place for place, each in enumerate(slots.windows)}
    rows = []
    for route in kept:
        always = route.window is ALWAYS or route.window == ALWAYS
        for own in windows[route.customer]:
            begins = own.start if always else max(own.start, route.window.start)
            ends = own.end if always else min(own.end, route.window.end)
            if begins < ends:
                rows.append((route.subject, numbers[route.customer, own], begins, ends, route.window.start))
    return Routes(slots=slots, rows=rows)
