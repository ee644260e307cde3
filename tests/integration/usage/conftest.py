"""The HTTP door of usage over a log in memory and keys in a real database; tests move its clock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from revline.core.clock import SystemClock
from revline.doors.usage.door import UsageDoor
from revline.doors.usage.ports import UsageLimits, UsagePorts
from revline.platform.access.roles import Principal, Role
from revline.platform.access.service import Access
from revline.platform.store.engine import Database
from tests.fakes.usage import MemoryLog

BODY_BYTES_MAX = 64 * 1024


@dataclass
class Asked:
    """Counts what the door asks of the database."""

    access: Access
    times: int = 0
    failure: Exception | None = None
    active: set[str] = field(default_factory=lambda: {"alpha", "beta"})

    def verify(self, authorization: str) -> Any:
        self.times += 1
        if self.failure is not None:
            raise self.failure
        return self.access.verify(authorization=authorization)

    def tenant_active(self, tenant_id: str) -> bool:
        return tenant_id in self.active


@dataclass
class Door:
    """The door and what a test needs around it."""

    client: TestClient[Any]
    log: MemoryLog
    asked: Asked
    keys: dict[Role, str]
    seconds: list[float]

    def send(self, body: Any, *, role: Role | None = Role.INGEST, method: str = "POST", **headers: str) -> Any:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        given = {"content-type": "application/json", **({"authorization": f"Bearer {self.keys[role]}"} if role else {})}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, "/v1/usage", content=content, headers=given)


def event(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "//app.example/gateway",
        "type": "api.call",
        "subject": "cus_1",
        "time": "2026-03-01T11:00:00Z",
        "data": {"tokens": number},
        **more,
    }


def living(app: Any) -> Any:
    """The application with the start and the end that the test client wants of one; the server asks for neither."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
            return
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})

    return answer


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def limits() -> UsageLimits:
    return UsageLimits(body_bytes_max=BODY_BYTES_MAX, under_way_bytes_max=2 * BODY_BYTES_MAX)


@pytest.fixture
def door(database: Database, log: MemoryLog, limits: UsageLimits, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    clock, seconds = SystemClock(), [1_000.0]
    access = Access(database=database, clock=clock, random_bytes=os.urandom)
    asked = Asked(access=access)
    ports = UsagePorts(
        sink=log,
        verify=asked.verify,
        tenant_active=asked.tenant_active,
        clock=clock,
        random_bytes=os.urandom,
        limits=limits,
        seconds=lambda: seconds[0],
    )
    keys = {role: access.issue(tenant_id="alpha", role=role).text for role in Role}
    with TestClient(app=living(UsageDoor(ports))) as client:
        yield Door(client=client, log=log, asked=asked, keys=keys, seconds=seconds)


def principal_of(door: Door, role: Role) -> Principal:
    found = door.asked.access.verify(authorization=f"Bearer {door.keys[role]}")
    assert isinstance(found, Principal)
    return found
