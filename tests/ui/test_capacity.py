"""The Capacity page in a browser: what far accounts can take, stopped and set going again with a reason, by who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Log = Callable[[str], Any]
Picture = Callable[[str], None]


def test_an_operator_blocks_a_pool_and_frees_it(log_in: Log, picture: Picture) -> None:
    page = log_in("olga@example.com")
    assert page.goto("/t/birch/capacity").status == 200, page.inner_text("main")
    panel = page.locator("section.panel", has=page.get_by_role("heading", name="erp", exact=True))
    assert panel.get_by_text("Slots in use").count() == 1
    assert panel.get_by_role("region", name="Budgets of erp").get_by_text("close").count() == 1
    picture("capacity")
    panel.get_by_role("button", name="Block").click()
    page.locator("dialog[open] textarea[name=reason]").fill("The ERP is being upgraded tonight")
    page.locator("dialog[open]").get_by_role("button", name="Block").click()
    page.get_by_text("Blocked: no call begins until it is unblocked.").wait_for()
    assert panel.get_by_text("The ERP is being upgraded tonight").count() >= 1
    picture("capacity-blocked")
    panel.get_by_role("button", name="Unblock").click()
    page.locator("dialog[open] textarea[name=reason]").fill("The upgrade is done")
    page.locator("dialog[open]").get_by_role("button", name="Unblock").click()
    page.get_by_text("It may call again.").wait_for()


def test_a_close_goes_first_from_the_page(log_in: Log) -> None:
    page = log_in("olga@example.com")
    page.goto("/t/birch/capacity")
    page.get_by_role("button", name="A close goes first").click()
    dialog = page.locator("dialog[open]")
    dialog.locator("input[name=period]").fill("2026-01")
    dialog.locator("textarea[name=reason]").fill("January is being closed")
    dialog.get_by_role("button", name="Let it go first").click()
    page.get_by_role("region", name="Periods that go first").wait_for()
    assert page.get_by_role("region", name="Periods that go first").get_by_text("2026-01").count() == 1
    page.get_by_role("region", name="Periods that go first").get_by_role("button", name="End").click()
    page.locator("dialog[open] textarea[name=reason]").fill("January is closed")
    page.locator("dialog[open]").get_by_role("button", name="End").click()
    page.get_by_text("They take their turn again.").wait_for()


def test_who_may_not_sees_who_may(log_in: Log) -> None:
    page = log_in("aud@example.com")
    page.goto("/t/birch/capacity")
    assert page.get_by_role("button", name="Block").first.is_disabled()
    assert (
        page.get_by_text("Takes operator or administrator").count()
        + page.get_by_text("Takes administrator or operator").count()
    )
