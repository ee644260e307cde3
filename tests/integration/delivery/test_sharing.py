"""Desks that share a far account: one breaker, one bucket, slots and budgets, whoever holds which lanes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import text

from revline.core.documents import Rank
from revline.core.farside import NotSent, Outcome, PreparedStep, Throttled
from revline.core.problem import problem
from revline.delivery.loop import DeliveryLoop
from revline.delivery.values import Timing
from revline.platform.store.engine import Database
from revline.platform.work import capacity
from revline.platform.work.pool_state import BREAKER_FAILURES_MAX, BREAKER_PAUSE, FASTER_EVERY, PoolState
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, journal

POOL = "pool-erp"


def pool(world: World, name: str = POOL) -> PoolState:
    with world.database.control() as connection:
        now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return capacity.states(connection, pools=[name], now=now)[name]


def set_budget(world: World, **values: object) -> None:
    columns = {"pool_id": POOL, "tenant_id": "", "kind_group": "", "share_percent": 0, "slots_max": None} | values
    names = ", ".join(columns)
    statement = f"INSERT INTO capacity_budget ({names}) VALUES ({', '.join(f':{name}' for name in columns)})"
    with world.database.control() as connection:
        connection.execute(text(statement), columns)


def in_calls(world: World) -> Mapping[tuple[str, str], int]:
    """Slots with a call under way, by tenant and kind group."""
    statement = text(
        "SELECT tenant_id, CASE WHEN priority = 1 THEN 'close' ELSE kind_group END AS kind_group,"
        " count(DISTINCT call_id) AS slots FROM lane WHERE call_id <> '' GROUP BY 1, 2"
    )
    with world.database.control() as connection:
        return {(row.tenant_id, row.kind_group): row.slots for row in connection.execute(statement)}


async def turns(*workers: DeliveryLoop, count: int = 1) -> None:
    """Turns of each worker in which no call comes back."""
    for _ in range(count):
        for worker in workers:
            await worker.turn()


async def drained(*workers: DeliveryLoop) -> None:
    """Every call comes back and is written."""
    for worker in workers:
        await worker.settled()
        await worker.turn()


class Away:
    """A far side that can't be reached until it is back."""

    def __init__(self) -> None:
        self.away = True
        self.asked = 0

    def __call__(self, step: PreparedStep) -> Outcome | None:
        self.asked += 1
        return NotSent(problem=problem("erp.unreachable", "connection refused")) if self.away else None


def broken_world(database: Database, workers: int) -> tuple[World, Away, list[DeliveryLoop]]:
    connector, away = FakeConnector(FarSystem(), slots=8), Away()
    connector.before = away
    world = World(database, connector, timing=Timing(failures_until_case=1_000))
    world.write(*(journal(f"d{number}") for number in range(60)))
    loops = [world.worker() for _ in range(workers)]
    return world, away, loops


async def until_broken(world: World, loops: list[DeliveryLoop]) -> None:
    for _ in range(BREAKER_FAILURES_MAX * 3):
        for loop in loops:
            await loop.turn()
            await loop.settled()
        if pool(world).breaker_until is not None:
            return
        world.pass_time(timedelta(milliseconds=50))
    raise AssertionError("the breaker never opened")


def test_after_the_breakers_pause_one_call_tries_over_all_workers(database: Database) -> None:
    world, away, loops = broken_world(database, workers=4)

    async def story() -> None:
        await until_broken(world, loops)
        await drained(*loops)
        asked, failures = away.asked, pool(world).breaker_failures
        await turns(*loops, count=3)
        assert away.asked == asked, "nothing is called while the pause lasts"
        for expected in (1, 2):
            world.pass_time(BREAKER_PAUSE * 8)
            asked = away.asked
            await turns(*loops, count=3)
            await asyncio.gather(*(loop.settled() for loop in loops))
            assert away.asked == asked + 1, "one probe, whoever was first"
            await drained(*loops)
            assert pool(world).breaker_failures == failures + expected
        away.away = False
        world.pass_time(BREAKER_PAUSE * 30)
        await turns(*loops)
        await drained(*loops)
        assert pool(world).breaker_until is None
        assert pool(world).breaker_failures == 0
        await turns(*loops)
        assert sum(in_calls(world).values()) > 1, "all slots are open again"

    asyncio.run(story())


def test_a_refusal_for_being_too_fast_closes_the_bucket_for_every_worker(database: Database) -> None:
    connector = FakeConnector(FarSystem(), slots=8)
    busy = {"left": 1}

    def before(step: PreparedStep) -> Outcome | None:
        busy["left"] -= 1
        return Throttled(retry_after=timedelta(seconds=20)) if busy["left"] >= 0 else None

    connector.before = before
    world = World(database, connector)
    world.write(*(journal(f"d{number}") for number in range(200)))
    one, two = world.worker(), world.worker()

    async def story() -> None:
        await turns(one)
        await drained(one)
        state = pool(world)
        assert (state.breaker_failures, state.slots, state.ceiling) == (0, 4, 8)
        calls = world.far.calls
        await turns(one, two, count=3)
        await asyncio.gather(one.settled(), two.settled())
        assert world.far.calls == calls
        world.pass_time(timedelta(seconds=21))
        await turns(one, two)
        assert 0 < sum(in_calls(world).values()) <= 4
        world.pass_time(FASTER_EVERY)
        await drained(one, two)
        await drained(one, two)
        assert pool(world).slots == 5, "one slot comes back"

    asyncio.run(story())


def test_a_blocked_pool_holds_up_no_other(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem(), slots=2))
    world.write(journal("first", connection="blocked"))
    world.deliver()
    with database.control() as connection:
        connection.execute(text("UPDATE capacity_pool SET blocked = true WHERE pool_id = 'pool-blocked'"))
    world.write(*(journal(f"b{number}", connection="blocked") for number in range(40)))
    world.write(*(journal(f"d{number}") for number in range(40)))
    world.deliver()
    assert len(world.far.effects) == 41


def test_no_tenant_and_no_kind_has_more_than_its_maximum_over_two_desks(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem(), slots=8, pause=50))
    world.write(journal("warm"))
    world.deliver()
    set_budget(world, tenant_id="alpha", slots_max=3)
    set_budget(world, kind_group="masters", slots_max=2)
    world.write(*(journal(f"a{number}") for number in range(40)))
    world.write(*(journal(f"m{number}", rank=Rank.MASTER) for number in range(40)), tenant="beta")
    world.write(*(journal(f"b{number}") for number in range(40)), tenant="beta")
    one, two = world.worker(), world.worker()

    async def story() -> None:
        for _ in range(12):
            await turns(one, two)
            used = in_calls(world)
            assert sum(slots for (tenant, _), slots in used.items() if tenant == "alpha") <= 3
            assert sum(slots for (_, group), slots in used.items() if group == "masters") <= 2
            await asyncio.sleep(0)
        assert pool(world).in_use == 8, "what nobody else may have is lent to beta's journals"
        await drained(one, two)

    asyncio.run(story())
    assert world.far.most_at_once <= 8


def test_a_second_desk_gets_its_part_of_the_slots_though_the_first_has_them_all(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem(), slots=4, pause=3))
    world.write(*(journal(f"a{number}") for number in range(60)))
    one, two = world.worker("one"), world.worker("two")

    async def story() -> None:
        await turns(one, count=2)
        assert pool(world).in_use == 4
        for _ in range(20):
            await turns(one, two)
            await asyncio.sleep(0)
        with world.database.control() as connection:
            owners = set(connection.execute(text("SELECT DISTINCT owner FROM lane WHERE call_id <> ''")).scalars())
        assert owners == {"one", "two"}
        await drained(one, two)

    asyncio.run(story())
