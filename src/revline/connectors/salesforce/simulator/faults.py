"""How the simulated org misbehaves on demand. Pure; what a call does is `api`."""

from __future__ import annotations

import re
from typing import Any

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One misbehaviour of the next `count` calls that fit. method, path: what fits (path: a pattern, "" any).

    lost: the call takes effect and is never answered. status, code, message: an error before any effect. retry_after: seconds
    named in its header. malformed: the answer is no JSON.
    """

    method: str = ""
    path: str = ""
    count: int = 1
    lost: bool = False
    status: int = 0
    code: str = ""
    message: str = ""
    retry_after: int = 0
    malformed: bool = False


LIMIT_EXCEEDED = Fault(
    path="/services/data/", status=403, code="REQUEST_LIMIT_EXCEEDED", message="TotalRequests Limit exceeded."
)
ROW_LOCKED = Fault(
    path="/sobjects/",
    status=400,
    code="UNABLE_TO_LOCK_ROW",
    message="unable to obtain exclusive access to this record or 1 records",
)
UNAVAILABLE = Fault(status=503, code="SERVER_UNAVAILABLE", message="The server is busy.", retry_after=5)
TOO_MANY = Fault(status=429, code="REQUEST_LIMIT_EXCEEDED", message="Too many requests", retry_after=7)


class Faults:
    """The misbehaviours in force, oldest first."""

    def __init__(self) -> None:
        self._left: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        """Put one in force."""
        self._left.append((fault, fault.count))

    def lift(self) -> None:
        """End all."""
        self._left.clear()

    def next_for(self, *, method: str, path: str) -> Fault | None:
        """The misbehaviour of this call, counted."""
        for place, (fault, left) in enumerate(self._left):
            if fault.method in {"", method} and re.search(fault.path, path):
                self._left[place] = (fault, left - 1)
                self._left = [entry for entry in self._left if entry[1] > 0]
                return fault
        return None

    def body(self, fault: Fault) -> list[dict[str, Any]]:
        """The error array of a fault."""
        return [{"message": fault.message, "errorCode": fault.code}]
