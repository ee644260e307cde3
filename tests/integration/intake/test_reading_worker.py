"""A whole worker follows a change stream because the configuration says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.app.worker import Worker
from revline.platform.store.engine import Database
from tests.integration.intake.reading_world import World


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    one = World(database=database, folder=tmp_path / "configuration", settings={"changesEverySeconds": "3600"})
    yield one
    one.close()


def test_a_configured_change_stream_is_followed_by_any_worker(world: World) -> None:
    world.library.customers.create({"name": "Ada"})
    worker = Worker(
        database=world.database,
        directory=world.harness.directory,
        intake=world.harness.intake,
        clock=world.harness.clock,
        owner="worker-1",
        epoch=1,
        version="test",
        seed=1,
        readers=world.readers,
    )

    def done() -> bool:
        stream = world.cursors().get("")
        return stream is not None and stream.state == "following"

    asyncio.run(asyncio.wait_for(worker.run(until=done), timeout=60))
    assert [one.snapshot.name for one in world.facts("customer")] == ["Ada"]
    assert world.cursors()[""].connection == "stripe"
