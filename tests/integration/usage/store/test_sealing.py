"""Acknowledged usage is sealed into files, and read exactly once before, while and after it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from revline.core.problem import ProblemError
from revline.platform.store.engine import Database
from revline.subledger.usage.store.values import SealLimits
from revline.subledger.usage.versions import UsageVersion, Window
from tests.usage_rows import START, Room, read_ids, usage


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Room:
    return Room(database=database, folder=tmp_path)


def test_waiting_usage_is_read_before_it_is_sealed(room: Room) -> None:
    room.shard().commit(alpha=[usage("a"), usage("b")], beta=[usage("c")])
    assert read_ids(room) == ["a", "b"]
    assert read_ids(room, "beta") == ["c"]


def test_sealed_usage_is_read_from_its_file_and_no_longer_waits(room: Room) -> None:
    room.shard().commit(alpha=[usage("a"), usage("b")])
    room.sealer.seal(["alpha"])
    assert room.tail.waiting() == ()
    assert read_ids(room) == ["a", "b"]
    with room.reader.open(tenant_id="alpha") as reading:
        (one,) = reading.files()
        assert (one.whole, one.segment.rows, reading.tail) == (True, 2, None)


def test_a_file_holds_one_tenants_words_only(room: Room) -> None:
    room.shard().commit(alpha=[usage("a", subject="visible")], beta=[usage("c", subject="of-another-tenant")])
    room.sealer.seal(["alpha", "beta"])
    with room.reader.open(tenant_id="alpha") as reading:
        (one,) = reading.files()
        assert b"of-another-tenant" not in Path(one.path).read_bytes()
        assert pq.read_table(one.path, partitioning=None)["subject"].to_pylist() == ["visible"]


def test_a_tenant_is_sealed_at_so_many_rows_or_so_old_or_when_asked(database: Database, tmp_path: Path) -> None:
    room = Room(database=database, folder=tmp_path, limits=SealLimits(rows=3, age=timedelta(minutes=5)))
    shard = room.shard()
    shard.commit(alpha=[usage("a"), usage("b")], beta=[usage("c")])
    assert room.sealer.turn().files == 0
    shard.commit(alpha=[usage("d")])
    assert room.sealer.turn().rows == 3
    assert [tenant for tenant, _, _ in room.tail.waiting()] == ["beta"]
    room.clock.move(timedelta(minutes=5))
    assert room.sealer.turn().rows == 1
    shard.commit(beta=[usage("e")])
    assert room.sealer.turn().files == 0
    room.reader.seal_now(tenant_id="beta")
    assert room.sealer.turn().rows == 1
    assert room.sealer.turn().rows == 0


def test_the_log_keeps_what_waits(database: Database, tmp_path: Path) -> None:
    room = Room(database=database, folder=tmp_path)
    shard = room.shard()
    shard.commit(alpha=[usage("a")], beta=[usage("b")])
    shard.commit(alpha=[usage("c")])
    room.sealer.seal(["alpha"])
    assert [room.tail.sealed_through(tenant_id=one, shard=0) for one in ("alpha", "beta")] == [3, 0]
    room.sealer.seal(["beta"])
    assert [room.tail.sealed_through(tenant_id=one, shard=0) for one in ("alpha", "beta")] == [3, 3]


def test_a_version_reads_the_same_after_more_came_and_was_sealed(room: Room) -> None:
    shard = room.shard()
    shard.commit(alpha=[usage("a")])
    before = room.reader.current_version(tenant_id="alpha")
    shard.commit(alpha=[usage("b")])
    assert read_ids(room, version=before) == ["a"]
    room.sealer.seal(["alpha"])
    assert read_ids(room, version=before) == ["a"]
    assert read_ids(room) == ["a", "b"]


def test_a_version_that_has_not_come_is_refused(room: Room) -> None:
    room.shard().commit(alpha=[usage("a")])
    with pytest.raises(ProblemError) as refused:
        room.reader.open(tenant_id="alpha", version=UsageVersion(watermarks=((0, 5),)))
    assert refused.value.problem.code == "usage.version_ahead"


def test_files_of_a_window_and_type_only(room: Room) -> None:
    shard = room.shard()
    shard.commit(alpha=[usage("a")])
    room.sealer.seal(["alpha"])
    shard.commit(alpha=[usage("b", at=START + timedelta(days=40), kind="seats")])
    room.sealer.seal(["alpha"])
    window = Window(start=START, end=START + timedelta(hours=1))
    with room.reader.open(tenant_id="alpha") as reading:
        assert [one.segment.types for one in reading.files(window=window)] == [("tokens",)]
        assert [one.segment.types for one in reading.files(types={"seats"})] == [("seats",)]
        assert len(reading.files()) == 2


def test_what_the_log_hands_over_again_after_a_kill_is_not_counted_twice(room: Room) -> None:
    shard = room.shard()
    shard.commit(alpha=[usage("a"), usage("b")], beta=[usage("c")])
    room.sealer.seal(["alpha"])
    shard.commit(alpha=[usage("d")])
    again = room.restarted(shard)
    assert read_ids(again) == ["a", "b", "d"]
    again.sealer.seal(["alpha", "beta"])
    assert (read_ids(again), read_ids(again, "beta")) == (["a", "b", "d"], ["c"])


def test_two_processes_of_two_shards_are_read_together_once_sealed(database: Database, tmp_path: Path) -> None:
    one, other = Room(database=database, folder=tmp_path), Room(database=database, folder=tmp_path)
    one.shard(0).commit(alpha=[usage("a")])
    other.shard(1).commit(alpha=[usage("b")])
    assert read_ids(one) == ["a"]
    one.reader.seal_now(tenant_id="alpha")
    one.sealer.turn()
    other.sealer.turn()
    assert read_ids(one) == ["a", "b"]
    assert one.reader.current_version(tenant_id="alpha") == UsageVersion(watermarks=((0, 1), (1, 1)))
