"""The priority of the close: documents of a period that is being closed go first, with what they wait for, and not for ever."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import text

from revline.core.clock import Period
from revline.core.documents import Rank
from revline.core.problem import Problem
from revline.delivery.closing import Closing, begin_closing, closings, end_closing, run_closings
from revline.platform.store.chain import verify_chain
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, document_id, journal

JANUARY = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))
FEBRUARY = date(2026, 2, 3)


@pytest.fixture
def world(database: Database) -> World:
    return World(database, FakeConnector(FarSystem(), slots=4))


def begin(world: World, *, days: int = 3, entity: str = "us") -> Closing:
    now = world.clock.now()
    made = begin_closing(
        world.database,
        tenant_id="alpha",
        entity=entity,
        period=JANUARY,
        until=now + timedelta(days=days),
        actor="person:ada",
        reason="January is being closed",
        recorded_at=now,
    )
    assert isinstance(made, Closing)
    return made


def end(world: World) -> Closing | Problem:
    return end_closing(
        world.database,
        tenant_id="alpha",
        entity="us",
        start_day=JANUARY.start,
        actor="person:ada",
        reason="January is closed",
        recorded_at=world.clock.now(),
    )


def passes(world: World, count: int = 5) -> None:
    for _ in range(count):
        run_closings(world.database, owner="worker:closing", clock=world.clock)


def priorities(world: World) -> dict[str, int]:
    """Priority of the lane of each pending document."""
    with world.database.read(tenants=["alpha"]) as connection:
        rows = connection.execute(
            text(
                "SELECT state.document_id, lane.priority FROM document_state AS state"
                " JOIN lane ON lane.tenant_id = state.tenant_id AND lane.lane_id = state.lane_id"
                " WHERE state.tenant_id = 'alpha' AND lane.pending > 0"
            )
        ).all()
    return {row.document_id: row.priority for row in rows}


def test_what_waits_already_and_what_comes_go_before_all_else(world: World) -> None:
    world.write(*(journal(f"bulk{number}", day=FEBRUARY) for number in range(40)))
    world.write(journal("waited", day=date(2026, 1, 31)))
    begin(world)
    passes(world)
    world.write(journal("came", day=date(2026, 1, 5)), journal("next month", day=date(2026, 2, 1)))
    found = priorities(world)
    assert (found[document_id("waited")], found[document_id("came")]) == (1, 1)
    assert found[document_id("next month")] == 5
    world.deliver()
    order = world.posted_in_order()
    assert {order.index(document_id(name)) for name in ("waited", "came")} <= {0, 1, 2}


def test_what_a_closing_document_waits_for_goes_first_with_it(world: World) -> None:
    world.write(journal("customer", rank=Rank.MASTER, day=FEBRUARY))
    world.write(journal("invoice", rank=Rank.INVOICE, day=FEBRUARY, after=["customer"]))
    world.write(journal("payment", rank=Rank.PAYMENT, day=date(2026, 1, 30), after=["invoice"]))
    begin(world)
    passes(world)
    assert set(priorities(world).values()) == {1}


def test_the_order_within_a_lane_stays(world: World) -> None:
    world.write(journal("earlier", lane="one", day=FEBRUARY), journal("later", lane="one", day=date(2026, 1, 31)))
    begin(world)
    passes(world)
    world.deliver()
    assert world.posted_in_order() == [document_id("earlier"), document_id("later")]


def test_it_ends_by_itself_and_by_a_person(world: World) -> None:
    world.write(journal("one"), journal("other entity", day=FEBRUARY))
    begin(world, days=2)
    passes(world)
    assert priorities(world)[document_id("one")] == 1
    world.pass_time(timedelta(days=2))
    passes(world)
    assert priorities(world)[document_id("one")] == 5
    begin(world, days=2)
    passes(world)
    assert priorities(world)[document_id("one")] == 1
    assert isinstance(end(world), Closing)
    passes(world)
    assert priorities(world)[document_id("one")] == 5
    again = end(world)
    assert isinstance(again, Problem)
    assert again.code == "closing.unknown"
    with world.database.read(tenants=["alpha"]) as connection:
        assert [one.ended for one in closings(connection, tenant_id="alpha")] == [True]
        assert not verify_chain(connection, tenant_id="alpha").findings


def test_an_end_out_of_bounds_is_refused(world: World) -> None:
    for days in (0, 93):
        now = world.clock.now()
        answer = begin_closing(
            world.database,
            tenant_id="alpha",
            entity="us",
            period=JANUARY,
            until=now + timedelta(days=days),
            actor="person:ada",
            reason="too long",
            recorded_at=now,
        )
        assert isinstance(answer, Problem)
        assert answer.code == "closing.invalid"
