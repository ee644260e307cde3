"""A usage event as it is sent (CloudEvents 1.0, JSON). Pure; knows no outbox and no network."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

ID_BYTES_MAX: Final = 256
EVENT_BYTES_MAX: Final = 64 * 1024
VOID_TYPE: Final = "revline.usage.void"


class NotAnEvent(ValueError):  # noqa: N818 - named for what the caller gave
    """What was given can't be a usage event; the message says why."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An event that Revline will not take. verdict: conflict or invalid. problem: why, as RFC 9457 says it. body: the event."""

    id: str
    verdict: str
    problem: Mapping[str, Any]
    body: bytes


def new_id() -> str:
    """An id of its own: the time in milliseconds and 74 random bits, written as a UUID of version 7."""
    number = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | (7 << 76)
    number = number & ~(0x3 << 62) | (2 << 62)
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def event_bytes(
    *, id: str, source: str, type: str, subject: str, time: datetime | None, data: Mapping[str, Any]
) -> bytes:
    """The event as JSON; `NotAnEvent` when it can't be one. time: None for the present moment."""
    for name, value in (("id", id), ("source", source), ("type", type), ("subject", subject)):
        if not isinstance(value, str) or not value or len(value.encode()) > ID_BYTES_MAX:
            raise NotAnEvent(f"{name} is a text of 1 to {ID_BYTES_MAX} bytes")
    moment = time or datetime.now(UTC)
    if moment.tzinfo is None:
        raise NotAnEvent("time has no time zone; datetime.now(UTC) has one")
    event = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "subject": subject,
        "time": moment.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": {name: _plain(value, name) for name, value in data.items()},
    }
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    if len(body) > EVENT_BYTES_MAX:
        raise NotAnEvent(f"the event has {len(body)} bytes; {EVENT_BYTES_MAX} is the most")
    return body


def _plain(value: Any, name: str) -> Any:
    match value:
        case bool() | str() | int() | None:
            return value
        case float():
            raise NotAnEvent(f"{name} is a float, which is not exact; give an int, a Decimal or a text")
        case Decimal():
            if not value.is_finite():
                raise NotAnEvent(f"{name} is not a finite number")
            return f"{value:f}"
        case datetime():
            if value.tzinfo is None:
                raise NotAnEvent(f"{name} has no time zone")
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case Mapping():
            return {str(key): _plain(each, f"{name}.{key}") for key, each in value.items()}
        case list() | tuple():
            return [_plain(each, name) for each in value]
    raise NotAnEvent(f"{name} is a {value.__class__.__name__}, which JSON has no word for")
