"""GET /v1/webhook-deliveries and its replay, as an operator and as one who may only read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

from litestar.testing import TestClient

from revline.core.hashing import plain
from revline.doors.api.app import create_app
from revline.doors.api.ports import Listing
from revline.doors.api.webhook_deliveries import replay_handler
from revline.doors.outbound import Outbound
from revline.platform.access.roles import Role
from tests.integration.api.conftest import make_ports
from tests.integration.derive.world import CONNECTION, at, customer, invoice, webhook
from tests.integration.feedback.world import TENANT, World


def page(outbound: Outbound, *, tenant_id: str, after: Any, limit: int, filters: Any) -> Any:
    place = (int(after[0]), int(after[1])) if after else (0, 0)
    found = outbound.page(tenant_id=tenant_id, state=filters.get("state", ""), after=place, limit=limit)
    return [(plain(one), where) for one, where in found]


def test_messages_are_listed_page_by_page_and_one_is_replayed(world: World) -> None:
    bodies = [
        webhook("customer.created", customer(), created=at(1)),
        webhook("invoice.finalized", invoice(), created=at(4)),
    ]
    world.harness.accept(TENANT, CONNECTION, bodies)
    world.run()
    outbound = Outbound(database=world.database, configurations=world.told, clock=world.clock)
    services: Any = SimpleNamespace(database=world.database, clock=world.clock, outbound=outbound)
    ports = replace(
        make_ports(world.database),
        tenant_active=lambda tenant_id: tenant_id == TENANT,
        listings={"webhook-deliveries": Listing(page=partial(page, outbound), filters=frozenset({"state"}))},
        routes=(lambda threads: [replay_handler(services=services, threads=threads)],),
    )
    operator, auditor = (
        {"authorization": f"Bearer {ports.access.issue(tenant_id=TENANT, role=role).text}"}
        for role in (Role.OPERATOR, Role.AUDITOR)
    )
    with TestClient(app=create_app(ports)) as client:
        first = client.get("/v1/webhook-deliveries", params={"limit": "1"}, headers=auditor).json()
        rest = client.get(
            "/v1/webhook-deliveries", params={"limit": "100", "cursor": first["next_cursor"]}, headers=auditor
        ).json()
        every = [*first["items"], *rest["items"]]
        assert len(every) == len(world.messages()) == len({one["id"] for one in every})
        assert {one["state"] for one in every} == {"posted"}
        path = f"/v1/webhook-deliveries/{every[0]['id']}/replay"
        assert client.post(path, headers=auditor).status_code == 403
        answer = client.post(path, headers={**operator, "idempotency-key": "one"})
        assert answer.status_code == 202
        again = client.post(path, headers={**operator, "idempotency-key": "one"})
        assert (again.status_code, again.json()) == (202, answer.json())
        assert answer.json()["message_id"] == every[0]["message_id"]
        unknown = client.post("/v1/webhook-deliveries/nothing/replay", headers=operator)
        assert (unknown.status_code, unknown.json()["code"]) == (404, "webhook_delivery.unknown")
    before = len(world.endpoint.got)
    world.pass_time(timedelta(seconds=2))  # a pool in which nothing was due is passed over for a second
    world.run()
    assert len(world.endpoint.got) == before + 1
    assert world.endpoint.got[-1].headers["webhook-id"] == every[0]["message_id"]


def test_a_test_message_reaches_the_endpoint(world: World) -> None:
    outbound = Outbound(database=world.database, configurations=world.told, clock=world.clock)
    outbound.test(tenant_id=TENANT, subscription="everything", actor="person:test")
    world.run()
    assert world.endpoint.types() == ["webhook.test"]
