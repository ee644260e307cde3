"""What a far system was sent and what it answered, as text for a person: laid out, cut where long, secrets masked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from revline.doors.masking import MASK, without_secrets

SHOWN_MAX: Final = 20_000


def pretty(body: bytes) -> str:
    """A body laid out when it is JSON, else as text; masked; at most SHOWN_MAX characters."""
    try:
        text = msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body.decode(errors="replace")
    return masked(text)


def shown_request(request: str) -> str:
    """A kept request; what it means when none is kept."""
    return pretty(request.encode()) if request else ""


def shown_attempts(attempts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Attempts, the newest first, each with what was sent and answered as text."""
    return [
        {**one, "sent": shown_request(one["request"]), "answered": pretty(one["evidence"].encode())}
        for one in reversed(attempts)
    ]


def masked(text: str) -> str:
    """The text without what looks like a secret, cut where it is long."""
    hidden = without_secrets(text)
    return hidden if len(hidden) <= SHOWN_MAX else hidden[:SHOWN_MAX] + "\n… cut here"


__all__ = ["MASK", "SHOWN_MAX", "masked", "pretty", "shown_attempts", "shown_request"]
