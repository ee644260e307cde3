"""The loop that reads sources when things go wrong: sources that hang, workers that die or are slow, requests that cross."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from revline.app import reading
from revline.app.readers import Readers, SourceSide
from revline.app.reading import ReadingLoop
from revline.core.problem import problem
from revline.platform.store.engine import Database
from revline.platform.work import capacity
from revline.platform.work import queries as work
from revline.platform.work.lanes import LaneKey, PoolRoom
from revline.platform.work.service import claim
from tests.integration.intake.reading_world import CONNECTION, TENANT, World

LIMIT_SECONDS = 30.0


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    one = World(database=database, folder=tmp_path / "configuration")
    yield one
    one.close()


class Touched:
    """A reader whose listings go through a test's hands."""

    def __init__(self, reader: Any, touch: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]]) -> None:
        self._reader, self._touch = reader, touch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def list_page(self, *, object_kind: str, cursor: str, limit: int) -> Any:
        async def ask() -> Any:
            return await self._reader.list_page(object_kind=object_kind, cursor=cursor, limit=limit)

        return await self._touch(object_kind, ask)

    async def read(self, *, object_kind: str, outside_id: str) -> Any:
        async def ask() -> Any:
            return await self._reader.read(object_kind=object_kind, outside_id=outside_id)

        return await self._touch(object_kind, ask)


def touched(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    touch: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]],
) -> None:
    plain = Readers.side

    def side(self: Readers, *, tenant_id: str, connection: str) -> Any:
        found = plain(self, tenant_id=tenant_id, connection=connection)
        assert isinstance(found, SourceSide)
        return SourceSide(reader=Touched(found.reader, touch), pool_id=found.pool_id, changes_every=found.changes_every)

    monkeypatch.setattr(Readers, "side", side)


async def hangs(kind: str, ask: Callable[[], Awaitable[Any]]) -> Any:
    """Customers are never answered; everything else is."""
    if kind == "customer":
        await asyncio.Event().wait()
    return await ask()


def products(world: World, count: int) -> None:
    for number in range(count):
        world.library.products.create({"name": f"Product {number}"})


async def running(loop: ReadingLoop, until: Callable[[], bool]) -> None:
    """Run the loop until something holds, then stop it; both within a bound."""
    stopping = asyncio.Event()
    task = asyncio.create_task(loop.run(stopping=stopping))
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not await asyncio.to_thread(until):
                await asyncio.sleep(0.02)
    finally:
        stopping.set()
        async with asyncio.timeout(5):
            await task


def one_turn(world: World, loop: ReadingLoop) -> None:
    async def turn() -> None:
        await loop.turn()
        await world.readers.close()

    asyncio.run(turn())


def lane(world: World, cursor_id: str) -> dict[str, Any]:
    with world.database.control() as connection:
        return dict(work.lane_row(connection, key=LaneKey(TENANT, cursor_id)) or {})


def test_a_source_that_hangs_holds_up_no_other_reading_and_no_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    products(world, 230)
    world.ask_backfill("customer", "product")
    touched(world, monkeypatch, hangs)
    asyncio.run(running(world.loop(), lambda: world.cursors()["product"].state == "finished"))
    assert world.cursors()["product"].taken == 230
    row = lane(world, world.cursors()["customer"].cursor_id)
    assert (row["owner"], row["attempts"], row["call_id"]) == ("", 0, ""), "given back, at no cost to its tries"


def test_the_lease_of_a_long_reading_is_renewed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LEASE", timedelta(seconds=1))
    monkeypatch.setattr(reading, "RENEW_SECONDS", 0.2)
    world.library.customers.create({"name": "Ada"})
    asked: list[str] = []

    async def slow(kind: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        asked.append(kind)
        await asyncio.sleep(2.5)
        return await ask()

    touched(world, monkeypatch, slow)
    world.ask_backfill("customer")
    world.read(owners=("reader-1", "reader-2"))
    assert asked == ["customer"], "nobody else took it meanwhile"
    assert world.cursors()["customer"].taken == 1


def test_a_worker_that_dies_between_page_and_cursor_costs_a_second_look_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    products(world, 120)
    world.ask_backfill("product")
    dead = world.loop("reader-dead")
    monkeypatch.setattr(dead._readings, "_settle_page", _dies)
    monkeypatch.setattr(dead._readings, "give_up", lambda *, lane: None)
    one_turn(world, dead)
    assert len(world.facts("product")) == 100
    assert world.cursors()["product"].cursor == ""
    _leases_end(world)
    world.read()
    cursor = world.cursors()["product"]
    assert (cursor.state, cursor.pages, cursor.taken, cursor.duplicates) == ("finished", 2, 20, 100)
    assert len(world.facts("product")) == 120
    assert world.cases() == []


def test_an_owner_that_lost_its_lease_moves_no_cursor(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    products(world, 120)
    world.ask_backfill("product")
    first = world.loop("reader-slow")
    plain = first._readings._settle_page

    def late(**values: Any) -> None:
        _leases_end(world)
        pool = world.readers.side(tenant_id=TENANT, connection=CONNECTION).pool_id
        rooms = [PoolRoom(pool_id=pool, lanes=1)]
        assert claim(world.database, kind="backfill", owner="reader-2", limit=1, pools=rooms).lanes
        plain(**values)

    monkeypatch.setattr(first._readings, "_settle_page", late)
    one_turn(world, first)
    cursor = world.cursors()["product"]
    assert (cursor.cursor, cursor.pages, cursor.seen) == ("", 0, 0)
    assert lane(world, cursor.cursor_id)["owner"] == "reader-2"
    _leases_end(world)
    world.read()
    assert (world.cursors()["product"].pages, len(world.facts("product"))) == (2, 120)


def test_a_request_that_crosses_a_reading_is_read_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = world.library.customers.create({"name": "Ada"})
    world.library.customers.balance_transactions.create(customer.id, {"amount": -500, "currency": "usd"})
    first = world.event_body("customer.updated")
    world.library.customers.balance_transactions.create(customer.id, {"amount": -700, "currency": "usd"})
    second = world.event_body("customer.updated")
    asked: list[str] = []

    async def crossed(kind: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        found = await ask()
        asked.append(kind)
        if len(asked) == 1:
            await asyncio.to_thread(world.harness.accept, TENANT, CONNECTION, [second])
        return found

    touched(world, monkeypatch, crossed)
    world.harness.accept(TENANT, CONNECTION, [first])
    world.read()
    assert len(asked) == 2


def test_a_source_that_stays_busy_is_a_case_that_closes_by_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = [True]

    async def answers(kind: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        return problem("source.busy", "come back later") if busy[0] else await ask()

    touched(world, monkeypatch, answers)
    products(world, 3)
    world.ask_backfill("product")
    for _ in range(8):
        one_turn(world, world.loop())
        _due_now(world)
    assert [code for code, _ in world.cases()] == ["source.not_read"]
    busy[0] = False
    world.read()
    assert (world.cases(), world.cursors()["product"].state) == ([], "finished")


def test_a_page_that_takes_too_long_is_asked_for_in_smaller_ones(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []

    class Slow(Touched):
        async def list_page(self, *, object_kind: str, cursor: str, limit: int) -> Any:
            limits.append(limit)
            if limit > 25:
                return problem("source.unreachable", "no answer within the bound")
            return await self._reader.list_page(object_kind=object_kind, cursor=cursor, limit=limit)

    monkeypatch.setattr("tests.integration.intake.test_reading_loop.Touched", Slow)
    touched(world, monkeypatch, hangs)
    products(world, 30)
    world.ask_backfill("product")
    world.read()
    cursor = world.cursors()["product"]
    assert (cursor.state, cursor.taken) == ("finished", 30)
    assert limits[:3] == [100, 50, 25]


def test_what_our_own_code_fails_on_is_a_case_of_that_record_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(kind: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        if kind == "customer":
            raise RuntimeError("a reader's own mistake")
        return await ask()

    touched(world, monkeypatch, breaks)
    products(world, 3)
    world.ask_backfill("customer", "product")
    world.read()
    assert [code for code, _ in world.cases()] == ["internal.unexpected"]
    assert (world.cursors()["customer"].state, world.cursors()["product"].state) == ("stopped", "finished")


def _dies(**_: Any) -> None:
    raise RuntimeError("killed")


def _leases_end(world: World) -> None:
    with world.database.control() as connection:
        connection.execute(text("UPDATE lane SET lease_until = now(), due_at = now() WHERE owner <> ''"))
        connection.execute(text("UPDATE tenant_ring SET turn_at = to_timestamp(0)"))


def _due_now(world: World) -> None:
    with world.database.control() as connection:
        connection.execute(text("UPDATE lane SET due_at = now() WHERE owner = '' AND NOT waiting"))
        connection.execute(text("UPDATE tenant_ring SET turn_at = to_timestamp(0)"))


def test_a_source_that_wants_fewer_calls_closes_its_pool_to_every_connection_that_shares_it(world: World) -> None:
    products(world, 3)
    world.running.do(lambda stripe: stripe.add_fault("throttle", path="/v1/products"))
    world.ask_backfill("product")
    side = world.readers.side(tenant_id=TENANT, connection=CONNECTION)
    assert isinstance(side, SourceSide)
    one_turn(world, world.loop())
    with world.database.control() as connection:
        now = work.moment(connection)
        pool = capacity.states(connection, pools=[side.pool_id], now=now)[side.pool_id]
    assert (pool.open, pool.throttled, pool.breaker_failures) == (False, 1, 0)
    assert pool.throttled_until is not None
    assert timedelta(0) < pool.throttled_until - now <= timedelta(seconds=1), "as Retry-After says"
    asked = world.running.do(lambda stripe: stripe._requests)
    _due_now(world)
    one_turn(world, world.loop("another worker"))
    assert world.running.do(lambda stripe: stripe._requests) == asked, "nobody calls while the source wants none"
    world.read()
    assert world.cursors()["product"].state == "finished"
