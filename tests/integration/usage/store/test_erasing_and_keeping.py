"""Erasure, retention and the removal of files: what goes is gone, and what stays counts what it counted."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from revline.core.problem import Problem
from revline.platform.store.engine import Database
from revline.subledger.usage.store.erasing import Eraser, ErasureScope
from revline.subledger.usage.store.keeping import GRACE, FileKeeper, Swept
from revline.subledger.usage.store.tables import usage_erasure, usage_published
from revline.subledger.usage.versions import Window
from tests.usage_rows import START, Room, StandingClock, read_ids, usage

WHO = {"actor": "person:dora", "reason": "request 4711"}


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Room:
    return Room(database=database, folder=tmp_path / "usage", clock=StandingClock(datetime.now(UTC)))


def eraser(room: Room) -> Eraser:
    def seal(tenant_id: str) -> Problem | None:
        room.sealer.seal([tenant_id])
        return None

    return Eraser(
        database=room.database,
        objects=room.store,
        clock=room.clock,
        random_bytes=os.urandom,
        specs=lambda _: (),
        seed_of=lambda _: 7,
        seal=seal,
    )


def keeper(room: Room) -> FileKeeper:
    return FileKeeper(
        database=room.database, objects=room.store, clock=room.clock, random_bytes=os.urandom, specs=lambda _: ()
    )


def asked(room: Room, sql: str) -> list[tuple[object, ...]]:
    with room.reader.open(tenant_id="alpha") as reading:
        paths = [one.path for one in reading.files()]
        return duckdb.execute(sql.format("read_parquet($1, union_by_name = true)"), [paths]).fetchall()


@pytest.fixture
def people(room: Room) -> Room:
    shard = room.shard()
    shard.commit(
        alpha=[
            usage("a", "2", subject="acme", user__personal="ann@x.com"),
            usage("b", "3", subject="acme", user__personal="bob@x.com"),
        ]
    )
    room.sealer.seal(["alpha"])
    shard.commit(
        alpha=[
            usage("c", "4", subject="zeta", user__personal="ann@x.com"),
            usage("d", "5", subject="zeta"),
            usage("e", None, kind="new", typed=False, rest='{"other":"ann@x.com","user":"ann@x.com"}'),
        ],
        beta=[usage("f", "6", user__personal="ann@x.com")],
    )
    return room


def all_bytes(room: Room, tenant_id: str) -> bytes:
    return b"".join(
        b"".join(str(row).encode() for row in pq.read_table(path, partitioning=None).to_pylist())
        for path in sorted((room.folder / "tenants" / tenant_id).glob("*.parquet"))
    )


def test_a_value_is_replaced_everywhere_and_nothing_counts_otherwise(people: Room) -> None:
    totals = "SELECT count(*), sum(tokens__d18_3), count(DISTINCT user__personal) FROM {}"
    people.sealer.seal(["alpha"])
    before = asked(people, totals)
    found = eraser(people).erase(tenant_id="alpha", scope=ErasureScope(field="user", value="ann@x.com"), **WHO)
    assert not isinstance(found, Problem)
    assert (found.rows, found.segments, found.epoch) == (3, 2, 1)
    assert asked(people, totals) == before
    words = asked(people, "SELECT id, user__personal, rest FROM {} ORDER BY id")
    pseudonym = words[0][1]
    assert pseudonym.startswith("~")
    assert [row[1] for row in words] == [pseudonym, "bob@x.com", pseudonym, None, None]
    assert words[4][2] == f'{{"other":"ann@x.com","user":"{pseudonym}"}}'
    assert people.reader.current_version(tenant_id="alpha").erasure_epoch == 1


def test_a_subject_s_people_are_replaced_wherever_they_are(people: Room) -> None:
    found = eraser(people).erase(tenant_id="alpha", scope=ErasureScope(subject="zeta"), **WHO)
    assert not isinstance(found, Problem)
    words = asked(people, "SELECT user__personal FROM {} WHERE user__personal IS NOT NULL ORDER BY id")
    assert [str(word)[:1] for (word,) in words] == ["~", "b", "~"]
    assert words[0] == words[2]


def test_after_the_hour_the_value_is_in_no_file_and_no_table(people: Room) -> None:
    eraser(people).erase(tenant_id="alpha", scope=ErasureScope(field="user", value="ann@x.com"), **WHO)
    people.clock.move(GRACE + timedelta(minutes=1))
    assert keeper(people).sweep(tenant_id="alpha").replaced == 2
    assert all_bytes(people, "alpha").count(b"ann@x.com") == 1  # in a field nobody called personal
    people.sealer.seal(["beta"])
    assert b"ann@x.com" in all_bytes(people, "beta")
    with people.database.read(tenants=["alpha"]) as connection:
        (row,) = connection.execute(select(usage_erasure).where(usage_erasure.c.tenant_id == "alpha"))
        assert "ann@x.com" not in str(row)
        assert (row.state, row.epoch, row.actor, row.reason) == ("done", 1, "person:dora", "request 4711")


def test_a_second_erasure_has_other_pseudonyms_so_that_counts_stay(people: Room) -> None:
    scope = ErasureScope(field="user", value="ann@x.com")
    one = eraser(people)
    one.erase(tenant_id="alpha", scope=scope, **WHO)
    people.shard(1).commit(alpha=[usage("g", user__personal="ann@x.com")])
    people.sealer.seal(["alpha"])
    counted = "SELECT count(DISTINCT user__personal) FROM {}"
    before = asked(people, counted)
    people.clock.move(timedelta(days=1))
    found = one.erase(tenant_id="alpha", scope=scope, **WHO)
    assert not isinstance(found, Problem)
    assert (found.rows, found.epoch) == (1, 2)
    assert asked(people, counted) == before


def test_what_is_to_be_erased_is_said_clearly(people: Room) -> None:
    for scope in (ErasureScope(), ErasureScope(field="user"), ErasureScope(field="user", value="x", subject="acme")):
        found = eraser(people).erase(tenant_id="alpha", scope=scope, **WHO)
        assert isinstance(found, Problem)
        assert found.code == "usage.erasure_unclear"


def test_retention_drops_what_happened_before_and_keeps_the_rest(room: Room) -> None:
    shard = room.shard()
    shard.commit(alpha=[usage("old", at=START - timedelta(days=40))])
    room.sealer.seal(["alpha"])
    shard.commit(alpha=[usage("old too", at=START - timedelta(days=35)), usage("kept")])
    room.sealer.seal(["alpha"])
    found = keeper(room).retain(tenant_id="alpha", before=START - timedelta(days=30), **WHO)
    assert found is not None
    assert (found.removed, found.rewritten, found.rows) == (1, 1, 2)
    assert read_ids(room) == ["kept"]
    with room.reader.open(tenant_id="alpha") as reading:
        assert reading.files(window=Window(start=START - timedelta(days=60), end=START - timedelta(days=30))) == ()
    with room.database.read(tenants=["alpha"]) as connection:
        acts = connection.execute(
            select(usage_published.c.act, usage_published.c.rows_replaced)
            .where(usage_published.c.tenant_id == "alpha")
            .order_by(usage_published.c.position)
        )
        assert [tuple(row) for row in acts] == [("seal", 0), ("seal", 0), ("retain", 3)]


def test_a_replaced_file_stays_an_hour_and_an_unnamed_one_too(room: Room) -> None:
    shard = room.shard()
    shard.commit(alpha=[usage("a", at=START - timedelta(days=40))])
    room.sealer.seal(["alpha"])
    keeper(room).retain(tenant_id="alpha", before=START, **WHO)
    room.store.put(key="tenants/alpha/left-by-a-kill.parquet", body=b"half")
    assert keeper(room).sweep(tenant_id="alpha") == Swept()
    room.clock.move(GRACE + timedelta(minutes=1))
    assert keeper(room).sweep(tenant_id="alpha") == Swept(replaced=1, unnamed=1)
    assert list(room.store.listed(prefix="tenants/alpha/")) == []


def test_a_file_somebody_reads_stays_while_it_is_merged(room: Room) -> None:
    shard = room.shard()
    shard.commit(alpha=[usage("a", at=START - timedelta(days=40))])
    room.sealer.seal(["alpha"])
    with room.reader.open(tenant_id="alpha") as reading:
        (one,) = reading.files()
        keeper(room).retain(tenant_id="alpha", before=START, **WHO)
        keeper(room).sweep(tenant_id="alpha")
        assert pq.read_table(one.path, partitioning=None)["id"].to_pylist() == ["a"]
