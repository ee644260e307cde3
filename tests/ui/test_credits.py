"""The pages of credits in a browser: granted from a page, a customer's credits looked at, given back and voided by who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from revline.app.crediting import keeper_of
from tests.ui.test_pages import faults
from tests.ui.world import World

Log = Callable[[str], Any]
Picture = Callable[[str], None]
PLAN = """
apiVersion: revline/v1
kind: CreditPlan
metadata: {name: prepaid, tenant: birch}
spec: {title: Prepaid credits, currency: USD, amount: "1000.00", costBasis: "0.8", lasts: {months: 12}}
---
apiVersion: revline/v1
kind: Commitment
metadata: {name: yearly-promise, tenant: birch}
spec:
  {title: A promise, connection: stripe, customer: cus_paper, currency: USD, promised: "500.00", startsOn: 2026-01-01,
   endsOn: 2027-01-01}
"""


@pytest.fixture(scope="module")
def planned(world: World) -> World:
    """The world, with a plan credits are granted by."""
    (world.folder / "birch" / "45-credits.yaml").write_text(PLAN, encoding="utf-8")
    world.harness.apply()
    return world


def test_credits_are_granted_looked_at_and_given_back(planned: World, log_in: Log, picture: Picture) -> None:
    page = log_in("finn@example.com")
    page.goto("/t/birch/credits")
    page.get_by_role("button", name="Grant credits").click()
    dialog = page.locator("dialog[open]")
    dialog.locator("input[name=customer]").fill("cus_paper")
    dialog.locator("input[name=method]").fill("bank_transfer")
    dialog.locator("textarea[name=reason]").fill("Sold with the annual contract")
    dialog.get_by_role("button", name="Grant credits").click()
    page.get_by_text("They are granted").wait_for()
    planned.harness.derive_all()
    _settle(planned)
    page.goto("/t/birch/credits?customer=cus_paper&connection=stripe")
    assert page.get_by_role("region", name="Credits").get_by_text("1,000.00").count() >= 1
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults(page) == [], scheme
    picture("credits")
    page.get_by_role("link", name="Prepaid credits").first.click()
    page.get_by_role("region", name="Ledger").wait_for()
    assert page.get_by_role("region", name="Ledger").get_by_text("800.00").count() == 1
    assert page.get_by_role("region", name="Commitments").get_by_text("yearly-promise").count() >= 1
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults(page) == [], scheme
    picture("customer-credits")
    page.get_by_role("button", name="Give back").click()
    dialog = page.locator("dialog[open]")
    dialog.locator("input[name=amount]").fill("250.00")
    dialog.locator("textarea[name=reason]").fill("The contract ended early")
    dialog.get_by_role("button", name="Give back").click()
    page.get_by_text("They are given back").wait_for()
    planned.harness.derive_all()
    _settle(planned)
    page.reload()
    assert page.get_by_role("region", name="Ledger").get_by_text("200.00").count() == 1


def test_more_than_is_left_is_refused_in_words(planned: World, log_in: Log) -> None:
    page = log_in("finn@example.com")
    page.expected_errors = ["409"]
    page.goto("/t/birch/credits?customer=cus_paper")
    page.get_by_role("link", name="Prepaid credits").first.click()
    page.get_by_role("button", name="Give back").click()
    dialog = page.locator("dialog[open]")
    dialog.locator("input[name=amount]").fill("5000.00")
    dialog.locator("textarea[name=reason]").fill("All of it and more")
    dialog.get_by_role("button", name="Give back").click()
    page.get_by_text("Fewer credits are left").first.wait_for()


def test_who_may_not_sees_who_may(planned: World, log_in: Log) -> None:
    page = log_in("aud@example.com")
    page.goto("/t/birch/credits")
    assert page.get_by_role("button", name="Grant credits").is_disabled()
    assert (
        page.get_by_text("Takes operator or finance").count() + page.get_by_text("Takes operator, finance").count() >= 1
    )


def _settle(world: World) -> None:
    """What a worker does with the customers that changed."""
    keeper = keeper_of(
        database=world.harness.database, directory=world.harness.directory, clock=world.runtime.clock, owner="ui"
    )
    while keeper.turn():
        pass
