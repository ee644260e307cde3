"""One delivery worker as a process of its own: the product's loop and desk, told apart from `revline worker` by nothing but a far
side in memory. With a profile it counts statements and where their time goes."""

from __future__ import annotations

import asyncio
import cProfile
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

import psycopg

from benchmarks.delivery.erp import run_in_loop, wire_connector
from benchmarks.delivery.world import NoopConnector, OneFarSide, Size, no_journals
from benchmarks.fleet import Reins
from revline.core.clock import SystemClock
from revline.delivery.loop import DeliveryLoop
from revline.delivery.ports import inline
from revline.delivery.service import Desk
from revline.delivery.values import Timing
from revline.platform.collecting import collect_seldom
from revline.platform.store.engine import Database

T = TypeVar("T")
TELL_SECONDS: Final = 0.01
DATABASE_THREADS: Final = 6


def deliver(
    reins: Reins,
    *,
    dsn: str,
    number: int,
    size: Size,
    url: str = "",
    uvloop: bool = False,
    pause_seconds: float = 0.0,
    turn_milliseconds: int = 20,
    profile: bool = False,
    dump: str = "",
) -> None:
    """Deliver until told to stop.

    url: of an ERP on the wire, "" for a far side in memory that takes `pause_seconds`. profile: statements are counted and told.
    dump: a file for cProfile, "" for none.
    """
    noop = NoopConnector(slots=size.slots, batch=size.batch, pause_seconds=pause_seconds)
    connector = wire_connector(url=url, slots=size.slots) if url else noop
    loop = loop_of(
        dsn=dsn,
        number=number,
        directory=OneFarSide(connector=connector, pools=size.pools),
        timing=Timing(turn=timedelta(milliseconds=turn_milliseconds)),
        in_threads=not dump,
    )
    with counted_statements() if profile else unprofiled() as statements:
        profiler = cProfile.Profile() if dump else None
        collect_seldom()
        reins.go()
        if profiler is not None:
            profiler.enable()
        run_in_loop(until_stopped(loop, reins), uvloop=uvloop)
        if profiler is not None:
            profiler.disable()
            profiler.dump_stats(dump)
        if profile:
            reins.told.put(statements)


def loop_of(*, dsn: str, number: int, directory: Any, timing: Timing, in_threads: bool = True) -> DeliveryLoop:
    """The product's delivery loop as a worker process runs it."""
    threads = ThreadPoolExecutor(max_workers=DATABASE_THREADS, thread_name_prefix="database")

    async def in_thread(work: Callable[[], T], /) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    desk = Desk(
        database=Database(dsn=dsn, pool_size=DATABASE_THREADS + 2, repeats=True),
        directory=directory,
        journals=no_journals,
        clock=SystemClock(),
        owner=f"w{number}",
        epoch=1,
        uniform=random.Random(number).uniform,
        timing=timing,
    )
    return DeliveryLoop(desk=desk, blocking=in_thread if in_threads else inline)


async def until_stopped(loop: DeliveryLoop, reins: Reins) -> None:
    """Run the loop and say how much it posted."""
    running = asyncio.create_task(loop.run())
    told = 0
    while not reins.stop.is_set() and not running.done():
        await asyncio.sleep(TELL_SECONDS)
        if loop.posted != told:
            reins.add(loop.posted - told)
            told = loop.posted
    loop.stop()
    await running


@contextmanager
def unprofiled() -> Iterator[dict[str, tuple[int, float]]]:
    """No statement is counted."""
    yield {}


@contextmanager
def counted_statements() -> Iterator[dict[str, tuple[int, float]]]:
    """By the beginning of a statement: how often it was sent, and seconds until its call came back (in a pipeline: until it was
    queued)."""
    counts: dict[str, tuple[int, float]] = {}
    plain = psycopg.Cursor.execute
    ended = psycopg.Connection.commit

    def note(name: str, begun: float) -> None:
        times, seconds = counts.get(name, (0, 0.0))
        counts[name] = (times + 1, seconds + time.perf_counter() - begun)

    def execute(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        begun = time.perf_counter()
        try:
            return plain(self, query, *arguments, **options)
        finally:
            text = query.decode() if isinstance(query, bytes) else str(query)
            note(" ".join(text.split())[:110], begun)

    def commit(self: Any) -> None:
        begun = time.perf_counter()
        try:
            ended(self)
        finally:
            note("COMMIT", begun)

    psycopg.Cursor.execute = execute  # type: ignore[assignment, method-assign]
    psycopg.Connection.commit = commit  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        psycopg.Cursor.execute = plain  # type: ignore[method-assign]
        psycopg.Connection.commit = ended  # type: ignore[method-assign]
