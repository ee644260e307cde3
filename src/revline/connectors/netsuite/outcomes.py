"""What an answer to a create or a change means. Pure: refusal, duplicate, made, or nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from revline.connectors.netsuite.errors import error_of, problem_code_of, problem_of
from revline.connectors.netsuite.manifest import DUPLICATE
from revline.connectors.sdk.wire import HttpAnswer
from revline.core.farside import ErrorRule, Rejected, Uncertain

CERTAIN_REFUSALS: Final = frozenset({400, 404, 405, 409, 412, 413, 415})
"""Statuses that come before any effect, when the body names a reason."""
INSIDE: Final = frozenset({"UNEXPECTED_ERROR"})


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A record is there. number: its internal id."""

    number: str


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The reference has a record already. evidence: NetSuite's words."""

    evidence: str


Mask = Callable[[str], str]
Verdict = Made | Taken | Rejected | Uncertain


def verdict(*, answer: HttpAnswer, rules: Sequence[ErrorRule], mask: Mask) -> Verdict:
    """What a create came to."""
    evidence = mask(answer.evidence)
    if answer.status in {200, 201, 204}:
        number = answer.headers.get("location", "").rstrip("/").rpartition("/")[2]
        return Made(number=number) if number.isdecimal() else Uncertain(evidence=evidence)
    error = error_of(body=answer.body)
    if error is None or answer.status not in CERTAIN_REFUSALS or error.code in INSIDE:
        return Uncertain(evidence=evidence)
    error = msgspec.structs.replace(error, detail=mask(error.detail))
    if problem_code_of(error=error, rules=rules) == DUPLICATE:
        return Taken(evidence=evidence)
    return Rejected(problem=problem_of(error=error, rules=rules), evidence=evidence)
