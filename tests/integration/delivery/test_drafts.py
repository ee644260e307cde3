"""Two-step posting: a draft is made, then posted. It is never made twice, never lost, and never left there unsaid."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from revline.core.documents import DocumentState
from revline.core.farside import ErpRecord, Idempotency, Outcome, PreparedStep, Rejected, Uncertain
from revline.core.problem import problem
from revline.delivery import acts, revisions
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal


@pytest.fixture
def world(database: Database) -> World:
    world = World(database, FakeConnector(FarSystem(), steps=("create", "post")))
    world.write(journal("sale"))
    return world


def causes(world: World) -> set[str]:
    with world.database.read(tenants=["alpha"]) as connection:
        return {one.code for one in cases.causes(connection, tenant_id="alpha")}


def post_comes_to(outcome: Outcome) -> Any:
    return lambda step: outcome if step.step == "post" else None


def steps_of(world: World, name: str) -> list[str]:
    return [one.step for one in world.far.effects if one.document_id == document_id(name)]


def resend(world: World) -> None:
    answer = acts.resend(
        world.database,
        tenant_id="alpha",
        document_id=document_id("sale"),
        actor="person:ann",
        reason="mended",
        recorded_at=world.clock.now(),
    )
    assert isinstance(answer, acts.Resent)


REFUSED = Rejected(problem=problem("erp.rejected", "the account is blocked", field="account"))
MISSING = Rejected(problem=problem("erp.record_missing", "no such draft"))


def test_a_crash_between_the_draft_and_its_commit_finds_the_draft(world: World) -> None:
    async def one_call() -> None:
        worker = world.worker()
        await worker.turn()
        await worker.settled()

    asyncio.run(one_call())
    assert (world.state("sale"), steps_of(world, "sale")) == (DocumentState.SENDING, ["create"])
    for _ in range(3):
        world.pass_time(timedelta(minutes=1))
        world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert steps_of(world, "sale") == ["create", "post"], "it is not made a second time"


def test_a_draft_that_no_machine_can_search_is_read_once_its_posting_can_no_longer_take_effect(
    database: Database,
) -> None:
    world = World(
        database, FakeConnector(FarSystem(), steps=("create", "post"), idempotency=Idempotency.NEITHER, slots=1)
    )
    world.write(journal("sale"))
    sent: list[str] = []

    def not_answered(step: PreparedStep) -> Outcome | None:
        sent.append(step.step)
        return Uncertain(evidence="cut off") if sent == ["create", "post"] else None

    world.connector.before = not_answered

    async def draft_then_a_posting_nobody_hears_of() -> None:
        worker = world.worker()
        while len(sent) < 2:
            await worker.turn()
            await worker.settled()

    asyncio.run(draft_then_a_posting_nobody_hears_of())
    assert world.state("sale") is DocumentState.SENDING
    world.pass_time(world.timing.lease + timedelta(seconds=1))
    world.deliver()
    assert (world.state("sale"), sent) == (DocumentState.UNCERTAIN, ["create", "post"])
    world.pass_time(timedelta(minutes=1))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert steps_of(world, "sale") == ["create", "post"]
    assert causes(world) == set()


def test_a_draft_whose_posting_is_refused_stays_placed_with_one_case_and_is_posted_when_it_is_mended(
    world: World,
) -> None:
    world.connector.before = post_comes_to(REFUSED)
    world.deliver()
    assert world.state("sale") is DocumentState.PLACED
    assert causes(world) == {"erp.rejected"}
    world.pass_time(timedelta(days=1))
    world.deliver()
    assert steps_of(world, "sale") == ["create"], "it does not spin"
    world.connector.before = lambda step: None
    resend(world)
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert steps_of(world, "sale") == ["create", "post"]
    assert causes(world) == set()


def test_a_draft_that_a_person_took_away_is_a_case_and_made_again_only_when_a_person_says_so(world: World) -> None:
    world.connector.before = post_comes_to(MISSING)
    world.deliver()
    world.far.records.clear()
    assert world.state("sale") is DocumentState.PLACED
    assert causes(world) == {"erp.record_missing"}
    world.connector.before = lambda step: None
    resend(world)
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert world.far.lookups == [journal("sale").external_reference], "it is looked up before it is made again"
    assert steps_of(world, "sale") == ["create", "create", "post"]
    assert [one["state"] for one in world.show("sale").records] == ["posted"]
    assert causes(world) == set()


def test_a_draft_that_a_person_posted_is_accepted_as_it_is(world: World) -> None:
    world.connector.before = post_comes_to(MISSING)
    world.deliver()
    (draft,) = world.far.records
    world.far.records[0] = ErpRecord(
        record_kind=draft.record_kind,
        erp_id="99",
        number="N99",
        state="posted",
        external_reference=draft.external_reference,
    )
    resend(world)
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert steps_of(world, "sale") == ["create"]
    assert causes(world) == set()


def test_a_draft_in_the_far_system_is_not_taken_back_as_if_nothing_were_there(world: World) -> None:
    world.connector.before = post_comes_to(REFUSED)
    world.deliver()
    with world.database.unit(
        tenants=["alpha"], kind="derive", actor="person:ann", reason="reprocess", recorded_at=world.clock.now()
    ) as unit:
        taken = revisions.supersede_unsent(unit, tenant_id="alpha", document_ids=[document_id("sale")])
    assert taken == frozenset()
    assert world.state("sale") is DocumentState.PLACED


def test_what_undoes_a_draft_goes_when_the_draft_is_waived(world: World) -> None:
    world.connector.before = post_comes_to(REFUSED)
    world.write(journal("void", lane="sale", after=["sale"]))
    world.deliver()
    assert world.state("void") is DocumentState.READY, "it stands behind the draft in its lane"
    world.connector.before = lambda step: None
    refused = acts.waive(
        world.database,
        tenant_id="alpha",
        document_id=document_id("sale"),
        actor="person:ann",
        reason="it is undone",
        recorded_at=world.clock.now(),
    )
    assert refused is None
    world.deliver()
    assert world.state("void") is DocumentState.POSTED
    assert steps_of(world, "sale") == ["create"]


def test_a_partial_answer_settles_each_document_on_its_own_in_one_commit(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem(), batch_max=10))
    world.write(journal("first"))
    worker = world.deliver()
    names = [f"d{number}" for number in range(6)]
    world.write(*(journal(name) for name in names))
    bad = {document_id(name) for name in names[3:]}
    world.connector.before = lambda step: REFUSED if step.document_id in bad else None
    before = deliver_units(world)
    world.deliver(worker)
    assert world.far.batches == [1, 6]
    assert [world.state(name) for name in names] == [DocumentState.POSTED] * 3 + [DocumentState.REJECTED] * 3
    assert deliver_units(world) == before + 1


def test_documents_of_two_tenants_never_share_a_call(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem(), batch_max=10))
    world.write(journal("first"))
    worker = world.deliver()
    for tenant in ("alpha", "beta"):
        world.write(*(journal(f"{tenant}{number}") for number in range(3)), tenant=tenant)
    seen: list[str] = []

    def note(step: PreparedStep) -> None:
        seen.append(step.document_id)

    world.connector.before = note  # type: ignore[assignment]
    world.deliver(worker)
    assert world.far.batches == [1, 3, 3]
    alpha = {document_id(f"alpha{number}") for number in range(3)}
    assert set(seen[:3]) in (alpha, {document_id(f"beta{number}") for number in range(3)})


def deliver_units(world: World) -> int:
    with world.database.read(tenants=["alpha"]) as connection:
        statement = text("SELECT count(*) FROM unit WHERE tenant_id = 'alpha' AND kind = 'deliver'")
        return int(connection.execute(statement).scalar_one())
