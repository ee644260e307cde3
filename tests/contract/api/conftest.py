"""The whole API as the server wires it, over a real database with the starter's tenant, a fact in it and keys of several roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from revline.app import program_of
from revline.app.kinds import registry
from revline.app.processes import api_ports
from revline.app.runtime import Runtime, open_runtime
from revline.app.usage import UsageRoom, open_usage
from revline.connectors.direct.cloudevents import CONTENT_TYPE
from revline.doors.api.app import Api, create_app
from revline.doors.cli.main import build
from revline.examples import write_example
from revline.platform.access.roles import Role
from revline.platform.settings import Settings, load
from revline.platform.store.engine import Database
from revline.platform.tenancy.queries import active_tenants

CUSTOMER = {
    "specversion": "1.0",
    "id": "e1",
    "source": "//crm.example/accounts",
    "type": "revline.customer.v1",
    "time": "2026-03-01T11:00:00Z",
    "data": {"outside_id": "cus_1", "name": "Ada Lovelace"},
}

DIRECT = """apiVersion: revline/v1
kind: Connection
metadata: {name: crm, tenant: acme}
spec: {connector: direct, entity: acme-us}
"""


@dataclass(frozen=True, kw_only=True)
class Served:
    """The application, what it is made of, and a key of each role."""

    api: Api
    runtime: Runtime
    keys: dict[Role, str]

    def headers(self, role: Role) -> dict[str, str]:
        """What a caller with a key of this role sends."""
        return {"Authorization": f"Bearer {self.keys[role]}"}


@pytest.fixture
def served(app_dsn: str, owner_dsn: str, tmp_path: Path) -> Iterator[Served]:
    environment = {
        "REVLINE_DSN": app_dsn,
        "REVLINE_OWNER_DSN": owner_dsn,
        "REVLINE_DATA_FOLDER": str(tmp_path / "data"),
    }
    settings = load(environment=environment)
    assert isinstance(settings, Settings)
    folder = tmp_path / "starter"
    write_example(target=folder)
    (folder / "21-direct.yaml").write_text(DIRECT, encoding="utf-8")
    applied = CliRunner().invoke(
        build(program=program_of(settings), registry=registry()), ["config", "apply", str(folder)]
    )
    assert applied.exit_code == 0, applied.output
    runtime = open_runtime(settings)
    assert isinstance(runtime, Runtime)
    room = open_usage(runtime)
    assert isinstance(room, UsageRoom)
    access = runtime.services.access
    keys = {role: access.issue(tenant_id=_tenant(runtime.database), role=role).text for role in Role}
    served = Served(api=create_app(api_ports(runtime, usage=room.sink)), runtime=runtime, keys=keys)
    with TestClient(app=served.api) as client:
        headers = {**served.headers(Role.INGEST), "Content-Type": CONTENT_TYPE}
        answer = client.post("/v1/events", content=msgspec.json.encode(CUSTOMER), headers=headers)
        assert answer.status_code == 200, answer.text
    yield served
    room.close()
    runtime.services.close()


def _tenant(database: Database) -> str:
    with database.control() as connection:
        (tenant,) = active_tenants(connection)
    return tenant
