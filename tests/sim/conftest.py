"""One server for every world."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from revline.app.kinds import registry
from revline.sim.world.ground import Databases, new_databases


@pytest.fixture(scope="session")
def shared_databases() -> Iterator[Databases]:
    """Where worlds live, one after the other."""
    with new_databases(registry=registry()) as made:
        yield made


@pytest.fixture
def databases(shared_databases: Databases) -> Databases:
    """With nothing in them: another test's world may have had this one's seed, and so its tenants."""
    shared_databases.clear(everything=True)
    return shared_databases
