"""Answers that other threads give to the requests of one event loop: one wake-up of the loop for all that come together."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from functools import partial

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.usage.ports import Answers, Told


class Waiting:
    """What one loop waits for; made in its thread. A committer that answers many requests of one group wakes it once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._thread = loop, threading.get_ident()
        self._told: deque[tuple[asyncio.Future[Answers], Answers]] = deque()
        self._woken = False

    def new(self) -> tuple[asyncio.Future[Answers], Told]:
        """A future of the loop, and how another thread tells it."""
        future: asyncio.Future[Answers] = self._loop.create_future()
        return future, partial(self._tell, future)

    def _tell(self, future: asyncio.Future[Answers], answers: Answers) -> None:
        if threading.get_ident() == self._thread:
            future.set_result(answers)
            return
        self._told.append((future, answers))
        # A thread that sees `_woken` set after its append is covered: the loop clears it before it looks.
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._hand_out)
            except RuntimeError:
                return  # the loop has ended, and with it whoever waited

    def _hand_out(self) -> None:
        self._woken = False
        while self._told:
            future, answers = self._told.popleft()
            if not future.done():
                future.set_result(answers)


class UnderWay:
    """How many bytes wait for their answer, bounded. For one loop only."""

    def __init__(self, *, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0

    def take(self, size: int) -> Problem | None:
        """Room for a body, or `usage.under_way`. One body always has room."""
        if self._bytes and self._bytes + size > self._bytes_max:
            return problem("usage.under_way", f"{self._bytes} bytes of events wait to be written")
        self._bytes += size
        return None

    def give_back(self, size: int) -> None:
        """The body has its answer."""
        self._bytes -= size


define(
    code="usage.unanswered",
    title="It is not known what became of the events",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Send the same again; an event that was taken is answered as a duplicate.",
)
