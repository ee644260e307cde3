"""One call to the simulated ERP and its answer, free of sockets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from revline.connectors.sdk.rehearsal_calls import Answer, Request
from revline.connectors.simulated import wire
from revline.connectors.simulated.faults import Fault, FaultRule
from revline.connectors.simulated.wire import ErrorAnswer, ErrorBody, Kind

__all__ = ["Answer", "Arrival", "Call", "call_of", "fault_seconds", "operation_of", "refusal"]

_KINDS = frozenset(kind.value for kind in Kind)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it came in. path: without the query; query: every value of every name."""

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]] = {}
    token: str = ""
    request_id: str = ""
    body: bytes = b""

    def first(self, name: str) -> str:
        """The first value of a query name, or ""."""
        values = self.query.get(name, ())
        return values[0] if values else ""


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A call that has come in, with the faults that strike it and how long it waits before and after its effect."""

    call: Call
    order: int
    request_id: str
    operation: str
    faults: Mapping[Fault, FaultRule]
    wait_before: timedelta
    wait_after: timedelta


def call_of(request: Request) -> Call:
    """The call a request is. ValueError for a target that is no address."""
    return Call(
        method=request.method,
        path=request.path,
        query=request.query,
        token=request.headers.get("authorization", "").removeprefix("Bearer "),
        request_id=request.headers.get("x-request-id", ""),
        body=request.body,
    )


def refusal(status: int, code: str, message: str, field: str = "") -> Answer:
    """An answer that refuses the whole call."""
    body = ErrorAnswer(error=ErrorBody(code=code, message=message, field=field))
    return Answer(status=status, body=wire.encode(body))


def fault_seconds(rule: FaultRule | None) -> timedelta:
    """The time a fault names; none without a fault."""
    return timedelta(seconds=float(rule.seconds)) if rule is not None else timedelta(0)


def operation_of(call: Call) -> str:
    """The name of what a call asks, by method and path: `invoices.create`, `control.faults`, or `system.unknown`."""
    parts = call.path.strip("/").split("/")
    match (call.method, parts):
        case (_, ["control", verb, *_]):
            return f"control.{verb}"
        case ("POST", ["v1", kind]) if kind in _KINDS:
            return f"{kind}.create"
        case ("POST", ["v1", kind, ("batch" | "post-batch") as verb]) if kind in _KINDS:
            return f"{kind}.{verb}"
        case ("POST", ["v1", kind, _, "post"]) if kind in _KINDS:
            return f"{kind}.post"
        case ("GET", ["v1", kind]) if kind in _KINDS:
            return f"{kind}.search"
        case ("GET", ["v1", kind, "changes"]) if kind in _KINDS:
            return f"{kind}.changes"
        case ("GET", ["v1", kind, _]) if kind in _KINDS:
            return f"{kind}.read"
        case ("GET", ["v1", "companies", _, ("periods" | "trial-balance") as verb]):
            return f"companies.{verb}"
        case ("GET", ["v1", "jobs", _]):
            return "jobs.read"
        case ("GET", ["v1", "health"]):
            return "system.health"
    return "system.unknown"
