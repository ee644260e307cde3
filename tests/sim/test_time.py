"""Simulated time moves only when nothing is left to do, and waiting costs none of the real one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

import pytest

from revline.sim.world.time import NothingLeftError, SimulatedLoop, SimulatedTime, SkewedClock

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


def run(work: Any) -> tuple[Any, SimulatedTime]:
    time = SimulatedTime(start=NOON)
    loop = SimulatedLoop(time=time)
    try:
        return loop.run_until_complete(work(time)), time
    finally:
        loop.close()


def test_a_day_of_waiting_takes_no_time() -> None:
    async def wait(_: SimulatedTime) -> None:
        for _ in range(24):
            await asyncio.sleep(3_600)

    began = perf_counter()
    _, time = run(wait)
    assert time.now() == NOON + timedelta(days=1)
    assert perf_counter() - began < 2


def test_timers_go_off_in_their_order_and_time_stands_still_between_steps() -> None:
    told: list[tuple[str, float]] = []

    async def say(time: SimulatedTime, what: str, after: float) -> None:
        await asyncio.sleep(after)
        told.append((what, round(time.seconds, 6)))
        await asyncio.sleep(0)
        told.append((f"{what} again", round(time.seconds, 6)))

    async def all_of_them(time: SimulatedTime) -> None:
        await asyncio.gather(say(time, "late", 2.5), say(time, "early", 0.25), say(time, "between", 1))

    run(all_of_them)
    assert told == [
        ("early", 0.25),
        ("early again", 0.25),
        ("between", 1),
        ("between again", 1),
        ("late", 2.5),
        ("late again", 2.5),
    ]


def test_a_time_out_comes_at_its_simulated_moment() -> None:
    async def wait(time: SimulatedTime) -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(100), timeout=1.5)
        return time.seconds

    found, _ = run(wait)
    assert found == pytest.approx(1.5)


def test_a_world_in_which_everybody_waits_for_nobody_says_so() -> None:
    async def wait(_: SimulatedTime) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NothingLeftError):
        run(wait)


def test_a_process_s_own_clock_is_off_by_what_it_is_off() -> None:
    time = SimulatedTime(start=NOON)
    clock = SkewedClock(time=time, off_by=timedelta(minutes=-10))
    time.move(60)
    assert clock.now() == NOON - timedelta(minutes=9)
