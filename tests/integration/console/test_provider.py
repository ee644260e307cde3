"""Log-in through a real OpenID Connect provider in its own process: code, PKCE, nonce, keys and all."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from litestar.testing import TestClient

from revline.app.console import console_ports, grants_of
from revline.app.runtime import open_runtime
from revline.core.problem import Problem
from revline.core.secret import Secret
from revline.doors.api.server import free_port
from revline.doors.console.app import create_console
from revline.platform.access.roles import Role
from revline.platform.settings import Settings
from revline.platform.store.engine import Database
from revline.platform.tenancy.record import register_tenant
from tests.integration.console.conftest import KEY, NOON, Desk

PUBLIC = "http://127.0.0.1:1"
PROGRAM = """
import os, sys
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
from oidc_provider_mock import User, run_server_in_thread
users = [
    User(sub="ada", claims={"email": "ada@example.com", "email_verified": True, "name": "Ada L.", "groups": ["fin"]}),
    User(sub="mallory", claims={"email": "ada@example.com", "email_verified": False, "groups": []}),
    User(sub="newcomer", claims={"email": "new@example.com", "email_verified": True, "name": "New", "groups": ["fin", "x"]}),
]
with run_server_in_thread(port=int(sys.argv[1]), require_nonce=True, user_claims=users):
    sys.stdin.read()
"""


class RealClock:
    def now(self) -> Any:
        from datetime import UTC, datetime  # noqa: PLC0415

        return datetime.now(UTC)

    def move(self, **amount: float) -> None:
        raise AssertionError("a real clock is not moved")


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port)], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    address = f"http://localhost:{port}"
    for _ in range(300):
        try:
            httpx2.get(f"{address}/.well-known/openid-configuration", trust_env=False)
            break
        except httpx2.HTTPError:
            time.sleep(0.1)
    yield address
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=20)


@pytest.fixture
def desk(app_dsn: str, database: Database, tmp_path: Path, issuer: str) -> Iterator[Desk]:
    with database.control() as connection:
        register_tenant(connection, tenant_id="beta", created_at=NOON)
    settings = Settings(
        dsn=Secret(app_dsn),
        data_folder=tmp_path,
        public_url=PUBLIC,
        oidc_issuer=issuer,
        oidc_client_id="revline",
        oidc_client_secret=Secret("a client's secret"),
        oidc_groups_claim="groups",
        oidc_grants="fin=finance@beta",
    )
    clock: Any = RealClock()
    runtime = open_runtime(settings, clock=clock)
    assert not isinstance(runtime, Problem)
    app: Any = create_console(console_ports(runtime, key=KEY))
    with TestClient(app=app) as client:
        yield Desk(client, clock, runtime)
    runtime.services.close()


def prove(desk: Desk, sub: str, *, return_to: str = "/t/beta/audit") -> str:
    """Leave for the provider, log in there as `sub`; gives the path it sends the browser back to."""
    left = desk.get(f"/login/provider?return_to={return_to}")
    assert left.status_code == 303, left.text
    asked = parse_qs(urlsplit(left.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == [f"{PUBLIC}/login/return"]
    back = httpx2.post(left.headers["location"], data={"sub": sub}, follow_redirects=False, trust_env=False)
    assert back.status_code == 302, back.text
    return str(back.headers["location"]).removeprefix(PUBLIC)


def test_groups_let_a_newcomer_in(desk: Desk) -> None:
    assert "Continue with localhost" in desk.get("/login").text
    answer = desk.get(prove(desk, "newcomer"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/t/beta/audit"), answer.text
    assert desk.get("/t/beta/audit").status_code == 200
    found = desk.runtime.services.people.find(email="new@example.com")
    assert found is not None
    assert (found.name, found.by_provider, found.has_password) == ("New", True, False)
    assert found.grants == {"beta": {Role.FINANCE}}


def test_a_verified_e_mail_binds_a_person_who_is_there(desk: Desk) -> None:
    ada = desk.person("ada@example.com", (Role.AUDITOR, "beta"))
    assert desk.get(prove(desk, "ada")).status_code == 303
    found = desk.runtime.services.people.find(email="ada@example.com")
    assert found is not None
    assert (found.person_id, found.by_provider) == (ada.person_id, True)
    assert found.grants == {"beta": {Role.AUDITOR, Role.FINANCE}}, "what a person gave stays beside what groups give"


def test_an_unverified_e_mail_is_nobody_s(desk: Desk) -> None:
    desk.person("ada@example.com", (Role.ADMINISTRATOR, "*"))
    answer = desk.get(prove(desk, "mallory"))
    assert answer.status_code == 403
    assert "access.no_grant" not in answer.headers.get("location", "")
    assert desk.get("/profile").status_code == 303


def test_the_way_back_works_once_and_in_this_browser_only(desk: Desk) -> None:
    path = prove(desk, "newcomer")
    stolen = dict(desk.client.cookies)
    desk.client.cookies.clear()
    assert desk.get(path).status_code == 401, "without the browser's cookie"
    for name, value in stolen.items():
        desk.client.cookies.set(name, value)
    assert desk.get(path).status_code == 303
    for name, value in stolen.items():
        desk.client.cookies.set(name, value)
    assert desk.get(path).status_code == 401, "a second time"


def test_a_changed_code_or_state_lets_nobody_in(desk: Desk) -> None:
    path = prove(desk, "newcomer")
    assert desk.get(path.replace("code=", "code=x")).status_code == 401
    path = prove(desk, "newcomer")
    assert desk.get(path.replace("state=", "state=x")).status_code == 401
    assert desk.get("/login/return?error=access_denied").status_code == 401


def test_a_provider_that_is_away_is_said_so(desk: Desk) -> None:
    provider: Any = console_ports(desk.runtime, key=KEY).provider
    provider._settings = type(provider._settings)(
        issuer="http://127.0.0.1:9", client_id="x", client_secret=Secret(""), redirect_uri=PUBLIC
    )
    found = provider.depart(return_to="/")
    assert isinstance(found, Problem)
    assert found.code == "access.provider_failed"


def test_grants_of_groups_are_read_from_the_settings() -> None:
    settings = Settings(oidc_grants="fin=finance@beta, fin=auditor@*,ops=operator@alpha")
    assert grants_of(settings) == {
        "fin": ((Role.FINANCE, "beta"), (Role.AUDITOR, "*")),
        "ops": ((Role.OPERATOR, "alpha"),),
    }
