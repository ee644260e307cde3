"""A harness with the scenarios' configuration, and that configuration compiled."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.platform.config.loader import by_tenant, load_folder
from revline.platform.store.engine import Database
from revline.subledger.posting.setup import PostingSetup, compile_setup
from tests.harness import Harness


@pytest.fixture
def harness(database: Database, tmp_path: Path) -> Iterator[Harness]:
    one = Harness(database=database, folder=tmp_path / "configuration")
    yield one
    one.close()


@pytest.fixture
def setup(harness: Harness) -> PostingSetup:
    loaded = load_folder(harness.folder, harness.registry)
    assert not loaded.errors
    compiled = compile_setup(by_tenant(loaded.documents)["aurora"])
    assert isinstance(compiled, PostingSetup)
    return compiled
