"""NetSuite's error bodies, as recorded, to problem codes."""

from __future__ import annotations

import json

import pytest

from revline.connectors.netsuite.errors import error_of, problem_code_of, problem_of
from revline.connectors.netsuite.manifest import DUPLICATE, ERRORS, errors_of
from revline.connectors.netsuite.outcomes import Made, Taken, verdict
from revline.connectors.sdk.wire import HttpAnswer
from revline.core.farside import Rejected, Uncertain

PREFIX = "Error while accessing a resource. "


def body(detail: str, *, code: str = "USER_ERROR", path: str = "", status: int = 400) -> bytes:
    entry = {"detail": detail, "o:errorCode": code} | ({"o:errorPath": path} if path else {})
    shown = {
        "type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.4.1",
        "title": "Bad Request",
        "status": status,
        "o:errorDetails": [entry],
    }
    return json.dumps(shown).encode()


@pytest.mark.parametrize(
    ("detail", "code", "path", "wanted", "field"),
    [
        (
            PREFIX + "The transaction date you specified is not within the date range of your accounting period.",
            "USER_ERROR",
            "",
            "erp.period_closed",
            "USER_ERROR",
        ),
        (PREFIX + "Please enter value(s) for: Department", "USER_ERROR", "", "netsuite.value_missing", "Department"),
        (
            PREFIX + "You must enter a value for Company Name.",
            "USER_ERROR",
            "",
            "netsuite.value_missing",
            "Company Name",
        ),
        (
            PREFIX + "You have entered an Invalid Field Value 53384 for the following field: customer",
            "USER_ERROR",
            "customer",
            "netsuite.reference_invalid",
            "customer",
        ),
        (PREFIX + "This entity already exists.", "USER_ERROR", "", DUPLICATE, ""),
        (PREFIX + "This record already exists", "USER_ERROR", "", DUPLICATE, ""),
        (
            PREFIX + "This record has been locked by a user defined workflow.",
            "USER_ERROR",
            "",
            "netsuite.record_locked",
            "USER_ERROR",
        ),
        (PREFIX + "Something nobody has seen.", "USER_ERROR", "", "erp.rejected", "USER_ERROR"),
        (
            "Invalid content in the request body.",
            "INVALID_CONTENT",
            "item.items[0].item",
            "netsuite.request_invalid",
            "item.items.item",
        ),
        ("The record instance does not exist.", "NONEXISTENT_ID", "", "erp.record_missing", "NONEXISTENT_ID"),
        ("Invalid login attempt.", "INVALID_LOGIN", "", "erp.credentials_refused", "INVALID_LOGIN"),
        (
            "Concurrent request limit exceeded. Request blocked.",
            "CONCURRENCY_LIMIT_EXCEEDED",
            "",
            "erp.busy",
            "CONCURRENCY_LIMIT_EXCEEDED",
        ),
    ],
)
def test_an_error_body_gives_a_problem(detail: str, code: str, path: str, wanted: str, field: str) -> None:
    error = error_of(body=body(detail, code=code, path=path))
    assert error is not None
    assert problem_code_of(error=error, rules=ERRORS) == wanted
    if wanted != DUPLICATE:
        found = problem_of(error=error, rules=ERRORS)
        assert (found.code, found.field) == (wanted, field)


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"[]", b'{"o:errorDetails":[]}', b'{"o:errorDetails":[{"detail":1}]}']
)
def test_a_body_without_a_reason_has_none(data: bytes) -> None:
    assert error_of(body=data) is None


def test_a_connection_can_name_its_accounts_own_words() -> None:
    rules = errors_of(settings={"closedPeriodPattern": "Periode .* geschlossen", "duplicatePattern": "Externe ID"})
    for detail, wanted in (
        ("Die Periode Jan 2026 ist geschlossen", "erp.period_closed"),
        ("Externe ID vergeben", DUPLICATE),
    ):
        error = error_of(body=body(detail))
        assert error is not None
        assert problem_code_of(error=error, rules=rules) == wanted
    with pytest.raises(ValueError, match="closedPeriodPattern"):
        errors_of(settings={"closedPeriodPattern": "("})


def judged(status: int, data: bytes = b"", location: str = "") -> object:
    headers = {"location": location} if location else {}
    return verdict(answer=HttpAnswer(status=status, headers=headers, body=data), rules=ERRORS, mask=str)


def test_only_a_location_proves_that_a_record_was_made() -> None:
    assert judged(204, location="https://x/services/rest/record/v1/invoice/17") == Made(number="17")
    assert isinstance(judged(204), Uncertain)
    assert isinstance(judged(200, body("failed")), Uncertain)


def test_a_refusal_is_certain_only_with_a_reason_that_comes_before_any_effect() -> None:
    assert isinstance(judged(400, body("Please enter value(s) for: Class")), Rejected)
    assert isinstance(judged(400, body("This record already exists")), Taken)
    assert isinstance(judged(400, b"<html>"), Uncertain)
    assert isinstance(judged(400, body("Error ID: 1", code="UNEXPECTED_ERROR")), Uncertain)
    for status in (302, 500, 502, 503, 504):
        assert isinstance(judged(status, body("x", status=status)), Uncertain)
