"""Database code of many simulated processes, of which exactly one runs at any moment.

Product code is written for threads of a pool and knows no event loop. Here it runs until it comes to a boundary (it calls
`wait`), hands over to the loop and is resumed when its simulated wait is over, so that which code runs next is the loop's decision
alone and the same every time. It runs on greenlets where they are installed, because a switch between them costs nothing, and on
threads in lock step where they aren't; a world is the same on both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final


class Stopped(BaseException):
    """The process whose code this is has ended. No handler of product code takes it for a failure of its own."""


class Turn:
    """One line of code that can wait. Only one side runs: whoever called `resume`, or the code between two waits."""

    def __init__(self) -> None:
        self._work: Callable[[], Any] | None = None
        self._stop = False
        self.waits: float | None = None
        """Simulated seconds the code wants to wait; None when it has ended."""
        self.value: Any = None
        self.failure: BaseException | None = None

    def begin(self, work: Callable[[], Any]) -> None:
        """Give it something to do; `resume` runs it."""
        self._work, self._stop = work, False
        self.value = self.failure = None

    def resume(self) -> None:
        """Run until it waits or ends; `waits` says which."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the code where it waits: it raises `Stopped` there, and again wherever it would wait."""
        self._stop = True
        while self.waits is not None:
            self.resume()

    def end(self) -> None:
        """Let go of it."""

    def wait(self, seconds: float) -> None:
        """Called by the code itself. Raises Stopped when its process ended meanwhile."""
        if self._stop:
            raise Stopped
        self.waits = seconds
        self._hand_over()
        if self._stop:
            raise Stopped

    def _hand_over(self) -> None:
        raise NotImplementedError

    def _do(self) -> None:
        assert self._work is not None
        try:
            self.value = self._work()
        except BaseException as failure:  # noqa: BLE001 - it is raised on the other side
            self.failure = failure
        self.waits = None


class _ThreadTurn(Turn):
    def __init__(self) -> None:
        super().__init__()
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._thread = threading.Thread(target=self._live, name="simulated database", daemon=True)
        self._thread.start()

    def resume(self) -> None:
        self._go.release()
        self._back.acquire()

    def end(self) -> None:
        self._work = None
        self._go.release()
        self._thread.join()

    def _hand_over(self) -> None:
        self._back.release()
        self._go.acquire()

    def _live(self) -> None:
        _HERE.turn = self
        while True:
            self._go.acquire()
            if self._work is None:
                return
            self._do()
            self._back.release()


class _GreenTurn(Turn):
    def __init__(self, greenlet: Callable[..., Any]) -> None:
        super().__init__()
        self._greenlet = greenlet
        self._green: Any = None

    def begin(self, work: Callable[[], Any]) -> None:
        super().begin(work)
        self._green = self._greenlet(self._do)

    def resume(self) -> None:
        before, _HERE.turn = _HERE.turn, self
        try:
            self._green.switch()
        finally:
            _HERE.turn = before

    def _hand_over(self) -> None:
        self._green.parent.switch()


class _Here(threading.local):
    turn: Turn | None = None


_HERE: Final = _Here()


def here() -> Turn | None:
    """The turn whose code is running, None where none is."""
    return _HERE.turn


class Turns:
    """The pool; grows to what is in use at once. threads: also where greenlets are installed."""

    def __init__(self, *, threads: bool = False) -> None:
        self._make: Callable[[], Turn] = _ThreadTurn
        if not threads and find_spec("greenlet") is not None:
            self._make = partial(_GreenTurn, import_module("greenlet").greenlet)
        self._free: list[Turn] = []
        self._all: list[Turn] = []

    def take(self) -> Turn:
        """One that is doing nothing."""
        if self._free:
            return self._free.pop()
        self._all.append(self._make())
        return self._all[-1]

    def give_back(self, turn: Turn) -> None:
        """It has ended what it did."""
        self._free.append(turn)

    def close(self) -> None:
        """End every one; none may be in use."""
        for turn in self._all:
            turn.end()
        self._all, self._free = [], []
