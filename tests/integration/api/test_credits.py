"""Credits over the API: once for each key, in pages, by who may, and never with a number that loses digits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

from revline.app.processes import api_ports
from revline.app.runtime import Runtime, open_runtime
from revline.doors.api.app import create_app
from revline.platform.access.roles import Role
from revline.platform.settings import Settings, load
from revline.platform.store.engine import Database
from tests.integration.usage.credits.world import TENANT, Shop

KEY = "a" * 43


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Iterator[Shop]:
    one = Shop(database, tmp_path / "configuration")
    yield one
    one.close()


@pytest.fixture
def runtime(shop: Shop, app_dsn: str, tmp_path: Path) -> Iterator[Runtime]:
    settings = load(
        environment={
            "REVLINE_DSN": app_dsn,
            "REVLINE_DATA_FOLDER": str(tmp_path / "data"),
            "REVLINE_CURSOR_KEY": KEY,
        }
    )
    assert isinstance(settings, Settings), settings
    one = open_runtime(settings, clock=shop.harness.clock)
    assert isinstance(one, Runtime), one
    yield one
    one.services.close()


class Api:
    """Calls with a key of a role."""

    def __init__(self, runtime: Runtime) -> None:
        self.client: TestClient[Any] = TestClient(create_app(api_ports(runtime)))
        self._keys = {role: runtime.services.access.issue(tenant_id=TENANT, role=role).text for role in Role}

    def __call__(self, method: str, path: str, role: Role = Role.FINANCE, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._keys[role]}", **more.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **more)


def asked(**more: Any) -> dict[str, Any]:
    return {"customer": "cus_1", "plan": "prepaid", "connection": "billing", "reason": "sold", **more}


def test_a_grant_with_a_key_is_made_once(shop: Shop, runtime: Runtime) -> None:
    api = Api(runtime)
    first = api("POST", "/v1/credits", json=asked(), headers={"Idempotency-Key": "k1"})
    again = api("POST", "/v1/credits", json=asked(), headers={"Idempotency-Key": "k1"})
    assert (first.status_code, first.json()) == (200, again.json())
    other = api("POST", "/v1/credits", json=asked(amount="5.00"), headers={"Idempotency-Key": "k1"})
    assert other.json()["code"] == "idempotency.key_reused"
    shop.work()
    (listed,) = api("GET", "/v1/credits").json()["items"]
    assert (listed["grant"], listed["left"]) == (first.json()["outside_id"], "1000.00")


def test_grants_come_in_pages(shop: Shop, runtime: Runtime) -> None:
    api = Api(runtime)
    for number in range(5):
        assert api("POST", "/v1/credits", json=asked(grant=f"g{number}")).status_code == 200
    shop.work()
    page = api("GET", "/v1/credits?limit=2").json()
    found = [one["grant"] for one in page["items"]]
    while page["next_cursor"]:
        page = api("GET", f"/v1/credits?limit=2&cursor={page['next_cursor']}").json()
        found += [one["grant"] for one in page["items"]]
    assert found == [f"g{number}" for number in reversed(range(5))]
    assert api("GET", "/v1/credits?customer=nobody").json()["items"] == []


def test_a_statement_says_where_everything_is(shop: Shop, runtime: Runtime) -> None:
    api = Api(runtime)
    api("POST", "/v1/credits", json=asked(grant="g"))
    shop.go("2026-01-15")
    shop.work()
    found = api("GET", "/v1/credits/statement?customer=cus_1&connection=billing", Role.AUDITOR).json()
    (balance,) = found["balances"]
    assert (balance["grant"], balance["granted"], balance["left"]) == ("g", "1000.00", "1000.00")
    assert [one["rule"] for one in found["ledger"]] == ["granted"]
    assert found["commitments"][0]["promised"] == "500.00"
    back = api("POST", "/v1/credits/refund", json={"grant": "g", "connection": "billing", "reason": "agreed"})
    assert (back.status_code, back.json()["amount"]) == (200, "1000.00")
    shop.work()
    assert (
        api("POST", "/v1/credits/end", json={"grant": "g", "connection": "billing", "reason": "x"}).status_code == 200
    )
    assert (
        api("POST", "/v1/credits/void", json={"grant": "h", "connection": "billing", "reason": "x"}).status_code == 404
    )


@pytest.mark.parametrize("body", [asked(amount=5), asked(amount="5,00"), asked(colour="red"), asked(reason=" "), {}])
def test_a_wrong_body_is_refused(runtime: Runtime, body: dict[str, Any]) -> None:
    assert Api(runtime)("POST", "/v1/credits", json=body).status_code == 400


def test_who_only_reads_grants_nothing(runtime: Runtime) -> None:
    api = Api(runtime)
    for role in (Role.AUDITOR, Role.INGEST, Role.ADMINISTRATOR):
        assert api("POST", "/v1/credits", role, json=asked()).status_code == 403
