"""Documents that far-side jobs work on: polled by job and not by document, no slot held meanwhile, settled once, told of when a job
does not end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from revline.core.documents import DocumentState
from revline.core.farside import Accepted, Idempotency, Outcome, PreparedStep, Rejected, Throttled, Uncertain
from revline.core.jobs import Poll
from revline.core.problem import problem
from revline.delivery.values import Timing
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal

POLL_AFTER = timedelta(seconds=5)


class JobConnector(FakeConnector):
    """Accepts every step; all steps of one call are one job. ended: what the job comes to; None while it runs."""

    def __init__(
        self,
        far: FarSystem,
        *,
        batch_max: int = 1,
        slots: int = 4,
        idempotency: Idempotency = Idempotency.LOOKUP,
        poll_after: timedelta = POLL_AFTER,
    ) -> None:
        super().__init__(far, batch_max=batch_max, slots=slots, idempotency=idempotency)
        self.ended: Outcome | None = None
        self.poll_after = poll_after
        self.polls: list[str] = []
        self.poll_calls = 0
        self.before = lambda step: Accepted(handle=f"job-of-{step.document_id}", poll_after=self.poll_after)

    async def poll(self, *, polls: Sequence[Poll]) -> Sequence[Outcome]:
        self.poll_calls += 1
        self.polls += [one.handle for one in polls]
        return [self._came(one) for one in polls]

    def _came(self, one: Poll) -> Outcome:
        if self.ended is None:
            return Accepted(handle=one.handle, poll_after=self.poll_after)
        if isinstance(self.ended, Accepted):
            return self._effect(one.step)
        return self.ended


DOES_ITS_WORK = Accepted(handle="", poll_after=POLL_AFTER)


@pytest.fixture
def world(database: Database) -> World:
    world = World(database, JobConnector(FarSystem()))
    world.write(journal("sale"))
    world.deliver()
    return world


def connector(world: World) -> JobConnector:
    assert isinstance(world.connector, JobConnector)
    return world.connector


def causes(world: World) -> set[str]:
    with world.database.read(tenants=["alpha"]) as connection:
        return {one.code for one in cases.causes(connection, tenant_id="alpha")}


def test_a_job_is_polled_no_sooner_than_it_asked_and_its_document_posted_once(world: World) -> None:
    assert world.show("sale").delivery.state == DocumentState.ACCEPTED
    asked = len(connector(world).polls)
    connector(world).ended = DOES_ITS_WORK
    world.deliver()
    assert len(connector(world).polls) == asked
    world.pass_time(POLL_AFTER)
    world.deliver()
    shown = world.show("sale")
    assert shown.delivery.state == DocumentState.POSTED
    assert set(connector(world).polls) == {f"job-of-{document_id('sale')}"}
    assert [one["state"] for one in shown.attempts] == ["posted"]
    assert world.far.posted(document_id("sale")) == 1
    assert world.far.lookups == [], "a job that tells its end needs no look-up"


@pytest.mark.parametrize(
    ("wanted", "waited"), [(timedelta(0), timedelta(seconds=1)), (timedelta(days=1), timedelta(minutes=5))]
)
def test_how_soon_a_job_wants_to_be_asked_has_bounds(database: Database, wanted: timedelta, waited: timedelta) -> None:
    world = World(database, JobConnector(FarSystem(), poll_after=wanted))
    world.write(journal("sale"))
    world.deliver()
    for polls in (1, 2):
        world.pass_time(waited - timedelta(milliseconds=900))
        world.deliver()
        assert len(connector(world).polls) == polls - 1, "not yet"
        world.pass_time(timedelta(seconds=1))
        world.deliver()
        assert len(connector(world).polls) == polls


def test_documents_of_one_call_are_asked_for_in_one_call(database: Database) -> None:
    world = World(database, JobConnector(FarSystem(), batch_max=10))
    world.write(journal("first"))
    worker = world.deliver()
    names = [f"d{number}" for number in range(10)]
    world.write(*(journal(name) for name in names))
    world.deliver(worker)
    assert world.far.batches == [1, 10], "one call for documents of ten lanes"
    connector(world).ended = DOES_ITS_WORK
    world.pass_time(POLL_AFTER)
    world.deliver(worker)
    assert connector(world).poll_calls == 1
    assert {world.state(name) for name in names} == {DocumentState.POSTED}


def test_no_slot_is_held_while_a_job_runs(database: Database) -> None:
    world = World(database, JobConnector(FarSystem(), slots=1))
    world.write(journal("slow"))
    world.deliver()
    connector(world).before = lambda step: None
    world.write(journal("quick"))
    world.deliver()
    assert world.state("slow") is DocumentState.ACCEPTED
    assert world.state("quick") is DocumentState.POSTED


def test_what_a_job_refused_becomes_a_case(world: World) -> None:
    connector(world).ended = Rejected(problem=problem("erp.rejected", "no such account", field="account"))
    world.pass_time(POLL_AFTER)
    world.deliver()
    assert world.show("sale").delivery.state == DocumentState.REJECTED
    assert causes(world) == {"erp.rejected"}


def test_a_job_that_is_gone_leaves_its_document_to_look_up(world: World) -> None:
    connector(world).ended = Uncertain(evidence="the job is gone")
    world.pass_time(POLL_AFTER)
    world.deliver()
    assert world.show("sale").delivery.state == DocumentState.UNCERTAIN
    connector(world).before = lambda step: None
    world.pass_time(timedelta(minutes=5))
    world.deliver()
    assert world.show("sale").delivery.state == DocumentState.POSTED
    assert world.far.posted(document_id("sale")) == 1


def test_a_job_that_is_gone_and_did_its_work_is_found_at_once(world: World) -> None:
    connector(world)._effect(_step("sale"))
    connector(world).ended = Uncertain(evidence="the job is gone")
    world.pass_time(POLL_AFTER)
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert world.far.posted(document_id("sale")) == 1


def test_a_far_side_too_busy_to_be_asked_is_asked_again(world: World) -> None:
    connector(world).ended = Throttled(retry_after=timedelta(seconds=3))
    world.pass_time(POLL_AFTER)
    world.deliver()
    assert world.state("sale") is DocumentState.ACCEPTED
    connector(world).ended = DOES_ITS_WORK
    world.pass_time(timedelta(minutes=5))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED


def test_a_job_that_never_ends_is_told_of_and_its_document_found_when_it_is_there(world: World) -> None:
    world.pass_time(timedelta(minutes=50))
    world.deliver()
    assert causes(world) == set(), "a job may take its time"
    world.pass_time(timedelta(minutes=20))
    world.deliver()
    assert world.show("sale").delivery.state == DocumentState.ACCEPTED
    assert causes(world) == {"erp.job_running"}
    connector(world)._effect(_step("sale"))
    world.pass_time(timedelta(hours=1))
    world.deliver()
    assert world.show("sale").delivery.state == DocumentState.POSTED
    assert world.far.posted(document_id("sale")) == 1
    assert causes(world) == set()


def test_a_kind_that_can_not_be_searched_is_polled_all_the_same(database: Database) -> None:
    world = World(database, JobConnector(FarSystem(), idempotency=Idempotency.NEITHER))
    world.write(journal("sale"))
    world.deliver()
    world.pass_time(POLL_AFTER)
    world.deliver()
    assert world.state("sale") is DocumentState.ACCEPTED
    connector(world).ended = DOES_ITS_WORK
    world.pass_time(POLL_AFTER)
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED


@pytest.mark.parametrize("idempotency", [Idempotency.KEY, Idempotency.UNIQUE_REFERENCE, Idempotency.LOOKUP])
def test_a_worker_that_dies_between_acceptance_and_its_commit_loses_and_doubles_nothing(
    database: Database, idempotency: Idempotency
) -> None:
    """Nobody knows the handle; the job did its work meanwhile."""
    world = World(database, JobConnector(FarSystem(), idempotency=idempotency), timing=Timing())
    world.write(journal("sale"))
    asyncio.run(_one_call(world))
    assert world.state("sale") is DocumentState.SENDING
    connector(world)._effect(_step("sale"))
    connector(world).before = lambda step: None
    for _ in range(3):
        world.pass_time(timedelta(minutes=1))
        world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert world.far.posted(document_id("sale")) == 1


async def _one_call(world: World) -> None:
    worker = world.worker()
    await worker.turn()
    await worker.settled()


def _step(name: str) -> PreparedStep:
    document = journal(name)
    return PreparedStep(
        document_id=document.document_id,
        kind=document.kind,
        step="post",
        operation="journal.post",
        external_reference=document.external_reference,
        body=b"{}",
    )
