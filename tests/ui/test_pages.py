"""Every page opens for who may see it, without an error or a request elsewhere, and can be used by everybody, light and dark."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.ui.world import CANARY, PASSWORD

AXE: Final = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PATHS: Final = {
    "overview": "/t/birch",
    "connections": "/t/birch/connections",
    "connection-erp": "/t/birch/connections/erp",
    "connection-stripe": "/t/birch/connections/stripe",
    "contracts": "/t/birch/contracts",
    "contract": "/t/birch/contracts/invoice.issued",
    "audit": "/t/birch/audit",
    "people": "/t/birch/people",
    "keys": "/t/birch/keys",
    "permissions": "/t/birch/permissions",
    "profile": "/profile",
    "problems": "/problems",
    "problem": "/problems/mapping.missing",
    "all": "/all",
    "cases": "/t/birch/cases",
    "deliveries": "/t/birch/deliveries",
    "holding": "/t/birch/holding",
    "trace": "/t/birch/trace",
    "corrections": "/t/birch/corrections",
    "webhooks": "/t/birch/webhooks",
    "credits": "/t/birch/credits",
    "usage-charges": "/t/birch/usage",
    "usage-and-bills": "/t/birch/usage-and-bills",
}
LogIn = Callable[[str], Any]
Picture = Callable[[str], None]


def faults(page: Any) -> list[str]:
    """What keeps somebody from using the page, by axe-core. It is evaluated by the debugger, so the page's policy stays."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize("name", sorted(PATHS))
def test_every_page_opens_and_can_be_used_by_everybody(name: str, log_in: LogIn, picture: Picture) -> None:
    page = log_in("ada@example.com")
    answer = page.goto(PATHS[name])
    assert answer.status == 200, page.inner_text("main")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults(page) == [], scheme
    assert CANARY not in page.content()
    picture(name)


def test_the_way_in_can_be_used_by_everybody(page: Any, picture: Picture) -> None:
    page.expected_errors = ["401"]
    page.goto("/login")
    assert faults(page) == []
    picture("login")
    page.get_by_label("E-mail").fill("ada@example.com")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_role("alert").wait_for()
    assert page.get_by_label("E-mail").input_value() == "ada@example.com"
    assert faults(page) == []
    picture("login-refused")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    page.wait_for_url("**/t/**")


def test_a_page_that_is_not_there_says_what_to_do(log_in: LogIn, picture: Picture) -> None:
    page = log_in("finn@example.com")
    page.expected_errors = ["404"]
    page.goto("/t/aurora/connections")
    assert page.get_by_role("alert").inner_text().startswith("There is no such page")
    assert faults(page) == []
    picture("not-found")


def test_keys_lead_through_a_page(log_in: LogIn, picture: Picture) -> None:
    page = log_in("ada@example.com")
    page.goto("/t/birch/audit")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert (
        page.locator("tr.here").get_by_role("cell").first.inner_text()
        == page.locator("tbody tr").nth(1).get_by_role("cell").first.inner_text()
    )
    page.keyboard.press("k")
    assert page.locator("tbody tr").first.get_attribute("class") == "here"
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    picture("keys-help")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("g")
    page.keyboard.press("p")
    page.wait_for_url("**/people")


def test_filters_live_in_the_address(log_in: LogIn, picture: Picture) -> None:
    page = log_in("ada@example.com")
    page.goto("/t/birch/audit")
    before = page.locator("#list tbody tr").count()
    page.get_by_label("Kind").select_option("derive")
    page.wait_for_url("**/audit?kind=derive**")
    page.wait_for_function("count => document.querySelectorAll('#list tbody tr').length < count", arg=before)
    assert set(page.locator("#list tbody tr td:nth-child(3)").all_inner_texts()) == {"derive"}
    picture("audit-filtered")
    page.reload()
    assert page.get_by_label("Kind").input_value() == "derive"
    page.goto("/t/birch/audit?kind=nothing")
    page.get_by_text("Nothing fits these filters").wait_for()


def test_the_chain_is_verified_on_the_page(log_in: LogIn, picture: Picture) -> None:
    page = log_in("aud@example.com")
    page.goto("/t/birch/audit")
    page.get_by_role("button", name="Verify the chain").click()
    page.get_by_role("heading", name="The chain holds").wait_for()
    assert faults(page) == []
    picture("audit-verified")


def test_lists_become_files(log_in: LogIn) -> None:
    page = log_in("aud@example.com")
    page.goto("/t/birch/audit")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as csv:
        page.get_by_role("link", name="CSV").click()
    lines = csv.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == '"Position","Recorded","Kind","Actor","Reason","Rows","Hash"'
    assert len(lines) - 1 == page.locator("#list tbody tr").count()
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as workbook:
        page.get_by_role("link", name="Excel").click()
    assert zipfile.ZipFile(io.BytesIO(workbook.value.path().read_bytes())).testzip() is None


def test_a_tenant_is_switched_and_nothing_of_the_other_is_seen(log_in: LogIn) -> None:
    page = log_in("ada@example.com")
    page.goto("/t/birch")
    page.get_by_role("button", name="Tenant birch").click()
    page.get_by_role("link", name="aurora").click()
    page.wait_for_url("**/t/aurora")
    assert page.locator(".switcher-name").inner_text() == "aurora"
    assert "birch" not in page.inner_text("main")
    nils = log_in("nils@example.com")
    nils.get_by_role("button", name="Tenant aurora").click()
    assert nils.locator("#tenants").inner_text().count("birch") == 0


def test_a_disabled_button_says_who_can_press_it(log_in: LogIn, picture: Picture) -> None:
    page = log_in("finn@example.com")
    page.goto("/t/birch/people")
    button = page.get_by_role("button", name="Add a person")
    assert button.is_disabled()
    assert page.get_by_text("Takes administrator").first.is_visible()
    picture("people-of-finance")


def test_a_person_is_added_with_a_reason(log_in: LogIn, picture: Picture) -> None:
    page = log_in("ada@example.com")
    page.goto("/t/birch/people")
    page.get_by_role("button", name="Add a person").click()
    dialog = page.get_by_role("dialog", name="Add a person")
    dialog.get_by_label("E-mail").fill("grace@example.com")
    dialog.get_by_label("Name").fill("Grace Hopper")
    dialog.get_by_label("Role in birch").select_option("auditor")
    picture("add-person")
    assert faults(page) == []
    dialog.get_by_label("Reason").fill("joins the audit")
    dialog.get_by_role("button", name="Add").click()
    page.get_by_role("status").get_by_text("Grace Hopper is auditor of birch").wait_for()
    page.reload()
    assert page.get_by_role("status").count() == 0, "a note is told once"


def test_colours_are_kept(log_in: LogIn) -> None:
    page = log_in("ada@example.com")
    page.get_by_role("button", name="Dark").click()
    page.goto("/t/birch/audit")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"


def test_times_are_the_viewer_s_with_utc_on_hover(log_in: LogIn) -> None:
    page = log_in("ada@example.com")
    page.goto("/t/birch/audit")
    shown = page.locator("#list time").first
    hour, utc = int(shown.inner_text()[11:13]), int(shown.get_attribute("title")[11:13])
    assert (hour - utc) % 24 in {1, 2}
    assert shown.get_attribute("title").endswith("UTC")


def test_a_narrow_screen_keeps_everything_in_reach(log_in: LogIn, picture: Picture) -> None:
    page = log_in("ada@example.com")
    page.set_viewport_size({"width": 420, "height": 860})
    page.goto("/t/birch")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    picture("narrow")
    page.get_by_role("button", name="Navigation").click()
    page.get_by_role("link", name="Audit").click()
    page.wait_for_url("**/audit")
