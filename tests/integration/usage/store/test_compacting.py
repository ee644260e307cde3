"""Merging changes where events lie, never which events a version has or what they come to."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from revline.platform.store.engine import Database
from revline.subledger.usage.store import writing
from revline.subledger.usage.store.compacting import Compactor
from revline.subledger.usage.store.merging import MergeLimits
from revline.subledger.usage.store.values import DAY_MINUTES, PartialSpec, SegmentKind
from tests.usage_rows import START, Room, read_ids, usage

SPEC = PartialSpec(event_type="tokens", value="tokens__d18_3")


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Room:
    return Room(database=database, folder=tmp_path / "usage", specs=(SPEC,))


def compactor(room: Room, **limits: int) -> Compactor:
    return Compactor(
        database=room.database,
        objects=room.store,
        clock=room.clock,
        random_bytes=os.urandom,
        specs=lambda _: room.specs,
        scratch=room.folder / "scratch",
        limits=MergeLimits(**limits),
    )


def seals(room: Room, count: int) -> None:
    shard = room.shard()
    for number in range(count):
        shard.commit(
            alpha=[
                usage(f"{number}-b", "2.5", subject=f"s{9 - number}", at=START + timedelta(minutes=number)),
                usage(f"{number}-a", "1.125", subject=f"s{9 - number}", kind="seats", at=START),
                usage(f"{number}-late", None, subject="s0", at=START - timedelta(days=20)),
            ]
        )
        room.sealer.seal(["alpha"])


def files(room: Room) -> list[tuple[str, int]]:
    with room.reader.open(tenant_id="alpha") as reading:
        return [(one.segment.kind, one.segment.rows) for one in reading.files()]


def test_small_segments_become_one_of_each_month_in_order(room: Room) -> None:
    seals(room, 8)
    before = read_ids(room)
    found = compactor(room).compact(tenant_id="alpha")
    assert (found.merged, found.made, found.rows) == (8, 2, 24)
    assert files(room) == [(SegmentKind.COMPACTED, 8), (SegmentKind.COMPACTED, 16)]
    assert read_ids(room) == before
    with room.reader.open(tenant_id="alpha") as reading:
        table = pq.read_table(reading.files()[1].path, partitioning=None)
        keys = [(row["type"], row["subject"], row["occurred_at"]) for row in table.to_pylist()]
        assert keys == sorted(keys)
        assert str(table.schema.field("tokens__d18_3").type) == "decimal128(18, 3)"


def test_few_segments_stay_until_asked_for(room: Room) -> None:
    seals(room, 3)
    assert compactor(room).compact(tenant_id="alpha").merged == 0
    assert compactor(room).compact(tenant_id="alpha", everything=True).merged == 3
    assert compactor(room).compact(tenant_id="alpha", everything=True).merged == 0


def test_a_version_within_a_merged_file_reads_its_own_events_only(room: Room) -> None:
    shard = room.shard()
    shard.commit(alpha=[usage("a")])
    before = room.reader.current_version(tenant_id="alpha")
    room.sealer.seal(["alpha"])
    shard.commit(alpha=[usage("b")])
    room.sealer.seal(["alpha"])
    compactor(room, files=2).compact(tenant_id="alpha")
    with room.reader.open(tenant_id="alpha", version=before) as reading:
        assert [one.whole for one in reading.files()] == [False]
    assert read_ids(room, version=before) == ["a"]


def test_a_worker_merges_what_was_sealed(room: Room) -> None:
    seals(room, 8)
    worker = compactor(room)
    assert worker.turn(owner="one") == 8
    assert worker.turn(owner="one") == 0
    assert worker.turn(owner="one") == 0
    seals(room, 1)
    assert worker.turn(owner="one") == 0


def test_merged_partials_by_hour_and_day_come_to_what_the_events_come_to(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PARTIALS_FROM_ROWS", 1)
    monkeypatch.setattr(writing, "PARTIALS_SHARE", 10)
    seals(room, 8)
    compactor(room).compact(tenant_id="alpha")
    with room.reader.open(tenant_id="alpha") as reading:
        found = [one for one in reading.files() if one.partials_path]
        assert {one.segment.buckets for one in found} == {(60, DAY_MINUTES)}
        assert {one.segment.partials for one in found} == {(SPEC.spec_id,)}
        events = "SELECT sum(tokens__d18_3) FROM read_parquet($1, union_by_name = true) WHERE type = 'tokens'"
        partials = "SELECT sum(total) / 1000 FROM read_parquet($1) WHERE minutes = $2"
        exact = duckdb.execute(events, [[one.path for one in found]]).fetchall()[0]
        for minutes in (60, DAY_MINUTES):
            summed = duckdb.execute(partials, [[one.partials_path for one in found], minutes]).fetchall()[0]
            assert float(summed[0]) == float(exact[0]) == 20


def test_another_process_that_merged_first_wins(room: Room) -> None:
    seals(room, 8)
    one, other = compactor(room), compactor(room)
    group = other._merge

    def late(*arguments: object) -> object:
        made = group(*arguments)
        one.compact(tenant_id="alpha")
        return made

    other._merge = late
    assert other.compact(tenant_id="alpha").merged == 0
    assert len(read_ids(room)) == 24
