"""What a person may do with a document in each of its states, and what its lane, its followers and its cases do next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from revline.core.documents import DocumentState, Rank
from revline.core.farside import Accepted, Idempotency, Rejected, Uncertain
from revline.core.problem import Problem, problem
from revline.delivery import acts, waiting
from revline.delivery.housekeeping import archive_finished
from revline.delivery.permitted import Act
from revline.platform.cases import queries as cases
from revline.platform.store.chain import verify_chain
from revline.platform.store.engine import Database
from revline.platform.work import queries as work_queries
from revline.platform.work.lanes import LaneKey
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import NOON, World, document_id, journal

SECOND = timedelta(seconds=1)
WHO = {"actor": "person:ann", "reason": "asked for"}


def new_world(database: Database, *, idempotency: Idempotency = Idempotency.LOOKUP) -> World:
    return World(database, FakeConnector(FarSystem(), idempotency=idempotency))


def do(world: World, act: Act, name: str = "head", **more: bool) -> object:
    ways: dict[Act, Callable[..., object]] = {
        Act.RESEND: acts.resend, Act.SKIP: acts.skip, Act.REPLAY: acts.replay, Act.WAIVE: acts.waive,
    }  # fmt: skip
    return ways[act](
        world.database, tenant_id="alpha", document_id=document_id(name), recorded_at=world.clock.now(), **WHO, **more
    )


def put(world: World, state: DocumentState) -> None:
    """A lane of `head` and `behind`, and `after` on a lane of its own that needs head's record; head comes to stand in `state`."""
    never = problem("erp.rejected", "no")
    refuse_head = lambda step: Rejected(problem=never) if step.document_id == document_id("head") else None  # noqa: E731
    if state is DocumentState.UNCERTAIN:
        world.connector.before = lambda step: Uncertain(evidence="time-out")
    elif state is DocumentState.ACCEPTED:
        world.connector.before = lambda step: Accepted(handle="job", poll_after=timedelta(hours=1))
    elif state is DocumentState.REJECTED:
        world.connector.before = refuse_head
    elif state is DocumentState.HELD:
        world.directory.held_days = {journal("head").accounting_date}  # type: ignore[arg-type]
    world.write(
        journal("head", lane="a", rank=Rank.INVOICE),
        journal("behind", lane="a", rank=Rank.INVOICE),
        journal("after", rank=Rank.PAYMENT, after=["head"]),
    )
    if state in {DocumentState.READY, DocumentState.PREPARED, DocumentState.SENDING, DocumentState.PLACED}:
        set_state(world, state)
    else:
        world.deliver()
        if state is DocumentState.WAIVED:
            raise AssertionError("made by the act itself")
    if state in {DocumentState.SUPERSEDED, DocumentState.REVERSED}:
        set_state(world, state)
    world.connector.before = lambda step: None
    assert world.state("head") is state


def set_state(world: World, state: DocumentState) -> None:
    with world.database.unit(tenants=["alpha"], kind="test", actor="test", reason="test", recorded_at=NOON) as unit:
        unit.connection.execute(
            text("UPDATE document_state SET state = :state WHERE tenant_id = 'alpha' AND document_id = :document"),
            {"state": state, "document": document_id("head")},
        )


def open_codes(world: World) -> list[str]:
    with world.database.read(tenants=["alpha"]) as connection:
        return sorted(case.code for case in cases.cases(connection, tenant_id="alpha"))


def pending(world: World, name: str) -> int:
    shown = world.show(name)
    with world.database.read(tenants=["alpha"]) as connection:
        lane = connection.execute(
            text("SELECT lane_id FROM document WHERE tenant_id = 'alpha' AND document_id = :one"),
            {"one": shown.delivery.document_id},
        ).scalar_one()
        row = work_queries.lane_row(connection, key=LaneKey("alpha", lane))
    assert row is not None
    return int(row["pending"])


STATE = DocumentState
YES = ""
MATRIX: Sequence[tuple[DocumentState, str, str, str, str]] = (
    # state            resend                skip                  replay                      waive
    (STATE.PREPARED, YES, YES, "document.not_set_aside", YES),
    (STATE.READY, YES, YES, "document.not_set_aside", YES),
    (STATE.HELD, YES, YES, "document.not_set_aside", YES),
    (STATE.REJECTED, YES, YES, "document.not_set_aside", YES),
    (STATE.SENDING, "document.in_flight", "document.in_flight", "document.not_set_aside", "document.in_flight"),
    (STATE.ACCEPTED, "document.in_flight", "document.in_flight", "document.not_set_aside", "document.in_flight"),
    (STATE.UNCERTAIN, YES, "document.in_flight", "document.not_set_aside", YES),
    (STATE.PLACED, YES, "document.in_flight", "document.not_set_aside", YES),
    (STATE.POSTED, "document.finished", "document.finished", "document.not_set_aside", "document.finished"),
    (STATE.SUPERSEDED, "document.finished", "document.finished", "document.not_set_aside", "document.finished"),
    (STATE.REVERSED, "document.finished", "document.finished", "document.not_set_aside", "document.finished"),
)
CELLS = [
    pytest.param(row[0], act, row[number], id=f"{row[0]}-{act}")
    for row in MATRIX
    for number, act in enumerate((Act.RESEND, Act.SKIP, Act.REPLAY, Act.WAIVE), start=1)
]


@pytest.mark.parametrize(("state", "act", "refused"), CELLS)
def test_an_act_on_a_state(database: Database, state: DocumentState, act: Act, refused: str) -> None:
    world = new_world(database)
    put(world, state)
    answer = do(world, act)
    if refused:
        assert isinstance(answer, Problem)
        assert answer.code == refused
        assert world.state("head") is state
        return
    assert not isinstance(answer, Problem), answer
    went_past = act in {Act.SKIP, Act.WAIVE}
    if act is Act.SKIP:
        assert world.state("head") is STATE.REJECTED
        assert open_codes(world), "what is set aside stays a case"
    if act is Act.WAIVE:
        assert world.state("head") is STATE.WAIVED
        assert open_codes(world) == []
    world.directory.held_days = set()
    world.pass_time(30 * SECOND)
    for _ in range(3):
        world.deliver()
        world.pass_time(30 * SECOND)
    assert world.state("behind") is STATE.POSTED, "the lane goes on"
    if went_past:
        assert document_id("head") not in world.posted_in_order()
        assert world.state("after") is (STATE.POSTED if act is Act.WAIVE else STATE.READY)
    else:
        assert world.state("head") is STATE.POSTED
        first, second = document_id("head"), document_id("behind")
        assert world.posted_in_order().index(first) < world.posted_in_order().index(second)
        assert world.state("after") is STATE.POSTED
    assert world.far.posted(document_id("head")) <= 1
    assert pending(world, "head") == 0


def rejected_and_skipped(database: Database) -> World:
    world = new_world(database)
    put(world, STATE.REJECTED)
    assert not isinstance(do(world, Act.SKIP), Problem)
    return world


def test_a_skipped_document_is_neither_resent_nor_skipped_again(database: Database) -> None:
    world = rejected_and_skipped(database)
    for act in (Act.RESEND, Act.SKIP):
        answer = do(world, act)
        assert isinstance(answer, Problem)
        assert answer.code == "document.set_aside"


def test_a_skipped_document_keeps_its_case_and_the_words_of_what_refused_it(database: Database) -> None:
    world = rejected_and_skipped(database)
    assert open_codes(world) == ["erp.rejected"]
    assert world.show("head").delivery.problem_code == "erp.rejected"
    assert world.show("head").delivery.set_aside_at is not None


def test_a_skipped_document_is_replayed_before_what_has_not_gone(database: Database) -> None:
    world = rejected_and_skipped(database)
    answer = do(world, Act.REPLAY)
    assert answer == acts.PutBack(document_id=document_id("head"), state=STATE.READY, at_end=False)
    world.deliver()
    order = world.posted_in_order()
    assert order.index(document_id("head")) < order.index(document_id("behind"))
    assert world.state("after") is STATE.POSTED
    assert open_codes(world) == []


def test_a_skipped_document_is_replayed_after_what_went_past_it(database: Database) -> None:
    world = rejected_and_skipped(database)
    world.deliver()
    assert world.posted_in_order() == [document_id("behind")]
    assert not isinstance(do(world, Act.REPLAY), Problem)
    world.deliver()
    assert world.posted_in_order() == [document_id(one) for one in ("behind", "head", "after")]
    assert pending(world, "head") == 0


def test_at_the_end_of_its_lane_it_goes_after_what_is_there(database: Database) -> None:
    world = rejected_and_skipped(database)
    answer = do(world, Act.REPLAY, at_end=True)
    assert isinstance(answer, acts.PutBack)
    assert answer.at_end
    world.deliver()
    assert world.posted_in_order()[:2] == [document_id("behind"), document_id("head")]
    assert pending(world, "head") == 0


def test_it_is_not_put_behind_what_waits_for_it(database: Database) -> None:
    world = new_world(database)
    world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no"))
    world.write(
        journal("head", lane="a", rank=Rank.INVOICE), journal("needs", lane="a", rank=Rank.INVOICE, after=["head"])
    )
    world.deliver()
    do(world, Act.SKIP)
    world.connector.before = lambda step: None
    world.deliver()
    assert world.state("needs") is STATE.READY
    answer = do(world, Act.REPLAY, at_end=True)
    assert isinstance(answer, Problem)
    assert answer.code == "document.needed_behind"
    assert not isinstance(do(world, Act.REPLAY), Problem)
    world.deliver()
    assert world.posted_in_order() == [document_id("head"), document_id("needs")]


def test_it_is_not_put_before_a_head_that_is_under_way(database: Database) -> None:
    world = rejected_and_skipped(database)
    world.connector.before = lambda step: Uncertain(evidence="time-out")
    world.deliver()
    assert world.state("behind") is STATE.UNCERTAIN
    answer = do(world, Act.REPLAY)
    assert isinstance(answer, Problem)
    assert answer.code == "document.lane_busy"
    assert not isinstance(do(world, Act.REPLAY, at_end=True), Problem)


def test_it_goes_before_a_head_that_was_decided_but_not_marked_when_it_came_back(database: Database) -> None:
    world = rejected_and_skipped(database)
    worker = world.worker()
    lanes, now = worker.desk._claim()
    worker.desk._decide(lanes, now=now)
    assert not isinstance(do(world, Act.REPLAY), Problem)
    assert worker.desk._mark({}, now=now) == ()
    world.deliver(worker)
    order = world.posted_in_order()
    assert order.index(document_id("head")) < order.index(document_id("behind"))


@pytest.mark.parametrize("act", [Act.WAIVE, Act.SKIP])
def test_a_lane_does_not_wait_for_the_sake_of_a_document_that_a_person_just_took_out(
    database: Database, monkeypatch: pytest.MonkeyPatch, act: Act
) -> None:
    """A person acts between a worker's decision that the head waits and the writing of it."""
    world = new_world(database)
    never = problem("erp.rejected", "no")
    world.connector.before = lambda step: Rejected(problem=never) if step.document_id == document_id("first") else None
    world.write(journal("first", rank=Rank.INVOICE))
    world.write(
        journal("waits", lane="b", rank=Rank.PAYMENT, after=["first"]), journal("behind", lane="b", rank=Rank.PAYMENT)
    )
    act_before_parking(world, monkeypatch, act, "waits")
    world.deliver()
    assert world.state("behind") is STATE.POSTED


def test_a_lane_does_not_wait_for_what_came_back_before_the_document_that_waits_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = new_world(database)
    world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no"))
    world.write(
        journal("head", lane="a", rank=Rank.INVOICE), journal("needs", lane="a", rank=Rank.INVOICE, after=["head"])
    )
    world.deliver()
    do(world, Act.SKIP)
    world.connector.before = lambda step: None
    act_before_parking(world, monkeypatch, Act.REPLAY, "head")
    world.deliver()
    assert world.posted_in_order() == [document_id("head"), document_id("needs")]


def act_before_parking(world: World, monkeypatch: pytest.MonkeyPatch, act: Act, name: str) -> None:
    park, acted = waiting.park, []

    def late(*given: Any, **more: Any) -> None:
        if not acted:
            acted.append(act)
            assert not isinstance(do(world, act, name), Problem)
        park(*given, **more)

    monkeypatch.setattr(waiting, "park", late)


def test_a_skipped_document_may_be_waived_and_what_waits_goes_on(database: Database) -> None:
    world = rejected_and_skipped(database)
    world.deliver()
    assert do(world, Act.WAIVE) is None
    world.deliver()
    assert world.state("after") is STATE.POSTED
    assert open_codes(world) == []
    assert pending(world, "head") == 0


def test_a_document_waived_by_mistake_is_replayed_even_from_history(database: Database) -> None:
    world = new_world(database)
    put(world, STATE.REJECTED)
    do(world, Act.WAIVE)
    world.deliver()
    assert archive_finished(database, before=world.clock.now() + timedelta(days=1)) >= 1
    world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no"))
    assert not isinstance(do(world, Act.REPLAY), Problem)
    world.deliver()
    assert world.state("head") is STATE.REJECTED
    assert open_codes(world) == ["erp.rejected"], "the waiver of the same problem stands no longer"
    world.connector.before = lambda step: None
    do(world, Act.RESEND)
    world.deliver()
    assert world.state("head") is STATE.POSTED


def test_one_that_was_uncertain_when_it_was_waived_is_looked_up_when_it_comes_back(database: Database) -> None:
    world = new_world(database)
    world.connector.after = lambda step: (
        Uncertain(evidence="time-out") if step.document_id == document_id("head") else None
    )
    world.write(journal("head"))
    world.deliver()
    assert world.state("head") is STATE.UNCERTAIN
    do(world, Act.WAIVE)
    world.deliver()
    answer = do(world, Act.REPLAY)
    assert isinstance(answer, acts.PutBack)
    assert answer.state is STATE.UNCERTAIN
    world.pass_time(30 * SECOND)
    world.deliver()
    assert world.state("head") is STATE.POSTED
    assert world.far.posted(document_id("head")) == 1


def test_a_lost_answer_without_look_up_is_sent_only_when_a_person_says_that_it_is_not_there(database: Database) -> None:
    world = new_world(database, idempotency=Idempotency.NEITHER)
    world.connector.before = lambda step: Uncertain(evidence="time-out")
    world.write(journal("head"))
    world.deliver()
    world.connector.before = lambda step: None
    do(world, Act.RESEND)
    world.deliver()
    assert world.state("head") is STATE.UNCERTAIN
    assert open_codes(world) == ["erp.effect_unknown"]
    do(world, Act.RESEND, known_absent=True)
    world.deliver()
    assert world.state("head") is STATE.POSTED
    assert open_codes(world) == []


def test_a_waiting_head_may_be_skipped_and_no_longer_waits(database: Database) -> None:
    world = new_world(database)
    world.write(
        journal("head", lane="a", rank=Rank.PAYMENT, after=["never"]), journal("behind", lane="a", rank=Rank.PAYMENT)
    )
    world.deliver()
    assert world.show("head").waits_for == (document_id("never"),)
    assert not isinstance(do(world, Act.SKIP), Problem)
    world.deliver()
    assert world.state("behind") is STATE.POSTED
    assert world.show("head").waits_for == ()
    assert open_codes(world) == ["document.skipped"]


def test_acts_of_a_case_replay_what_was_set_aside(database: Database) -> None:
    world = rejected_and_skipped(database)
    handler = acts.retry_handler(database=database, clock=world.clock)
    assert handler(tenant_id="alpha", subject_ids=[document_id("head")], **WHO) == 1
    world.deliver()
    assert world.state("head") is STATE.POSTED


def test_every_act_is_in_the_audit_chain_with_who_and_why(database: Database) -> None:
    world = rejected_and_skipped(database)
    do(world, Act.REPLAY)
    world.deliver()
    with database.read(tenants=["alpha"]) as connection:
        rows = connection.execute(
            text(
                "SELECT kind, actor, reason FROM unit WHERE tenant_id = 'alpha' AND actor = 'person:ann' ORDER BY position"
            )
        ).all()
        assert [tuple(row) for row in rows] == [("skip", *WHO.values()), ("replay", *WHO.values())]
        assert verify_chain(connection, tenant_id="alpha").holds
