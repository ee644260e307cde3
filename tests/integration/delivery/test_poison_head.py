"""Wherever our own code fails on the head of a lane, that lane alone is parked and a case says so; all others of its turn go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from revline.core.documents import Document, DocumentKind, DocumentState, Rank
from revline.core.farside import ErpRecord, Idempotency, Outcome, Placed, Posted, PrepareContext, PreparedStep, Rejected
from revline.core.ids import external_reference
from revline.core.problem import Problem, problem
from revline.delivery import acts
from revline.delivery.values import FarSide
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal

POISON = document_id("poison")
SOUND = ("s0", "s1", "s2", "s3", "s4")


class Chokes(FakeConnector):
    """Our own code around it fails on one document, in the place named."""

    place = ""

    def prepare(self, *, document: Document, step: str, context: PrepareContext) -> PreparedStep | Problem:
        if self.place == "prepare" and document.document_id == POISON:
            raise ZeroDivisionError
        return super().prepare(document=document, step=step, context=context)

    async def submit(self, *, steps: Sequence[PreparedStep]) -> Sequence[Outcome]:
        found = await super().submit(steps=steps)
        mine = [step.document_id == POISON for step in steps]
        if self.place == "submit" and any(mine):
            raise ZeroDivisionError
        if self.place == "write":
            return [self._unwritable(one) if poison else one for one, poison in zip(found, mine, strict=True)]
        if self.place == "write a refusal":
            nul = Rejected(problem=problem("erp.rejected", "no\0"), evidence="\0")
            return [nul if poison else one for one, poison in zip(found, mine, strict=True)]
        return found

    async def lookup(
        self, *, kind: DocumentKind, references: Sequence[str], company: str
    ) -> Mapping[str, tuple[ErpRecord, ...]] | Problem:
        found = await super().lookup(kind=kind, references=references, company=company)
        assert not isinstance(found, Problem)
        poisoned = external_reference(document=POISON)
        if self.place == "write" and poisoned in found:
            records = tuple(replace(one, number="N\0") for one in found[poisoned])
            return {**found, poisoned: records}
        return found

    async def read(self, *, record: ErpRecord) -> Posted | Placed | Problem:
        found = await super().read(record=record)
        return self._unwritable(found) if record.number == "N\0" else found

    def _unwritable(self, one: Outcome) -> Posted:
        assert isinstance(one, Posted)
        return replace(one, record=replace(one.record, number="N\0"))


def far_side_fails(world: World) -> Callable[..., FarSide | Problem]:
    inner = world.directory.far_side

    def chosen(*, tenant_id: str, connection: str, entity: str) -> FarSide | Problem:
        if connection == "broken":
            raise ZeroDivisionError
        return inner(tenant_id=tenant_id, connection=connection, entity=entity)

    return chosen


def policy_fails(world: World) -> Callable[..., Any]:
    def held(*, tenant_id: str, document: Document) -> Problem | None:
        if document.document_id == POISON:
            raise ZeroDivisionError
        return None

    return held


@pytest.mark.parametrize("place", ["prepare", "policy", "far side", "submit", "write", "write a refusal"])
def test_a_poisoned_head_parks_its_own_lane_only_and_becomes_a_case(
    database: Database, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    connector = Chokes(FarSystem())
    connector.place = place
    world = World(database, connector)
    if place == "far side":
        monkeypatch.setattr(world.directory, "far_side", far_side_fails(world))
    if place == "policy":
        monkeypatch.setattr(world.directory, "held", policy_fails(world))
    connection = "broken" if place == "far side" else "erp"
    world.write(
        journal("poison", lane="a", rank=Rank.INVOICE, connection=connection),
        journal("behind", lane="a", rank=Rank.INVOICE, connection=connection),
        *(journal(name, rank=Rank.INVOICE) for name in SOUND),
    )
    worker = world.deliver()
    assert {world.state(name) for name in SOUND} == {DocumentState.POSTED}, "the others of its claim and commit go on"
    for _ in range(12):
        world.pass_time(timedelta(seconds=20))
        world.deliver(worker)
        if place == "submit":
            connector.place = ""
    if place in {"submit", "write a refusal"}:  # what nobody knows is found out by a look-up, without a person
        assert world.state("poison") is DocumentState.POSTED
        assert world.far.posted(POISON) == 1
        return
    assert world.state("behind") is DocumentState.READY
    with database.read(tenants=["alpha"]) as connection_:
        found = [one for one in cases.cases(connection_, tenant_id="alpha") if one.subject_id == POISON]
        parked = connection_.execute(
            text("SELECT parked_code FROM lane WHERE parked_code <> '' AND tenant_id = 'alpha'")
        ).scalars()
        assert list(parked) == ["internal.unexpected"]
    assert [one.code for one in found] == ["internal.unexpected"]
    assert world.far.posted(POISON) == (1 if place == "write" else 0)
    if world.state("poison") is DocumentState.UNCERTAIN:
        return
    answer = acts.skip(
        database,
        tenant_id="alpha",
        document_id=POISON,
        actor="person:ann",
        reason="set aside",
        recorded_at=world.clock.now(),
    )
    assert not isinstance(answer, Problem)
    if place != "far side":
        world.deliver(worker)
        assert world.state("behind") is DocumentState.POSTED


@pytest.mark.parametrize("place", ["write", "write a refusal"])
def test_an_answer_that_can_not_be_kept_is_not_asked_for_again_without_end(database: Database, place: str) -> None:
    """Where a key makes sending again safe nothing would ever be looked up, so nobody would hear of it."""
    connector = Chokes(FarSystem(), idempotency=Idempotency.KEY)
    connector.place = place
    world = World(database, connector)
    world.write(journal("poison", lane="a", rank=Rank.INVOICE))
    worker = world.deliver()
    for _ in range(4):
        world.pass_time(timedelta(seconds=20))
        world.deliver(worker)
    assert world.state("poison") is DocumentState.UNCERTAIN
    assert world.far.calls == 1
    with database.read(tenants=["alpha"]) as connection:
        assert [one.code for one in cases.cases(connection, tenant_id="alpha")] == ["internal.unexpected"]
    connector.place = ""
    acts.resend(
        database,
        tenant_id="alpha",
        document_id=POISON,
        actor="person:ann",
        reason="mended",
        recorded_at=world.clock.now(),
    )
    world.deliver(worker)
    assert world.state("poison") is DocumentState.POSTED
    assert world.far.posted(POISON) == 1


def test_a_head_set_aside_comes_back_before_what_undoes_it(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem()))
    world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no"))
    undoing = journal("undoing", lane="a", rank=Rank.INVOICE, after=["head"])
    world.write(journal("head", lane="a", rank=Rank.INVOICE), replace(undoing, reverses=document_id("head")))
    world.deliver()
    given = {"tenant_id": "alpha", "document_id": document_id("head"), "actor": "person:ann", "reason": "later"}
    acts.skip(database, recorded_at=world.clock.now(), **given)
    world.connector.before = lambda step: None
    world.deliver()
    assert not isinstance(acts.replay(database, recorded_at=world.clock.now(), at_end=False, **given), Problem)
    world.deliver()
    assert world.posted_in_order() == [document_id("head"), document_id("undoing")]
