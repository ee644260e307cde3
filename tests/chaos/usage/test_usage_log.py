"""The short form of `python -m tests.chaos.usage`: no acknowledged event is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.usage.blows import failed_syncs, kills, torn_tails

pytestmark = pytest.mark.chaos


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_kills_at_any_moment(tmp_path: Path) -> None:
    found = kills(tmp_path, count=12, seed=5)
    assert found.is_clean, found
    assert found.events > 100


def test_tails_torn_at_any_byte(tmp_path: Path) -> None:
    found = torn_tails(tmp_path, count=12, seed=5)
    assert found.is_clean, found


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    found = failed_syncs(tmp_path, count=6, seed=5)
    assert found.is_clean, found
