"""An act on many records from preview to end: its bar moves by itself, what was refused is listed and exported, abort stops it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from revline.delivery import acts
from revline.platform.bulk.runner import BulkRunner
from tests.databases import TestServer
from tests.ui.conftest import served
from tests.ui.world import PASSWORD, World, build_world

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def held(test_server: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world of its own, in which a missing account holds documents."""
    test_server.new_database("ui_bulk")
    dsn = test_server.server.dsn("revline_app", "ui_bulk")
    made = build_world(dsn=dsn, folder=tmp_path_factory.mktemp("bulk"), invoices=40, neighbour=False)
    yield made
    made.close()


@pytest.fixture
def page(held: World, browser: Any, tmp_path: Path) -> Iterator[Any]:
    with served(dsn=held.dsn, folder=tmp_path) as address:
        context = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900})
        opened = context.new_page()
        opened.expected_errors = []
        yield opened
        context.close()


def rejected(world: World) -> list[str]:
    with world.harness.database.read(tenants=["birch"]) as connection:
        sql = "SELECT document_id FROM document_state WHERE tenant_id = :tenant AND state = 'rejected' ORDER BY document_id"
        return list(connection.execute(text(sql), {"tenant": "birch"}).scalars())


def runner(world: World, *, batch: int) -> BulkRunner:
    services = world.runtime.services
    return BulkRunner(
        database=services.database, handlers=services.bulk.handlers, clock=services.clock, owner="test", batch=batch
    )


def log_in(page: Any, email: str) -> None:
    page.goto("/login")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/t/**")


def start(page: Any, *, kind: str, word: str) -> int:
    """From the preview of an act on everything of a cause to its own page; gives how many records it is about."""
    page.locator("select[name=kind_of_act]").select_option(kind)
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url(re.compile(f"kind_of_act={kind}"))
    heading = page.get_by_role("heading", level=1).inner_text()
    count = int(re.sub(r"\D", "", heading))
    page.get_by_role("button", name=re.compile(f"{word} {count}")).click()
    page.get_by_label("Reason").fill("the account is mapped now")
    page.locator("dialog[open] .dialog-buttons button").last.click()
    page.wait_for_url(re.compile(r"/acts/[0-9a-f]{8}-[0-9a-f-]+"))
    return count


def test_an_act_is_previewed_watched_and_stopped(held: World, page: Any, picture: Callable[[str], None]) -> None:
    ids = rejected(held)
    assert len(ids) >= 6
    log_in(page, "olga@example.com")
    page.goto("/t/birch/acts")
    assert "No act on many records yet" in page.inner_text("main")
    page.goto("/t/birch/cases")
    page.get_by_role("link", name="A mapping is missing").first.click()
    page.wait_for_url("**/causes/**")
    page.get_by_role("link", name="Act on all").click()
    page.wait_for_url("**/acts/new**")
    assert "Nothing is done yet" in page.inner_text("main")
    picture("act-preview")
    count = start(page, kind="resend", word="Send again")
    assert count == len(ids)
    bar = page.get_by_role("progressbar")
    assert bar.get_attribute("aria-valuenow") == "0"
    assert acts.waive(
        held.runtime.services.database, tenant_id="birch", document_id=ids[0], actor="person:test", reason="by hand",
        recorded_at=held.runtime.services.clock.now(),
    ) is None  # fmt: skip
    assert runner(held, batch=3).turn() == 3
    page.wait_for_selector("[role=progressbar][aria-valuenow='3']", timeout=15_000)
    picture("act-running")
    page.get_by_role("button", name="Abort").first.click()
    page.locator("dialog[open]").get_by_label("Reason").fill("enough for today")
    page.locator("dialog[open] [name=confirmation]").fill("abort")
    page.locator("dialog[open] .dialog-buttons button").last.click()
    page.get_by_role("status").wait_for()
    assert f"3 of {count}" in page.get_by_role("status").inner_text()
    assert runner(held, batch=3).turn() <= 1
    page.get_by_role("link", name="1", exact=True).first.click()
    page.wait_for_url(re.compile("outcome=refused"))
    assert "document.finished" in page.inner_text("main")
    picture("act-refused")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    exported = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert ids[0] in exported
    assert len([line for line in exported.splitlines() if line.strip()]) == 2
