"""A call a person waits for takes a slot and a token of its pool, and gives the slot back, whatever becomes of whoever called."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from revline.core.problem import Problem
from revline.platform.store.engine import Database
from revline.platform.work import capacity, pool_acts, queries, visits
from revline.platform.work.pool_acts import Act
from revline.platform.work.pool_state import CameBack, PoolLimits, PoolState
from revline.platform.work.visits import Visit

LIMITS = PoolLimits(pool_id="erp", slots=1, bucket_per_second=Decimal("0.001"), bucket_burst=3)


def visit(call: str) -> Visit:
    return Visit(tenant_id="alpha", call_id=call, limits=LIMITS, lease=timedelta(seconds=30))


def pool(database: Database) -> PoolState:
    with database.control() as connection:
        return capacity.states(connection, pools=["erp"], now=queries.moment(connection))["erp"]


def test_a_call_holds_a_slot_until_it_ends_and_a_token_for_good(database: Database) -> None:
    assert visits.begin(database, visit=visit("one")) is None
    assert (pool(database).in_use, int(pool(database).tokens)) == (1, 2)
    full = visits.begin(database, visit=visit("two"))
    assert isinstance(full, Problem)
    assert (full.code, full.detail) == ("pool.no_room", "the pool is full")
    visits.end(database, visit=visit("one"), came_back=CameBack(answered=True))
    assert pool(database).in_use == 0
    assert visits.begin(database, visit=visit("two")) is None


def test_a_slot_of_somebody_who_died_is_free_when_its_lease_ends(database: Database) -> None:
    assert visits.begin(database, visit=visit("dead")) is None
    with database.control() as connection:
        connection.execute(text("UPDATE lane SET lease_until = lease_until - interval '1 hour'"))
    assert visits.begin(database, visit=visit("two")) is None
    with database.control() as connection:
        assert connection.execute(text("SELECT lane_id FROM lane")).scalars().all() == ["two"]


@pytest.mark.parametrize("blocked", [True, False])
def test_a_blocked_pool_and_one_whose_far_side_does_not_answer_are_not_called(
    database: Database, blocked: bool
) -> None:
    assert visits.begin(database, visit=visit("one")) is None
    lost = CameBack(answered=blocked, throttled_for=None if blocked else timedelta(minutes=5))
    visits.end(database, visit=visit("one"), came_back=lost)
    with database.control() as connection:
        if blocked:
            act = Act(actor="person:ann", reason="maintenance", at=queries.moment(connection))
            pool_acts.block(connection, pool_id="erp", blocked=True, act=act)
    refused = visits.begin(database, visit=visit("two"))
    assert isinstance(refused, Problem)
    assert ("blocked" in refused.detail) is blocked
