"""The API over a real database, with a direct and a Stripe connection of the tenant alpha."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from revline.connectors.direct.connector import build as build_direct
from revline.connectors.stripe.connector import build as build_stripe
from revline.connectors.stripe.signature import signature_header
from revline.core.problem import FieldError, Problem
from revline.doors.api.app import Api, create_app
from revline.doors.api.listings import facts_listing
from revline.doors.api.ports import ApiLimits, ApiPorts
from revline.intake.addresses import Addresses
from revline.intake.service import Intake
from revline.platform.access.roles import Role
from revline.platform.access.service import Access
from revline.platform.store.engine import Database
from revline.platform.tenancy.kinds import Connection, LegalEntity
from tests.fakes.channels import ConfiguredChannels

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SIGNING_SECRET = "whsec_canary_5b1f"
CONNECTIONS = {
    "crm": Connection(connector="direct", entity="alpha-inc"),
    "stripe-us": Connection(connector="stripe", entity="alpha-inc", sandbox=True),
    "books": Connection(connector="simulated"),
}
ENTITIES = {"alpha-inc": LegalEntity(title="Alpha Inc", functional_currency="USD", time_zone="America/New_York")}


class StandingClock:
    def now(self) -> datetime:
        return NOON


def decoy(*, headers: Mapping[str, str], body: bytes, now: datetime) -> Problem | None:
    return build_stripe().verify(headers=headers, body=body, secrets=["whsec_nobody"], now=now)


@dataclass
class World:
    """The API and what a test needs around it."""

    client: TestClient[Any]
    database: Database
    keys: dict[Role, str]
    webhook_token: str
    unready: list[FieldError]

    def headers(self, role: Role | None = Role.INGEST, **more: str) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        return {**({"Authorization": f"Bearer {self.keys[role]}"} if role else {}), **named}

    def send(self, body: Any, *, role: Role | None = Role.INGEST, path: str = "/v1/events", **more: str) -> Any:
        batch = isinstance(body, list)
        kind = "application/cloudevents-batch+json" if batch else "application/cloudevents+json"
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        headers = self.headers(role, **{"Content_Type": kind, **more})
        return self.client.post(path, content=content, headers=headers)

    def push(self, body: bytes, *, token: str = "", secret: str = SIGNING_SECRET, timestamp: int | None = None) -> Any:
        moment = int(NOON.timestamp()) if timestamp is None else timestamp
        header = signature_header(body=body, secret=secret, timestamp=moment)
        return self.client.post(
            f"/v1/webhooks/stripe/{token or self.webhook_token}",
            content=body,
            headers={"Stripe-Signature": header, "Content-Type": "application/json"},
        )


def event(number: int = 1, **more: Any) -> dict[str, Any]:
    """A CloudEvent that tells of a customer."""
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "//crm.example/accounts",
        "type": "revline.customer.v1",
        "time": "2026-03-01T11:00:00Z",
        "data": {"outside_id": f"cus_{number}", "name": "Ada Lovelace"},
        **more,
    }


def make_ports(database: Database) -> ApiPorts:
    """The API's ports over a database, with a clock that stands and small limits."""
    clock, random_bytes = StandingClock(), random.Random(7).randbytes
    sources = {"direct": build_direct(), "stripe": build_stripe()}
    channels = ConfiguredChannels(
        specs=lambda tenant_id: (CONNECTIONS, ENTITIES) if tenant_id == "alpha" else None,
        sources=sources,
        secrets=lambda tenant_id, name, spec: [SIGNING_SECRET],
    )
    unready: list[FieldError] = []
    return ApiPorts(
        intake=Intake(database=database, clock=clock, random_bytes=random_bytes),
        access=Access(database=database, clock=clock, random_bytes=random_bytes),
        addresses=Addresses(database=database, clock=clock, random_bytes=random_bytes),
        channels=channels,
        clock=clock,
        random_bytes=random_bytes,
        decoy=decoy,
        tenant_active=lambda tenant_id: tenant_id == "alpha",
        ready=lambda: unready,
        listings={"facts": facts_listing(database)},
        cursor_key=b"k" * 32,
        usage_types=lambda tenant_id: {"api.call"},
        limits=ApiLimits(body_bytes_max=64 * 1024, json_depth_max=20, events_per_request_max=20),
    )


@pytest.fixture
def ports(database: Database) -> ApiPorts:
    return make_ports(database)


@pytest.fixture
def api(ports: ApiPorts) -> Api:
    return create_app(ports)


@pytest.fixture
def world(api: Api, ports: ApiPorts, database: Database) -> Iterator[World]:
    keys = {role: ports.access.issue(tenant_id="alpha", role=role).text for role in Role}
    token = ports.addresses.issue(tenant_id="alpha", connection="stripe-us")
    unready = ports.ready()
    assert isinstance(unready, list)
    with TestClient(app=api) as client:
        yield World(client=client, database=database, keys=keys, webhook_token=token, unready=unready)
