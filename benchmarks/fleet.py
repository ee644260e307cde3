"""Worker processes that race through a known amount of work, and what they and PostgreSQL cost. Knows no contestant.

Processes are made ready, let go together and stopped when the work is done. Processor time is read from /proc, of
the workers and of every process of the server, so that it can be trusted while others use the machine.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from revline.platform.store.embedded import EmbeddedServer

READY_SECONDS: Final = 120.0
END_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.005
STALL_SECONDS: Final = 30.0
CONTEXT: Final = multiprocessing.get_context("forkserver")
"""Workers are forked off a process that has imported what they need and done nothing: each starts at once and clean."""
TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Reins:
    """What a worker process holds of the race. done: how much of the work all of them did; stop: set when that is enough."""

    ready: Any
    done: Any
    stop: Any
    told: Any

    def go(self) -> None:
        """Say that this process is ready and wait until all are."""
        self.ready.wait(timeout=READY_SECONDS)

    def add(self, count: int) -> None:
        """So much more is done."""
        with self.done.get_lock():
            self.done.value += count


@dataclass(frozen=True, kw_only=True)
class Raced:
    """One race from the first work done to the last, so that nobody's start counts.

    done: units of work after the first seen; seconds are of the clock, of the workers' processors and of PostgreSQL's. told: what
    each worker put into `reins.told`.
    """

    done: int
    wall_seconds: float
    worker_seconds: float
    server_seconds: float
    told: tuple[Any, ...] = field(default=())

    @property
    def rate(self) -> float:
        """Units of work a second."""
        return self.done / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def worker_milliseconds(self) -> float:
        """Processor milliseconds of the workers for one unit of work."""
        return 1000 * self.worker_seconds / self.done if self.done else 0.0

    @property
    def server_milliseconds(self) -> float:
        """Processor milliseconds of PostgreSQL for one unit of work."""
        return 1000 * self.server_seconds / self.done if self.done else 0.0


def race(
    *,
    server: EmbeddedServer,
    work: Callable[..., None],
    arguments: Sequence[Mapping[str, Any]],
    goal: int,
    limit_seconds: float,
    watch: Callable[[float, int], bool] | None = None,
) -> Raced:
    """Run `work(reins, **given)` in one process for each of `arguments` until `goal` is done, the limit is over or all stall.

    watch: called while they run with the seconds since the start and what is done; it ends the race by saying so.
    """
    reins = Reins(CONTEXT.Barrier(len(arguments) + 1), CONTEXT.Value("q", 0), CONTEXT.Event(), CONTEXT.SimpleQueue())
    running = [CONTEXT.Process(target=work, args=(reins,), kwargs=dict(given)) for given in arguments]
    for process in running:
        process.start()
    try:
        _until_ready(reins, running)
        counted = _until_done(server, reins, running, goal=goal, limit=limit_seconds, watch=watch)
    finally:
        reins.stop.set()
        told = _ended(reins, running)
    return replace(counted, told=tuple(told))


def _until_ready(reins: Reins, running: Sequence[Any]) -> None:
    begun = time.perf_counter()
    while reins.ready.n_waiting < len(running):
        if not all(process.is_alive() for process in running) or time.perf_counter() - begun > READY_SECONDS:
            raise RuntimeError("a worker process ended, or was not ready in time, before the race began")
        time.sleep(POLL_SECONDS)
    reins.ready.wait(timeout=READY_SECONDS)


def _until_done(
    server: EmbeddedServer,
    reins: Reins,
    running: Sequence[Any],
    *,
    goal: int,
    limit: float,
    watch: Callable[[float, int], bool] | None,
) -> Raced:
    ids = [process.pid for process in running if process.pid is not None]

    def reading(done: int) -> tuple[int, float, float, float]:
        return done, time.perf_counter(), processor_seconds(ids), server_seconds(server)

    begun = time.perf_counter()
    first = reading(0)
    done, moved = 0, begun
    while (now := time.perf_counter()) - begun < limit:
        seen = reins.done.value
        if seen != done:
            if done == 0:
                first = reading(seen)
            done, moved = seen, now
        if watch is not None and watch(now - begun, done):
            break
        if done >= goal or now - moved > STALL_SECONDS or not any(process.is_alive() for process in running):
            break
        time.sleep(POLL_SECONDS)
    differences = [after - before for before, after in zip(first, reading(done), strict=True)]
    counted, wall, workers, postgres = differences
    return Raced(done=int(counted), wall_seconds=wall, worker_seconds=workers, server_seconds=postgres)


def _ended(reins: Reins, running: Sequence[Any]) -> list[Any]:
    """Collects what workers told while they end, so that none of them waits for a full pipe."""
    told: list[Any] = []
    deadline = time.perf_counter() + END_SECONDS
    while any(process.is_alive() for process in running) and time.perf_counter() < deadline:
        while not reins.told.empty():
            told.append(reins.told.get())
        time.sleep(POLL_SECONDS)
    while not reins.told.empty():
        told.append(reins.told.get())
    for process in running:
        if process.is_alive():
            process.kill()
        process.join()
    return told


def processor_seconds(process_ids: Sequence[int]) -> float:
    """User and system seconds of processes that live; 0 for one that doesn't."""
    return sum(_ticks(process_id, (11, 12)) for process_id in process_ids) / TICKS_A_SECOND


def server_seconds(server: EmbeddedServer) -> float:
    """User and system seconds of a PostgreSQL server: its main process, the children that live and those that ended."""
    main = server_process(server)
    children: list[int] = []
    with contextlib.suppress(OSError):
        children = [int(name) for name in Path(f"/proc/{main}/task/{main}/children").read_text().split()]
    return (_ticks(main, (11, 12, 13, 14)) + sum(_ticks(child, (11, 12)) for child in children)) / TICKS_A_SECOND


def server_process(server: EmbeddedServer) -> int:
    """The process id of a server's main process."""
    place = server.data_folder / "place"
    cluster = Path(place.read_text().strip()) if place.exists() else server.data_folder / "cluster"
    return int((cluster / "postmaster.pid").read_text().splitlines()[0])


def _ticks(process_id: int, fields: Sequence[int]) -> int:
    try:
        values = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(values[number]) for number in fields)
