"""What people do all day, in a browser: find an invoice by its ERP number, see why one is not posted, mend a copy, stay inside."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from tests.ui.world import CANARY, World

Log = Callable[[str], Any]
Picture = Callable[[str], None]

POSTED = (
    "SELECT document_id FROM document_state WHERE tenant_id = :tenant AND state = 'posted' AND kind = 'invoice'"
    " ORDER BY document_id LIMIT 1"
)
HELD = (
    "SELECT document_id FROM document_state WHERE tenant_id = :tenant AND state = 'rejected' AND kind = 'invoice'"
    " ORDER BY document_id LIMIT 1"
)
CAUSE = "SELECT cause_id FROM cause WHERE tenant_id = :tenant AND code = 'mapping.missing'"
NUMBER = "SELECT number FROM erp_record WHERE tenant_id = :tenant AND document_id = :document"


def one(world: World, sql: str, **values: object) -> str:
    """A single value of Birch's rows."""
    with world.harness.database.read(tenants=["birch"]) as connection:
        return str(connection.execute(text(sql), {"tenant": "birch", **values}).scalar_one())


@pytest.mark.parametrize("name", ["cases", "deliveries", "corrections", "trace"])
def test_a_list_of_work_opens(name: str, log_in: Log, picture: Picture) -> None:
    page = log_in("finn@example.com")
    assert page.goto(f"/t/birch/{name}").status == 200, page.inner_text("main")
    picture(name)


def test_an_invoice_is_found_by_its_erp_number_and_its_whole_way_is_shown(
    log_in: Log, picture: Picture, world: World
) -> None:
    document = one(world, POSTED)
    number = one(world, NUMBER, document=document)
    page = log_in("finn@example.com")
    page.keyboard.press("/")
    page.keyboard.type(number)
    page.keyboard.press("Enter")
    page.wait_for_url("**/trace?**")
    for column in ("fact", "root", "accounting event", "journal", "document", "erp record"):
        assert page.locator(".column-title", has_text=re.compile(f"^{column}$", re.IGNORECASE)).count() == 1
    picture("trace-picture")
    page.get_by_role("link", name="Timeline").click()
    assert page.get_by_text("invoice.finalized").count()
    picture("trace-timeline")
    page.get_by_role("link", name="invoice for erp").first.click()
    page.wait_for_url("**/deliveries/**")
    shown = page.inner_text("main")
    assert number in shown
    assert "What its books say" in shown
    assert "50-rules-invoices.yaml" in shown
    picture("delivery")


def test_why_an_invoice_is_not_posted_is_one_click_from_it(log_in: Log, picture: Picture, world: World) -> None:
    page = log_in("finn@example.com")
    page.goto(f"/t/birch/deliveries/{one(world, HELD)}")
    page.get_by_role("link", name="the mapping names no code for accounts revenue_product").click()
    page.wait_for_url("**/cases/**")
    shown = page.inner_text("main")
    for told in ("A mapping is missing", "Add the key", "accounts:revenue_product", "Money at risk", "invoice-issued"):
        assert told in shown
    picture("case")
    page.get_by_role("link", name="A mapping is missing").click()
    page.wait_for_url("**/causes/**")
    assert page.get_by_role("button", name=re.compile("Try all")).is_enabled()
    picture("cause")


def test_whoever_may_not_press_a_button_is_told_who_may(log_in: Log, world: World) -> None:
    page = log_in("aud@example.com")
    page.goto(f"/t/birch/causes/{one(world, CAUSE)}")
    button = page.get_by_role("button", name=re.compile("Try all"))
    assert button.is_disabled()
    assert "finance" in page.locator(".who").first.inner_text()
    page = log_in("olga@example.com")
    page.goto(f"/t/birch/causes/{one(world, CAUSE)}")
    page.locator("table.list a.row-link").first.click()
    assert page.get_by_role("button", name="Waive").is_disabled()
    assert page.get_by_role("button", name=re.compile("^Try again")).is_enabled()


def test_a_copy_is_checked_before_it_is_taken_and_a_broken_one_is_refused(
    log_in: Log, picture: Picture, world: World
) -> None:
    fact = one(
        world,
        "SELECT fact_id FROM fact WHERE tenant_id = :tenant AND object_kind = 'customer' ORDER BY position, ordinal LIMIT 1",
    )
    page = log_in("finn@example.com")
    page.expected_errors.append("422")
    page.goto(f"/t/birch/mend/fact/{fact}")
    area = page.get_by_label("The copy")
    original = area.input_value()
    area.fill("{")
    page.get_by_role("button", name="Check").click()
    assert page.get_by_role("alert").is_visible()
    changed = msgspec.json.decode(original)
    changed["data"]["object"]["name"] = "A mended name"
    area.fill(msgspec.json.format(msgspec.json.encode(changed), indent=2).decode())
    page.get_by_role("button", name="Check").click()
    assert "A mended name" in page.locator(".line-add").first.inner_text()
    picture("mend-checked")
    page.get_by_label("Reason").fill("the name was misspelt")
    page.get_by_role("button", name="Take the copy").click()
    page.wait_for_url("**/corrections/**")
    assert "Applied" in page.inner_text("main")
    picture("correction")


def test_a_mended_invoice_shows_what_it_would_change_in_the_books(log_in: Log, picture: Picture, world: World) -> None:
    fact = one(
        world,
        "SELECT fact_id FROM fact WHERE tenant_id = :tenant AND event_type = 'invoice.paid' ORDER BY position, ordinal LIMIT 1",
    )
    page = log_in("finn@example.com")
    page.goto(f"/t/birch/mend/fact/{fact}")
    area = page.get_by_label("The copy")
    changed = msgspec.json.decode(area.input_value())
    about = changed["data"]["object"]["lines"]["data"][0]["metadata"]
    about["product_family"] = "services" if about.get("product_family") == "hardware" else "hardware"
    area.fill(msgspec.json.format(msgspec.json.encode(changed), indent=2).decode())
    page.get_by_role("button", name="Check").click()
    shown = page.inner_text("main")
    for told in (
        "What it would change in the books",
        "reversed",
        "booked",
        "accounts_receivable",
        "50-rules-invoices.yaml",
    ):
        assert told in shown, shown[:2_000]
    picture("mend-preview")


def test_a_tenant_switched_to_shows_nothing_of_the_other(log_in: Log, world: World) -> None:
    document = one(world, POSTED)
    number = one(world, NUMBER, document=document)
    page = log_in("ada@example.com")
    page.get_by_role("button", name=re.compile("Tenant .*; switch")).click()
    page.get_by_role("link", name="aurora", exact=True).click()
    page.wait_for_url("**/t/aurora")
    for name in ("", "/cases", "/deliveries", "/corrections", "/connections", "/audit"):
        page.goto(f"/t/aurora{name}")
        assert "birch" not in page.inner_text("main").lower(), name
    page.expected_errors.append("404")
    for path in (f"/t/aurora/deliveries/{document}", f"/t/aurora/trace?id={number}", f"/t/aurora/trace?id={document}"):
        assert page.goto(path).status == 404
    page = log_in("finn@example.com")
    for path in ("/t/aurora", "/t/aurora/deliveries", "/t/aurora/cases"):
        assert page.goto(path).status == 404, "a tenant without a role is not there"
        assert CANARY not in page.content()
