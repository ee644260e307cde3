"""Every route of the API, called with a key of one tenant and ids of the other."""

from __future__ import annotations

import itertools
import re
from typing import Any
from urllib.parse import quote

import msgspec

from revline.app.processes import api_ports
from revline.doors.api.app import OPENAPI_PATH, create_app
from revline.doors.api.guards import PERMISSION, PUBLIC
from revline.platform.access.roles import PERMISSIONS, Permission, Role
from tests.integration.crossing.conftest import THEIRS, Crossing

PLACE = re.compile(r"\{(\w+):str\}")
NUMBER = re.compile(r"\{\w+:int\}")
FIXED = {"kind": ("customer", "account"), "connector": ("stripe",)}
QUERIES = ("value", "cause", "outcome", "connection", "key", "state", "cursor", "kind")
ODD = ("%00", "a%00b", "%ed%a0%80", "..%2f..", "x" * 3_000, "%27%22")
BODIES: dict[str, Any] = {
    "/v1/corrections": lambda one: {"subject_kind": "fact", "subject_id": one, "body": {"id": "x"}, "reason": "because"},
    "/v1/corrections/{correction_id:str}/decision": lambda one: {"apply": True, "reason": "because"},
    "/v1/deliveries/{document_id:str}/record": lambda one: {"record_kind": "invoice", "erp_id": one, "reason": "because"},
    "/v1/credits": lambda one: {"customer": one, "plan": one, "reason": "because"},
    "/v1/credits/end": lambda one: {"grant": one, "connection": "stripe", "reason": "because"},
    "/v1/credits/void": lambda one: {"grant": one, "connection": "stripe", "reason": "because"},
    "/v1/credits/refund": lambda one: {"grant": one, "connection": "stripe", "reason": "because"},
    "/v1/acts/preview": lambda one: {"kind": "retry", "filter": {"cause": one}},
    "/v1/acts": lambda one: {"kind": "retry", "filter": {"cause": one}, "reason": "because"},
    "/v1/acts/{act_id:str}/decision": lambda one: {"apply": True, "reason": "because"},
    "/v1/preview/journal": lambda one: {
        "connection": "stripe", "root": {"connection": "stripe-us", "kind": "invoice", "outside_id": one},
    },
    "/v1/preview/invoice": lambda one: {"connection": "stripe-us", "draft": {"customer": one}},
    "/v1/validate/order": lambda one: {"connection": "stripe-us", "order": {"outside_id": one}},
    "/v1/events": lambda one: {
        "specversion": "1.0", "id": one, "source": "/x", "type": "revline.customer.v1", "data": {}, "tenant": THEIRS,
    },
}  # fmt: skip


def routes(crossing: Crossing) -> list[tuple[str, str, Permission]]:
    """(method, path, permission) of every route that takes a key."""
    app = create_app(api_ports(crossing.world.runtime))
    found = []
    for route in app.litestar.routes:
        for handler in getattr(route, "route_handlers", []):
            wanted = handler.opt.get(PERMISSION)
            # The raw door of usage stands in front of its route, and has tests of its own.
            if isinstance(wanted, Permission) and route.path != "/v1/usage":
                found += [
                    (str(method), route.path, wanted) for method in handler.http_methods if method in {"GET", "POST"}
                ]
    assert len(found) > 15
    return found


def asked_by(described_paths: dict[str, Any], method: str, path: str) -> list[tuple[str, ...]]:
    """Names of queries to ask a route with: each it knows on its own, and all that are none of its own at once."""
    if method != "GET":
        return []
    described = described_paths[re.sub(r":(str|int)}", "}", path)]["get"].get("parameters", [])
    known = {parameter["name"] for parameter in described if parameter["in"] == "query"}
    others = tuple(name for name in QUERIES if name not in known)
    return [*((name,) for name in QUERIES if name in known), *([others] if others else [])]


def role_that_may(permission: Permission) -> Role:
    return next(role for role in Role if permission in PERMISSIONS[role])


def role_that_may_not(permission: Permission) -> Role | None:
    return next((role for role in Role if permission not in PERMISSIONS[role]), None)


def paths(path: str, ids: list[str]) -> list[str]:
    names, path = PLACE.findall(path), NUMBER.sub("1", path)
    made = []
    for chosen in itertools.product(*(FIXED.get(name, tuple(ids)) for name in names)):
        one = path
        for name, value in zip(names, chosen, strict=True):
            one = one.replace(f"{{{name}:str}}", value if "%" in value else quote(value, safe=""))
        made.append(one)
    return made


def assert_nothing_of_theirs(crossing: Crossing, answer: Any, asked: str) -> None:
    for word in crossing.theirs.words:
        if word not in asked:
            assert word not in answer.text, (asked, word)


def test_nothing_of_another_tenant_is_told_or_changed(crossing: Crossing) -> None:
    ids, before = crossing.theirs.every(), crossing.state(THEIRS)
    described_paths = crossing.client.get(f"{OPENAPI_PATH}/openapi.json").json()["paths"]
    for method, path, permission in routes(crossing):
        role, queries = role_that_may(permission), asked_by(described_paths, method, path)
        for one in ids:
            body = BODIES.get(path, lambda _: {"reason": "because"})(one)
            for made in paths(path, [one]):
                answer = crossing.call(method, made, role, body)
                assert answer.status_code < 500, (method, made, answer.text)
                if method == "POST" or PLACE.search(path):
                    empty = path.startswith("/v1/master-data")
                    empty |= path == "/v1/acts/preview" and answer.json()["records"] == 0
                    empty |= path == "/v1/usage/rate"  # which names nothing
                    assert empty or 400 <= answer.status_code < 500, (method, made, answer.text)
                assert_nothing_of_theirs(crossing, answer, f"{made} {one}")
            for names in queries:
                made = f"{paths(path, [one])[0]}?{'&'.join(f'{name}={quote(one)}' for name in names)}"
                answer = crossing.call(method, made, role)
                assert answer.status_code < 500, made
                assert_nothing_of_theirs(crossing, answer, made)
    assert crossing.state(THEIRS) == before


def test_no_key_and_too_small_a_role_change_nothing(crossing: Crossing) -> None:
    before = crossing.state("birch", THEIRS)
    ids = crossing.ours.of_each_kind()
    for method, path, permission in routes(crossing):
        for made in paths(path, ids):
            body = BODIES.get(path, lambda _: {"reason": "because"})(ids[0])
            answer = crossing.call(method, made, body=body, key="")
            assert answer.status_code == 401, made
            assert_nothing_of_theirs(crossing, answer, made)
            small = role_that_may_not(permission)
            if small is not None:
                assert crossing.call(method, made, small, body).status_code == 403, made
        # A log-in of the console is no key: other sites could use it.
        crossing.client.cookies.set("revline", crossing.session)
        assert crossing.client.request(method, paths(path, ids)[0], json={}).status_code == 401
    assert crossing.state("birch", THEIRS) == before


def test_odd_ids_bodies_and_numbers_are_refused_not_failed(crossing: Crossing) -> None:
    deep = b"[" * 20_000
    huge = b'{"reason": 1' + b"0" * 100_000 + b"}"
    bodies = (
        deep, b'{"reason":' + deep, b'{"subject_kind":"fact","subject_id":"x","reason":"x","body":{"a":' + deep, huge,
        b'{"reason": 1e999999999}', b'{"reason": "\\u0000 x"}', b'{"reason": "\\ud800"}', b"\xff\xfe", b"", b"null", b"[]",
        b'{"reason": "x", "subject_kind": "fact", "subject_id": "a\\u0000b", "body": {"a": "\\u0000"}}',
        b'{"draft": {"lines": [{"quantity": "1e999999999", "unit_price": "1e999999999"}]}}',
        b'{"apply": true, "reason": "\\u0000"}', b'{"order": {"lines": [{"quantity": ' + b"9" * 5_000 + b"}]}}",
    )  # fmt: skip
    for method, path, permission in routes(crossing):
        role = role_that_may(permission)
        for odd in ODD:
            for made in paths(path, [odd]):
                query = "" if method == "POST" else "?" + "&".join(f"{name}={odd}" for name in QUERIES)
                for suffix in {"", query}:
                    answer = crossing.call(method, made + suffix, role, {"reason": "because"})
                    assert answer.status_code < 500, (method, made[:80], suffix[:80], answer.text)
        if method == "POST":
            for body in bodies:
                for one in (crossing.ours.ids["case"][0], crossing.ours.ids["correction"][0]):
                    headers = {"Authorization": f"Bearer {crossing.keys[role]}", "content-type": "application/json"}
                    answer = crossing.client.post(paths(path, [one])[0], content=body, headers=headers)
                    assert answer.status_code < 500, (path, body[:80], answer.text)


def test_a_body_beyond_the_limit_is_refused_before_it_is_read(crossing: Crossing) -> None:
    limit = crossing.world.runtime.settings.body_bytes_max
    for method, path, permission in routes(crossing):
        if method == "POST" and not path.startswith("/v1/webhook-deliveries"):  # which takes no body and reads none
            key = crossing.keys[role_that_may(permission)]
            headers = {"Authorization": f"Bearer {key}", "content-type": "application/json"}
            body = b'{"reason": "' + b"x" * limit + b'"}'
            answer = crossing.client.post(paths(path, ["x"])[0], content=body, headers=headers)
            assert answer.status_code == 413, path


def test_a_cursor_of_one_tenant_is_none_for_another(crossing: Crossing) -> None:
    services = crossing.world.runtime.services
    theirs = services.access.issue(tenant_id=THEIRS, role=Role.AUDITOR).text
    for name in ("facts", "deliveries", "cases"):
        page = crossing.call("GET", f"/v1/{name}?limit=1")
        cursor = msgspec.json.decode(page.content)["next_cursor"]
        assert cursor, name
        answer = crossing.call("GET", f"/v1/{name}?limit=1&cursor={cursor}", key=theirs)
        assert answer.json()["code"] == "cursor.invalid", name
        other = "facts" if name != "facts" else "cases"
        assert crossing.call("GET", f"/v1/{other}?cursor={cursor}").json()["code"] == "cursor.invalid"


def test_every_public_route_is_known(crossing: Crossing) -> None:
    app = create_app(api_ports(crossing.world.runtime))
    public = {
        route.path
        for route in app.litestar.routes
        for handler in getattr(route, "route_handlers", [])
        if handler.opt.get(PERMISSION) == PUBLIC
    }
    assert public == {"/livez", "/readyz", "/v1/webhooks/{connector:str}/{token:str}"}
