"""A person names the record a document already is: it is read, compared and taken; a difference is shown, another's is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from revline.core.documents import DocumentState, Rank
from revline.core.farside import ErpRecord, Idempotency, Uncertain
from revline.core.problem import Problem, problem
from revline.delivery import acts, naming
from revline.delivery.naming import Intent, Named, NamedRecord, Read
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


def name(world: World, *, who: str = "head", erp_id: str = "1", seen: Read | None = None, **said: bool) -> object:
    record = NamedRecord(erp_id=erp_id, **said)
    found = seen or look(world, who, record)
    if not isinstance(found, Read | Intent):
        return found
    return naming.name_record(
        world.database, tenant_id="alpha", document_id=document_id(who), record=record,
        read=found if isinstance(found, Read) else None, actor="person:ann", reason="it is JE 1 there",
        recorded_at=world.clock.now(),
    )  # fmt: skip


def look(world: World, who: str, record: NamedRecord) -> Read | Intent | Named | Problem:
    with world.database.read(tenants=["alpha"]) as connection:
        intent = naming.intent_of(connection, tenant_id="alpha", document_id=document_id(who), record=record)
    if not isinstance(intent, Intent) or record.unread:
        return intent
    far = world.directory.far_side(tenant_id="alpha", connection="erp", entity="us")
    assert isinstance(far, FarSide)
    return asyncio.run(naming.read_named(far=far, intent=intent))


def test_the_record_named_becomes_the_documents_and_everything_goes_on(world: World) -> None:
    answer = name(world)
    assert isinstance(answer, Named), answer
    assert (answer.state, answer.record_kind) == (DocumentState.POSTED, "journal")
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
    answer = name(world)
    assert isinstance(answer, Problem)
    assert (answer.code, answer.field) == ("erp.record_differs", "amount")
    assert "amount" in answer.detail
    assert world.state("head") is DocumentState.UNCERTAIN
    taken = name(world, despite_difference=True)
    assert isinstance(taken, Named)
    assert [one.field for one in taken.differs] == ["amount"]


def test_what_changed_while_it_was_read_is_refused_and_naming_it_twice_does_nothing_more(world: World) -> None:
    seen = look(world, "head", NamedRecord(erp_id="1"))
    assert isinstance(seen, Read)
    world.clock.moment += timedelta(seconds=1)
    acts.resend(
        world.database, tenant_id="alpha", document_id=document_id("head"), actor="person:kim", reason="again",
        recorded_at=world.clock.now(),
    )  # fmt: skip
    late = name(world, seen=seen)
    assert isinstance(late, Problem)
    assert late.code == "document.in_flight"
    assert isinstance(name(world), Named)
    told = len(world.show("head").transitions)
    again = name(world)
    assert isinstance(again, Named)
    assert len(world.show("head").transitions) == told
    other = name(world, erp_id="2")
    assert isinstance(other, Problem)
    assert other.code == "document.finished"


def test_the_record_of_another_document_is_refused(world: World) -> None:
    assert isinstance(name(world), Named)
    taken = name(world, who="after")
    assert isinstance(taken, Problem)
    assert (taken.code, taken.field) == ("document.record_taken", "erp_id")


def test_a_record_that_is_not_there_is_taken_by_a_persons_word_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def missing_there(*, record: ErpRecord) -> Problem:
        return problem("erp.record_missing", f"{record.record_kind} {record.erp_id} is not there")

    monkeypatch.setattr(world.connector, "read", missing_there)
    missing = name(world, erp_id="4711")
    assert isinstance(missing, Problem)
    assert missing.code == "erp.record_missing"
    assert world.state("head") is DocumentState.UNCERTAIN
    told = name(world, erp_id="4711", unread=True)
    assert isinstance(told, Named)
    assert (told.state, told.record_kind, told.erp_id) == (DocumentState.WAIVED, "journal", "4711")
    assert [one["erp_id"] for one in world.show("head").records] == ["4711"]


def test_a_waived_document_gets_the_record_that_is_read_and_stays_waived(world: World) -> None:
    acts.waive(
        world.database, tenant_id="alpha", document_id=document_id("head"), actor="person:kim", reason="by hand",
        recorded_at=world.clock.now(),
    )  # fmt: skip
    answer = name(world)
    assert isinstance(answer, Named)
    assert answer.state is DocumentState.WAIVED
    assert world.state("head") is DocumentState.WAIVED
    assert [one["erp_id"] for one in world.show("head").records] == ["1"]
