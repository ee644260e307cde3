"""What goes wrong around one document stays with it: no other waits, no worker ends, no person's decision is undone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from revline.core.differences import FieldDifference
from revline.core.documents import ApplicationContent, Document, DocumentKind, DocumentState, Rank
from revline.core.farside import ErpRecord, PrepareContext, PreparedStep, Uncertain
from revline.core.ids import external_reference
from revline.core.problem import Problem
from revline.delivery import acts, loading
from revline.delivery.values import Timing
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal

SECOND = timedelta(seconds=1)


def open_codes(world: World) -> list[str]:
    with world.database.read(tenants=["alpha"]) as connection:
        return sorted(case.code for case in cases.cases(connection, tenant_id="alpha"))


def test_lanes_of_a_turn_that_the_database_failed_are_free_again_when_their_lease_ends(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(database, FakeConnector(FarSystem()))
    world.write(journal("one"))
    worker = world.worker()

    def away(*given: object, **more: object) -> None:
        raise OperationalError("select", {}, Exception("gone"))

    with monkeypatch.context() as patch:
        patch.setattr(loading, "load", away)
        with pytest.raises(OperationalError):
            asyncio.run(worker.turn())
    for _ in range(4):  # the worker lives on and renews what it holds
        world.pass_time(6 * SECOND)
        world.deliver(worker)
    assert world.state("one") is DocumentState.POSTED


class Choking(FakeConnector):
    """Fails in its own code for one document."""

    poison = ""
    chokes_on_difference = False

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        if document.document_id == self.poison and not self.chokes_on_difference:
            raise ZeroDivisionError
        return super().prepare(document=document, step=step, context=context)

    def difference(
        self, *, document: Document, record: ErpRecord, context: PrepareContext
    ) -> tuple[FieldDifference, ...]:
        if document.document_id == self.poison:
            raise ZeroDivisionError
        return super().difference(document=document, record=record, context=context)


def test_a_document_a_connector_fails_to_prepare_is_a_case_and_the_others_go_on(database: Database) -> None:
    connector = Choking(FarSystem())
    world = World(database, connector)
    connector.poison = document_id("poison")
    world.write(journal("poison"), journal("sound"))
    world.deliver()
    assert world.state("sound") is DocumentState.POSTED
    assert world.state("poison") is DocumentState.REJECTED
    assert open_codes(world) == ["internal.unexpected"]


def test_a_record_that_cannot_be_compared_stays_uncertain_with_a_case(database: Database) -> None:
    connector = Choking(FarSystem())
    connector.chokes_on_difference = True
    world = World(database, connector)
    connector.poison = document_id("poison")
    connector.after = lambda step: Uncertain(evidence="lost") if step.document_id == connector.poison else None
    world.write(journal("poison"))
    worker = world.deliver()
    connector.after = lambda step: None
    world.write(journal("sound"))
    world.pass_time(20 * SECOND)
    world.deliver(worker)
    assert world.state("sound") is DocumentState.POSTED
    assert world.state("poison") is DocumentState.UNCERTAIN
    assert open_codes(world) == ["internal.unexpected"]
    assert world.far.posted(document_id("poison")) == 1


def test_what_a_person_decided_while_a_look_up_ran_stands(database: Database) -> None:
    connector = FakeConnector(FarSystem())
    connector.before = lambda step: Uncertain(evidence="no answer")
    world = World(database, connector)
    world.write(journal("one"))
    worker = world.deliver()
    connector.before = lambda step: None
    world.pass_time(20 * SECOND)

    async def waive_in_between() -> None:
        await worker.turn()  # the look-up begins
        refused = acts.waive(
            database, tenant_id="alpha", document_id=document_id("one"), actor="person:kim", reason="done by hand",
            recorded_at=world.clock.now(),
        )  # fmt: skip
        assert refused is None
        await worker.settled()

    asyncio.run(waive_in_between())
    world.pass_time(20 * SECOND)
    world.deliver(worker)
    assert world.state("one") is DocumentState.WAIVED
    assert world.far.posted(document_id("one")) == 0
    with database.control() as connection:
        assert connection.execute(text("SELECT sum(pending) FROM lane")).scalar_one() == 0


def test_requests_that_stay_unanswered_without_effect_are_told_in_the_end(database: Database) -> None:
    connector = FakeConnector(FarSystem())
    connector.before = lambda step: Uncertain(evidence="time-out")
    world = World(database, connector, timing=Timing(failures_until_case=3))
    world.write(journal("one"))
    worker = world.worker()
    for _ in range(8):
        world.deliver(worker)
        world.pass_time(20 * SECOND)
    assert open_codes(world) == ["erp.not_reached"]
    connector.before = lambda step: None
    world.deliver(worker)
    world.pass_time(20 * SECOND)
    world.deliver(worker)
    assert world.state("one") is DocumentState.POSTED
    assert open_codes(world) == []


def waiting_days(world: World, days: int) -> None:
    world.pass_time(timedelta(days=days))
    with world.database.unit(
        tenants=["alpha"], kind="test", actor="test", reason="time passes", recorded_at=world.clock.now()
    ) as unit:
        unit.connection.execute(
            text("UPDATE wait SET since = since - :by WHERE tenant_id = 'alpha'"), {"by": timedelta(days=days)}
        )


def test_a_document_whose_predecessor_is_never_written_is_told_of(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem()))
    missing: Sequence[str] = ["never"]
    world.write(journal("one", after=missing, rank=journal("x").rank))
    worker = world.deliver()
    assert open_codes(world) == []
    waiting_days(world, 2)
    world.deliver(worker)
    assert open_codes(world) == ["document.predecessor_missing"]


def test_an_application_to_be_undone_is_a_person_s_work_and_ends_by_a_waiver(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem()))
    first = journal("first", rank=Rank.APPLICATION)
    content = ApplicationContent(
        invoice_document=document_id("i"), payment_document=document_id("p"), amount=Decimal("10.00")
    )
    first = replace(first, kind=DocumentKind.APPLICATION, content=content)
    undone = replace(
        first,
        document_id=document_id("undone"),
        external_reference=external_reference(document=document_id("undone")),
        predecessors=(first.document_id,),
        reverses=first.document_id,
        content=replace(content, amount=Decimal("-10.00")),
    )
    world.write(first, undone)
    world.deliver()
    assert world.state("first") is DocumentState.POSTED
    assert world.state("undone") is DocumentState.REJECTED
    assert open_codes(world) == ["document.undo_by_hand"]
    acts.waive(
        database, tenant_id="alpha", document_id=undone.document_id, actor="person:kim", reason="undone there",
        recorded_at=world.clock.now(),
    )  # fmt: skip
    assert open_codes(world) == []
