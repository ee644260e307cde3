"""A question is asked whoever holds a document; what was never sent says nothing of the far side."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from revline.core.documents import DocumentKind, DocumentState
from revline.core.farside import ErpRecord, Outcome, PreparedStep, Uncertain
from revline.core.problem import Problem, problem
from revline.core.sending import MAY_SEND
from revline.delivery.marking import Call
from revline.delivery.values import Result
from revline.platform.store.engine import Database
from revline.platform.work import capacity
from revline.platform.work.pool_state import CameBack, PoolLimits
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal


class AsksByWriting(FakeConnector):
    """Its questions have a body, which leaves only while it may."""

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        may_send = MAY_SEND.get()
        if may_send is not None and not may_send():
            return problem("erp.busy", "the lease ended before the request left")
        return await super().lookup(kind=kind, references=references, company=company)


def test_a_question_behind_a_send_on_its_slot_is_asked_though_the_send_is_settled(database: Database) -> None:
    world = World(database, AsksByWriting(FarSystem()))
    doubted = document_id("doubted")
    world.connector.after = lambda step: Uncertain(evidence="lost") if step.document_id == doubted else None
    world.write(journal("doubted"))
    worker = world.deliver()
    world.pass_time(timedelta(seconds=20))
    world.write(journal("fresh"))
    desk = worker.desk
    calls = sorted(desk.turn(results=[], load={}).calls, key=lambda call: call.members[0].prepared is None)
    assert [call.members[0].prepared is None for call in calls] == [False, True]

    async def one_after_the_other(calls: Sequence[Call]) -> Sequence[Result]:
        found: list[Result] = []
        for call in calls:
            found = await worker._make(call)
            desk.settle(found)
        return found

    asyncio.run(one_after_the_other(calls))
    assert world.state("doubted") is DocumentState.POSTED
    assert world.far.posted(doubted) == 1


class NeverBegins(FakeConnector):
    """No call of it leaves the worker."""

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        raise AssertionError("nothing was to be sent")


def test_a_probe_that_was_never_made_does_not_close_the_breaker(database: Database) -> None:
    world = World(database, NeverBegins(FarSystem()))
    world.write(journal("one"))
    worker = world.worker()
    desk = worker.desk
    now = desk._moment()
    with database.control() as connection:
        capacity.ensure_pools(connection, limits=[limits_of(world)], now=now)
        for _ in range(5):
            capacity.report(connection, came_back={"pool-erp": CameBack(answered=False)}, now=now)
    world.pass_time(timedelta(seconds=60))
    (call,) = desk.turn(results=[], load={}).calls
    worker.stop()
    found = asyncio.run(worker._make(call))
    desk.settle(found)
    now = desk._moment()
    with database.control() as connection:
        pool = capacity.states(connection, pools=["pool-erp"], now=now)["pool-erp"]
    assert world.state("one") is DocumentState.READY
    assert pool.probing, "nobody has asked the far side yet"
    assert pool.free == 1, "and another worker may"


def limits_of(world: World) -> PoolLimits:
    manifest = world.connector.manifest
    return PoolLimits(
        pool_id="pool-erp",
        slots=manifest.slots,
        bucket_per_second=manifest.bucket_per_second,
        bucket_burst=manifest.bucket_burst,
    )
