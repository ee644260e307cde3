"""Time that moves only when nothing is left to do at the present moment, and an event loop that lives in it.

A wait costs nothing: when every task waits, the loop's selector moves time on to the next timer instead of sleeping. Sockets
are never looked at, since a simulated world has none.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Sequence
from datetime import datetime, timedelta


class NothingLeftError(RuntimeError):
    """Every task waits for something that nobody will ever do."""


class SimulatedTime:
    """The world's own time. start: the moment it begins with. seconds: since then."""

    def __init__(self, *, start: datetime) -> None:
        self.start = start
        self.seconds = 0.0

    def now(self) -> datetime:
        """The present moment, to the microsecond."""
        return self.start + timedelta(microseconds=round(self.seconds * 1_000_000))

    def move(self, seconds: float) -> None:
        """Time passes."""
        self.seconds += seconds


class SkewedClock:
    """A process's own clock: the world's time, off by a fixed amount."""

    def __init__(self, *, time: SimulatedTime, off_by: timedelta) -> None:
        self._time, self._off_by = time, off_by

    def now(self) -> datetime:
        return self._time.now() + self._off_by


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, time: SimulatedTime) -> None:
        super().__init__()
        self._time = time

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise NothingLeftError("no task can go on and no timer is set")
        if timeout > 0:
            self._time.move(timeout)
        return []


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is a `SimulatedTime`. Close it when done."""

    def __init__(self, *, time: SimulatedTime) -> None:
        super().__init__(_JumpingSelector(time))
        self._simulated = time

    def time(self) -> float:
        return self._simulated.seconds


def cancelled(tasks: Sequence[asyncio.Task[object]]) -> None:
    """Ask tasks to end; those that did are left."""
    for task in tasks:
        if not task.done():
            task.cancel()
