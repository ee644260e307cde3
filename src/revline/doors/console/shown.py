"""What a far system was sent and what it answered, as text for a person: laid out, cut where long, secrets masked. Pure."""

from __future__ import annotations

import re
from typing import Final

import msgspec

SHOWN_MAX: Final = 20_000
MASK: Final = "••••••"
_NAME: Final = r"(?:password|passphrase|secret|token|api_?key|private_?key|authorization|assertion|signature)"
_WORTHLESS: Final = r"(?!null\b|true\b|false\b)"
SECRET_FIELD: Final = re.compile(
    rf"""("[^"\\]{{0,80}}{_NAME}[^"\\]{{0,80}}"\s{{0,9}}:\s{{0,9}}){_WORTHLESS}"""
    r"""("(?:[^"\\]|\\.)*+"?|\[[^\]]*+\]?|[^\s,}\]"\[]++)""",
    re.IGNORECASE | re.DOTALL,
)
"""A member of that name, whatever its value is; evidence may end in the midst of it."""
SECRET_NESTED: Final = re.compile(
    rf"""(\\"[^"\\]{{0,80}}{_NAME}[^"\\]{{0,80}}\\"\s{{0,9}}:\s{{0,9}}\\")[^"\\]*+""", re.IGNORECASE
)
"""The same in JSON that is a text of JSON."""
SECRET_PARAMETER: Final = re.compile(rf"({_NAME}=)[^\s&\"']++", re.IGNORECASE)
SECRET_TEXT: Final = re.compile(
    r"\b(?:sk|rk|whsec|pk)_[A-Za-z0-9_+/=]{6,}|_secret_[A-Za-z0-9]{6,}|\b(?:Bearer|Basic|Session)\s+[A-Za-z0-9._~+/=!-]{8,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?|\b00D[A-Za-z0-9]{9,15}![A-Za-z0-9._]{6,}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*?(?:-----END|\Z)",
    re.DOTALL,
)


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


def masked(text: str) -> str:
    """The text without what looks like a secret, cut where it is long."""
    hidden = SECRET_TEXT.sub(MASK, text)
    hidden = SECRET_FIELD.sub(rf'\1"{MASK}"', SECRET_NESTED.sub(rf"\1{MASK}", hidden))
    hidden = SECRET_PARAMETER.sub(rf"\1{MASK}", hidden)
    return hidden if len(hidden) <= SHOWN_MAX else hidden[:SHOWN_MAX] + "\n… cut here"
