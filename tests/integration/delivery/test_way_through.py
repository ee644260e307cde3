"""A document's way: sent once, in order, after its predecessors, within capacity, and settled with what the far side booked."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from decimal import Decimal

import pytest

from revline.core.documents import DocumentState, Rank
from revline.core.farside import ErpPeriod, Idempotency, NotSent, PeriodState, Rejected, Uncertain
from revline.core.problem import problem
from revline.delivery import acts, housekeeping, queries, record, revisions
from revline.delivery.housekeeping import store_periods
from revline.platform.cases import queries as cases
from revline.platform.cases.service import Retried, retry
from revline.platform.store.chain import verify_chain
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import DAY, World, customer, document_id, journal


@pytest.fixture
def world(database: Database) -> World:
    return World(database, FakeConnector(FarSystem()))


def causes(world: World, tenant: str = "alpha") -> dict[str, tuple[str, int]]:
    with world.database.read(tenants=[tenant]) as connection:
        return {one.code: (one.field, one.cases) for one in cases.causes(connection, tenant_id=tenant)}


def test_a_document_is_posted_once_with_its_attempt_record_entries_and_history(world: World) -> None:
    world.write(journal("sale"))
    world.deliver()
    shown = world.show("sale")
    assert shown.attempts[-1]["request"] == "", "what was posted is proved by its digest alone"
    assert shown.delivery.state == DocumentState.POSTED
    assert [(one["state"], bytes(one["digest"]) != b"") for one in shown.attempts] == [("posted", True)]
    assert [one["number"] for one in shown.records] == ["N1"]
    assert [(one["account"], one["debit"], one["credit"]) for one in shown.entries] == [
        ("1000", Decimal("10.00"), Decimal(0)),
        ("4000", Decimal(0), Decimal("10.00")),
    ]
    assert [(one["from_state"], one["to_state"]) for one in shown.transitions] == [("sending", "posted")]
    assert causes(world) == {}
    with world.database.read(tenants=["alpha"]) as connection:
        assert verify_chain(connection, tenant_id="alpha").holds
        totals = queries.account_totals(connection, tenant_id="alpha")
    assert [(one.account, one.debit - one.credit) for one in totals] == [("1000", Decimal(10)), ("4000", Decimal(-10))]


def test_writing_the_same_document_again_changes_nothing(world: World) -> None:
    world.write(journal("sale"))
    world.write(journal("sale"))
    world.deliver()
    assert world.far.posted(document_id("sale")) == 1


def test_one_unit_may_name_a_customer_more_than_once(world: World) -> None:
    with world.database.unit(
        tenants=["alpha"], kind="derive", actor="worker:test", reason="test", recorded_at=world.clock.now()
    ) as unit:
        for name in ("one", "two"):
            record.write_documents(
                unit,
                tenant_id="alpha",
                documents=[customer("acme"), journal(name, rank=Rank.INVOICE, after=["acme"])],
                pool_of=lambda one: f"pool-{one.connection}",
                configuration_version=1,
                epoch=1,
            )
    world.deliver()
    assert world.posted_in_order()[0] == document_id("acme")
    assert len(world.far.effects) == 3


def test_documents_of_a_lane_go_in_order_whatever_is_retried(world: World) -> None:
    names = [f"d{number}" for number in range(6)]
    world.write(*(journal(name, lane="invoice") for name in names))
    refused: list[str] = []

    def busy_once(step: object) -> NotSent | None:
        name = step.document_id  # type: ignore[attr-defined]
        if name in refused:
            return None
        refused.append(name)
        return NotSent(problem=problem("erp.busy", "busy"))

    world.connector.before = busy_once
    for _ in range(12):
        world.deliver()
        world.pass_time(timedelta(minutes=3))
    assert world.posted_in_order() == [document_id(name) for name in names]


def test_a_poisoned_head_parks_its_own_lane_only(world: World) -> None:
    world.write(journal("bad", lane="a", credit_account="unmapped"), journal("behind", lane="a"), journal("other"))
    world.deliver()
    assert world.state("bad") is DocumentState.REJECTED
    assert world.state("behind") is DocumentState.READY
    assert world.state("other") is DocumentState.POSTED
    assert causes(world) == {"mapping.missing": ("unmapped", 1)}
    assert world.show("bad").attempts == (), "nothing was sent"


def test_a_cause_that_is_mended_is_retried_and_its_cases_close(world: World) -> None:
    world.write(*(journal(f"bad{number}", credit_account="fees") for number in range(3)))
    world.deliver()
    world.directory.accounts["fees"] = "6000"
    for number in range(3):
        world.far.lines[document_id(f"bad{number}")] = ()
    with world.database.read(tenants=["alpha"]) as connection:
        (cause,) = cases.causes(connection, tenant_id="alpha")
    assert (cause.cases, cause.at_risk[0].amount) == (3, Decimal(30))
    handlers = {"document": acts.retry_handler(database=world.database, clock=world.clock)}
    done = retry(
        world.database,
        handlers=handlers,
        tenant_id="alpha",
        actor="person:ann",
        reason="mapping added",
        cause_id=cause.cause_id,
    )
    assert done == Retried(asked=3, started=3)
    world.deliver()
    assert {world.state(f"bad{number}") for number in range(3)} == {DocumentState.POSTED}
    assert "mapping.missing" not in causes(world)


def test_a_refusal_is_a_case_and_resend_sends_the_same_revision(world: World) -> None:
    world.write(journal("sale"))
    world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no", field="party"), evidence="E42")
    world.deliver()
    assert world.state("sale") is DocumentState.REJECTED
    assert causes(world) == {"erp.rejected": ("party", 1)}
    assert world.show("sale").attempts[0]["evidence"] == "E42"
    refused = world.show("sale").attempts[0]
    assert hashlib.sha256(refused["request"].encode()).digest() == refused["digest"], "the exact bytes are kept"
    world.connector.before = lambda step: None
    world.deliver()
    assert world.state("sale") is DocumentState.REJECTED, "validation errors don't spin"
    answer = acts.resend(
        world.database,
        tenant_id="alpha",
        document_id=document_id("sale"),
        actor="person:ann",
        reason="fixed",
        recorded_at=world.clock.now(),
    )
    assert isinstance(answer, acts.Resent)
    world.deliver()
    shown = world.show("sale")
    assert (shown.delivery.state, shown.delivery.revision) == (DocumentState.POSTED, 1)
    assert causes(world) == {}


def test_waived_documents_let_their_lane_and_their_followers_go_on(world: World) -> None:
    world.write(
        journal("bad", lane="a", rank=Rank.INVOICE, credit_account="unmapped"),
        journal("behind", lane="a", rank=Rank.INVOICE),
        journal("after", rank=Rank.PAYMENT, after=["bad"]),
    )
    world.deliver()
    assert world.state("after") is DocumentState.READY
    assert world.show("after").waits_for == (document_id("bad"),)
    answer = acts.waive(
        world.database,
        tenant_id="alpha",
        document_id=document_id("bad"),
        actor="person:ann",
        reason="booked by hand",
        recorded_at=world.clock.now(),
    )
    assert answer is None
    world.deliver()
    assert world.state("bad") is DocumentState.WAIVED
    assert world.state("behind") is DocumentState.POSTED
    assert world.state("after") is DocumentState.POSTED
    assert causes(world) == {}
    assert world.far.posted(document_id("bad")) == 0


def test_a_finished_document_is_neither_resent_nor_waived(world: World) -> None:
    world.write(journal("sale"))
    world.deliver()
    answer = acts.resend(
        world.database,
        tenant_id="alpha",
        document_id=document_id("sale"),
        actor="person:ann",
        reason="again",
        recorded_at=world.clock.now(),
    )
    assert not isinstance(answer, acts.Resent)
    assert answer.code == "document.finished"


def test_documents_wait_for_lower_ranks_and_are_woken_by_their_commit(world: World) -> None:
    world.write(journal("application", rank=Rank.APPLICATION, after=["invoice", "payment"]))
    world.deliver()
    assert world.posted_in_order() == []
    world.pass_time(timedelta(seconds=31))
    world.write(customer("acme"), journal("invoice", rank=Rank.INVOICE, after=["acme"]))
    world.write(journal("payment", rank=Rank.PAYMENT, after=["acme"]))
    world.deliver()
    order = world.posted_in_order()
    assert order[0] == document_id("acme")
    assert order[-1] == document_id("application")
    assert len(order) == 4


def test_waiting_against_the_ranks_is_a_programming_error(world: World) -> None:
    world.write(journal("payment", rank=Rank.PAYMENT))
    with pytest.raises(ValueError, match="can't wait"):
        world.write(journal("invoice", rank=Rank.INVOICE, after=["payment"]))
    world.write(journal("early", rank=Rank.INVOICE, after=["late"]))
    with pytest.raises(ValueError, match="can't wait"):
        world.write(journal("late", rank=Rank.PAYOUT))


def test_a_closed_period_holds_with_a_timing_case_until_it_opens(world: World) -> None:
    def period(state: PeriodState) -> None:
        store_periods(
            world.database,
            tenant_id="alpha",
            connection="erp",
            periods=(
                ErpPeriod(
                    company="1", name="2026-01", start=DAY.replace(day=1), end=DAY.replace(month=2, day=1), state=state
                ),
            ),
            actor="worker:test",
            recorded_at=world.clock.now(),
        )

    period(PeriodState.CLOSED)
    world.write(journal("sale"))
    world.deliver()
    assert world.state("sale") is DocumentState.HELD
    assert causes(world) == {"erp.period_closed": ("2026-01", 1)}
    assert world.far.calls == 0
    period(PeriodState.OPEN)
    world.deliver()
    assert world.state("sale") is DocumentState.HELD, "it is looked at again, not spun on"
    world.pass_time(timedelta(minutes=6))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert causes(world) == {}


def test_entries_that_differ_from_the_journal_are_a_case_and_the_document_stays_posted(world: World) -> None:
    world.connector.wrong_entries.add(document_id("sale"))
    world.write(journal("sale"))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert causes(world) == {"erp.entries_differ": ("1000", 1)}


def test_a_two_step_document_is_placed_and_then_posted(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem(), steps=("create", "post")))
    world.write(journal("sale"))
    world.deliver()
    assert [effect.step for effect in world.far.effects] == ["create", "post"]
    assert [one["to_state"] for one in world.show("sale").transitions] == ["placed", "posted"]


def test_calls_never_exceed_the_slots_and_batches_fill(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem(), slots=1, batch_max=20, pause=5))
    world.write(*(journal(f"d{number}") for number in range(50)))
    world.deliver()
    assert world.far.most_at_once == 1
    assert max(world.far.batches) == 20
    assert len(world.far.effects) == 50


def test_the_bucket_limits_calls_until_it_refills(database: Database) -> None:
    connector = FakeConnector(FarSystem(), burst=2)
    world = World(database, connector)
    world.write(*(journal(f"d{number}") for number in range(9)))
    worker = world.worker()
    world.deliver(worker, turns=200)
    assert len(world.far.effects) == 9


def test_one_commit_settles_documents_of_several_tenants(world: World) -> None:
    world.write(journal("a"), tenant="alpha")
    world.write(journal("b"), tenant="beta")
    world.deliver()
    assert world.state("a") is DocumentState.POSTED
    assert world.state("b", tenant="beta") is DocumentState.POSTED


def test_finished_rows_move_to_history_and_are_still_found(world: World) -> None:
    world.write(journal("sale"), journal("bad", credit_account="unmapped"))
    world.deliver()
    moved = housekeeping.archive_finished(world.database, before=world.clock.now() + timedelta(hours=1))
    assert moved == 1
    assert world.state("sale") is DocumentState.POSTED
    assert [attempt["state"] for attempt in world.show("sale").attempts] == ["posted"]
    world.write(journal("next", after=["sale"], rank=Rank.JOURNAL, lane="sale"))
    world.deliver()
    assert world.state("next") is DocumentState.POSTED


def test_a_new_revision_is_sent_when_nothing_of_the_old_one_can_be_there(world: World) -> None:
    world.write(journal("sale", credit_account="unmapped"))
    world.deliver()
    with world.database.unit(
        tenants=["alpha"], kind="derive", actor="person:ann", reason="reprocess", recorded_at=world.clock.now()
    ) as unit:
        revision = revisions.new_revision(
            unit, tenant_id="alpha", document=journal("sale", amount="11.00"), configuration_version=2
        )
    assert revision == 2
    world.far.lines[document_id("sale")] = ()
    world.deliver()
    assert world.show("sale").delivery.amount == Decimal("11.00")
    assert world.state("sale") is DocumentState.POSTED


def test_keyless_uncertain_documents_are_left_to_a_person(database: Database) -> None:
    world = World(database, FakeConnector(FarSystem(), idempotency=Idempotency.NEITHER))
    world.connector.after = lambda step: Uncertain(evidence="the answer was lost")
    world.write(journal("sale"))
    world.deliver()
    world.pass_time(timedelta(days=1))
    world.deliver()
    assert world.state("sale") is DocumentState.UNCERTAIN
    assert causes(world) == {"erp.effect_unknown": ("", 1)}
    assert len(world.far.effects) == 1
