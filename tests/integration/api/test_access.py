"""Who may do what: keys, roles, and answers that tell a stranger nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from litestar.testing import TestClient
from sqlalchemy import select

from revline.doors.api.app import Api, create_app
from revline.doors.api.guards import PERMISSION, PUBLIC
from revline.doors.api.ports import ApiPorts
from revline.platform.access.roles import Permission, Role
from revline.platform.access.tables import api_key
from tests.integration.api.conftest import NOON, World, event
from tests.integration.api.test_events import problem_of


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer ", "Bearer rk_x", "Basic abc", "Bearer rk_aaaaaaaa_" + "a" * 32, "Bearer " + "x" * 9000],
)
def test_no_valid_key_is_one_answer(world: World, authorization: str) -> None:
    answer = world.client.get("/v1/facts", headers={"Authorization": authorization} if authorization else {})
    found = problem_of(answer, "access.key_unknown", 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert found["detail"] == "the API key is missing, malformed, unknown, expired or revoked"


def test_each_role_may_what_it_is_for(world: World) -> None:
    assert world.send(event(1)).status_code == 200
    assert world.send(event(2), role=Role.OPERATOR).status_code == 200
    problem_of(world.send(event(3), role=Role.AUDITOR), "access.forbidden", 403)
    problem_of(world.client.get("/v1/facts", headers=world.headers(Role.INGEST)), "access.forbidden", 403)
    for role in (Role.AUDITOR, Role.OPERATOR):
        assert world.client.get("/v1/facts", headers=world.headers(role)).status_code == 200


def test_a_revoked_an_expired_and_a_closed_tenants_key_are_over(world: World, ports: ApiPorts) -> None:
    access = ports.access
    revoked = access.issue(tenant_id="alpha", role=Role.AUDITOR)
    assert access.revoke(tenant_id="alpha", key_id=revoked.key_id)
    assert not access.revoke(tenant_id="alpha", key_id=revoked.key_id)
    assert not access.revoke(tenant_id="beta", key_id=world.keys[Role.INGEST].split("_")[1])
    expired = access.issue(tenant_id="alpha", role=Role.AUDITOR, expires_at=NOON - timedelta(seconds=1))
    for text in (revoked.text, expired.text):
        answer = world.client.get("/v1/facts", headers={"Authorization": f"Bearer {text}"})
        problem_of(answer, "access.key_unknown", 401)
    closed = access.issue(tenant_id="beta", role=Role.AUDITOR).text
    answer = world.client.get("/v1/facts", headers={"Authorization": f"Bearer {closed}"})
    problem_of(answer, "access.tenant_closed", 403)


def test_a_key_is_stored_nowhere_and_shown_once(world: World, ports: ApiPorts) -> None:
    issued = ports.access.issue(tenant_id="alpha", role=Role.OPERATOR)
    assert issued.text not in repr(issued)
    listed = {one.key_id: one for one in ports.access.keys(tenant_id="alpha")}
    assert listed[issued.key_id].role is Role.OPERATOR
    with world.database.control() as connection:
        rows = connection.execute(select(api_key)).all()
    assert issued.text not in repr(rows)
    assert issued.text.rsplit("_", 1)[1] not in repr(rows)


def test_every_route_names_its_permission(api: Api) -> None:
    public = set()
    for route in api.litestar.routes:
        for handler in getattr(route, "route_handlers", []):
            if route.path.startswith("/v1/openapi"):
                continue
            wanted = handler.opt.get(PERMISSION)
            assert wanted == PUBLIC or isinstance(wanted, Permission) or handler.http_methods == {"OPTIONS"}, route.path
            if wanted == PUBLIC:
                public.add(route.path)
    assert public == {"/livez", "/readyz", "/v1/webhooks/{connector:str}/{token:str}"}


def test_a_key_that_calls_too_often_is_told_when_to_come_back(ports: ApiPorts) -> None:
    few = replace(ports, limits=replace(ports.limits, requests_per_second=1, requests_burst=2))
    keys = [ports.access.issue(tenant_id="alpha", role=Role.AUDITOR).text for _ in range(2)]
    with TestClient(app=create_app(few)) as client:
        answers = [client.get("/v1/facts", headers={"Authorization": f"Bearer {keys[0]}"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"key";q=2;w=2'
        assert answers[2].headers["ratelimit"].startswith('"key";r=0;')
        assert answers[2].headers["retry-after"] == "1"
        assert answers[2].json()["code"] == "http.too_many_requests"
        assert client.get("/v1/facts", headers={"Authorization": f"Bearer {keys[1]}"}).status_code == 200
