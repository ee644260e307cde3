"""What a far system was sent and what it answered, as text for a person: laid out, cut where long, secrets masked. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

SHOWN_MAX: Final = 20_000
MASK: Final = "••••••"
SECRET_FIELD: Final = re.compile(
    r'("(?:[^"]*(?:password|secret|token|api_?key|authorization|client_assertion|signature)[^"]*)"\s*:\s*)"[^"]*"',
    re.IGNORECASE,
)
SECRET_TEXT: Final = re.compile(
    r"\b(?:sk|rk|whsec|pk)_[A-Za-z0-9_]{6,}|Bearer\s+[A-Za-z0-9._~+/=-]{8,}|rk_[A-Za-z0-9]{8,}"
)


def pretty(body: bytes) -> str:
    """A body laid out when it is JSON, else as text; masked; at most SHOWN_MAX characters."""
    try:
        text = msgspec.json.format(body, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode(errors="replace")
    return masked(text)


def shown_request(request: str) -> str:
    """A kept request; what it means when none is kept."""
    return pretty(request.encode()) if request else ""


def masked(text: str) -> str:
    """The text without what looks like a secret, cut where it is long."""
    hidden = SECRET_TEXT.sub(MASK, SECRET_FIELD.sub(rf'\1"{MASK}"', text))
    return hidden if len(hidden) <= SHOWN_MAX else hidden[:SHOWN_MAX] + "\n… cut here"
