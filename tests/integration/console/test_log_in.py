"""Log-in: who comes in, for how long, what a guesser learns, and what a forged form does."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from revline.platform.access.roles import Role
from revline.platform.store.engine import Database
from tests.integration.console.conftest import PASSWORD, Desk


def test_a_person_logs_in_and_lands_in_their_tenant(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    answer = desk.log_in("Ada@Example.com ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert desk.get("/").headers["location"] == "/t/beta"
    assert desk.get("/t/beta").status_code == 200


def test_no_page_opens_without_a_log_in(desk: Desk) -> None:
    for path in ("/", "/t/alpha", "/t/alpha/audit?kind=accept", "/profile", "/all"):
        answer = desk.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/login"), path
    assert desk.get("/t/alpha/audit?kind=accept").headers["location"] == (
        "/login?return_to=%2Ft%2Falpha%2Faudit%3Fkind%3Daccept"
    )
    part = desk.get("/t/alpha/audit", **{"HX-Request": "true"})
    assert part.headers["hx-redirect"].startswith("/login")


def test_wrong_unknown_and_disabled_hear_the_same(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    gone = desk.person("gone@example.com", (Role.AUDITOR, "beta"))
    desk.person("oidc@example.com", (Role.AUDITOR, "beta"), password="")
    desk.runtime.services.people.disable(person_id=gone.person_id, actor="test")
    told = []
    for email, password in (
        ("ada@example.com", "wrong horse battery"),
        ("nobody@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
        ("oidc@example.com", ""),
    ):
        answer = desk.log_in(email, password or "x")
        assert answer.status_code == 401
        told.append(answer.text.replace(email, ""))
    assert len({one.partition('<form method="post" action="/login">')[0] for one in told}) == 1
    assert desk.get("/profile").status_code == 303


def test_guessing_is_slowed_and_ends(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    answers = [desk.log_in("ada@example.com", "a wrong password").status_code for _ in range(9)]
    assert answers == [401] * 8 + [429]
    assert desk.log_in("ada@example.com").status_code == 429, "also with the right password"
    desk.clock.move(minutes=16)
    assert desk.log_in("ada@example.com").status_code == 303


def test_a_session_ends_when_idle_and_at_the_latest_after_half_a_day(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    desk.log_in("ada@example.com")
    for _ in range(11):
        desk.clock.move(hours=1)
        assert desk.get("/t/beta").status_code == 200
    desk.clock.move(hours=1, minutes=1)
    assert desk.get("/t/beta").status_code == 303
    desk.log_in("ada@example.com")
    desk.clock.move(hours=2, minutes=1)
    assert desk.get("/t/beta").status_code == 303


def test_log_out_here_and_everywhere(desk: Desk) -> None:
    person = desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    elsewhere = desk.runtime.services.sessions.start(person_id=person.person_id)
    desk.log_in("ada@example.com")
    desk.send("/logout", {})
    assert desk.get("/t/beta").status_code == 303
    assert desk.runtime.services.sessions.count(person_id=person.person_id) == 1
    desk.log_in("ada@example.com")
    desk.send("/logout", {"everywhere": "yes"})
    assert desk.runtime.services.sessions.count(person_id=person.person_id) == 0
    assert desk.runtime.services.sessions.resolve(token=getattr(elsewhere, "token", "")) is None


def test_disabling_and_a_new_password_end_every_session(desk: Desk) -> None:
    person = desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    desk.log_in("ada@example.com")
    desk.runtime.services.people.disable(person_id=person.person_id, actor="test")
    assert desk.get("/t/beta").status_code == 303
    desk.runtime.services.people.disable(person_id=person.person_id, actor="test", disabled=False)
    desk.log_in("ada@example.com")
    changed = desk.send("/profile/password", {"old": PASSWORD, "new": "staple staple battery"})
    assert changed.headers["location"] == "/login"
    assert desk.get("/t/beta").status_code == 303
    assert desk.log_in("ada@example.com").status_code == 401
    assert desk.log_in("ada@example.com", "staple staple battery").status_code == 303


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_a_log_in_leads_to_no_other_place(desk: Desk, to: str) -> None:
    desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    data = {"email": "ada@example.com", "password": PASSWORD, "token": desk.token("/login"), "return_to": to}
    answer = desk.client.post("/login", data=data, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_form_from_elsewhere_does_nothing(desk: Desk) -> None:
    person = desk.person("ada@example.com", (Role.ADMINISTRATOR, "beta"))
    assert desk.log_in("ada@example.com", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    desk.log_in("ada@example.com")
    add = {"email": "eve@example.com", "name": "Eve", "role": "auditor", "reason": "because"}
    for token, headers in (("", {}), ("0" * 40, {})):
        answer = desk.client.post("/t/beta/people/add", data={**add, "form_token": token}, headers=headers)
        assert answer.status_code == 403
        assert "console.form_forged" in answer.text
    assert desk.send("/t/beta/people/add", add, **{"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert desk.runtime.services.people.find(email="eve@example.com") is None
    assert desk.send("/t/beta/people/add", add).status_code == 303
    found = desk.runtime.services.people.find(email="eve@example.com")
    assert found is not None
    assert found.roles("beta") == {Role.AUDITOR}
    assert desk.runtime.services.people.changes(tenant_id="beta")[0].actor == person.actor


def test_no_password_token_or_session_is_stored(desk: Desk, database: Database) -> None:
    desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    answer = desk.log_in("ada@example.com")
    token = answer.headers["set-cookie"].partition("revline=")[2].partition(";")[0]
    assert len(token) == 32
    with database.control() as connection:
        rows: list[Any] = []
        for table in ("person", "person_session", "person_grant", "login_window", "access_change"):
            rows += connection.execute(text(f"SELECT * FROM {table}")).all()
    stored = repr(rows)
    assert "ada@example.com" in stored
    assert token not in stored
    assert PASSWORD not in stored


def test_over_tls_the_cookie_is_bound_to_this_host(desk: Desk) -> None:
    from msgspec.structs import replace  # noqa: PLC0415

    from revline.doors.console.security import Cookies  # noqa: PLC0415

    assert replace(desk.runtime.settings, public_url="https://books.example").public_url
    cookie = Cookies(secure=True).make("revline", "x").to_header(header="")
    assert cookie.startswith("__Host-revline=x")
    for part in ("Path=/", "Secure", "HttpOnly", "SameSite=lax"):
        assert part in cookie
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    "back", ["/t/beta/trace?id=é", "/t/beta/trace?id=請求", "/t/beta/trace?id=\u202e", "/%0d%0aset-cookie:x=y"]
)
def test_one_comes_back_to_where_one_was_also_in_other_scripts(desk: Desk, back: str) -> None:
    desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    token = desk.token("/login")
    data = {"email": "ada@example.com", "password": PASSWORD, "token": token, "return_to": back}
    answer = desk.client.post("/login", data=data, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].isascii()
    assert "x" not in answer.cookies


@pytest.mark.parametrize(
    "back",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "\\\\evil.example", "evil"],
)
def test_nobody_is_sent_to_another_host_after_a_log_in(desk: Desk, back: str) -> None:
    desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    data = {"email": "ada@example.com", "password": PASSWORD, "token": desk.token("/login"), "return_to": back}
    assert desk.client.post("/login", data=data, follow_redirects=False).headers["location"] == "/"


def test_a_log_in_ends_the_session_it_takes_the_place_of(desk: Desk) -> None:
    ada = desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    planted = desk.client.cookies
    desk.log_in("ada@example.com")
    first = planted.get("revline")
    desk.log_in("ada@example.com")
    assert planted.get("revline") != first, "a cookie from before a log-in is never the one after it"
    assert desk.runtime.services.sessions.resolve(token=first or "") is None
    assert desk.runtime.services.sessions.count(person_id=ada.person_id) == 1
