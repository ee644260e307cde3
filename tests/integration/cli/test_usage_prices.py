"""`revline usage rate-one`, `check-price` and `so-far` over the configuration in force."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.platform.store.engine import Database
from tests.integration.cli.conftest import Cli
from tests.integration.usage.charges.world import Shop


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Iterator[Shop]:
    one = Shop(database, tmp_path / "configuration")
    yield one
    one.close()


@pytest.mark.usefixtures("shop")
def test_a_price_in_force_is_tried_and_a_customer_looked_at(cli: Cli) -> None:
    said = cli("usage", "rate-one", "calls", "--quantity", "150", "--tenant", "birch").out.splitlines()
    assert said[-1] == "= 12.50 USD"
    tried = cli("usage", "check-price", "calls", "--tenant", "birch", "--json").data["tried"]
    assert [each["amount"] for each in tried] == ["0.00", "0.10", "10.00", "10.05"]
    refused = cli("usage", "rate-one", "minutes", "--quantity", "1", "--tenant", "birch", code=1)
    assert "prices: calls, storage" in refused.said

    lines = cli("usage", "so-far", "billing/ada", "--tenant", "birch", "--json").data["lines"]
    assert [(line["price"], line["quantity"], line["amount"]) for line in lines] == [
        ("calls", "0", "0.00"),
        ("storage", "0", "0.00"),
    ]
    assert "storage" in cli("usage", "so-far", "billing/ada", "--tenant", "birch").out
