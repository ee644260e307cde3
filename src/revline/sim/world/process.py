"""Simulated operating-system processes: they run, stand still, lose their database and end, at boundaries the seed chooses.

A boundary is a transaction's beginning, its commit, or a far-side call's beginning, middle or end. Between boundaries a process
does what it does without anybody else running.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, Final, TypeVar

import psycopg

from revline.sim.world.plan import LEASE, Breaks, stream
from revline.sim.world.time import SimulatedTime, SkewedClock
from revline.sim.world.trace import Trace
from revline.sim.world.turns import Stopped, Turn, Turns, here

T = TypeVar("T")
STATEMENT_SECONDS: Final = (0.0002, 0.003)
"""What a transaction takes at least and at most."""
UNIT_WEIGHT: Final = 4
"""So much likelier is a break at a unit of work than at a look or a claim, of which there are many more."""
AIMED_WEIGHT: Final = 40
STALL_LEASES: Final = ((1.1, 2.0), (3.0, 5.0))
"""For how many leases a process stands still: others take over, and they have done what it was about to do."""
SILENT: Final = frozenset({"read", "control"})
_CURRENT: Final[ContextVar[Process | None]] = ContextVar("simulated_process", default=None)


class Weather:
    """What the plan's breaks have left to do, shared by every process of a world. over: nothing goes wrong any more."""

    def __init__(self, *, seed: int, breaks: Breaks) -> None:
        self.random = stream(seed, "processes")
        self.breaks = breaks
        self.over = False
        self.commits = 0
        self.happened: Counter[str] = Counter()

    def weight(self, at: str) -> int:
        """How much likelier a break is at a boundary than at a claim."""
        if at == self.breaks.aim:
            return AIMED_WEIGHT
        return 1 if at.partition(" ")[2] in SILENT else UNIT_WEIGHT

    def strikes(self, what: str, per_thousand: int, most: int) -> bool:
        """Whether a break happens here; drawn also when there may be none left, so that the stream stays in step."""
        drawn = self.random.randrange(1_000) < per_thousand
        if not drawn or self.over or self.happened[what] >= most:
            return False
        self.happened[what] += 1
        return True


class Process:
    """One process. died: called once when it ends by a crash."""

    def __init__(
        self,
        *,
        name: str,
        time: SimulatedTime,
        weather: Weather,
        turns: Turns,
        trace: Trace,
        skew: timedelta,
        died: Callable[[Process], None],
    ) -> None:
        self.name, self.weather, self.trace = name, weather, trace
        self.time = time
        self.clock = SkewedClock(time=time, off_by=skew)
        self.skew = skew
        self.dead = False
        self._died = died
        self._last_words: dict[Callable[[], None], None] = {}
        self._turns = turns
        self._resumes_at = 0.0
        self._tasks: dict[asyncio.Task[Any], None] = {}

    @property
    def random(self) -> random.Random:
        """The stream of whatever happens to processes."""
        return self.weather.random

    @property
    def stands_still(self) -> bool:
        """True while it is stopped past its lease."""
        return self.time.seconds < self._resumes_at

    def start(self, work: Any, *, name: str) -> asyncio.Task[Any]:
        """Run a coroutine as part of this process; whatever tasks it starts belong to it too."""
        token = _CURRENT.set(self)
        try:
            return asyncio.get_running_loop().create_task(work, name=f"{self.name} {name}")
        finally:
            _CURRENT.reset(token)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Take a task in: it ends with the process."""
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    def die(self, why: str) -> None:
        """End as a power cut would."""
        if self.dead:
            return
        self.dead = True
        self.trace.tell(self.name, f"dies {why}")
        for task in tuple(self._tasks):
            task.cancel()
        for then in tuple(self._last_words):
            then()
        self._died(self)

    def when_it_dies(self, then: Callable[[], None]) -> Callable[[], None]:
        """Have something done when it ends by a crash; call what is given to take that back."""
        self._last_words[then] = None
        return lambda: self._last_words.pop(then, None)

    async def blocking(self, work: Callable[[], T], /) -> T:
        """Run database code in step with everybody else's."""
        if self.dead:
            raise asyncio.CancelledError
        turn = self._turns.take()
        try:
            turn.begin(work)
            turn.resume()
            while turn.waits is not None:
                await self._pass(turn)
        finally:
            value, failure = turn.value, turn.failure
            self._turns.give_back(turn)
        if isinstance(failure, Stopped):
            self.die("there")
            raise asyncio.CancelledError
        await self.awake()
        if self.dead:
            raise asyncio.CancelledError
        if failure is not None:
            raise failure
        return value  # type: ignore[no-any-return]

    async def _pass(self, turn: Turn) -> None:
        assert turn.waits is not None
        try:
            await asyncio.sleep(turn.waits)
            await self.awake()
        except BaseException:
            turn.stop()
            raise
        if self.dead:
            turn.stop()
            return
        turn.resume()

    async def awake(self) -> None:
        """Until it no longer stands still."""
        while self.stands_still:
            await asyncio.sleep(self._resumes_at - self.time.seconds)

    def stand_still(self, *, at: str) -> None:
        """Stop for longer than a lease, everything of it at once."""
        seconds = LEASE.total_seconds() * self.random.uniform(*self.random.choice(STALL_LEASES))
        self._resumes_at = max(self._resumes_at, self.time.seconds + seconds)
        self.trace.tell(self.name, f"stands still for {seconds:.1f} s {at}")

    @contextmanager
    def transaction(self, label: str) -> Iterator[Callable[[], None]]:
        """Around one transaction of this process: before it, at its commit (call what is given), after it."""
        breaks, weather = self.weather.breaks, self.weather
        turn = here()
        if turn is not None:
            seconds = self.random.uniform(*STATEMENT_SECONDS)
            if weather.strikes("stall", breaks.stall * weather.weight(f"before {label}"), breaks.stalls_max):
                self.stand_still(at=f"before {label}")
            turn.wait(seconds)
        when = self.random.choice(("before", "after"))
        per = weather.weight(f"{when} {label}")
        crash = turn is not None and weather.strikes("crash", breaks.crash * per, breaks.crashes_max)
        away = turn is not None and weather.strikes("away", breaks.away * per, breaks.away_max)

        def commits() -> None:
            if when == "before":
                self._breaks(crash=crash, away=away, at=f"before the commit of {label}")

        yield commits
        weather.commits += 1
        if label not in SILENT:
            self.trace.tell(self.name, f"commits {label}")
        if when == "after":
            self._breaks(crash=crash, away=away, at=f"after the commit of {label}")
        after = weather.weight(f"after {label}")
        if turn is not None and weather.strikes("stall", breaks.stall * after, breaks.stalls_max):
            self.stand_still(at=f"after {label}")

    def _breaks(self, *, crash: bool, away: bool, at: str) -> None:
        if crash:
            self.weather.happened[f"crash {at}"] += 1
            self.trace.tell(self.name, f"is cut off {at}")
            raise Stopped
        if away:
            self.weather.happened[f"database lost {at}"] += 1
            self.trace.tell(self.name, f"loses the database {at}")
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    def may_die(self, at: str) -> bool:
        """At a boundary of a call: whether it ends here. It has ended when this is true."""
        breaks = self.weather.breaks
        if self.dead:
            return True
        per = self.weather.weight(at)
        if self.weather.strikes("crash", breaks.crash * per, breaks.crashes_max):
            self.weather.happened[f"crash {at}"] += 1
            self.die(at)
            return True
        if self.weather.strikes("stall", breaks.stall * per, breaks.stalls_max):
            self.stand_still(at=at)
        return False


def belonging(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """A task factory: what a process's code starts belongs to that process."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    process = _CURRENT.get()
    if process is not None:
        process.adopt(task)
    return task
