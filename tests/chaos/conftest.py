"""One stand for every story."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.running import Stand
from tests.chaos.standing import durable_stand


@pytest.fixture(scope="session")
def stand() -> Iterator[Stand]:
    """A PostgreSQL of the stories' own; each story empties its database first."""
    with durable_stand() as one:
        yield one
