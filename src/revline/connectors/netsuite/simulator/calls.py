"""One call to the simulated account and its answer, free of sockets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from revline.connectors.netsuite.simulator.faults import Fault, FaultRule
from revline.connectors.netsuite.simulator.fields import FIELDS
from revline.connectors.netsuite.simulator.values import Refusal
from revline.connectors.sdk.rehearsal_calls import Answer, Request

__all__ = [
    "COLLECTION",
    "REST",
    "TOKEN_PATH",
    "Answer",
    "Arrival",
    "Call",
    "call_of",
    "json_answer",
    "operation_of",
    "refusal_answer",
    "throttled_answer",
]

REST: Final = "/services/rest"
TOKEN_PATH: Final = f"{REST}/auth/oauth2/v1/token"
COLLECTION: Final = "application/vnd.oracle.resource+json; type=collection"
_TITLES: Final = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Server Error",
}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in. base_url: the address it was sent to. headers: names in lower case."""

    method: str
    base_url: str
    path: str
    query: Mapping[str, tuple[str, ...]] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""

    @property
    def token(self) -> str:
        """The bearer token, "" without one."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def number(self, name: str, default: int) -> int:
        """A whole number of the query; Refusal for another text."""
        text = self.query.get(name, (str(default),))[0]
        if not text.isdecimal() or len(text) > 9:
            raise Refusal(f"Invalid value for the query parameter {name}.", code="INVALID_PARAMETER")
        return int(text)


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A call that has come in, with the faults that strike it and how long it waits before and after its effect."""

    call: Call
    order: int
    operation: str
    crowded: bool
    faults: Mapping[Fault, FaultRule]
    wait_before: timedelta
    wait_after: timedelta


def call_of(request: Request) -> Call:
    """The call a request is. ValueError for a target that is no address."""
    return Call(
        method=request.method,
        base_url=request.base_url,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body=request.body,
    )


def json_answer(body: Any, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer with a JSON body; Decimals as numbers."""
    return Answer(status=status, body=_ENCODER.encode(body), headers=headers)


def refusal_answer(refusal: Refusal, *, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An error as SuiteTalk REST shows it."""
    detail = {"detail": refusal.detail, "o:errorCode": refusal.code}
    if refusal.path:
        detail["o:errorPath"] = refusal.path
    body = {
        "type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.4.1",
        "title": _TITLES.get(refusal.status, "Bad Request"),
        "status": refusal.status,
        "o:errorDetails": [detail],
    }
    return json_answer(body, status=refusal.status, headers=headers)


def throttled_answer() -> Answer:
    """Too many calls at once: 429 whose title says Bad Request, as documented."""
    body = {
        "type": "https://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html",
        "title": "Bad Request",
        "status": 429,
        "o:errorCode": "USER_ERROR",
        "o:errorDetails": [
            {
                "detail": "Concurrent request limit exceeded. Request blocked.",
                "o:errorCode": "CONCURRENCY_LIMIT_EXCEEDED",
            }
        ],
    }
    return json_answer(body, status=429)


def operation_of(call: Call) -> str:
    """The name of what a call asks: invoice.create, suiteql.query, job.read, token.issue, control.faults or system.unknown."""
    if call.path == TOKEN_PATH:
        return "token.issue"
    parts = call.path.removeprefix(REST).strip("/").split("/")
    match (call.method, parts):
        case (_, ["control", verb, *_]):
            return f"control.{verb}"
        case ("POST", ["query", "v1", "suiteql"]):
            return "suiteql.query"
        case ("GET", ["async", "v1", "job", *_]):
            return "job.read"
        case ("POST", ["record", "v1", record]) if record in FIELDS:
            batch = "type=collection" in call.headers.get("content-type", "")
            return f"{record}.batch" if batch else f"{record}.create"
        case ("POST", ["record", "v1", "invoice", _, "!transform", "creditMemo"]):
            return "invoice.transform"
        case ("PATCH", ["record", "v1", record, _]) if record in FIELDS:
            return f"{record}.patch"
        case ("GET", ["record", "v1", record, _]) if record in FIELDS:
            return f"{record}.read"
    return "system.unknown"


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")
