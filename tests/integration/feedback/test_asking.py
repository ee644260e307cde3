"""That a root's standing changed is never forgotten: not by a deadlock, not by a worker that dies, not by a slow one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from revline.delivery import loop
from revline.delivery.loop import DeliveryLoop
from revline.delivery.ports import inline
from revline.feedback import record, service
from tests.integration.derive.world import at, invoice, webhook
from tests.integration.feedback.test_way_back import accept, issued, paid
from tests.integration.feedback.world import World


def of_a_statement() -> OperationalError:
    return OperationalError("request", {}, psycopg.errors.DeadlockDetected("deadlock detected"))


def fails_once(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, error: BaseException) -> list[int]:
    plain, calls = getattr(place, name), [0]

    def once(*values: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            raise error
        return plain(*values, **more)

    monkeypatch.setattr(place, name, once)
    return calls


def lanes_end(world: World) -> None:
    with world.database.control() as connection:
        connection.execute(text("UPDATE lane SET lease_until = now(), due_at = now() WHERE owner <> ''"))
        connection.execute(text("UPDATE tenant_ring SET turn_at = to_timestamp(0)"))


@pytest.mark.parametrize("deadlock", [of_a_statement(), psycopg.errors.DeadlockDetected("deadlock detected")])
def test_a_deadlock_while_asking_settles_again_and_forgets_no_root(
    world: World, monkeypatch: pytest.MonkeyPatch, deadlock: Exception
) -> None:
    accept(world, *issued())
    world.harness.derive_all()
    world.tell()
    calls = fails_once(monkeypatch, record, "ask", deadlock)
    worker = DeliveryLoop(desk=world.desk, blocking=inline)
    monkeypatch.setattr(loop, "DATABASE_PAUSE_SECONDS", 0.01)

    async def run() -> None:
        running = asyncio.create_task(worker.run())
        async with asyncio.timeout(20):
            while not _erp_posted(world):
                await asyncio.sleep(0.02)
            worker.stop()
            await running

    asyncio.run(run())
    assert calls[0] > 1
    world.run()
    assert world.write_backs()[-1]["revline_state"] == "posted"
    assert world.erp.far.calls == len(world.erp.far.order()), "nothing went to the ERP twice"


def test_a_mistake_of_ours_while_asking_fails_no_document(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(world, *issued())
    world.harness.derive_all()
    fails_once(monkeypatch, record, "_roots_of", RuntimeError("a mistake"))
    world.run()
    erp = [one for one in world.deliveries() if one.connection not in {"hooks", "stripe-us"}]
    assert {one.state for one in erp} == {"posted"}


@pytest.mark.parametrize("place", ["before the documents", "after the documents"])
def test_a_worker_that_dies_while_it_tells_leaves_all_or_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    accept(world, *issued(), *paid())
    world.harness.derive_all()
    world.deliver()
    if place == "before the documents":
        fails_once(monkeypatch, record.Writer, "finish", KeyboardInterrupt())
    else:
        fails_once(monkeypatch, service, "resolve_cases", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        world.tell()
    assert world.messages() == ()
    lanes_end(world)
    world.run()
    assert len({request.headers["webhook-id"] for request in world.endpoint.got}) == len(world.endpoint.got)
    assert "payment.applied" in world.endpoint.types()
    assert world.write_backs()[-1]["revline_state"] == "posted"


def test_an_owner_that_lost_its_lease_tells_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(world, *issued())
    world.harness.derive_all()
    world.deliver()
    plain = service.read_standings

    def slow(*values: Any, **more: Any) -> Any:
        with world.database.engine.connect() as other:
            taken = text(
                "UPDATE lane SET owner = 'other', fence = fence + 1 WHERE kind = 'feedback' AND owner = 'test'"
            )
            other.execute(taken)
            other.commit()
        return plain(*values, **more)

    monkeypatch.setattr(service, "read_standings", slow)
    world.feedback.turn()
    assert world.messages() == ()
    monkeypatch.setattr(service, "read_standings", plain)
    lanes_end(world)
    world.run()
    assert world.write_backs()[-1]["revline_state"] == "posted"


def test_a_change_that_crosses_a_run_is_told_by_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    accept(world, *issued())
    world.run()
    crossed = [False]
    accept(world, *paid())
    world.harness.derive_all()
    held = service.read_standings

    def reads(*values: Any, **more: Any) -> Any:
        found = held(*values, **more)
        if not crossed[0]:
            crossed[0] = True
            void = webhook("invoice.voided", invoice(status="void"), created=at(9))
            _in_a_thread(lambda: accept(world, void))
            _in_a_thread(world.harness.derive_all)
        return found

    monkeypatch.setattr(service, "read_standings", reads)
    world.tell()
    world.run()
    assert crossed[0]
    types: Mapping[str, int] = {kind: world.endpoint.types().count(kind) for kind in world.endpoint.types()}
    assert types["document.posted"] >= 2
    ids = [request.headers["webhook-id"] for request in world.endpoint.got]
    assert len(ids) == len(set(ids))


def _erp_posted(world: World) -> bool:
    erp = [one for one in world.deliveries() if one.connection not in {"hooks", "stripe-us"}]
    return bool(erp) and {one.state for one in erp} == {"posted"}


def _in_a_thread(call: Any) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(timeout=20)
    assert not thread.is_alive(), "it waits for the run's locks"
