"""Acts over the API with an Idempotency-Key: one effect and the same answer, however often they are sent."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from revline.app.processes import api_ports
from revline.doors.api.app import create_app
from revline.platform.access.roles import Role
from tests.integration.api.test_acts import Door, cli, door
from tests.integration.api.test_bulk import run
from tests.integration.api.test_waiting import deliveries

__all__ = ["cli", "door"]
WITHOUT_EFFECT = {
    "/v1/acts/preview",
    "/v1/preview/invoice",
    "/v1/preview/journal",
    "/v1/validate/order",
}
OF_THEIR_OWN = {"/v1/events", "/v1/usage", "/v1/webhooks/{connector}/{token}"}
"""They know what they were sent by its own ids, or by the same header."""


def send(door: Door, path: str, body: Any, *, key: str, role: Role = Role.FINANCE) -> Any:
    headers = {"Authorization": f"Bearer {door.keys[role]}", "Idempotency-Key": key}
    return door.client.post(path, json=body, headers=headers)


def told(door: Door, document_id: str) -> int:
    return len(door.get(f"/v1/deliveries/{document_id}").json()["transitions"])


@pytest.mark.parametrize(
    ("act", "more", "role"),
    [
        ("resend", {}, Role.OPERATOR),
        ("reprocess", {}, Role.OPERATOR),
        ("skip", {}, Role.OPERATOR),
        ("waive", {}, Role.FINANCE),
        ("record", {"erp_id": "77", "unread": True}, Role.FINANCE),
    ],
)
def test_an_act_that_is_sent_again_has_one_effect(door: Door, act: str, more: Any, role: Role) -> None:
    one = next(one for kind, one in deliveries(door).items() if kind != "customer")["document_id"]
    path, body = f"/v1/deliveries/{one}/{act}", {"reason": "because", **more}
    first = send(door, path, body, key="k1", role=role)
    assert first.status_code == 200, first.text
    done = told(door, one)
    again = send(door, path, body, key="k1", role=role)
    assert (again.status_code, again.json(), told(door, one)) == (200, first.json(), done)
    other = send(door, path, {**body, "reason": "for another"}, key="k1", role=role)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency.key_reused")
    assert [each["pointer"] for each in other.json()["errors"]] == ["/body/reason"]
    assert send(door, path, body, key="", role=role).json()["code"] == "idempotency.key_invalid"


def test_what_was_refused_is_judged_anew(door: Door) -> None:
    one = deliveries(door)["customer"]["document_id"]
    path = f"/v1/deliveries/{one}/replay"
    body = {"reason": "it goes on"}
    assert send(door, path, body, key="k1", role=Role.OPERATOR).json()["code"] == "document.not_set_aside"
    assert door.post(f"/v1/deliveries/{one}/skip", body, Role.OPERATOR).status_code == 200
    assert send(door, path, body, key="k1", role=Role.OPERATOR).json()["state"] == "ready"


def test_an_act_on_many_is_started_once(door: Door) -> None:
    body = {"kind": "retry", "filter": {}, "reason": "the account is there"}
    first = send(door, "/v1/acts", body, key="k1").json()
    assert send(door, "/v1/acts", body, key="k1").json() == first
    run(door)
    assert send(door, "/v1/acts", body, key="k1").json() == first
    assert len(door.get("/v1/acts").json()["items"]) == 1


def test_of_two_at_once_one_does_it_and_both_get_its_answer(door: Door) -> None:
    one = deliveries(door)["customer"]["document_id"]
    found: list[Any] = []

    def sender() -> None:
        found.append(send(door, f"/v1/deliveries/{one}/waive", {"reason": "by hand"}, key="k1"))

    senders = [threading.Thread(target=sender) for _ in range(2)]
    for each in senders:
        each.start()
    for each in senders:
        each.join()
    assert [each.status_code for each in found] == [200, 200]
    assert found[0].json() == found[1].json() == {"document_id": one, "state": "waived"}


def test_every_act_takes_a_key(door: Door) -> None:
    schema = create_app(api_ports(door.runtime)).litestar.openapi_schema.to_schema()
    without = {
        path
        for path, methods in schema["paths"].items()
        if "post" in methods
        and not any(one.get("name") == "Idempotency-Key" for one in methods["post"].get("parameters", []))
    }
    assert without == WITHOUT_EFFECT | OF_THEIR_OWN - {"/v1/events"}
