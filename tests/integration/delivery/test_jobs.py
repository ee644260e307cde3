"""Documents that a far-side job works on: polled, settled once, and told of when the job does not end."""

from __future__ import annotations

from datetime import timedelta

import pytest

from revline.core.documents import DocumentState
from revline.core.farside import Accepted, Outcome, PreparedStep, Rejected, Uncertain
from revline.core.problem import problem
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal

POLL_AFTER = timedelta(seconds=5)


class JobConnector(FakeConnector):
    """Accepts every step as a job. ended: what the job comes to; None while it runs."""

    def __init__(self, far: FarSystem) -> None:
        super().__init__(far)
        self.ended: Outcome | None = None
        self.polls: list[str] = []
        self.before = lambda step: Accepted(handle=f"job-of-{step.document_id}", poll_after=POLL_AFTER)

    async def poll(self, *, step: PreparedStep, handle: str) -> Outcome:
        self.polls.append(handle)
        if self.ended is None:
            return Accepted(handle=handle, poll_after=POLL_AFTER)
        if isinstance(self.ended, Accepted):
            return self._effect(step)
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


def test_a_job_that_never_ends_is_told_of_and_its_document_found_when_it_is_there(world: World) -> None:
    for _ in range(world.timing.failures_until_case + 2):
        world.pass_time(timedelta(hours=1))
        world.deliver()
    assert world.show("sale").delivery.state == DocumentState.ACCEPTED
    assert causes(world) == {"erp.not_reached"}
    connector(world)._effect(_step(world))
    world.pass_time(timedelta(hours=1))
    world.deliver()
    assert world.show("sale").delivery.state == DocumentState.POSTED
    assert world.far.posted(document_id("sale")) == 1


def _step(world: World) -> PreparedStep:
    document = journal("sale")
    return PreparedStep(
        document_id=document.document_id,
        kind=document.kind,
        step="post",
        operation="journal.post",
        external_reference=document.external_reference,
        body=b"{}",
    )
