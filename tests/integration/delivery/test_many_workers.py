"""Several workers at once on one database: order, waiting and capacity hold, whatever is lost or refused on the way."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from datetime import timedelta

import pytest

from revline.core.clock import SystemClock
from revline.core.documents import Document, DocumentState, Rank
from revline.core.farside import Idempotency, NotSent, Outcome, PreparedStep, Uncertain
from revline.core.problem import problem
from revline.delivery import queries
from revline.delivery.loop import DeliveryLoop
from revline.delivery.ports import inline
from revline.delivery.service import Desk
from revline.delivery.values import Timing
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal, no_journals

FAST = Timing(
    retry_base=timedelta(milliseconds=20),
    retry_cap=timedelta(milliseconds=200),
    missing_predecessor=timedelta(milliseconds=200),
    turn=timedelta(milliseconds=5),
    idle=timedelta(milliseconds=20),
    lease=timedelta(seconds=3),
    sweep=timedelta(milliseconds=500),
    failures_until_case=1_000,
)
DEADLINE_SECONDS = 60.0


def random_history(chance: random.Random, count: int) -> list[Document]:
    """Documents of random ranks on random lanes, each waiting for some of lower rank, written in any order."""
    made: list[tuple[str, Rank]] = []
    documents = []
    for number in range(count):
        rank = chance.choice(list(Rank))
        lower = [name for name, other in made if other < rank]
        after = chance.sample(lower, k=min(len(lower), chance.randrange(3)))
        name = f"d{number}"
        documents.append(journal(name, rank=rank, lane=f"{rank.name}{chance.randrange(12)}", after=after))
        made.append((name, rank))
    return documents


def faulty(seed: int) -> tuple[FakeConnector, FarSystem]:
    far = FarSystem()
    connector = FakeConnector(
        far, idempotency=Idempotency.LOOKUP, slots=3, effect_bound=timedelta(milliseconds=50), pause=3
    )
    chance = random.Random(seed)

    def before(step: PreparedStep) -> Outcome | None:
        dice = chance.random()
        if dice < 0.1:
            return Uncertain(evidence="reset before the effect")
        return NotSent(problem=problem("erp.busy", "busy")) if dice < 0.2 else None

    def after(step: PreparedStep) -> Outcome | None:
        return Uncertain(evidence="answer lost") if chance.random() < 0.1 else None

    connector.before, connector.after = before, after
    return connector, far


def run_workers(world: World, names: list[str], *, count: int) -> None:
    """Workers in threads of their own, until every document is posted."""
    loops = [
        DeliveryLoop(
            desk=Desk(
                database=world.database,
                directory=world.directory,
                journals=no_journals,
                clock=SystemClock(),
                owner=f"worker:{number}",
                epoch=1,
                uniform=random.Random(number).uniform,
                timing=FAST,
            ),
            blocking=inline,
        )
        for number in range(count)
    ]
    errors: list[BaseException] = []

    def work(loop: DeliveryLoop) -> None:
        try:
            asyncio.run(loop.run())
        except BaseException as error:  # noqa: BLE001 - shown by the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=[loop]) for loop in loops]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + DEADLINE_SECONDS
    try:
        while time.monotonic() < ends and not errors and not all_posted(world, names):
            time.sleep(0.1)
    finally:
        for loop in loops:
            loop.stop()
        for thread in threads:
            thread.join(timeout=20)
    assert errors == []


def all_posted(world: World, names: list[str]) -> bool:
    with world.database.read(tenants=["alpha"]) as connection:
        ids = [document_id(name) for name in names]
        states = queries.states_of(connection, tenant_id="alpha", document_ids=ids)
    return all(states.get(one) == DocumentState.POSTED for one in ids)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_random_histories_end_posted_once_in_order_and_within_capacity(database: Database, seed: int) -> None:
    connector, far = faulty(seed)
    world = World(database, connector, timing=FAST)
    world.clock.moment = SystemClock().now()
    documents = random_history(random.Random(seed), 70)
    for start in range(0, 70, 7):
        world.write(*documents[start : start + 7])
    names = [f"d{number}" for number in range(70)]
    run_workers(world, names, count=3)
    stuck = [name for name in names if world.state(name) is not DocumentState.POSTED]
    assert stuck == []
    assert [name for name in names if far.posted(document_id(name)) != 1] == []
    place = {one: number for number, one in enumerate(far.order())}
    for one in documents:
        for before in one.predecessors:
            assert place[before] < place[one.document_id]
    by_lane: dict[str, list[int]] = {}
    for one in documents:
        by_lane.setdefault(one.lane_key, []).append(place[one.document_id])
    assert all(places == sorted(places) for places in by_lane.values())
    assert far.most_at_once <= 3
