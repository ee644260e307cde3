"""Every page and every form of the console, asked by somebody of one tenant with ids of the other."""

from __future__ import annotations

import base64
import itertools
import re
from typing import Any
from urllib.parse import quote

import pytest

from revline.core.problem import Problem
from revline.doors.api.cursors import make_cursor
from revline.doors.console.pages.registry import PAGES
from revline.doors.console.values import Page
from revline.platform.access.roles import Role
from tests.integration.crossing.conftest import OURS, THEIRS, Crossing
from tests.ui.world import KEY

PLACE = re.compile(r"\{(\w+):str\}")
FIXED = {"kind": ("fact", "input")}
"""Places that name no record."""
FORMS = ("message", "person", "key", "of_cause")
"""Fields of forms that name a record."""
GETS = [page for page in PAGES if page.method == "GET"]
POSTS = [page for page in PAGES if page.method == "POST"]
NAMING = [page for page in POSTS if page.name not in {"issue_key", "add_person", "password"}]
"""Forms that name a record."""
ODD = ("\0", "a\0b", "%ed%a0%80", "..%2f..%2fbeta", "x" * 3_000, "'\"<svg onload=alert(1)>", "é\u202e")


def paths(page: Page, tenant: str, ids: list[str]) -> list[str]:
    """The page's addresses with each id in every place that takes one."""
    path = page.full_path.replace("{tenant:str}", tenant)
    names = PLACE.findall(path)
    values = [FIXED.get(name, tuple(ids)) for name in names]
    made = []
    for chosen in itertools.product(*values):
        one = path
        for name, value in zip(names, chosen, strict=True):
            one = one.replace(f"{{{name}:str}}", value if "%" in value else quote(value, safe=""))
        made.append(one)
    return made


def told(answer: Any) -> str:
    """All an answer says: its text, where it leads, and the note it leaves in a cookie."""
    note = answer.cookies.get("revline_note", "")
    opened = base64.urlsafe_b64decode(note + "=" * (-len(note) % 4))[16:].decode(errors="replace") if note else ""
    return f"{answer.text} {answer.headers.get('location', '')} {opened}"


def assert_nothing_of_theirs(crossing: Crossing, answer: Any, asked: str) -> None:
    text = told(answer)
    for word in crossing.theirs.words:
        if word not in asked:
            assert word not in text, (asked, word)


@pytest.mark.parametrize("where", GETS, ids=lambda where: where.name)
def test_a_page_shows_nothing_of_another_tenants_record(crossing: Crossing, where: Page) -> None:
    ids = crossing.theirs.every()
    for path in paths(where, OURS, ids):
        answer = crossing.visit("GET", path)
        if PLACE.search(where.path):
            assert answer.status_code == 404, path
        assert answer.status_code < 500, path
        assert_nothing_of_theirs(crossing, answer, path)
    for name in ("id", "cause", "of_cause", "connection", "actor", "state"):
        for value in (*(ids if name == "id" else ids[:2]), "stripe-us", THEIRS):
            for form in ("", "csv"):
                path = paths(where, OURS, ids)[0] + f"?{name}={quote(value)}&format={form}"
                if form and where.name not in {"cases", "deliveries", "audit", "webhooks"}:
                    continue
                answer = crossing.visit("GET", path)
                assert answer.status_code < 500, path
                assert_nothing_of_theirs(crossing, answer, path)


@pytest.mark.parametrize("where", [page for page in PAGES if page.of_tenant], ids=lambda where: where.name)
def test_a_page_of_another_tenant_is_not_there(crossing: Crossing, where: Page) -> None:
    for path in paths(where, THEIRS, crossing.theirs.every()):
        form = {"form_token": crossing.form_token, "reason": "because"}
        answer = crossing.visit(where.method, path, form)
        assert answer.status_code == 404, path
        assert_nothing_of_theirs(crossing, answer, path)


@pytest.mark.parametrize("where", NAMING, ids=lambda where: where.name)
def test_a_form_changes_nothing_of_another_tenants_record(crossing: Crossing, where: Page) -> None:
    before = crossing.state(THEIRS)
    ids = crossing.theirs.every()
    common = {"form_token": crossing.form_token, "reason": "because", "role": "auditor", "body": "{}"}
    for path in paths(where, OURS, ids):
        # Where the address names the record no field does; elsewhere each field names one in its turn.
        named = PLACE.search(where.path)
        fields = [dict.fromkeys(FORMS, ids[0])] if named else [{name: one} for name in FORMS for one in ids]
        for given in fields:
            answer = crossing.visit("POST", path, {**common, **given})
            assert answer.status_code < 500, path
            if named:
                assert answer.status_code in {404, 409, 422}, (path, answer.status_code)
            assert_nothing_of_theirs(crossing, answer, f"{path} {' '.join(given.values())}")
    assert crossing.state(THEIRS) == before


@pytest.mark.parametrize("where", POSTS, ids=lambda where: where.name)
def test_a_form_without_its_token_or_with_anothers_changes_nothing(crossing: Crossing, where: Page) -> None:
    services = crossing.world.runtime.services
    person = services.people.find(email="grace@example.com")
    assert person is not None
    other = services.sessions.start(person_id=person.person_id)
    assert not isinstance(other, Problem)
    before = crossing.state(OURS, THEIRS)
    form = {
        "reason": "because", "message": crossing.ours.ids["document"][0], "person": crossing.ours.ids["person"][0],
        "key": crossing.ours.ids["key"][0], "role": "auditor", "days": "30", "email": "eve@example.com", "name": "Eve",
        "old": "a long enough password", "new": "another long enough one", "body": "{}",
    }  # fmt: skip
    for path in paths(where, OURS, crossing.ours.of_each_kind()):
        for token in ({}, {"form_token": ""}, {"form_token": "0" * 40}):
            assert crossing.visit("POST", path, {**form, **token}).status_code == 403, path
        # The token of one session is none for another one, of the same person too.
        answer = crossing.visit("POST", path, {**form, "form_token": crossing.form_token}, session=other.token)
        assert answer.status_code == 403, path
        assert crossing.visit("POST", path, {**form, "form_token": crossing.form_token}, session="").status_code == 303
        crossing.client.headers["sec-fetch-site"] = "cross-site"
        forged = crossing.visit("POST", path, {**form, "form_token": crossing.form_token})
        del crossing.client.headers["sec-fetch-site"]
        assert forged.status_code == 403, path
    assert crossing.state(OURS, THEIRS) == before
    assert services.people.find(email="eve@example.com") is None
    assert services.sessions.resolve(token=crossing.session) is not None


@pytest.mark.parametrize("where", PAGES, ids=lambda where: where.name)
def test_odd_ids_and_fields_are_refused_not_failed(crossing: Crossing, where: Page) -> None:
    for odd in ODD:
        for path in paths(where, OURS, [odd]):
            query = (
                ""
                if where.method == "POST"
                else f"?id={quote(odd)}&state={quote(odd)}&actor={quote(odd)}&cursor={quote(odd)}"
            )
            names = (*FORMS, "body", "email", "name", "role", "days", "old", "new")
            form = {"form_token": crossing.form_token, "reason": f"odd {odd[:40]}", **dict.fromkeys(names, odd)}
            for suffix in {"", query}:
                answer = crossing.visit(where.method, path + suffix, form)
                assert answer.status_code < 500, (path[:80], suffix[:80])
                assert "<svg onload" not in answer.text


def test_a_cursor_counts_for_its_list_its_tenant_and_its_filters_only(crossing: Crossing) -> None:
    services = crossing.world.runtime.services
    scope: dict[str, Any] = {"key": KEY, "listing": "console/deliveries", "tenant_id": OURS, "filters": {}}
    cursor = make_cursor((crossing.ours.ids["document"][0],), **scope)
    assert crossing.visit("GET", f"/t/{OURS}/deliveries?cursor={cursor}").status_code == 200
    for path in (
        f"/t/{OURS}/audit?cursor={cursor}",
        f"/t/{OURS}/deliveries?cursor={cursor}&state=ready",
        f"/t/{OURS}/deliveries?cursor={cursor}x",
        f"/t/{OURS}/deliveries?cursor=A{cursor[1:]}",
    ):
        assert crossing.visit("GET", path).status_code == 400, path
    nils = services.people.find(email="nils@example.com")
    assert nils is not None
    theirs = services.sessions.start(person_id=nils.person_id)
    assert not isinstance(theirs, Problem)
    assert crossing.visit("GET", f"/t/{THEIRS}/deliveries?cursor={cursor}", session=theirs.token).status_code == 400
    assert Role.FINANCE in nils.roles(THEIRS)
