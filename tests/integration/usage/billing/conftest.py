"""A Revline that compares usage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.platform.store.engine import Database
from tests.integration.usage.billing.world import World


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    one = World(database=database, folder=tmp_path / "configuration")
    yield one
    one.harness.close()
