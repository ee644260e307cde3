"""Stripe's wire: forms with brackets, errors in Stripe's body, list pages, expansion. Pure; knows no object's rules.

Sources: docs.stripe.com/api/errors, /api/pagination, /api/expanding_objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

Wire = dict[str, Any]
PAGE_DEFAULT: Final = 10
PAGE_MAX: Final = 100
FIELDS_MAX: Final = 2_000
_PART: Final = re.compile(r"\[([^\[\]]*)\]")


class StripeError(Exception):
    """An answer that is not success."""

    def __init__(
        self, message: str, *, status: int = 400, kind: str = "invalid_request_error", code: str = "", param: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.code, self.param = status, kind, code, param

    def body(self) -> Wire:
        """The error as Stripe writes it."""
        error: Wire = {"message": str(self), "type": self.kind}
        error |= {"code": self.code} if self.code else {}
        error |= {"param": self.param} if self.param else {}
        return {"error": error}


def missing(kind: str, identity: str, *, param: str = "id", status: int = 404) -> StripeError:
    """The error of an object that isn't there."""
    return StripeError(f"No such {kind}: '{identity}'", status=status, code="resource_missing", param=param)


def form(text: str) -> Wire:
    """A form or query as nested values: a[b]=1, a[]=1 and a[0][b]=1. Texts only."""
    found: Wire = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX):
        head, _, _ = name.partition("[")
        _put(found, [head, *_PART.findall(name[len(head) :])], value)
    return {name: _lists(value) for name, value in found.items()}


def _put(into: Wire, path: Sequence[str], value: str) -> None:
    for part in path[:-1]:
        key = part or str(len(into))
        below = into.setdefault(key, {})
        if not isinstance(below, dict):
            raise StripeError(f"Invalid parameter {part}", param=part)
        into = below
    into[path[-1] or str(len(into))] = value


def _lists(value: Any) -> Any:
    """What was numbered is a list."""
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(one) for name, one in value.items()}
    if inner and all(name.isdecimal() for name in inner):
        return [inner[name] for name in sorted(inner, key=int)]
    return inner


def integer(parameters: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A whole number among the parameters."""
    value = parameters.get(name)
    if value is None or value == "":
        if default is None:
            raise StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)
        return default
    text = str(value)
    if not text.removeprefix("-").isdecimal() or len(text) > 18:
        raise StripeError(f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    return int(text)


def required(parameters: Mapping[str, Any], name: str) -> str:
    """A text that must be there."""
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise StripeError(f"Missing required param: {name}.", code="parameter_missing", param=name)
    return value


def flag(parameters: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """true or false."""
    value = parameters.get(name)
    if value not in {None, "true", "false"}:
        raise StripeError(f"Invalid boolean: {value}", param=name)
    return default if value is None else value == "true"


def with_metadata(held: Mapping[str, str], given: object) -> dict[str, str]:
    """Metadata after an update: keys are merged, an empty value removes its key, an empty whole removes all."""
    if given == "":
        return {}
    if not isinstance(given, dict):
        return dict(held)
    for key, value in given.items():
        if len(key) > 40:
            raise StripeError(f"Metadata keys can be up to 40 characters long: {key}", param="metadata")
        if len(str(value)) > 500:
            raise StripeError("Metadata values must have up to 500 characters", param=f"metadata[{key}]")
    merged = {**held, **{key: str(value) for key, value in given.items()}}
    merged = {key: value for key, value in merged.items() if value}
    if len(merged) > 50:
        raise StripeError("Metadata can have up to 50 keys", param="metadata")
    return merged


def list_object(data: Sequence[Wire], *, url: str, more: bool = False) -> Wire:
    """A list object."""
    return {"object": "list", "data": list(data), "has_more": more, "url": url}


def page(found: Sequence[Wire], parameters: Mapping[str, Any], *, url: str) -> Wire:
    """A page of what was found, newest first. A cursor that names nothing is an error, as at Stripe."""
    limit = integer(parameters, "limit", PAGE_DEFAULT)
    if not 1 <= limit <= PAGE_MAX:
        raise StripeError("Limit must be between 1 and 100.", param="limit")
    ids = [one["id"] for one in found]
    start, before = str(parameters.get("starting_after", "")), str(parameters.get("ending_before", ""))
    for name, value in (("starting_after", start), ("ending_before", before)):
        if value and value not in ids:
            raise missing("object", value, param=name, status=400)
    if before:
        newer = found[: ids.index(before)]
        return list_object(newer[-limit:], url=url, more=len(newer) > limit)
    rest = found[ids.index(start) + 1 :] if start else found
    return list_object(rest[:limit], url=url, more=len(rest) > limit)


def within(one: Mapping[str, Any], bounds: object) -> bool:
    """Whether `created` is within created[gte] and the like, or equals a plain value."""
    created = int(one.get("created", 0))
    if isinstance(bounds, str):
        return created == int(bounds)
    if not isinstance(bounds, dict):
        return True
    tests: dict[str, Callable[[int], bool]] = {
        "gte": lambda value: created >= value,
        "gt": lambda value: created > value,
        "lte": lambda value: created <= value,
        "lt": lambda value: created < value,
    }
    return all(tests[name](int(value)) for name, value in bounds.items() if name in tests)


def expand(value: Wire, paths: Sequence[str], find: Callable[[str], Wire | None]) -> Wire:
    """The object with ids replaced by what they name along each path; `data` goes into a list's members."""
    for path in paths:
        _expand(value, path.split("."), find)
    return value


def _expand(value: Any, parts: Sequence[str], find: Callable[[str], Wire | None]) -> None:
    if isinstance(value, list):
        for one in value:
            _expand(one, parts, find)
        return
    if not isinstance(value, dict) or not parts:
        return
    inner = value.get(parts[0])
    if isinstance(inner, str):
        inner = value[parts[0]] = find(inner) or inner
    elif inner is None and (listed := find(f"{value.get('id', '')}/{parts[0]}")):
        inner = value[parts[0]] = listed
    _expand(inner, parts[1:], find)
