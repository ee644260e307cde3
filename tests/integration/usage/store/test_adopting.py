"""Usage of a type nobody had described is counted once somebody has, without being sent again and without changing the past."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

from revline.core.problem import Problem
from revline.platform.cases.tables import exception_case
from revline.platform.store.engine import Database
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.events import VOID_TYPE
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.metering.inspecting import Inspecting
from revline.subledger.usage.metering.values import MeterCatalogue
from revline.subledger.usage.store.adopting import Adopted, Adopter
from revline.subledger.usage.store.compacting import Compactor
from revline.subledger.usage.store.values import ADOPTED_SHARD
from tests.usage_metering import directory, duck_boxes
from tests.usage_rows import START, Room, read_ids, usage

WHO = {"actor": "worker:usage-files", "reason": "its type is known"}


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Room:
    found = Room(database=database, folder=tmp_path / "usage")
    found.shard().commit(
        alpha=[
            usage("a", None, kind="gpu", typed=False, rest='{"hours":1.5,"zone":"eu"}', model__text=None),
            usage("b", "2"),
            usage("c", None, kind="gpu", typed=False, rest='{"hours":"a lot"}', model__text=None),
        ]
    )
    found.sealer.seal(["alpha"])
    return found


def gpu(field: FieldKind = FieldKind.DECIMAL, *, kind: str = "gpu") -> EventType:
    hours = UsageField(kind=field, scale=3 if field is FieldKind.DECIMAL else 0)
    return EventType(title="GPU", type=kind, fields={"hours": hours})


def adopt(room: Room, field: FieldKind = FieldKind.DECIMAL, *, kind: str = "gpu") -> Adopted:
    spec = gpu(field, kind=kind)
    adopter = Adopter(
        database=room.database,
        objects=room.store,
        clock=room.clock,
        random_bytes=os.urandom,
        specs=lambda _: (),
        types_of=lambda tenant: TypeCatalogue(tenant_id=tenant, seed=1, types={"gpu": spec}),
    )
    found = adopter.adopt(tenant_id="alpha", **WHO)
    assert not isinstance(found, Problem)
    return found


def rows(room: Room) -> list[dict[str, object]]:
    with room.reader.open(tenant_id="alpha") as reading:
        found = [row for one in reading.files() for row in pq.read_table(one.path, partitioning=None).to_pylist()]
    return sorted(found, key=lambda row: (row["shard"], row["sequence"]))


def open_cases(room: Room) -> list[tuple[str, str]]:
    with room.database.read(tenants=["alpha"]) as connection:
        table = exception_case
        found = connection.execute(
            select(table.c.subject_id, table.c.detail).where(table.c.tenant_id == "alpha", table.c.state == "open")
        )
        return [tuple(row) for row in found]


def test_a_held_event_becomes_a_row_of_its_type_with_the_time_it_happened(room: Room) -> None:
    before = room.reader.current_version(tenant_id="alpha")
    assert adopt(room) == Adopted(rows=1, refused={"gpu": 1})
    found = rows(room)[-1]
    assert (found["shard"], found["sequence"], found["id"], found["typed"]) == (ADOPTED_SHARD, 1, "a", True)
    assert (found["hours__d18_3"], found["rest"], found["occurred_at"]) == (Decimal("1.500"), '{"zone":"eu"}', START)
    assert read_ids(room, version=before) == ["a", "b", "c"]
    assert room.reader.current_version(tenant_id="alpha").until(ADOPTED_SHARD) == 1


def test_what_breaks_its_type_is_a_case_until_the_type_takes_it(room: Room) -> None:
    adopt(room)
    ((kind, detail),) = open_cases(room)
    assert kind == "gpu"
    assert detail.startswith("1 held events of gpu break it")
    assert adopt(room) == Adopted(rows=0, refused={"gpu": 1})
    assert len(open_cases(room)) == 1
    assert adopt(room, FieldKind.TEXT) == Adopted(rows=1, refused={})
    assert open_cases(room) == []


def test_an_event_is_adopted_once_also_when_files_were_merged_between(room: Room) -> None:
    adopt(room)
    Compactor(
        database=room.database,
        objects=room.store,
        clock=room.clock,
        random_bytes=os.urandom,
        specs=lambda _: (),
        scratch=room.folder / "scratch",
    ).compact(tenant_id="alpha", everything=True)
    assert adopt(room) == Adopted(rows=0, refused={"gpu": 1})
    assert read_ids(room) == ["a", "a", "b", "c"]


def test_types_that_are_still_unknown_stay_held(room: Room) -> None:
    assert adopt(room, kind="cpu") == Adopted(rows=0, refused={})


def counted(room: Room, *types: EventType) -> tuple[list[tuple[str, int]], list[tuple[str, int, int, int]]]:
    """(type, held) by subject and type, and (type, accepted, counted, held)."""
    with room.reader.open(tenant_id="alpha") as reading:
        looked = Inspecting(
            reading=reading,
            catalogue=MeterCatalogue(types={one.type: one for one in types}, meters={}),
            directory=directory(["acme"]),
            boxes=duck_boxes,
        )
        held = [(one.type, one.events) for one in looked.held()]
        return held, [(one.type, one.accepted, one.counted, one.held) for one in looked.tally(None)]


def test_an_adopted_event_is_accepted_once_counted_and_no_longer_held(room: Room) -> None:
    tokens = EventType(title="Tokens", type="tokens", fields={})
    assert counted(room, tokens) == ([("gpu", 2)], [("gpu", 2, 0, 2), ("tokens", 1, 1, 0)])
    adopt(room)
    assert counted(room, tokens, gpu()) == ([("gpu", 1)], [("gpu", 2, 1, 1), ("tokens", 1, 1, 0)])
    assert counted(room, tokens) == ([("gpu", 2)], [("gpu", 2, 0, 2), ("tokens", 1, 1, 0)])


def test_a_void_takes_an_adopted_event_back(room: Room) -> None:
    adopt(room)
    shard = room.shard(1)
    shard.commit(alpha=[usage("v", None, kind=VOID_TYPE, voids_source="app", voids_id="a", model__text=None)])
    room.sealer.seal(["alpha"])
    held, tally = counted(room, gpu())
    assert [one for one in tally if one[0] == "gpu"] == [("gpu", 2, 0, 1)]
    assert ("gpu", 1) in held
