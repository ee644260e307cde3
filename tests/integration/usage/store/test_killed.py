"""Killed at any step, a seal, a merge, an erasure, retention and an adoption leave every event readable exactly once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.kinds import EventType, FieldKind, UsageField
from revline.subledger.usage.store.adopting import Adopter
from revline.subledger.usage.store.compacting import Compactor
from revline.subledger.usage.store.erasing import Eraser, ErasureScope
from revline.subledger.usage.store.keeping import FileKeeper
from revline.subledger.usage.store.objects import FolderObjects
from tests.usage_rows import START, Room, Shard, read_ids, usage

WHO = {"actor": "person:dora", "reason": "a test"}
GPU = EventType(title="GPU", type="gpu", fields={"hours": UsageField(kind=FieldKind.DECIMAL)})
STEPS_MAX = 40


class Killed(BaseException):
    """The process ends here: nothing in it catches this."""


class Countdown:
    """Ends the process at the n-th step; a commit is two: just before it, and just after it took effect."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self) -> None:
        self.left -= 1
        if not self.left:
            raise Killed


class KillingObjects(FolderObjects):
    """Ends the process before an object is written, when half of it is, and after."""

    def __init__(self, folder: Path, countdown: Countdown) -> None:
        super().__init__(folder)
        self.folder, self.countdown = folder, countdown

    def put(self, *, key: str, body: memoryview | bytes) -> None:
        self.countdown.step()
        try:
            self.countdown.step()
        except Killed:
            target = self.folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.with_name(f".{target.name}.draft").write_bytes(bytes(body)[: len(body) // 2])
            raise
        super().put(key=key, body=body)
        self.countdown.step()

    def delete(self, *, key: str) -> None:
        self.countdown.step()
        super().delete(key=key)
        self.countdown.step()


class KillingDatabase:
    """Ends the process before a commit, and after it."""

    def __init__(self, database: Database, countdown: Countdown) -> None:
        self.database, self.countdown = database, countdown
        self.read, self.control = database.read, database.control

    @contextmanager
    def unit(self, **values: object) -> Iterator[Unit]:
        with self.database.unit(**values) as unit:
            yield unit
            self.countdown.step()
        self.countdown.step()


def tools(room: Room, countdown: Countdown) -> dict[str, object]:
    return {
        "database": KillingDatabase(room.database, countdown),
        "objects": KillingObjects(room.folder, countdown),
        "clock": room.clock,
        "random_bytes": os.urandom,
        "specs": lambda _: (),
    }


def seal(room: Room, countdown: Countdown) -> None:
    killing = tools(room, countdown)
    room.sealer._database = killing["database"]
    room.sealer._writer._objects = killing["objects"]
    room.sealer.seal(["alpha"])


def compact(room: Room, countdown: Countdown) -> None:
    Compactor(**tools(room, countdown), scratch=room.folder / "scratch").compact(tenant_id="alpha", everything=True)


def erase(room: Room, countdown: Countdown) -> None:
    scope = ErasureScope(field="user", value="ann")
    Eraser(**tools(room, countdown), seed_of=lambda _: 1, seal=lambda _: None).erase(
        tenant_id="alpha", scope=scope, **WHO
    )


def sweep(room: Room, countdown: Countdown) -> None:
    FileKeeper(**tools(room, countdown)).sweep(tenant_id="alpha")


def adopt(room: Room, countdown: Countdown) -> None:
    Adopter(
        **tools(room, countdown), types_of=lambda tenant: TypeCatalogue(tenant_id=tenant, seed=1, types={"gpu": GPU})
    ).adopt(tenant_id="alpha", **WHO)


@pytest.fixture
def shard(database: Database, tmp_path: Path) -> tuple[Room, Shard]:
    room = Room(database=database, folder=tmp_path / "usage")
    shard = room.shard()
    shard.commit(alpha=[usage("a", user__personal="ann"), usage("b", at=START.replace(month=3))], beta=[usage("z")])
    room.sealer.seal(["alpha"])
    shard.commit(
        alpha=[usage("c", user__personal="ann"), usage("g", None, kind="gpu", typed=False, rest='{"hours":2}')]
    )
    room.sealer.seal(["alpha"])
    shard.commit(alpha=[usage("d", user__personal="bob")])
    return room, shard


@pytest.mark.parametrize(
    ("act", "after"),
    [(seal, "abcdg"), (compact, "abcdg"), (erase, "abcdg"), (sweep, "abcdg"), (adopt, "abcdgg")],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_every_event_is_read_once_wherever_the_kill_falls(
    shard: tuple[Room, Shard], act: Callable[[Room, Countdown], None], after: str
) -> None:
    room, log = shard
    version = room.reader.current_version(tenant_id="alpha")
    for steps in range(1, STEPS_MAX):
        try:
            act(room, Countdown(steps))
        except Killed:
            room = room.restarted(log)
            found = "".join(read_ids(room))
            assert found in {"abcdg", after}, f"killed at step {steps}"
            assert "".join(read_ids(room, version=version)) == "abcdg", f"killed at step {steps}"
            continue
        break
    else:
        raise AssertionError("it never came to an end")
    assert steps > 1 or act is sweep
    assert "".join(read_ids(room.restarted(log))) == after
    assert read_ids(room.restarted(log), "beta") == ["z"]
