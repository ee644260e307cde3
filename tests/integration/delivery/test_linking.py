"""A person names the record a document already is: it is read, compared and linked; a difference is shown, another's is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from revline.core.documents import DocumentState, Rank
from revline.core.farside import Idempotency, Uncertain
from revline.core.problem import Problem
from revline.delivery import acts, linking
from revline.delivery.values import FarSide
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal


@pytest.fixture
def world(database: Database) -> World:
    """Nobody knows whether `head` arrived (it did), and there is no look-up; `after` waits for it."""
    made = World(database, FakeConnector(FarSystem(), idempotency=Idempotency.NEITHER))
    made.connector.after = lambda step: Uncertain(evidence="lost")
    made.write(journal("head", lane="a", rank=Rank.INVOICE), journal("after", rank=Rank.PAYMENT, after=["head"]))
    made.deliver()
    made.connector.after = lambda step: None
    assert made.state("head") is DocumentState.UNCERTAIN
    return made


def intent(world: World, name: str = "head") -> linking.Intent | Problem:
    with world.database.read(tenants=["alpha"]) as connection:
        return linking.intent_of(connection, tenant_id="alpha", document_id=document_id(name))


def link(world: World, *, erp_id: str = "1", despite: bool = False, seen: linking.Intent | None = None) -> object:
    found = seen or intent(world)
    if isinstance(found, Problem):
        return found
    far = world.directory.far_side(tenant_id="alpha", connection="erp", entity="us")
    assert isinstance(far, FarSide)
    compared = asyncio.run(linking.compare(far=far, intent=found, record_kind="journal", erp_id=erp_id))
    if isinstance(compared, Problem):
        return compared
    return linking.link(
        world.database, tenant_id="alpha", intent=found, far=far, compared=compared, actor="person:ann",
        reason="it is JE 1 there", recorded_at=world.clock.now(), despite_difference=despite,
    )  # fmt: skip


def test_the_record_named_becomes_the_documents_and_everything_goes_on(world: World) -> None:
    answer = link(world)
    assert isinstance(answer, linking.Linked), answer
    world.deliver()
    assert world.state("head") is DocumentState.POSTED
    assert world.state("after") is DocumentState.POSTED
    assert world.far.posted(document_id("head")) == 1
    assert [one["erp_id"] for one in world.show("head").records] == ["1"]
    with world.database.read(tenants=["alpha"]) as connection:
        assert cases.cases(connection, tenant_id="alpha") == ()


def test_a_difference_is_shown_and_taken_only_when_it_was_seen(world: World) -> None:
    reference = world.show("head").delivery.external_reference
    world.connector.differs[reference] = ("amount",)
    answer = link(world)
    assert isinstance(answer, Problem)
    assert (answer.code, answer.field) == ("erp.record_differs", "amount")
    assert "amount" in answer.detail
    assert world.state("head") is DocumentState.UNCERTAIN
    taken = link(world, despite=True)
    assert isinstance(taken, linking.Linked)
    assert [one.field for one in taken.differs] == ["amount"]


def test_what_changed_while_it_was_read_and_what_is_finished_is_refused(world: World) -> None:
    seen = intent(world)
    assert isinstance(seen, linking.Intent)
    world.clock.moment += timedelta(seconds=1)
    acts.resend(
        world.database, tenant_id="alpha", document_id=document_id("head"), actor="person:kim", reason="again",
        recorded_at=world.clock.now(),
    )  # fmt: skip
    late = link(world, seen=seen)
    assert isinstance(late, Problem)
    assert late.code == "document.in_flight"
    assert isinstance(link(world), linking.Linked)
    again = link(world)
    assert isinstance(again, Problem)
    assert again.code == "document.finished"


def test_the_record_of_another_document_is_refused(world: World) -> None:
    assert isinstance(link(world), linking.Linked)
    other = intent(world, "after")
    assert isinstance(other, linking.Intent)
    taken = link(world, seen=other)
    assert isinstance(taken, Problem)
    assert taken.code == "document.record_taken"
