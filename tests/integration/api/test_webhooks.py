"""Stripe webhooks: raw bytes kept, wrong path and wrong signature alike, 200 only after commit."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text

from revline.doors.api.ports import ApiPorts
from revline.intake import queries
from revline.platform.access.roles import Role
from tests.integration.api.conftest import NOON, World
from tests.integration.api.test_events import nothing_changed, problem_of

MOMENT = int(NOON.timestamp())


def message(**more: Any) -> bytes:
    """A Stripe event that tells of a customer, with white space no parser would keep."""
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "customer.created",
        "created": MOMENT,
        "livemode": False,
        "data": {"object": {"id": "cus_1", "object": "customer", "created": MOMENT, "name": "Ada", "livemode": False}},
        **more,
    }
    return json.dumps(event, indent=2).encode() + b"\n\n"


def test_a_proved_message_is_a_fact_and_its_bytes_are_kept_as_they_came(world: World) -> None:
    answer = world.push(message())
    assert (answer.status_code, answer.json()) == (200, {"outcome": "accepted"})
    assert world.push(message()).json() == {"outcome": "duplicate"}
    with world.database.read(tenants=["alpha"]) as connection:
        fact = queries.fact_by_source_event(
            connection, tenant_id="alpha", source_connection="stripe-us", source_event="evt_1"
        )
        assert fact is not None
        assert queries.raw_body(connection, tenant_id="alpha", digest=fact.body_digest) == (
            message(),
            "application/json",
        )


def test_a_wrong_path_and_a_wrong_signature_answer_alike(world: World, ports: ApiPorts) -> None:
    revoked = ports.addresses.issue(tenant_id="alpha", connection="crm")
    closed = ports.addresses.issue(tenant_id="beta", connection="stripe-us")
    headers = {"Content-Type": "application/json"}
    answers = [
        world.push(message(), token="a" * 32),
        world.push(message(), token="%00"),
        world.push(message(), token=revoked),
        world.push(message(), token=closed),
        world.push(message(), secret="whsec_wrong"),
        world.push(message(), timestamp=MOMENT - 301),
        world.push(message(), timestamp=MOMENT + 301),
        world.client.post(f"/v1/webhooks/stripe/{world.webhook_token}", content=message(), headers=headers),
        world.client.post(f"/v1/webhooks/other/{world.webhook_token}", content=message(), headers=headers),
    ]
    bodies = []
    for answer in answers:
        found = problem_of(answer, "webhook.signature_invalid", 404)
        found.pop("correlation_id")
        shown = {name: value for name, value in answer.headers.items() if name not in {"x-correlation-id", "date"}}
        bodies.append((found, shown))
    assert all(one == bodies[0] for one in bodies)
    assert nothing_changed(world)


def test_a_proved_message_that_cannot_be_translated_is_kept(world: World) -> None:
    for body in (message(type="issuing_card.created", data={"object": {"object": "issuing.card"}}), b"\xff{"):
        assert world.push(body).json() == {"outcome": "kept"}
    with world.database.read(tenants=["alpha"]) as connection:
        kept = connection.execute(text("SELECT count(*) FROM untranslated")).scalar_one()
        cases = connection.execute(text("SELECT count(*) FROM exception_case WHERE state = 'open'")).scalar_one()
    assert (kept, cases) == (2, 2)


def test_other_content_under_one_id_is_a_conflict_the_source_need_not_repeat(world: World) -> None:
    world.push(message())
    other = {"object": {"id": "cus_1", "object": "customer", "created": MOMENT, "name": "Eve", "livemode": False}}
    assert world.push(message(data=other)).json() == {"outcome": "conflict"}


def test_a_message_from_the_future_is_refused(world: World) -> None:
    problem_of(world.push(message(created=MOMENT + 400_000_000)), "time.invalid", 422)
    assert nothing_changed(world)


def test_a_revoked_address_is_over(world: World, ports: ApiPorts) -> None:
    assert ports.addresses.revoke_all(tenant_id="alpha", connection="stripe-us") == 1
    problem_of(world.push(message()), "webhook.signature_invalid", 404)


def test_an_api_key_opens_no_webhook(world: World) -> None:
    path = f"/v1/webhooks/stripe/{world.webhook_token}"
    answer = world.client.post(path, content=message(), headers=world.headers(Role.OPERATOR))
    problem_of(answer, "webhook.signature_invalid", 404)


def test_a_huge_webhook_is_refused(world: World) -> None:
    problem_of(world.push(b'{"a":"' + b"x" * 70_000 + b'"}'), "http.body_too_large", 413)
    assert nothing_changed(world)
