"""A tenant that charges usage, on a clean database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.platform.store.engine import Database
from tests.integration.usage.charges.world import Shop


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Iterator[Shop]:
    one = Shop(database, tmp_path / "configuration")
    yield one
    one.close()
