"""One event that needs a closer look: exact parsing, canonical form, and the reason when it can't be stored. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.core.exact_json import parse_object
from revline.core.problem import FieldError, Problem, problem
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.moments import moment
from revline.subledger.usage.decoding.numbers import plain_number
from revline.subledger.usage.decoding.values import LooseEvent
from revline.subledger.usage.events import (
    AMEND_TYPE,
    EVENT_BYTES_MAX,
    ID_BYTES_MAX,
    SOURCE_BYTES_MAX,
    SUBJECT_BYTES_MAX,
    VOID_TYPE,
)
from revline.subledger.usage.kinds import (
    EVENT_TYPE_PATTERN,
    RESERVED_PREFIX,
    TEXT_BYTES_MAX,
    EventType,
    FieldKind,
    OtherFields,
    UsageField,
)

_DECIMAL_TEXT: Final = re.compile(r"-?\d{1,38}(?:\.\d{1,38})?", re.ASCII)
_LIMITS: Final = {"id": ID_BYTES_MAX, "source": SOURCE_BYTES_MAX, "subject": SUBJECT_BYTES_MAX, "type": 128}
_encode: Final = msgspec.json.encode


class _InvalidError(Exception):
    def __init__(self, pointer: str, detail: str, instead: str = "") -> None:
        super().__init__(detail)
        self.pointer, self.detail, self.instead = pointer, detail, instead


def loose_event(text: bytes, types: TypeCatalogue) -> tuple[LooseEvent, bytes] | Problem:
    """The event of one JSON object and its canonical line, or what is wrong with it."""
    found = parse_object(text, bytes_max=EVENT_BYTES_MAX)
    if isinstance(found, Problem):
        return problem("usage.event_invalid", found.detail)
    if isinstance(found.get("type"), str) and found["type"] in types.elsewhere:
        return problem("usage.not_usage", f"{found['type']} is taken by POST /v1/events, not here", field=found["type"])
    try:
        event = _event_of(found, types)
    except _InvalidError as error:
        errors = (FieldError(pointer=error.pointer, detail=error.detail, instead=error.instead),)
        return problem("usage.event_invalid", f"{error.pointer}: {error.detail}", field=error.pointer, errors=errors)
    data = {name: value for name, value in (found.get("data") or {}).items() if value is not None}
    return event, _line(found, data, types)


def _line(found: Mapping[str, Any], data: Mapping[str, Any], types: TypeCatalogue) -> bytes:
    """The content as one line; its members stand in the order of `TypeShape.event`."""
    del types
    parts = [b'{"type":' + _encode(found["type"]), b'"data":' + canonical(data)]
    parts += [f'"{name}":'.encode() + _encode(found[name]) for name in ("id", "source", "subject")]
    if found.get("time") is not None:
        instant = moment(found["time"])
        parts.append(b'"time":' + _encode(instant))
    return b",".join(parts) + b"}"


def canonical(value: Any) -> bytes:
    """JSON in canonical form: keys in order, no white space, numbers in their shortest plain writing."""
    if isinstance(value, dict):
        members = (_encode(name) + b":" + canonical(value[name]) for name in sorted(value))
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(canonical, value)) + b"]"
    if isinstance(value, Decimal):
        return plain_number(value).encode()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    return _encode(value)


def _event_of(found: dict[str, Any], types: TypeCatalogue) -> LooseEvent:
    for name, most in _LIMITS.items():
        _text(found.get(name), f"/{name}", most)
    if not EVENT_TYPE_PATTERN.match(found["type"]):
        raise _InvalidError(
            "/type", "this can't be a type", "a letter, then letters, digits, dots, dashes, colons, slashes"
        )
    time = _time(found.get("time"), "/time")
    data = found.get("data")
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise _InvalidError("/data", "the data is not a JSON object")
    event = LooseEvent(
        id=found["id"], source=found["source"], type=found["type"], subject=found["subject"], time=time, values={}
    )
    if event.type == VOID_TYPE:
        _take_voided(event, data)
    elif event.type == AMEND_TYPE:
        data = _take_amended(event, data)
        _take_data(event, data, types, "/data/data")
    elif event.type.startswith(RESERVED_PREFIX):
        raise _InvalidError(
            "/type", f"types that begin with {RESERVED_PREFIX} are Revline's", f"{VOID_TYPE} or {AMEND_TYPE}"
        )
    else:
        _take_data(event, data, types, "/data")
    return event


def _take_voided(event: LooseEvent, data: Mapping[str, Any]) -> None:
    event.voids_source = _text(data.get("source"), "/data/source", SOURCE_BYTES_MAX)
    event.voids_id = _text(data.get("id"), "/data/id", ID_BYTES_MAX)
    reason = data.get("reason")
    if reason is not None:
        event.rest = _encode({"reason": _text(reason, "/data/reason", TEXT_BYTES_MAX, may_be_empty=True)}).decode()


def _take_amended(event: LooseEvent, data: Mapping[str, Any]) -> dict[str, Any]:
    event.voids_source = _text(data.get("source"), "/data/source", SOURCE_BYTES_MAX)
    event.voids_id = _text(data.get("id"), "/data/id", ID_BYTES_MAX)
    event.type = _text(data.get("type"), "/data/type", 128)
    if event.type.startswith(RESERVED_PREFIX) or not EVENT_TYPE_PATTERN.match(event.type):
        raise _InvalidError("/data/type", "an amendment puts an event of a usage type in place of another")
    event.time = _time(data.get("time"), "/data/time") or event.time
    inner = data.get("data")
    if not isinstance(inner, dict):
        raise _InvalidError("/data/data", "the data of the new event is not a JSON object")
    return inner


def _take_data(event: LooseEvent, data: Mapping[str, Any], types: TypeCatalogue, pointer: str) -> None:
    shape = types.shapes.get(event.type)
    given = {name: value for name, value in data.items() if value is not None}
    if shape is None:
        event.rest = canonical(given).decode()
        return
    spec: EventType = shape.specs[event.type]
    event.spec = spec
    for name, field in shape.fields.items():
        if name in given:
            event.values[name] = _value(given.pop(name), field, f"{pointer}/{name}")
        elif field.required:
            raise _InvalidError(f"{pointer}/{name}", "the field is required and missing")
    if given and spec.others is OtherFields.REFUSE:
        raise _InvalidError(f"{pointer}/{min(given)}", "the event type does not name this field")
    if given and spec.others is OtherFields.KEEP:
        event.rest = canonical(given).decode()


def _value(value: Any, field: UsageField, pointer: str) -> Decimal | str | bool | datetime:
    match field.kind:
        case FieldKind.DECIMAL:
            return _decimal(value, field, pointer)
        case FieldKind.BOOLEAN:
            if isinstance(value, bool):
                return value
            raise _InvalidError(pointer, "this is neither true nor false")
        case FieldKind.TEXT:
            return _text(value, pointer, TEXT_BYTES_MAX, may_be_empty=True)
        case FieldKind.TIME:
            found = moment(value)
            if found is None:
                raise _InvalidError(pointer, "this is not an RFC 3339 time with an offset", "2026-01-31T09:00:00Z")
            return found


def _decimal(value: Any, field: UsageField, pointer: str) -> Decimal:
    if isinstance(value, str) and _DECIMAL_TEXT.fullmatch(value):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _InvalidError(pointer, "this is not a number", "a JSON number, or a plain decimal number as text")
    digits = plain_number(Decimal(value)).lstrip("-")
    whole, _, fraction = digits.partition(".")
    if len(fraction) > field.scale or len(whole.lstrip("0")) > field.precision - field.scale:
        raise _InvalidError(
            pointer,
            f"the number has more than {field.precision} digits or more than {field.scale} after the point",
            "a number within the field's precision and scale; it is never rounded",
        )
    return Decimal(value)


def _time(value: Any, pointer: str) -> datetime | None:
    if value is None:
        return None
    found = moment(value)
    if found is None:
        raise _InvalidError(pointer, "this is not an RFC 3339 time with an offset", "2026-01-31T09:00:00Z")
    return found


def _text(value: Any, pointer: str, most: int, *, may_be_empty: bool = False) -> str:
    if not isinstance(value, str) or (not value and not may_be_empty):
        raise _InvalidError(pointer, "this is not a text, or an empty one")
    if "\0" in value or len(value.encode()) > most:
        raise _InvalidError(pointer, f"the text has more than {most} bytes, or holds NUL")
    return value
