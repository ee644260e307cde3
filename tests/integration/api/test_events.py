"""POST /v1/events: verdicts per event, and bad input that gets a clear problem and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from revline.platform.access.roles import Role
from tests.integration.api.conftest import World, event

MEMBERS = {"type", "title", "status", "detail", "code", "errors", "retryable", "mender", "remedy", "correlation_id"}


def problem_of(answer: Any, code: str, status: int) -> dict[str, Any]:
    """Checks that an answer is the problem document of a code."""
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["code"], answer.status_code, body["status"]) == (code, status, status), body
    assert set(body) == MEMBERS
    assert body["type"] == f"urn:revline:problem:{code}"
    assert body["correlation_id"] == answer.headers["x-correlation-id"]
    return body


def facts(world: World) -> int:
    with world.database.read(tenants=["alpha"]) as connection:
        return int(connection.execute(text("SELECT count(*) FROM fact WHERE tenant_id = 'alpha'")).scalar_one())


def nothing_changed(world: World) -> bool:
    with world.database.read(tenants=["alpha"]) as connection:
        statement = (
            "SELECT (SELECT count(*) FROM unit) + (SELECT count(*) FROM body) + (SELECT count(*) FROM idempotency)"
        )
        return connection.execute(text(statement)).scalar_one() == 0


def test_one_event_is_accepted_then_a_duplicate_then_a_conflict(world: World) -> None:
    first = world.send(event())
    assert first.status_code == 200
    assert first.json()["counts"] == {"accepted": 1}
    assert world.send(event()).json()["counts"] == {"duplicate": 1}
    problem_of(world.send(event(data={"outside_id": "cus_1", "name": "Eve"})), "intake.conflict", 409)
    assert facts(world) == 1


def test_a_batch_gets_a_verdict_for_each_event(world: World) -> None:
    world.send(event(1))
    answer = world.send(
        [
            event(1),
            event(1, data={"outside_id": "cus_1", "name": "Eve"}),
            event(2),
            event(3, time="yesterday"),
            "not an object",
            event(4, type="com.example.usage.recorded"),
        ]
    )
    assert answer.status_code == 200
    said = [(one["outcome"], (one["problem"] or {}).get("code")) for one in answer.json()["events"]]
    assert said == [
        ("duplicate", None),
        ("conflict", "intake.conflict"),
        ("accepted", None),
        ("invalid", "time.invalid"),
        ("invalid", "json.invalid"),
        ("invalid", "events.usage_elsewhere"),
    ]
    assert facts(world) == 2


def test_usage_is_refused_with_the_address_it_has(world: World) -> None:
    body = problem_of(world.send(event(type="usage.recorded")), "events.usage_elsewhere", 422)
    assert "POST /v1/usage" in body["detail"]


def test_the_same_request_key_gives_the_same_answer(world: World) -> None:
    first = world.send(event(), Idempotency_Key='"k-1"')
    assert world.send(event(), Idempotency_Key='"k-1"').json() == first.json()
    problem_of(world.send(event(2), Idempotency_Key="k-1"), "idempotency.key_reused", 422)
    problem_of(world.send(event(2), Idempotency_Key="x" * 300), "idempotency.key_invalid", 400)


def raw(**values: str) -> bytes:
    """An event whose members are given as JSON text."""
    members = {
        "specversion": '"1.0"',
        "id": '"e1"',
        "source": '"s"',
        "type": '"revline.payment.v1"',
        "time": '"2026-03-01T11:00:00Z"',
        "data": '{"outside_id":"p","status":"succeeded","currency":"USD","amount":"1.00","created_at":"2026-03-01T11:00:00Z"}',
        **values,
    }
    return ("{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}").encode()


def payment(**values: str) -> bytes:
    members = {
        "outside_id": '"p"',
        "status": '"succeeded"',
        "currency": '"USD"',
        "amount": '"1.00"',
        "created_at": '"2026-03-01T11:00:00Z"',
        **values,
    }
    return raw(data="{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}")


BAD: dict[str, tuple[bytes, str, int]] = {
    "a huge body": (b'{"a":"' + b"x" * 70_000 + b'"}', "http.body_too_large", 413),
    "broken UTF-8": (raw(id='"\xff"').replace("ÿ".encode(), b"\xff"), "json.invalid", 400),
    "a number of a million digits": (payment(amount="1" * 50_000), "json.number_invalid", 400),
    "NaN": (payment(amount="NaN"), "json.number_invalid", 400),
    "a text NaN": (payment(amount='"NaN"'), "events.data_invalid", 422),
    "an amount that is a number": (payment(amount="1.00"), "events.data_invalid", 422),
    "an exponent": (payment(amount='"1e2"'), "events.data_invalid", 422),
    "a key twice": (raw(id='"e1","id":"e2"'), "json.duplicate_key", 400),
    "nesting without end": (raw(data="[" * 1_000 + "]" * 1_000), "json.too_deep", 400),
    "half a surrogate": (payment(description='"\\ud800"'), "json.invalid", 400),
    "a NUL": (payment(description='"a\\u0000b"'), "json.invalid", 400),
    "no JSON": (b"<xml/>", "json.invalid", 400),
    "nothing": (b"", "json.invalid", 400),
    "an array as a single event": (b"[]", "json.invalid", 400),
    "an unknown currency": (payment(currency='"XXX"'), "currency.unknown", 422),
    "a currency in small letters": (payment(currency='"usd"'), "currency.unknown", 422),
    "more digits than the currency": (payment(amount='"1.005"'), "amount.invalid", 422),
    "yen with cents": (payment(currency='"JPY"', amount='"10.5"'), "amount.invalid", 422),
    "a clock far ahead": (raw(time='"2026-03-03T12:00:00Z"'), "time.invalid", 422),
    "a time without offset": (raw(time='"2026-03-01T11:00:00"'), "time.invalid", 422),
    "a moment without offset inside": (payment(created_at='"2026-03-01T11:00:00"'), "time.invalid", 422),
    "no time": (raw(time="null"), "time.invalid", 422),
    "an unknown tenant": (raw(tenant='"nobody"'), "tenant.unknown", 422),
    "another tenant": (raw(tenant='"beta"'), "tenant.unknown", 422),
    "another entity": (raw(entity='"beta-gmbh"'), "entity.unknown", 422),
    "no id": (raw(id='""'), "events.envelope_invalid", 422),
    "an old CloudEvents": (raw(specversion='"0.3"'), "events.envelope_invalid", 422),
    "a type nobody knows": (raw(type='"com.example.thing"'), "events.type_unknown", 422),
    "a misspelt field": (payment(amuont='"1.00"'), "events.data_invalid", 422),
    "an unknown status": (payment(status='"perhaps"'), "events.data_invalid", 422),
    "a very long id": (payment(outside_id='"' + "x" * 300 + '"'), "intake.value_invalid", 422),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_clear_problem_and_changes_nothing(world: World, name: str) -> None:
    body, code, status = BAD[name]
    found = problem_of(world.send(body), code, status)
    assert len(found["detail"]) < 800
    assert nothing_changed(world)


def test_the_good_twin_of_the_bad_payments_is_accepted(world: World) -> None:
    assert world.send(payment()).json()["counts"] == {"accepted": 1}


def test_requests_that_fail_as_a_whole(world: World) -> None:
    problem_of(world.send([event(number) for number in range(21)]), "intake.too_many", 413)
    problem_of(world.send({"a": 1}, Content_Type="application/json"), "events.content_type", 415)
    latin = world.send(event(), Content_Type="application/cloudevents+json; charset=latin-1")
    problem_of(latin, "events.content_type", 415)
    batch = "application/cloudevents-batch+json"
    problem_of(world.send(event(), Content_Type=batch), "events.batch_invalid", 400)
    problem_of(world.send(event(), path="/v1/events?connection=nothing"), "connection.unknown", 422)
    problem_of(world.send(event(), path="/v1/events?connection=stripe-us"), "connection.unknown", 422)
    problem_of(world.send(event(), path="/v1/events?connection=books"), "connection.unknown", 422)
    assert nothing_changed(world)
    assert world.send([]).json() == {"counts": {}, "events": []}
    assert world.send(event(), path="/v1/events?connection=crm").status_code == 200


def test_what_the_framework_refuses_is_a_problem_too(world: World) -> None:
    problem_of(world.client.get("/nothing"), "http.not_found", 404)
    problem_of(world.client.get("/v1/nothing", headers=world.headers(Role.OPERATOR)), "http.not_found", 404)
    refused = world.client.delete("/v1/events", headers=world.headers())
    problem_of(refused, "http.method_not_allowed", 405)
    assert refused.headers["allow"]
    answer = world.client.get("/v1/facts?limit=many", headers=world.headers(Role.AUDITOR))
    problem_of(answer, "http.request_invalid", 400)


def _in_binary_mode(world: World, body: bytes, **attributes: str) -> Any:
    named = {"specversion": "1.0", "id": "b1", "source": "//crm.example/accounts", "type": "revline.customer.v1"}
    headers = {f"ce-{name}": value for name, value in {**named, "time": "2026-03-01T11:00:00Z", **attributes}.items()}
    return world.client.post(
        "/v1/events", content=body, headers=world.headers(Content_Type="application/json") | headers
    )


def test_an_event_in_binary_mode_is_the_same_event(world: World) -> None:
    data = b'{"outside_id": "cus_1", "name": "Ada Lovelace"}'
    assert _in_binary_mode(world, data).json()["counts"] == {"accepted": 1}
    assert _in_binary_mode(world, data).json()["counts"] == {"duplicate": 1}
    structured = event(1) | {"id": "b1", "data": {"outside_id": "cus_1", "name": "Ada Lovelace"}}
    assert world.send(structured).json()["counts"] == {"duplicate": 1}
    assert _in_binary_mode(world, data, id="b2", subject="Z%C3%BCrich").json()["counts"] == {"accepted": 1}


def test_binary_mode_can_not_smuggle_an_attribute(world: World) -> None:
    smuggled = b'{"outside_id": "cus_1", "name": "Ada"}, "id": "other"'
    assert _in_binary_mode(world, smuggled).status_code == 400
    refused = _in_binary_mode(world, b"{}", data="x")
    assert (refused.status_code, refused.json()["code"]) == (422, "events.envelope_invalid")
    undecodable = _in_binary_mode(world, b"{}", id="%ff")
    assert (undecodable.status_code, undecodable.json()["errors"][0]["pointer"]) == (422, "/id")


def test_plain_json_without_the_headers_is_no_event(world: World) -> None:
    answer = world.client.post("/v1/events", content=b"{}", headers=world.headers(Content_Type="application/json"))
    assert (answer.status_code, answer.json()["code"]) == (415, "events.content_type")


def test_a_type_of_usage_event_is_refused_with_the_address_it_goes_to(world: World) -> None:
    told = world.send([event(1), event(2, type="api.call")]).json()
    assert [each["outcome"] for each in told["events"]] == ["accepted", "invalid"]
    refused = told["events"][1]["problem"]
    assert refused["code"] == "events.usage_elsewhere"
    assert "/v1/usage" in refused["remedy"]
