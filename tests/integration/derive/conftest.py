"""A whole Revline without ERPs, with the demonstration's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.platform.store.engine import Database
from tests.harness import Harness


@pytest.fixture
def harness(database: Database, tmp_path: Path) -> Iterator[Harness]:
    one = Harness(database=database, folder=tmp_path / "configuration")
    one.apply()
    yield one
    one.close()
