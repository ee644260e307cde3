"""What waits for what, as the API and the command line say it of documents that derive wrote and nobody has sent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from revline.core.clock import SystemClock
from revline.delivery.telling import Teller
from revline.delivery.values import Timing
from revline.platform.access.roles import Role
from tests.integration.api.test_acts import Door, cli, door  # noqa: F401 - fixtures
from tests.integration.cli.conftest import Cli


def deliveries(door: Door) -> dict[str, Any]:  # noqa: F811
    door.derive()
    return {one["kind"]: one for one in door.get("/v1/deliveries").json()["items"]}


def set_aside(door: Door, document_id: str) -> str:  # noqa: F811
    """The case that stands for it."""
    done = door.post(f"/v1/deliveries/{document_id}/skip", {"reason": "its address is wrong"}, Role.OPERATOR)
    assert done.status_code == 200, done.text
    Teller(database=door.runtime.database, actor="worker:test", timing=Timing()).tell(
        recorded_at=SystemClock().now() + timedelta(minutes=1)
    )
    (case,) = [one for one in door.get("/v1/cases").json()["items"] if one["subject_id"] == document_id]
    return str(case["case_id"])


def test_every_document_says_what_it_waits_for(door: Door) -> None:  # noqa: F811
    found = deliveries(door)
    customer = found.pop("customer")
    assert customer["waits_for"] is None
    (document,) = found.values()
    assert document["waits_for"]["document_id"] == customer["document_id"]
    assert document["waits_for"]["title"] == f"customer {customer['external_reference']}, which is ready"
    shown = door.get(f"/v1/deliveries/{document['document_id']}").json()
    assert shown["waiting"]["said"] == f"waits for customer {customer['external_reference']}, which is ready"
    assert [hop["document_id"] for hop in shown["waiting"]["hops"]] == [customer["document_id"]]


def test_a_case_says_what_it_holds_up_and_lists_it(door: Door, cli: Cli) -> None:  # noqa: F811
    found = deliveries(door)
    customer = found.pop("customer")
    (document,) = found.values()
    case_id = set_aside(door, customer["document_id"])
    (first,) = door.get("/v1/cases", sort="behind", currency=document["currency"]).json()["items"]
    assert (first["case_id"], first["behind"]) == (case_id, 1)
    assert first["behind_money"] == [{"currency": document["currency"], "amount": document["amount"]}]
    page = door.get(f"/v1/cases/{case_id}/behind").json()
    assert [one["document_id"] for one in page["items"]] == [document["document_id"]]
    assert page["total"]["records"] == 1
    assert door.get(f"/v1/cases/{case_id}").json()["waits"]["total"]["records"] == 1
    said = door.get(f"/v1/deliveries/{document['document_id']}").json()["waiting"]
    assert [one["case_id"] for one in said["cases"]] == [case_id]
    assert case_id in said["said"]
    listed = cli("cases", "list", "--by-behind", "--tenant", "birch", "--json")
    assert case_id in listed.out
    assert document["document_id"] in cli("cases", "behind", case_id, "--tenant", "birch", "--json").out
    assert customer["external_reference"] in cli("deliveries", "list", "--tenant", "birch").out


def test_naming_a_record_takes_the_permission_to_waive_and_is_kept(door: Door) -> None:  # noqa: F811
    customer = deliveries(door)["customer"]
    path, body = (
        f"/v1/deliveries/{customer['document_id']}/record",
        {"erp_id": "77", "unread": True, "reason": "entered by hand"},
    )
    for role in (Role.AUDITOR, Role.OPERATOR):
        assert door.post(path, body, role).status_code == 403
    assert door.post(path, {**body, "erp_id": ""}).status_code == 422
    answer = door.post(path, body)
    assert (answer.status_code, answer.json()["state"]) == (200, "waived")
    records = door.get(f"/v1/deliveries/{customer['document_id']}").json()["records"]
    assert [(one["erp_id"], one["record_kind"]) for one in records] == [("77", "customer")]


def test_what_is_not_there_is_said(door: Door) -> None:  # noqa: F811
    assert door.get("/v1/deliveries/nothing").status_code == 404
    assert door.get("/v1/cases/nothing/behind").status_code == 404


def test_filters_that_do_not_go_together_are_refused_and_not_left_out(door: Door, cli: Cli) -> None:  # noqa: F811
    for query in ({"sort": "age"}, {"sort": "behind", "cause": "x"}, {"sort": "behind", "state": "resolved"}):
        answer = door.get("/v1/cases", **query)
        assert (answer.status_code, answer.json()["code"]) == (400, "http.request_invalid")
    assert door.get("/v1/cases", currency="EUR").status_code == 400
    assert "--cause" in cli("cases", "list", "--by-behind", "--cause", "x", "--tenant", "birch", code=2).said
    assert "--by-behind" in cli("cases", "list", "--currency", "EUR", "--tenant", "birch", code=2).said
