"""Naming the record a document is, in a browser: read there and refused, or by somebody's word; a pool's change in the audit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.ui.test_work import HELD, one
from tests.ui.world import World

Log = Callable[[str], Any]
Picture = Callable[[str], None]

pytestmark = pytest.mark.slow


def named(page: Any, **fields: str | bool) -> None:
    """Fills the dialog and sends it."""
    page.get_by_role("button", name="Name its record").click()
    dialog = page.locator("dialog[open]")
    for name, value in fields.items():
        at = dialog.locator(f"[name={name}]")
        at.check() if value is True else at.fill(str(value))
    dialog.locator("textarea[name=reason]").fill("Found there by amount and day")


def test_a_record_is_read_there_or_taken_by_a_persons_word(log_in: Log, picture: Picture, world: World) -> None:
    document = one(world, HELD)
    page = log_in("finn@example.com")
    page.goto(f"/t/birch/deliveries/{document}")
    page.expected_errors = ["404", "409", "422", "502", "503"]
    named(page, erp_id="4711")
    picture("name-record")
    page.locator("dialog[open] .dialog-buttons button").last.click()
    page.locator("main .problem").first.wait_for()
    picture("name-record-refused")
    page.goto(f"/t/birch/deliveries/{document}")
    named(page, erp_id="4711", number="INV-4711", unread=True)
    page.locator("dialog[open] .dialog-buttons button").last.click()
    page.get_by_text("It is 4711 there; what needs it goes on.").wait_for()
    picture("name-record-done")


def test_a_change_of_a_pool_is_in_the_audit(log_in: Log, picture: Picture) -> None:
    page = log_in("olga@example.com")
    for button in ("Block", "Unblock"):
        page.goto("/t/birch/capacity")
        page.get_by_role("button", name=button, exact=True).first.click()
        page.locator("dialog[open] textarea[name=reason]").fill("The ERP is being upgraded")
        page.locator("dialog[open]").get_by_role("button", name=button).click()
        page.wait_for_load_state()
    page.goto("/t/birch/audit?kind=pool")
    assert page.get_by_text(": blocked").count() >= 1
    picture("audit-pool")
