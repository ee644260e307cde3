"""Lanes against PostgreSQL: order, fairness, leases, fences, levels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from revline.platform.store.engine import Database
from revline.platform.work import queries, record, service
from revline.platform.work.lanes import (
    ClaimedLane,
    LaneKey,
    NewItem,
    PoolRoom,
    finished,
    parked,
    progressed,
    retried,
    waits,
)

NOON = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=15)


def request(database: Database, lanes: Sequence[str], *, tenant: str = "alpha", now: datetime = NOON) -> None:
    with database.unit(tenants=[tenant], kind="accept", actor="worker:test", reason="test", recorded_at=now) as unit:
        record.request(unit, tenant_id=tenant, kind="derive", lane_ids=lanes, now=now)


def enqueue(
    database: Database,
    items: Sequence[tuple[str, str]],
    *,
    tenant: str = "alpha",
    pool: str = "erp",
    now: datetime = NOON,
) -> dict[str, int]:
    with database.unit(tenants=[tenant], kind="derive", actor="worker:test", reason="test", recorded_at=now) as unit:
        new = [NewItem(lane_id=lane, subject=subject, pool_id=pool) for lane, subject in items]
        return dict(record.enqueue(unit, tenant_id=tenant, kind="delivery", items=new, now=now))


def claim_levels(
    database: Database, *, owner: str = "one", now: datetime = NOON, limit: int = 100
) -> list[ClaimedLane]:
    return list(service.claim(database, kind="derive", owner=owner, limit=limit, lease=LEASE, now=now).lanes)


def claim_items(
    database: Database, *, owner: str = "one", now: datetime = NOON, limit: int = 100, pools: Sequence[str] = ("erp",),
    each: int = 64,
) -> list[ClaimedLane]:  # fmt: skip
    rooms = [PoolRoom(pool_id=pool, lanes=limit) for pool in pools]
    return list(
        service.claim(
            database,
            kind="delivery",
            owner=owner,
            limit=limit,
            lease=LEASE,
            pools=rooms,
            now=now,
            lanes_per_tenant=each,
        ).lanes
    )


def test_a_level_lane_asked_for_many_times_runs_once(database: Database) -> None:
    for _ in range(3):
        request(database, ["r1", "r2"])
    lanes = claim_levels(database)
    assert [(lane.lane_id, lane.requested) for lane in lanes] == [("r1", 3), ("r2", 3)]
    service.settle(database, owner="one", changes=[finished(lane=lane) for lane in lanes], now=NOON)
    assert claim_levels(database, now=NOON + timedelta(hours=1)) == []


def test_a_request_during_the_run_makes_the_lane_due_again(database: Database) -> None:
    request(database, ["r1"])
    (lane,) = claim_levels(database)
    request(database, ["r1"])
    assert claim_levels(database, owner="two") == [], "the lease still holds"
    service.settle(database, owner="one", changes=[finished(lane=lane)], now=NOON)
    assert [one.requested for one in claim_levels(database)] == [2]


def test_a_finished_level_lane_can_ask_for_a_run_at_a_deadline(database: Database) -> None:
    request(database, ["r1"])
    (lane,) = claim_levels(database)
    deadline = NOON + timedelta(days=3)
    service.settle(database, owner="one", changes=[finished(lane=lane, again_at=deadline)], now=NOON)
    assert claim_levels(database, now=deadline - timedelta(seconds=1)) == []
    assert len(claim_levels(database, now=deadline)) == 1


def test_a_parked_level_lane_is_woken_by_a_new_request(database: Database) -> None:
    request(database, ["r1"])
    (lane,) = claim_levels(database)
    service.settle(database, owner="one", changes=[parked(lane=lane, code="rule.missing")], now=NOON)
    assert claim_levels(database, now=NOON + timedelta(days=9)) == []
    request(database, ["r1"], now=NOON + timedelta(days=10))
    assert len(claim_levels(database, now=NOON + timedelta(days=10))) == 1


def test_a_request_during_a_run_that_parks_is_not_lost(database: Database) -> None:
    request(database, ["r1"])
    (lane,) = claim_levels(database)
    request(database, ["r1"])
    service.settle(database, owner="one", changes=[parked(lane=lane, code="rule.missing")], now=NOON)
    assert len(claim_levels(database)) == 1


def test_items_keep_their_order_and_their_sequence(database: Database) -> None:
    assert enqueue(database, [("a", "d1"), ("b", "d2"), ("a", "d3")]) == {"d1": 1, "d3": 2, "d2": 1}
    assert enqueue(database, [("a", "d4")]) == {"d4": 3}
    lanes = claim_items(database)
    with database.read(tenants=["alpha"]) as connection:
        heads = queries.heads(connection, lanes=lanes, depth=8)
    assert [item.subject for item in heads[LaneKey("alpha", "a")]] == ["d1", "d3", "d4"]


def test_a_backing_off_head_blocks_its_lane_only(database: Database) -> None:
    enqueue(database, [("a", "d1"), ("b", "d2")])
    lane_a, lane_b = claim_items(database)
    later = NOON + timedelta(seconds=30)
    changes = [retried(lane=lane_a, due_at=later), progressed(lane=lane_b, done=1, release=True)]
    service.settle(database, owner="one", changes=changes, now=NOON)
    enqueue(database, [("a", "d3"), ("b", "d4")])
    assert [lane.lane_id for lane in claim_items(database)] == ["b"]
    again = {lane.lane_id: lane.attempts for lane in claim_items(database, now=later)}
    assert again["a"] == 1


def test_a_dead_owners_lane_is_due_when_its_lease_ends_and_its_late_write_changes_nothing(database: Database) -> None:
    enqueue(database, [("a", "d1")])
    (old,) = claim_items(database, owner="paused")
    assert claim_items(database, owner="other", now=NOON + LEASE - timedelta(seconds=1)) == []
    (new,) = claim_items(database, owner="other", now=NOON + LEASE)
    assert new.fence == old.fence + 1
    written = service.settle(database, owner="paused", changes=[progressed(lane=old, done=1, release=True)], now=NOON)
    assert written == frozenset()
    assert service.renew(database, owner="paused", lanes=[old], now=NOON) == frozenset()
    with database.control() as connection:
        row = queries.lane_row(connection, key=old.key)
        assert row is not None
        assert (row["owner"], row["pending"]) == ("other", 1)


def test_an_older_claim_of_the_same_process_is_stale_too(database: Database) -> None:
    enqueue(database, [("a", "d1")])
    (old,) = claim_items(database)
    (new,) = claim_items(database, now=NOON + LEASE)
    assert service.settle(database, owner="one", changes=[progressed(lane=old, done=1, release=True)]) == frozenset()
    assert service.settle(database, owner="one", changes=[progressed(lane=new, done=1, release=True)]) == {new.key}


def test_a_renewed_lease_keeps_others_out(database: Database) -> None:
    enqueue(database, [("a", "d1")])
    (lane,) = claim_items(database)
    assert service.renew(database, owner="one", lanes=[lane], lease=LEASE, now=NOON + timedelta(seconds=10)) == {
        lane.key
    }
    assert claim_items(database, owner="two", now=NOON + timedelta(seconds=20)) == []


def test_tenants_take_turns_whatever_their_backlog(database: Database) -> None:
    enqueue(database, [(f"a{number}", f"a{number}") for number in range(200)], tenant="alpha")
    enqueue(database, [(f"b{number}", f"b{number}") for number in range(3)], tenant="beta")
    first = claim_items(database, limit=20, each=10)
    assert sum(lane.tenant_id == "beta" for lane in first) == 3
    assert sum(lane.tenant_id == "alpha" for lane in first) == 10


def test_a_pool_without_room_is_not_claimed_from(database: Database) -> None:
    enqueue(database, [("a", "d1")], pool="blocked")
    enqueue(database, [("b", "d2")], pool="open")
    assert [lane.lane_id for lane in claim_items(database, pools=["open"])] == ["b"]


def test_a_waiting_lane_is_taken_when_woken_and_not_before(database: Database) -> None:
    enqueue(database, [("a", "d1")])
    (lane,) = claim_items(database)
    service.settle(database, owner="one", changes=[waits(lane=lane, due_at=None)], now=NOON)
    assert claim_items(database, now=NOON + timedelta(days=30)) == []
    assert service.wake(database, lanes=[lane.key], now=NOON) == {lane.key}
    assert len(claim_items(database)) == 1


def test_new_work_is_seen_though_the_last_claim_found_nothing(database: Database) -> None:
    request(database, ["r1"])
    service.settle(database, owner="one", changes=[finished(lane=one) for one in claim_levels(database)], now=NOON)
    assert claim_levels(database) == []
    request(database, ["r2"])
    assert len(claim_levels(database)) == 1


def test_finished_items_move_to_history(database: Database) -> None:
    enqueue(database, [("a", "d1"), ("a", "d2")])
    (lane,) = claim_items(database)
    with database.unit(tenants=["alpha"], kind="deliver", actor="worker:test", reason="test", recorded_at=NOON) as unit:
        held = record.hold(unit.connection, owner="one", lanes=[lane])
        record.finish_items(unit.connection, items=[(lane.key, 1)])
        record.change(unit.connection, owner="one", changes=[progressed(lane=lane, done=1, release=True)], now=NOON)
    assert held == {lane.key}
    with database.read(tenants=["alpha"]) as connection:
        heads = queries.heads(connection, lanes=[lane], depth=8)
    assert [item.subject for item in heads[lane.key]] == ["d2"]
