"""The console over a real database in this process, with people of every role and a clock that stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from revline.app.console import console_ports
from revline.app.runtime import Runtime, open_runtime
from revline.core.problem import Problem
from revline.core.secret import Secret
from revline.doors.console.app import create_console
from revline.platform.access.people import Person
from revline.platform.access.roles import Role
from revline.platform.settings import Settings
from revline.platform.store.engine import Database
from revline.platform.tenancy.record import register_tenant

PASSWORD = "correct horse battery"
KEY = b"a key of thirty-two bytes, or so"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKEN = re.compile(r'name="(?:form_)?token" value="([0-9a-f]+)"')


class MovingClock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> datetime:
        return self.moment

    def move(self, **amount: float) -> None:
        self.moment += timedelta(**amount)


class Desk:
    """One browser without scripts: keeps cookies, sends forms with the token of the page they were on."""

    def __init__(self, client: TestClient[Any], clock: MovingClock, runtime: Runtime) -> None:
        self.client, self.clock, self.runtime = client, clock, runtime

    def person(self, email: str, *grants: tuple[Role, str], password: str = PASSWORD) -> Person:
        """Somebody with roles."""
        people = self.runtime.services.people
        made = people.add(email=email, name=email.partition("@")[0].title(), password=password, actor="test")
        assert not isinstance(made, Problem), made
        for role, tenant in grants:
            assert people.grant(person_id=made.person_id, tenant_id=tenant, role=role, actor="test") is None
        found = people.find(email=email)
        assert found is not None
        return found

    def get(self, path: str, **headers: str) -> Any:
        """A page; redirects are not followed."""
        return self.client.get(path, headers=headers, follow_redirects=False)

    def token(self, path: str) -> str:
        """The token of the forms of a page."""
        found = TOKEN.search(self.get(path).text)
        assert found, path
        return found[1]

    def log_in(self, email: str, password: str = PASSWORD, **headers: str) -> Any:
        """Through the form."""
        data = {"email": email, "password": password, "token": self.token("/login")}
        return self.client.post("/login", data=data, headers=headers, follow_redirects=False)

    def send(self, path: str, data: dict[str, str], *, on: str = "/profile", **headers: str) -> Any:
        """A form with the token of the page it stands on."""
        given = {"form_token": self.token(on), **data}
        return self.client.post(path, data=given, headers=headers, follow_redirects=False)


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock()


@pytest.fixture
def runtime(app_dsn: str, database: Database, clock: MovingClock, tmp_path: Path) -> Iterator[Runtime]:
    with database.control() as connection:
        for tenant_id in ("alpha", "beta"):
            register_tenant(connection, tenant_id=tenant_id, created_at=NOON)
    one = open_runtime(Settings(dsn=Secret(app_dsn), data_folder=tmp_path), clock=clock)
    assert not isinstance(one, Problem)
    yield one
    one.services.close()


@pytest.fixture
def desk(runtime: Runtime, clock: MovingClock) -> Iterator[Desk]:
    app: Any = create_console(console_ports(runtime, key=KEY))
    with TestClient(app=app) as client:
        yield Desk(client, clock, runtime)
