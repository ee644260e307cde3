"""The API answers as its own description says, whatever it is sent; every route there is takes part, also those yet to come."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as some
from schemathesis import GenerationMode, checks
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks as described

from revline.core.problem import CATALOGUE
from revline.doors.api.app import OPENAPI_PATH
from revline.doors.api.problems import MEDIA_TYPE
from revline.platform.access.roles import Role
from tests.contract.api.conftest import Served

pytestmark = pytest.mark.slow

EXAMPLES = 12
ROLES = (Role.OPERATOR, Role.OPERATOR, Role.FINANCE, Role.ADMINISTRATOR)
CHECKS = [
    checks.not_a_server_error,
    described.status_code_conformance,
    described.content_type_conformance,
    described.response_schema_conformance,
    described.response_headers_conformance,
]


def _requests(operation: Any) -> some.SearchStrategy[Any]:
    """Requests that the description allows, and requests that it does not."""
    allowed = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not (operation.query or operation.body or operation.headers or operation.path_parameters):
        return allowed
    return some.one_of(allowed, allowed, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))


def _problem_is_known(answer: Any) -> None:
    """Whatever is refused is refused with a problem of the catalogue, under the status it has there."""
    if answer.status_code < 400:
        return
    assert answer.headers["content-type"][0].startswith(MEDIA_TYPE), answer.headers["content-type"]
    told = answer.json()
    assert told["code"] in CATALOGUE, told
    assert (told["status"], CATALOGUE[told["code"]].status) == (answer.status_code, answer.status_code), told


def _try(served: Served, operation: Any) -> None:
    """A bounded number of requests to one operation, the same ones in every run."""

    @seed(7)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=_requests(operation), role=some.sampled_from(ROLES))
    def answers(case: Any, role: Role) -> None:
        answer = case.call(headers=served.headers(role))
        case.validate_response(answer, checks=CHECKS)
        _problem_is_known(answer)

    answers()


def test_every_answer_is_a_described_one(served: Served, subtests: pytest.Subtests) -> None:
    schema = schemathesis.openapi.from_asgi(f"{OPENAPI_PATH}/openapi.json", served.api, config=SchemathesisConfig())
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        with subtests.test(operation=operation.label):
            _try(served, operation)
    assert len(operations) >= 17


def test_every_route_is_described(served: Served) -> None:
    """What is not in the description would be tried by nobody."""
    document = served.api.litestar.openapi_schema.to_schema()
    described_routes = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    served_routes = {
        (route.path_format, method)
        for route in served.api.litestar.routes
        for method in getattr(route, "methods", ())
        if method not in {"OPTIONS", "HEAD"} and not route.path.startswith(OPENAPI_PATH)
    }
    assert served_routes == described_routes


def test_a_list_describes_its_filters(served: Served) -> None:
    paths = served.api.litestar.openapi_schema.to_schema()["paths"]
    named = {parameter["name"] for parameter in paths["/v1/deliveries"]["get"]["parameters"]}
    assert named == {"limit", "cursor", "state", "connection"}
