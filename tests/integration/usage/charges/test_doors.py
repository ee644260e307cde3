"""From POST /v1/usage's sink to the API: the real log, the tools a worker and the doors have, each act by who may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient
from typer.testing import CliRunner

from revline.app import program_of
from revline.app.kinds import registry
from revline.app.processes import api_ports
from revline.app.runtime import Runtime, open_runtime
from revline.app.usage import open_usage
from revline.core.problem import Problem
from revline.doors.api.app import create_app
from revline.doors.cli.main import build
from revline.platform.access.roles import Role
from revline.platform.settings import Settings, load
from revline.platform.store.engine import Database
from tests.integration.usage.charges.world import CALLS, TENANT, Shop, at, policy


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Iterator[Shop]:
    one = Shop(database, tmp_path / "configuration", CALLS, policy(late="hold"))
    yield one
    one.close()


@pytest.fixture
def runtime(shop: Shop, app_dsn: str, tmp_path: Path) -> Iterator[Runtime]:
    environment = {
        "REVLINE_DSN": app_dsn,
        "REVLINE_DATA_FOLDER": str(tmp_path / "data"),
        "REVLINE_CURSOR_KEY": "a" * 43,
    }
    settings = load(environment=environment)
    assert isinstance(settings, Settings), settings
    one = open_runtime(settings, clock=shop.harness.clock)
    assert isinstance(one, Runtime), one
    yield one
    one.services.close()


def send(runtime: Runtime, *events: dict[str, Any]) -> None:
    """Events are acknowledged by the log, whose process ends then."""
    room = open_usage(runtime)
    assert not isinstance(room, Problem), room
    done, answers = threading.Event(), list[Any]()

    def told(answer: Any) -> None:
        answers.append(answer)
        done.set()

    room.sink.submit(tenant_id=TENANT, body=msgspec.json.encode(list(events)), told=told)
    assert done.wait(30)
    room.close()
    assert not isinstance(answers[0], Problem), answers


def call(name: str, day: str, calls: int) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": name, "source": "//app", "type": "api.call", "subject": "ada",
        "time": at(day, 12).isoformat(), "data": {"calls": calls},
    }  # fmt: skip


class Api:
    """Calls with a key of a role."""

    def __init__(self, runtime: Runtime) -> None:
        self.client: TestClient[Any] = TestClient(create_app(api_ports(runtime)))
        self._keys = {role: runtime.services.access.issue(tenant_id=TENANT, role=role).text for role in Role}

    def get(self, path: str, role: Role = Role.AUDITOR) -> Any:
        return self.client.get(path, headers={"Authorization": f"Bearer {self._keys[role]}"})

    def post(self, path: str, role: Role, **body: Any) -> Any:
        given = {"reason": "a test", **body}
        return self.client.post(path, json=given, headers={"Authorization": f"Bearer {self._keys[role]}"})


def compute(shop: Shop, runtime: Runtime) -> None:
    """What a worker does after a tick."""
    made = runtime.usage.charging(owner="worker")
    assert not isinstance(made, Problem), made
    while made[1].turn():
        shop.harness.derive_all()


def test_usage_is_rated_looked_at_and_proven_over_the_api(shop: Shop, runtime: Runtime) -> None:
    api = Api(runtime)
    shop.go("2026-01-20")
    send(runtime, call("a", "2026-01-02", 60), call("b", "2026-01-03", 90))
    assert api.post("/v1/usage/rate", Role.AUDITOR).status_code == 403
    rated = api.post("/v1/usage/rate", Role.OPERATOR)
    assert (rated.status_code, rated.json()["customers"]) == (200, 1), rated.text
    compute(shop, runtime)
    (line,) = api.get("/v1/usage/charges?customer=billing/ada").json()["items"]
    assert (line["quantity"], line["amount"], line["events"]) == ("150", "12.50", 2)
    assert api.get("/v1/usage/charges?customer=billing/bob").json()["items"] == []
    place = f"/v1/usage/charges/{line['charge_id']}"
    one = api.get(place).json()
    assert [step["words"] for step in one["explanation"]["steps"]]
    assert [change["amount"] for change in one["changes"]] == ["12.50"]
    page = api.get(f"{place}/events?limit=1").json()
    assert (page["events"], [event["id"] for event in page["lines"]]) == (2, ["a"])
    rest = api.get(f"{place}/events?limit=1&after={page['next'].replace('+', '%2B')}").json()
    assert [event["id"] for event in rest["lines"]] == ["b"]
    assert api.get(f"{place}/proof").json()["proven"] is True
    assert len(api.get(f"{place}/curve").json()) == 31
    assert [event["id"] for event in api.get(f"{place}/changes/1").json()["came"]] == ["a", "b"]
    assert api.get("/v1/usage/balance?from=2026-01-01&until=2026-03-01").json()["closes"] is True
    assert api.get("/v1/usage/charges/nothing").json()["code"] == "usage.charge_unknown"


def test_finance_decides_about_held_usage_and_closes(shop: Shop, runtime: Runtime) -> None:
    api = Api(runtime)
    send(runtime, call("a", "2026-01-02", 60))
    shop.go("2026-02-05")
    api.post("/v1/usage/rate", Role.OPERATOR)
    compute(shop, runtime)
    send(runtime, call("late", "2026-01-09", 10))
    api.post("/v1/usage/rate", Role.OPERATOR)
    compute(shop, runtime)
    (held,) = api.get("/v1/usage/charges?held=true").json()["items"]
    place = f"/v1/usage/charges/{held['charge_id']}/decide"
    assert api.post(place, Role.OPERATOR, revision=1, approve=True).status_code == 403
    assert api.post(place, Role.FINANCE, revision=9, approve=True).json()["code"] == "usage.not_held"
    assert api.post(place, Role.FINANCE, revision=1, approve=True).json() == {"done": True}
    compute(shop, runtime)
    assert [line["amount"] for line in api.get("/v1/usage/charges?held=false").json()["items"]] == ["6.00", "1.00"]
    closed = api.post("/v1/usage/books/close", Role.FINANCE, entity="birch-us", through="2026-01-31")
    assert closed.json() == {"done": True}
    periods = api.get("/v1/usage/periods?customer=billing/ada&state=open").json()["items"]
    refused = api.post(f"/v1/usage/periods/{periods[0]['period_id']}/close", Role.FINANCE)
    assert refused.json()["code"] == "usage.period_not_over"


def test_the_command_line_says_the_same(shop: Shop, runtime: Runtime) -> None:
    cli, runner = build(program=program_of(runtime.settings), registry=registry()), CliRunner()

    def say(*words: str) -> str:
        answer = runner.invoke(cli, ["usage", *words, "--tenant", TENANT])
        assert answer.exit_code == 0, answer.output
        return answer.output

    send(runtime, call("a", "2026-01-02", 60), call("b", "2026-01-03", 90))
    say("rate", "--reason", "a test")
    compute(shop, runtime)
    (line,) = msgspec.json.decode(say("charges", "--json"))
    assert (line["quantity"], line["amount"]) == ("150", "12.50")
    explained = say("explain", line["charge_id"])
    assert "150 call = 12.50 USD, 2 events" in explained
    assert "revision 1: 12.50 USD" in explained
    assert "comes to the line" in say("prove", line["charge_id"])
    assert "2 events" in say("events", line["charge_id"])
    assert "nothing is missing" in say("balance", "--from", "2026-01-01", "--until", "2026-12-01")
    assert msgspec.json.decode(say("periods", "--json"))[0]["customer"] == "billing/ada"
