"""Lists, probes, the published description, and failures nobody foresaw."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from litestar.testing import TestClient

from revline.core.problem import FieldError
from revline.doors.api.app import create_app
from revline.doors.api.health import readiness
from revline.doors.api.ports import ApiPorts, Listing
from revline.platform import logs
from revline.platform.access.roles import Role
from revline.platform.store.engine import Database
from revline.platform.store.migrate import SchemaState
from tests.integration.api.conftest import SIGNING_SECRET, World, event
from tests.integration.api.test_events import problem_of
from tests.integration.api.test_webhooks import message


def page(world: World, query: str = "") -> dict[str, Any]:
    answer = world.client.get(f"/v1/facts{query}", headers=world.headers(Role.AUDITOR))
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_pages_go_on_where_they_ended_while_facts_come_in(world: World) -> None:
    world.send([event(number) for number in range(5)])
    first = page(world, "?limit=2")
    world.send([event(number) for number in range(5, 8)])
    seen = [*first["items"]]
    cursor = first["next_cursor"]
    while cursor:
        following = page(world, f"?limit=2&cursor={cursor}")
        seen += following["items"]
        cursor = following["next_cursor"]
    assert [one["translated"]["source"]["outside_id"] for one in seen] == [f"cus_{number}" for number in range(8)]


def test_a_cursor_is_good_for_its_own_list_and_filters_only(world: World) -> None:
    world.send([event(number) for number in range(3)])
    cursor = page(world, "?limit=1")["next_cursor"]
    headers = world.headers(Role.AUDITOR)
    for query in (f"cursor={cursor}&kind=customer", "cursor=AAAA", f"cursor={cursor[:-2]}AA", "cursor=é"):
        problem_of(world.client.get(f"/v1/facts?{query}", headers=headers), "cursor.invalid", 400)


def test_the_greatest_page_is_not_taken_for_the_last(world: World, ports: ApiPorts) -> None:
    def capped(*, tenant_id: str, after: Any, limit: int, filters: Any) -> list[tuple[dict[str, int], tuple[int]]]:
        first = after[0] + 1 if after else 0
        return [({"number": number}, (number,)) for number in range(first, 5)][: min(limit, 2)]

    small = dataclasses.replace(ports.limits, page_max=2)
    broken = dataclasses.replace(ports, limits=small, listings={"facts": Listing(page=capped)})
    seen, query = [], ""
    with TestClient(app=create_app(broken)) as client:
        while query is not None:
            body = client.get(f"/v1/facts{query}", headers=world.headers(Role.AUDITOR)).json()
            seen += [item["number"] for item in body["items"]]
            query = f"?cursor={body['next_cursor']}" if body["next_cursor"] else None
    assert seen == [0, 1, 2, 3, 4]


def test_unknown_parameters_and_sizes_are_refused(world: World) -> None:
    headers = world.headers(Role.AUDITOR)
    for query in ("knid=customer", "limit=0", "limit=1001", "limit=1&limit=2", "kind=a%00b"):
        problem_of(world.client.get(f"/v1/facts?{query}", headers=headers), "http.request_invalid", 400)
    assert page(world, "?kind=invoice") == {"items": [], "next_cursor": None}


def test_probes_answer_without_a_key(world: World) -> None:
    assert world.client.get("/livez").json() == {"status": "alive"}
    assert world.client.get("/readyz").json() == {"status": "ready"}
    world.unready.append(FieldError(pointer="migrations", detail="are missing"))
    answer = world.client.get("/readyz")
    problem_of(answer, "service.unready", 503)
    assert answer.headers["retry-after"] == "1"


def test_readiness_asks_the_database_and_its_schema(database: Database) -> None:
    def lost() -> SchemaState:
        raise OSError("no route")

    def at(revision: str) -> Any:
        return lambda: SchemaState(current=revision, head="r2")

    assert readiness(database=database, schema_state=at("r2"))() == ()
    assert [one.pointer for one in readiness(database=database, schema_state=at("r1"))()] == ["migrations"]
    assert [one.pointer for one in readiness(database=database, schema_state=lost)()] == ["database"]


def test_the_description_is_openapi_3_1_and_names_every_route(world: World) -> None:
    answer = world.client.get("/v1/openapi/openapi.json")
    assert answer.status_code == 200
    found = answer.json()
    assert found["openapi"].startswith("3.1")
    assert {"/v1/events", "/v1/facts", "/livez", "/readyz", "/v1/webhooks/{connector}/{token}"} <= set(found["paths"])
    assert found["paths"]["/v1/events"]["post"]["requestBody"]["content"].keys() == {
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "application/json",
    }


CANARY = "canary-9f3a Ada.Lovelace@example.com"


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(stream=stream, level="debug", libraries=False)
    yield stream
    structlog.reset_defaults()


def test_a_failure_nobody_foresaw_says_nothing_and_is_logged_by_place(
    world: World, ports: ApiPorts, log_lines: io.StringIO
) -> None:
    def failing(**asked: Any) -> Any:
        raise ValueError(f"could not read {CANARY}")

    broken = dataclasses.replace(ports, listings={"facts": Listing(page=failing)})
    with TestClient(app=create_app(broken), raise_server_exceptions=False) as client:
        answer = client.get("/v1/facts", headers=world.headers(Role.AUDITOR))
    problem_of(answer, "internal.unexpected", 500)
    assert "canary" not in answer.text
    assert "Traceback" not in answer.text
    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    (failed,) = [line for line in lines if line["event"] == "api.failed"]
    assert failed["error_type"] == "ValueError"
    assert failed["error_place"].startswith("test_reading.py:")
    assert failed["correlation_id"] == answer.headers["x-correlation-id"]
    assert "canary" not in log_lines.getvalue()


def test_no_secret_and_no_persons_data_is_in_the_logs(world: World, log_lines: io.StringIO) -> None:
    world.send(event(1, data={"outside_id": "cus_1", "name": CANARY, "email": "ada@canary.example"}))
    world.send(event(2, data={"outside_id": "cus_2", "name": 7, "email": CANARY}))
    world.push(message())
    world.push(message(), token="b" * 32)
    world.client.get(f"/v1/facts?{CANARY}", headers=world.headers(Role.AUDITOR))
    world.client.get(f"/{CANARY}", headers=world.headers(Role.AUDITOR))
    written = log_lines.getvalue()
    assert written.count("\n") >= 6
    secrets = [*world.keys.values(), *(key.rsplit("_", 1)[1] for key in world.keys.values())]
    for canary in (*secrets, world.webhook_token, SIGNING_SECRET, CANARY, "canary", "Lovelace", "cus_1"):
        assert canary not in written
    routes = {json.loads(line).get("route") for line in written.splitlines()}
    assert "/v1/webhooks/{connector:str}/{token:str}" in routes or "/v1/webhooks/{connector}/{token}" in routes
