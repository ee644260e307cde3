"""An act on one document that gives up money takes a second person above the same threshold as an act on many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from revline.app import directory
from revline.platform.access.roles import Role
from tests.integration.api.test_acts import Door, cli, door
from tests.integration.api.test_bulk import POLICY, run
from tests.integration.cli.conftest import Cli

__all__ = ["cli", "door"]
REASON = {"reason": "booked by hand"}
NAMED = {**REASON, "erp_id": "4711", "unread": True}


@pytest.fixture
def invoice(door: Door, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A document worth more than one person of the tenant decides about."""
    monkeypatch.setattr(directory, "FRESH_SECONDS", 0)
    folder = tmp_path / "configuration"
    (folder / "birch" / "90-policy.yaml").write_text(POLICY, encoding="utf-8")
    cli("config", "apply", folder, "--reason", "two people")
    return found(door, lambda one: one["kind"] != "customer")


def found(door: Door, which: Any) -> dict[str, Any]:
    (one,) = [one for one in door.get("/v1/deliveries").json()["items"] if which(one)]
    return dict(one)


def state(door: Door, one: dict[str, Any]) -> str:
    return str(door.get(f"/v1/deliveries/{one['document_id']}").json()["delivery"]["state"])


@pytest.mark.parametrize(
    ("act", "body", "role", "second", "outcome"),
    [
        ("waive", REASON, Role.FINANCE, Role.FINANCE, "waived"),
        ("skip", REASON, Role.OPERATOR, Role.ADMINISTRATOR, "rejected"),
        ("record", NAMED, Role.FINANCE, Role.FINANCE, "waived"),
    ],
)
def test_it_is_proposed_and_done_when_somebody_else_starts_it(
    door: Door, invoice: dict[str, Any], act: str, body: Any, role: Role, second: Role, outcome: str
) -> None:
    path, before = f"/v1/deliveries/{invoice['document_id']}/{act}", state(door, invoice)
    answer = door.post(path, body, role)
    assert answer.status_code == 202, answer.text
    proposed = answer.json()
    assert (proposed["document_id"], proposed["state"]) == (invoice["document_id"], "proposed")
    again = door.post(path, body, role)
    assert (again.status_code, again.json()["code"]) == (409, "bulk.running")
    run(door)
    assert state(door, invoice) == before
    decision = f"/v1/acts/{proposed['act_id']}/decision"
    own = door.post(decision, {"apply": True, "reason": "mine"}, role)
    assert own.json()["code"] == "bulk.same_person"
    if second is role:
        door.keys[second] = door.runtime.services.access.issue(tenant_id="birch", role=second).text
    assert door.post(decision, {"apply": True, "reason": "looked at"}, second).status_code == 200
    run(door)
    assert state(door, invoice) == outcome
    shown = door.get(f"/v1/acts/{proposed['act_id']}").json()
    assert (shown["state"], shown["done"]) == ("done", 1)


def test_what_a_second_person_refuses_is_not_done(door: Door, invoice: dict[str, Any]) -> None:
    proposed = door.post(f"/v1/deliveries/{invoice['document_id']}/waive", REASON).json()
    door.keys[Role.FINANCE] = door.runtime.services.access.issue(tenant_id="birch", role=Role.FINANCE).text
    decision = f"/v1/acts/{proposed['act_id']}/decision"
    assert door.post(decision, {"apply": False, "reason": "send it"}).json()["state"] == "refused"
    run(door)
    assert state(door, invoice) == "ready"


def test_what_sends_again_and_what_has_no_money_takes_one_person(door: Door, invoice: dict[str, Any]) -> None:
    path = f"/v1/deliveries/{invoice['document_id']}"
    assert door.post(f"{path}/resend", REASON, Role.OPERATOR).status_code == 200
    customer = found(door, lambda one: one["kind"] == "customer")
    waived = door.post(f"/v1/deliveries/{customer['document_id']}/waive", REASON)
    assert (waived.status_code, waived.json()["state"]) == (200, "waived")


def test_the_command_says_who_goes_on(door: Door, cli: Cli, invoice: dict[str, Any]) -> None:
    said = cli("deliveries", "waive", invoice["document_id"], "--reason", "by hand", "--tenant", "birch").said
    assert "revline acts decide" in said
    assert state(door, invoice) == "ready"
