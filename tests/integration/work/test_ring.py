"""The ring of turns with many tenants in one pool: nobody waits longer than a round, nothing idle is looked at again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from revline.platform.store.engine import Database
from revline.platform.store.unit import open_counter
from revline.platform.work import record, service
from revline.platform.work.lanes import (
    PRIORITY_BULK,
    PRIORITY_CLOSE,
    ClaimedLane,
    LaneKey,
    NewItem,
    PoolRoom,
    progressed,
)

NOON = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
QUIET = 60
ROOM = 8


def tenant(number: int) -> str:
    return f"t{number:03d}"


@pytest.fixture
def crowded(database: Database) -> Database:
    """Sixty tenants with one lane each, and one with four hundred, in one pool."""
    with database.control() as connection:
        for number in range(QUIET + 1):
            open_counter(connection, tenant_id=tenant(number))
    enqueue(database, tenant(0), [f"noisy{number}" for number in range(400)])
    for number in range(1, QUIET + 1):
        enqueue(database, tenant(number), [f"quiet{number}"])
    return database


def enqueue(
    database: Database,
    of: str,
    lanes: Sequence[str],
    *,
    group: str = "journals",
    priority: int = 5,
    pool: str = "erp",
    now: datetime = NOON,
) -> None:
    with database.unit(tenants=[of], kind="derive", actor="test", reason="test", recorded_at=now) as unit:
        items = [NewItem(lane_id=f"{of}/{lane}", subject=lane, pool_id=pool, kind_group=group) for lane in lanes]
        record.enqueue(unit, tenant_id=of, kind="delivery", items=items, priority=priority, now=now)


def claim(
    database: Database, *, room: int = ROOM, closing: int | None = None, full: Sequence[str] = (), now: datetime = NOON
) -> tuple[ClaimedLane, ...]:
    rooms = [PoolRoom(pool_id="erp", lanes=room, closing=closing)]
    return service.claim(database, kind="delivery", owner="one", limit=100, pools=rooms, full=full, now=now).lanes


def test_every_tenant_is_served_within_a_round_whatever_one_of_them_has(crowded: Database) -> None:
    served: set[str] = set()
    turns = 0
    while len(served) <= QUIET:
        turns += 1
        lanes = claim(crowded, now=NOON + timedelta(milliseconds=turns))
        assert 0 < len(lanes) <= ROOM
        assert Counter(lane.tenant_id for lane in lanes)[tenant(0)] <= ROOM // 2, "half a claim for one at the most"
        served |= {lane.tenant_id for lane in lanes}
        done = [progressed(lane=lane, done=1, release=True) for lane in lanes]
        service.settle(crowded, owner="one", changes=done, now=NOON + timedelta(milliseconds=turns))
        assert turns <= QUIET, f"{len(served)} tenants were served"


def test_places_in_which_nothing_is_due_are_passed_over_until_something_comes(crowded: Database) -> None:
    for turn in range(200):
        now = NOON + timedelta(milliseconds=turn)
        lanes = claim(crowded, room=100, now=now)
        service.settle(
            crowded, owner="one", changes=[progressed(lane=lane, done=1, release=True) for lane in lanes], now=now
        )
    with crowded.control() as connection:
        eligible = connection.execute(
            text("SELECT count(*) FROM tenant_ring WHERE turn_at <= :now"), {"now": NOON + timedelta(milliseconds=300)}
        ).scalar_one()
    assert eligible == 0
    later = NOON + timedelta(milliseconds=400)
    enqueue(crowded, tenant(7), ["again"], now=later)
    assert [lane.tenant_id for lane in claim(crowded, now=later)] == [tenant(7)]


def test_the_close_goes_before_everybodys_turn_and_others_have_room_beside_it(crowded: Database) -> None:
    claim(crowded)
    enqueue(crowded, tenant(5), [f"close{number}" for number in range(20)], priority=PRIORITY_CLOSE)
    lanes = claim(crowded, now=NOON + timedelta(milliseconds=1))
    closing = [lane for lane in lanes if lane.priority == PRIORITY_CLOSE]
    assert 0 < len(closing) < len(lanes)
    behind = claim(crowded, room=0, closing=3, now=NOON + timedelta(milliseconds=2))
    assert [lane.priority for lane in behind] == [PRIORITY_CLOSE] * 3, "room of its own though the hand is full"


def test_bulk_of_a_tenant_never_keeps_its_other_work_waiting(database: Database) -> None:
    enqueue(database, "alpha", [f"bulk{number}" for number in range(100)], priority=PRIORITY_BULK)
    enqueue(database, "alpha", ["invoice"], group="invoices")
    enqueue(database, "alpha", ["customer"], group="masters")
    claimed = {lane.lane_id for turn in range(3) for lane in claim(database, now=NOON + timedelta(milliseconds=turn))}
    assert {"alpha/invoice", "alpha/customer"} <= claimed


def test_what_may_have_no_more_is_not_claimed(crowded: Database) -> None:
    enqueue(crowded, tenant(1), ["master"], group="masters")
    full = [f"erp//{tenant(0)}", "erp/masters", f"erp/journals/{tenant(2)}"]
    claimed = [
        lane for turn in range(30) for lane in claim(crowded, full=full, now=NOON + timedelta(milliseconds=turn))
    ]
    tenants = {lane.tenant_id for lane in claimed}
    assert tenants == {tenant(number) for number in range(1, QUIET + 1)} - {tenant(2)}
    assert all(lane.kind_group == "journals" for lane in claimed)


def test_a_lane_that_was_drained_begins_with_the_priority_it_is_given_then(database: Database) -> None:
    enqueue(database, "alpha", ["one"], priority=PRIORITY_CLOSE)
    (lane,) = claim(database)
    service.settle(database, owner="one", changes=[progressed(lane=lane, done=1, release=True)], now=NOON)
    enqueue(database, "alpha", ["one"])
    (again,) = claim(database, now=NOON + timedelta(seconds=1))
    assert (again.lane_id, again.priority) == ("alpha/one", 5)


def test_a_change_of_priority_moves_a_lane_and_keeps_who_holds_it(database: Database) -> None:
    enqueue(database, "alpha", ["held", "free"])
    lanes = claim(database, room=1)
    keys = [LaneKey("alpha", f"alpha/{name}") for name in ("held", "free")]
    with database.control() as connection:
        moved = record.reprioritise(connection, lanes=keys, closing=True, priority=PRIORITY_CLOSE, now=NOON)
    assert moved == set(keys)
    (other,) = claim(database, now=NOON + timedelta(milliseconds=5))
    assert other.priority == PRIORITY_CLOSE
    assert other.key != lanes[0].key
    changes = [progressed(lane=lanes[0], done=1, release=True)]
    assert service.settle(database, owner="one", changes=changes, now=NOON) == {lanes[0].key}


def test_pools_take_turns_when_a_claim_is_smaller_than_their_room(database: Database) -> None:
    for pool in range(6):
        for loud in range(3):
            of = f"loud{pool}{loud}"
            enqueue(database, of, [f"lane{number}" for number in range(200)], pool=f"pool{pool}")
    enqueue(database, "quiet", ["one"], pool="quiet")
    rooms = [PoolRoom(pool_id=f"pool{pool}", lanes=20) for pool in range(6)] + [PoolRoom(pool_id="quiet", lanes=20)]
    waited = first_served(claims_in_turn(database, rooms=rooms, limit=20))
    assert set(waited) == {"quiet"} | {f"loud{pool}{loud}" for pool in range(6) for loud in range(3)}
    assert max(waited.values()) <= len(waited), "each claim serves at least whoever waits longest"


def test_tenants_of_a_blocked_pool_keep_nobody_else_waiting(database: Database) -> None:
    for number in range(80):
        enqueue(database, f"blocked{number:02}", ["one", "two"], pool="blocked")
    enqueue(database, "loud", [f"lane{number}" for number in range(200)])
    quiet = [f"quiet{number}" for number in range(10)]
    for of in quiet:
        enqueue(database, of, ["one"])
    rooms = [PoolRoom(pool_id="blocked", lanes=0), PoolRoom(pool_id="erp", lanes=8)]
    waited = first_served(claims_in_turn(database, rooms=rooms, limit=100))
    assert set(waited) == {"loud", *quiet}
    assert max(waited.values()) <= 3, "eight of eleven in a round, whatever eighty others would like"


@pytest.mark.parametrize("passed_over_before", [False, True])
def test_what_is_being_written_while_a_claim_looks_is_found_once_it_is_there(
    database: Database, passed_over_before: bool
) -> None:
    enqueue(database, "alpha", ["first"])
    (lane,) = claim(database)
    service.settle(database, owner="one", changes=[progressed(lane=lane, done=1, release=True)], now=NOON)
    later = NOON + timedelta(hours=1)
    if passed_over_before:
        assert claim(database, now=later - timedelta(milliseconds=20)) == ()
    with (
        ThreadPoolExecutor(max_workers=1) as other,
        database.unit(tenants=["alpha"], kind="derive", actor="test", reason="test", recorded_at=later) as unit,
    ):
        items = [NewItem(lane_id="alpha/second", subject="second", pool_id="erp", kind_group="journals")]
        record.enqueue(unit, tenant_id="alpha", kind="delivery", items=items, priority=5, now=later)
        assert other.submit(claim, database, now=later).result(timeout=30) == ()
    (found,) = claim(database, now=later + timedelta(milliseconds=20))
    assert found.lane_id == "alpha/second"


@pytest.mark.parametrize("blocked", [0, 80])
def test_quiet_tenants_take_little_longer_beside_a_great_backlog(database: Database, blocked: int) -> None:
    for number in range(blocked):
        enqueue(database, f"blocked{number:02}", ["one", "two"], pool="blocked")
    quiet = [f"quiet{number}" for number in range(10)]
    rooms = [PoolRoom(pool_id="blocked", lanes=0), PoolRoom(pool_id="erp", lanes=ROOM)]

    def rounds_taken(day: int) -> int:
        for of in quiet:
            enqueue(database, of, [f"{day}-{number}" for number in range(4)], now=NOON + timedelta(days=day))
        rounds = claims_in_turn(database, rooms=rooms, limit=100, begun=NOON + timedelta(days=day))
        return 1 + max(number for number, claimed in enumerate(rounds) if any(of in claimed for of in quiet))

    alone = rounds_taken(0)
    enqueue(database, "loud", [f"lane{number}" for number in range(400)], now=NOON + timedelta(days=1))
    beside = rounds_taken(1)
    assert beside <= 1.5 * alone
    assert alone == len(quiet) * 4 // ROOM


def claims_in_turn(
    database: Database, *, rooms: Sequence[PoolRoom], limit: int, begun: datetime = NOON
) -> list[Counter[str]]:
    """Lanes by tenant of thirty claims, one each 20 ms; what is claimed is done at once, and room is there again."""
    rounds: list[Counter[str]] = []
    for turn in range(1, 31):
        now = begun + timedelta(milliseconds=20 * turn)
        claimed = service.claim(database, kind="delivery", owner="one", limit=limit, pools=rooms, now=now).lanes
        rounds.append(Counter(lane.tenant_id for lane in claimed))
        done = [progressed(lane=lane, done=1, release=True) for lane in claimed]
        service.settle(database, owner="one", changes=done, now=now)
    return rounds


def first_served(rounds: Sequence[Counter[str]]) -> dict[str, int]:
    """After how many claims each tenant got its first lane."""
    first: dict[str, int] = {}
    for turn, claimed in enumerate(rounds, start=1):
        for of in claimed:
            first.setdefault(of, turn)
    return first
