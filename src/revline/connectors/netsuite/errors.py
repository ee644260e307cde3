"""NetSuite's error bodies, and what they mean by the error table. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from revline.core.exact_json import parse_object
from revline.core.farside import ErrorRule
from revline.core.problem import Problem, problem

BODY_BYTES_MAX = 1_000_000
_NAMED = re.compile(r"(?:value\(s\) for:|following field:|a value for)\s*([A-Za-z_ ]{1,40})")


class FarError(msgspec.Struct, frozen=True, kw_only=True):
    """The first of an error body's details."""

    code: str
    detail: str
    path: str = ""


def error_of(*, body: bytes) -> FarError | None:
    """The error in a body, or None when it holds none that can be read."""
    parsed = parse_object(body, bytes_max=BODY_BYTES_MAX)
    if isinstance(parsed, Problem):
        return None
    details: Any = parsed.get("o:errorDetails")
    first = details[0] if isinstance(details, list) and details else None
    if not isinstance(first, dict) or not isinstance(first.get("o:errorCode"), str):
        return None
    path = first.get("o:errorPath") or first.get("o:errorQueryParam") or first.get("o:errorHeader") or ""
    return FarError(code=first["o:errorCode"], detail=str(first.get("detail", ""))[:1_000], path=str(path)[:200])


def problem_code_of(*, error: FarError, rules: Sequence[ErrorRule]) -> str:
    """The problem code by the first rule that fits; erp.rejected when none does."""
    for rule in rules:
        if rule.far_code == error.code and re.search(rule.pattern, error.detail, re.IGNORECASE):
            return rule.problem_code
    return "erp.rejected"


def problem_of(*, error: FarError, rules: Sequence[ErrorRule]) -> Problem:
    """The refusal as a problem. Its field groups cases: what NetSuite names as wrong, else the code."""
    code = problem_code_of(error=error, rules=rules)
    named = _NAMED.search(error.detail)
    field = named.group(1).strip() if named else re.sub(r"\[\d+\]", "", error.path) or error.code
    return problem(code, f"{error.code}: {error.detail[:500]}", field=field)
