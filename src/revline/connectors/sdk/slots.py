"""How many calls are under way to one far side at once. Knows neither wire nor request.

With as many connections as slots, a pool that looks at every one of them for every request costs a third of a call. Here each slot
has something of its own to call with, and the one used last is used next: the others grow idle and may be closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Slots(Generic[T]):
    """At most `slots` taken at once. make: what a slot calls with, made when it is first needed."""

    def __init__(self, *, slots: int, make: Callable[[], T]) -> None:
        self._slots, self._make = slots, make
        self._made: list[T] = []
        self._idle: list[T] = []
        self._waiting: deque[asyncio.Future[T | None]] = deque()
        self._closed = False

    async def take(self, *, wait_seconds: float) -> T | None:
        """A free slot's; None when all stay in use for so long, or are closed. Whoever takes one gives it back."""
        if self._idle:
            return self._idle.pop()
        if self._closed:
            return None
        if len(self._made) < self._slots:
            self._made.append(self._make())
            return self._made[-1]
        return await self._wait(wait_seconds)

    def give(self, one: T) -> None:
        """Free again: for who has waited longest, else for who comes next."""
        if self._closed:
            return
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(one)
                return
        self._idle.append(one)

    def close(self) -> Sequence[T]:
        """Hand out none any more. Everything that was made, for its maker to close, in use or not."""
        made, self._made, self._idle, self._closed = self._made, [], [], True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        return made

    async def _wait(self, wait_seconds: float) -> T | None:
        waiter: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(wait_seconds):
                return await waiter
        except BaseException as failure:
            # What was handed over at the very moment of giving up is not lost.
            handed = waiter.result() if waiter.done() and not waiter.cancelled() else None
            if handed is not None:
                self.give(handed)
            waiter.cancel()
            if isinstance(failure, TimeoutError):
                return None
            raise
