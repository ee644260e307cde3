"""The console page of usage against bills says what the report says."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

from revline.doors.console.pages.billed_usage import PAGES, billed_usage
from revline.doors.console.values import ListPage, Money, State, Text, Visit
from tests.integration.usage.billing.test_shadow import billed
from tests.integration.usage.billing.world import TENANT, World


def shown(world: World, **query: str) -> ListPage:
    visit = Visit(
        services=cast("Any", SimpleNamespace(database=world.database)),
        session=cast("Any", None),
        tenant_id=TENANT,
        page=PAGES[0],
        urls=lambda name, **values: name,
        now=world.harness.clock.now(),
        parameters={},
        query=query,
    )
    found = billed_usage(visit)
    assert isinstance(found, ListPage)
    return found


def test_each_difference_is_a_line_with_its_parts(world: World) -> None:
    customer = billed(world, billed_quantity="90", used="100")
    (row,) = shown(world).rows
    who, _, _, state, expected, bill, difference, why = row.cells
    assert isinstance(who, Text)
    assert isinstance(why, Text)
    assert (who.text, state) == (customer, State(word="leakage"))
    assert [cell.amount for cell in (expected, bill, difference) if isinstance(cell, Money)] == [
        Decimal("10.00"),
        Decimal("9.00"),
        Decimal("-1.00"),
    ]
    assert why.text == "quantity -1.00 (90 billed, 100 known)"


def test_filters_choose(world: World) -> None:
    billed(world, billed_quantity="100", used="100")
    assert shown(world).rows == ()
    assert len(shown(world, shown="all").rows) == 1
    assert shown(world, shown="all", cause="price").rows == ()
