"""Exactly once in effect: answers lost, workers killed or paused at every boundary, epochs raised; the far side's own
append-only list is the judge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest

from revline.core.documents import DocumentState, Rank
from revline.core.farside import Idempotency, NotSent, Outcome, PreparedStep, Rejected, Throttled, Uncertain
from revline.core.problem import problem
from revline.delivery import acts, marking, settling, sweeping, waiting
from revline.delivery.loop import DeliveryLoop
from revline.delivery.values import Timing
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from tests.fakes.far_side import Crash, FakeConnector, FarSystem
from tests.integration.delivery.world import World, customer, document_id, journal

BOUNDARIES = ["after mark", "in call before effect", "in call after effect", "before settle", "before wake"]
LEASE_AND_BOUND = timedelta(seconds=40)


def make(database: Database, idempotency: Idempotency = Idempotency.LOOKUP, **how: object) -> World:
    return World(database, FakeConnector(FarSystem(), idempotency=idempotency, **how))  # type: ignore[arg-type]


def causes(world: World) -> dict[str, str]:
    with world.database.read(tenants=["alpha"]) as connection:
        return {one.code: one.field for one in cases.causes(connection, tenant_id="alpha")}


def lose_answer(times: int = 1) -> Callable[[PreparedStep], Outcome | None]:
    left = [times]

    def fault(step: PreparedStep) -> Outcome | None:
        left[0] -= 1
        return Uncertain(evidence="time-out") if left[0] >= 0 else None

    return fault


def test_a_lost_answer_is_looked_up_after_the_bound_and_accepted(database: Database) -> None:
    world = make(database)
    world.connector.after = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    assert world.state("sale") is DocumentState.UNCERTAIN
    world.pass_time(timedelta(seconds=9))
    world.deliver()
    assert world.far.lookups == [], "the effect may still come"
    world.pass_time(timedelta(seconds=2))
    world.deliver()
    shown = world.show("sale")
    assert shown.delivery.state == DocumentState.POSTED
    assert len(world.far.effects) == 1
    assert len(shown.attempts) == 1
    assert "time-out" in shown.attempts[0]["evidence"]
    assert "looked up" in shown.attempts[0]["evidence"]
    assert len(shown.entries) == 2, "what the far side booked is read back"
    (line,) = shown.evidence
    assert (line["asked"], line["conclusion"], line["attempt"], line["found"]) == ("look_up", "found", 1, 1)
    assert line["records"][0]["number"] == "N1"
    assert line["waited_until"] is not None


def test_a_request_that_had_no_effect_is_sent_again_after_the_look_up(database: Database) -> None:
    world = make(database)
    world.connector.before = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    world.pass_time(timedelta(seconds=11))
    world.deliver()
    assert world.far.lookups == [journal("sale").external_reference]
    assert world.far.posted(document_id("sale")) == 1
    shown = world.show("sale")
    assert [one["state"] for one in shown.attempts] == ["uncertain", "posted"]
    assert [line["conclusion"] for line in shown.evidence] == ["absent"]
    assert shown.account[0].startswith("Sent again as attempt 2: attempt 1 was not answered; looked up at ")
    assert shown.account[0].endswith(f"{shown.delivery.external_reference} was not there.")


@pytest.mark.parametrize("idempotency", [Idempotency.UNIQUE_REFERENCE, Idempotency.KEY])
def test_where_doubles_are_refused_it_is_sent_again_without_look_up(
    database: Database, idempotency: Idempotency
) -> None:
    world = make(database, idempotency)
    world.connector.after = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    world.pass_time(timedelta(seconds=2))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert world.far.lookups == []
    assert len(world.far.effects) == 1
    shown = world.show("sale")
    assert [(line["asked"], line["conclusion"]) for line in shown.evidence] == [("policy", "sent_again")]
    assert "the far side" in shown.account[0]


def test_a_found_record_that_differs_is_a_case_and_trying_again_looks_again(database: Database) -> None:
    world = make(database)
    world.connector.after = lose_answer()
    world.connector.differs[journal("sale").external_reference] = ("amount", "party")
    world.write(journal("sale"))
    world.deliver()
    world.pass_time(timedelta(seconds=11))
    world.deliver()
    assert causes(world) == {"erp.record_differs": "amount,party"}
    assert "amount is as found there, as meant here" in world.show("sale").account[-1]
    resend(world, "sale")
    world.deliver()
    assert len(world.far.effects) == 1, "nothing is sent while the other record stands there"
    world.connector.differs.clear()
    resend(world, "sale")
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert len(world.far.effects) == 1
    assert causes(world) == {}


def test_an_effect_that_comes_late_but_within_the_bound_is_found(database: Database) -> None:
    world = make(database)
    world.connector.before = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    world.pass_time(timedelta(seconds=9))
    world.deliver_to_far_side_only(journal("sale"))
    world.pass_time(timedelta(seconds=2))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert world.far.posted(document_id("sale")) == 1


def test_look_up_waits_for_the_lag_of_what_it_looks_in_as_well(database: Database) -> None:
    world = make(database)
    world.connector.manifest = msgspec.structs.replace(world.connector.manifest, lookup_lag=timedelta(seconds=20))
    world.connector.after = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    world.pass_time(timedelta(seconds=29))
    world.deliver()
    assert world.far.lookups == [], "what it committed late can't be seen yet"
    world.pass_time(timedelta(seconds=2))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert world.far.posted(document_id("sale")) == 1


def test_a_record_found_cancelled_is_a_case_that_says_so(database: Database) -> None:
    world = make(database)
    world.connector.after = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    world.far.records[0] = msgspec.structs.replace(world.far.records[0], state="cancelled")
    world.pass_time(timedelta(seconds=11))
    world.deliver()
    assert causes(world) == {"erp.record_differs": "state"}
    assert world.show("sale").evidence[-1]["conclusion"] == "differs"
    assert len(world.far.effects) == 1


def test_what_can_not_be_searched_is_sent_again_once_nothing_can_come_late(database: Database) -> None:
    """A note on another record: sending again confirms what is there."""
    world = make(database, Idempotency.LOOKUP)
    kinds = tuple(msgspec.structs.replace(one, searchable=False) for one in world.connector.manifest.kinds)
    world.connector.manifest = msgspec.structs.replace(world.connector.manifest, kinds=kinds)
    world.connector.before = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    world.pass_time(timedelta(seconds=9))
    world.deliver()
    assert world.far.effects == []
    world.pass_time(timedelta(seconds=2))
    world.deliver()
    assert world.far.lookups == []
    assert world.state("sale") is DocumentState.POSTED


def test_two_records_under_one_reference_are_a_case(database: Database) -> None:
    world = make(database)
    world.connector.after = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    world.far.records.append(world.far.records[0])
    world.pass_time(timedelta(seconds=11))
    world.deliver()
    assert causes(world) == {"erp.reference_not_unique": ""}


def test_a_person_who_knows_that_nothing_is_there_lets_it_be_sent(database: Database) -> None:
    world = make(database, Idempotency.NEITHER)
    world.connector.before = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    resend(world, "sale", known_absent=True)
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert causes(world) == {}


def test_an_older_epoch_is_looked_up_before_anything_is_sent(database: Database) -> None:
    world = make(database)
    world.write(journal("sent-after-the-backup"), journal("never-sent"))
    first = journal("sent-after-the-backup")
    world.deliver_to_far_side_only(first)
    world.raise_epoch()
    world.deliver()
    assert world.far.lookups == [], "what left before the raise may still take effect"
    world.pass_time(timedelta(seconds=11))
    world.deliver()
    assert sorted(world.far.lookups) == sorted([first.external_reference, journal("never-sent").external_reference])
    assert world.far.posted(document_id("sent-after-the-backup")) == 1
    assert world.far.posted(document_id("never-sent")) == 1


@pytest.mark.parametrize("idempotency", [Idempotency.LOOKUP, Idempotency.UNIQUE_REFERENCE])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_crash_at_any_boundary_loses_and_doubles_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, boundary: str, idempotency: Idempotency
) -> None:
    world = make(database, idempotency)
    world.write(
        customer("acme"),
        journal("invoice", rank=Rank.INVOICE, after=["acme"], lane="i"),
        journal("void", rank=Rank.INVOICE, lane="i"),
        journal("application", rank=Rank.APPLICATION, after=["invoice"]),
    )
    crashing = world.worker("worker:crashing")
    with monkeypatch.context() as patched:
        _crash_at(patched, world, boundary)
        with pytest.raises(Crash):
            world.deliver(crashing)
    world.connector.before = world.connector.after = lambda step: None
    for _ in range(8):
        world.deliver()
        world.pass_time(LEASE_AND_BOUND)
        sweeping.sweep_all(world.database, actor="worker:test", recorded_at=world.clock.now())
    for name in ("acme", "invoice", "void", "application"):
        assert world.state(name) is DocumentState.POSTED, name
        assert world.far.posted(document_id(name)) == 1, name
        states = [attempt["state"] for attempt in world.show(name).attempts]
        assert "sending" not in states, f"{name}: an attempt whose sender died is told as still under way"
    order = world.posted_in_order()
    assert order.index(document_id("acme")) < order.index(document_id("invoice")) < order.index(document_id("void"))
    assert order.index(document_id("invoice")) < order.index(document_id("application"))


def _crash_at(patched: pytest.MonkeyPatch, world: World, boundary: str) -> None:
    """Die at the second time the boundary is met, so that something is done already."""
    met = [0]

    def die(*arguments: object, **named: object) -> None:
        met[0] += 1
        if met[0] == 2:
            raise Crash

    def wrap(module: object, name: str, *, after: bool) -> None:
        real = getattr(module, name)

        def wrapped(*arguments: object, **named: object) -> object:
            if not after:
                die()
            answer = real(*arguments, **named)
            if after:
                die()
            return answer

        patched.setattr(module, name, wrapped)

    if boundary == "after mark":
        wrap(marking, "mark", after=True)
    elif boundary == "before settle":
        wrap(settling, "write", after=False)
    elif boundary == "before wake":
        wrap(waiting, "wake", after=False)
    elif boundary == "in call before effect":
        world.connector.before = lambda step: die()  # type: ignore[func-returns-value]
    else:
        world.connector.after = lambda step: die()  # type: ignore[func-returns-value]


def test_a_worker_paused_past_its_lease_changes_nothing_when_it_comes_back(database: Database) -> None:
    world = make(database)
    world.write(journal("sale"))
    paused = world.worker("worker:paused")
    asyncio.run(_send_and_pause(paused))
    assert world.state("sale") is DocumentState.SENDING
    world.pass_time(timedelta(seconds=16))
    world.deliver(world.worker("worker:other"))
    assert world.state("sale") is DocumentState.UNCERTAIN
    transitions = len(world.show("sale").transitions)
    asyncio.run(paused.turn())
    assert world.state("sale") is DocumentState.UNCERTAIN
    assert len(world.show("sale").transitions) == transitions
    world.pass_time(timedelta(seconds=11))
    world.deliver()
    assert world.far.lookups == [], (
        "a call that began at the lease's end may be given up, and take effect, later than that"
    )
    world.pass_time(timedelta(seconds=5))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED
    assert len(world.far.effects) == 1


async def _send_and_pause(worker: DeliveryLoop) -> None:
    await worker.turn()
    await worker.settled()


def test_a_call_whose_lease_ended_before_it_began_is_not_made(database: Database) -> None:
    world = make(database)
    world.write(journal("sale"))
    worker = world.worker()

    async def late() -> None:
        await worker.turn()
        world.steady.moment += timedelta(seconds=16)
        await worker.settled()

    asyncio.run(late())
    assert world.far.calls == 0


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
def test_how_long_a_lease_holds_is_not_told_by_a_clock_that_is_set(database: Database, jump: timedelta) -> None:
    world = make(database)
    world.write(journal("sale"))
    worker = world.worker()

    async def set_then_late() -> None:
        await worker.turn()
        world.clock.moment += jump
        world.steady.moment += timedelta(seconds=16 if jump < timedelta(0) else 1)
        await worker.settled()

    asyncio.run(set_then_late())
    assert world.far.calls == (0 if jump < timedelta(0) else 1)


def test_a_call_whose_lease_ended_while_its_connection_was_made_is_not_sent(database: Database) -> None:
    world = make(database, pause=3)
    world.write(journal("sale"))
    worker = world.worker()

    async def stopped_in_between() -> None:
        await worker.turn()
        while not world.far.calls:
            await asyncio.sleep(0)
        world.steady.moment += timedelta(seconds=16)
        await worker.settled()

    asyncio.run(stopped_in_between())
    assert world.far.calls == 1
    assert world.far.effects == []


def test_outages_and_throttling_pass_by_themselves(database: Database) -> None:
    world = make(database)
    answers: list[Outcome] = [NotSent(problem=problem("erp.unreachable", "refused"))] * 12
    answers.append(Throttled(retry_after=timedelta(seconds=5)))
    world.connector.before = lambda step: answers.pop() if answers else None
    world.write(*(journal(f"d{number}") for number in range(4)))
    for _ in range(20):
        world.deliver()
        world.pass_time(timedelta(minutes=3))
    for number in range(4):
        assert world.far.posted(document_id(f"d{number}")) == 1
    assert causes(world) == {}


def test_people_are_told_when_the_far_side_stays_away_and_the_case_closes_by_itself(database: Database) -> None:
    world = make(database)
    world.connector.before = lambda step: NotSent(problem=problem("erp.unreachable", "refused"))
    world.write(journal("sale"))
    for _ in range(10):
        world.deliver()
        world.pass_time(timedelta(minutes=3))
    assert causes(world) == {"erp.not_reached": "erp.unreachable"}
    world.connector.before = lambda step: None
    world.deliver()
    assert causes(world) == {}


def test_a_period_closed_by_the_far_side_holds_and_is_tried_again_later(database: Database) -> None:
    world = make(database)
    world.connector.before = lambda step: Rejected(problem=problem("erp.period_closed", "closed", field="2026-01"))
    world.write(journal("sale"))
    world.deliver()
    assert world.state("sale") is DocumentState.HELD
    calls = world.far.calls
    world.deliver()
    assert world.far.calls == calls
    world.connector.before = lambda step: None
    world.pass_time(timedelta(minutes=6))
    world.deliver()
    assert world.state("sale") is DocumentState.POSTED


def test_a_far_side_that_never_has_room_is_told_and_waits_ever_longer(database: Database) -> None:
    world = make(database, Idempotency.UNIQUE_REFERENCE)
    tries: list[PreparedStep] = []

    def busy(step: PreparedStep) -> Outcome:
        tries.append(step)
        return Throttled(retry_after=timedelta(0))

    world.connector.before = busy
    world.write(journal("sale"))
    for _ in range(world.timing.throttles_until_case + 5):
        world.deliver()
        world.pass_time(timedelta(minutes=3))
    assert causes(world) == {"erp.not_reached": ""}
    assert len(tries) < 2 * world.timing.throttles_until_case, "no hot retry, whatever the far side asks for"
    world.connector.before = lambda step: None
    world.deliver()
    assert (world.state("sale"), causes(world)) == (DocumentState.POSTED, {})


def test_an_uncertain_document_that_is_then_refused_stays_uncertain(database: Database) -> None:
    world = make(database, Idempotency.UNIQUE_REFERENCE)
    # The pause is real time until it is moved: long, so that a slow run of the test has no second try of its own.
    world.timing = Timing(retry_base=timedelta(minutes=1))
    world.connector.after = lose_answer()
    world.write(journal("sale"))
    world.deliver()
    world.connector.before = lambda step: Rejected(problem=problem("erp.rejected", "no"))
    world.pass_time(timedelta(minutes=2))
    world.deliver()
    assert world.state("sale") is DocumentState.UNCERTAIN, "the first request may have made the record"


def test_a_worker_that_is_stopped_finishes_its_calls_and_gives_the_rest_back(database: Database) -> None:
    world = make(database, slots=1)
    world.write(*(journal(f"d{number}") for number in range(8)))
    worker = world.worker()

    async def run() -> None:
        await worker.turn()
        worker.stop()
        await worker.run()

    asyncio.run(run())
    counts = [world.far.posted(document_id(f"d{number}")) for number in range(8)]
    assert all(count <= 1 for count in counts)
    states = {world.state(f"d{number}") for number in range(8)}
    assert states <= {DocumentState.POSTED, DocumentState.READY}
    world.pass_time(timedelta(minutes=1))
    world.deliver()
    assert [world.far.posted(document_id(f"d{number}")) for number in range(8)] == [1] * 8


def resend(world: World, name: str, *, known_absent: bool = False) -> None:
    answer = acts.resend(
        world.database,
        tenant_id="alpha",
        document_id=document_id(name),
        actor="person:ann",
        reason="looked into it",
        recorded_at=world.clock.now(),
        known_absent=known_absent,
    )
    assert isinstance(answer, acts.Resent)


def test_results_that_come_back_during_a_turn_are_settled_once_and_none_is_dropped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make(database, slots=4, pause=7)
    world.write(*(journal(f"d{number}") for number in range(40)))
    settled: list[str] = []
    lost: list[object] = []
    real = settling.write

    def counted(*arguments: object, **named: object) -> settling.Settled:
        written = real(*arguments, **named)  # type: ignore[arg-type]
        lost.extend(written.lost)
        settled.extend(key.document_id for key in written.finished)
        return written

    monkeypatch.setattr(settling, "write", counted)
    worker = world.worker()

    async def overlapping() -> None:
        for _ in range(150):
            await worker.turn()
            await asyncio.sleep(0)
            if lost:
                return

    asyncio.run(overlapping())
    assert lost == []
    assert sorted(settled) == sorted(document_id(f"d{number}") for number in range(40))
