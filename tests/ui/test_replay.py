"""A missing account holds two hundred documents: somebody adds it, replays them all with one button, and none is there twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.databases import TestServer
from tests.rehearsal import add_missing_mapping
from tests.ui.conftest import served
from tests.ui.world import PASSWORD, World, build_world

pytestmark = pytest.mark.slow

HELD_AT_LEAST = 200


@pytest.fixture(scope="module")
def large(test_server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of its own, large enough that the missing account holds two hundred documents."""
    test_server.new_database("ui_replay")
    dsn = test_server.server.dsn("revline_app", "ui_replay")
    made = build_world(dsn=dsn, folder=tmp_path_factory.mktemp("replay"), invoices=420, neighbour=False)
    yield made
    made.close()


@pytest.fixture
def page(large: World, browser: Any, tmp_path: Path) -> Iterator[Any]:
    """A browser at a server over the large world."""
    with served(dsn=large.dsn, folder=tmp_path) as address:
        context = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900})
        opened = context.new_page()
        opened.expected_errors = []
        yield opened
        context.close()


def states(world: World) -> Counter[str]:
    with world.harness.database.read(tenants=["birch"]) as connection:
        sql = "SELECT state FROM document_state WHERE tenant_id = :tenant"
        return Counter(connection.execute(text(sql), {"tenant": "birch"}).scalars())


def test_two_hundred_held_documents_are_mended_at_once_and_none_is_doubled(
    large: World, page: Any, picture: Callable[[str], None]
) -> None:
    world = large
    held = states(world)["rejected"]
    assert held >= HELD_AT_LEAST
    page.goto("/login")
    page.get_by_label("E-mail").fill("finn@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/t/**")
    page.goto("/t/birch")
    picture("overview-held")
    page.get_by_role("link", name="A mapping is missing").click()
    page.wait_for_url("**/causes/**")
    add_missing_mapping(folder=world.folder)
    world.harness.apply()
    page.get_by_role("button", name=re.compile(f"Try all {held} again")).click()
    page.get_by_label("Reason").fill("the account of hardware is mapped now")
    picture("replay-dialog")
    page.get_by_role("button", name="Try all again", exact=True).click()
    page.wait_for_url("**/causes/**")
    assert f"{held} of {held} records set going" in page.get_by_role("status").inner_text()
    world.work()
    page.reload()
    assert "No open case of this cause" in page.inner_text("main")
    picture("replay-done")
    assert set(states(world)) == {"posted"}
    page.goto("/t/birch")
    assert "Nothing stands still" in page.inner_text("main")
    made = Counter(
        (effect.kind, effect.external_reference) for effect in world.erp.effects() if effect.action == "create"
    )
    assert len(made) >= held
    assert [reference for reference, count in made.items() if count > 1] == [], "by the ERP's own file"
