"""Secrets taken out of what people and programs are shown of a far system's talk, for every door. Pure; knows no far system.

Connectors keep secrets out of what is stored; this is the second wall, should a far side repeat one in a shape nobody foresaw.
"""

from __future__ import annotations

import re
from typing import Final

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


def without_secrets(text: str) -> str:
    """The text with everything that looks like a secret masked."""
    hidden = SECRET_TEXT.sub(MASK, text)
    hidden = SECRET_FIELD.sub(rf'\1"{MASK}"', SECRET_NESTED.sub(rf"\1{MASK}", hidden))
    return SECRET_PARAMETER.sub(rf"\1{MASK}", hidden)
