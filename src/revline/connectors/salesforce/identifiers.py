"""Salesforce record ids: 15 characters that differ by case, or 18 that differ without it. Pure.

Source: the last three characters of the long form say, five characters at a time, which of the fifteen are capitals.
"""

from __future__ import annotations

import re
from typing import Final

SHORT: Final = 15
_SHAPE: Final = re.compile(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?\Z", re.ASCII)
_DIGITS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
NOBODY: Final = "000000000000000AAA"
"""What an event names instead of records when it can't name them."""


def is_record_id(*, text: str) -> bool:
    """Whether the text is a record id in either form; a long one must carry its right last three characters."""
    return bool(_SHAPE.match(text)) and (len(text) == SHORT or long_form(record_id=text[:SHORT]) == text)


def long_form(*, record_id: str) -> str:
    """The 18 characters of an id in either form."""
    if len(record_id) != SHORT:
        return record_id
    chunks = (record_id[start : start + 5] for start in range(0, SHORT, 5))
    return record_id + "".join(
        _DIGITS[sum(1 << place for place, letter in enumerate(chunk) if letter.isupper())] for chunk in chunks
    )


def short_form(*, record_id: str) -> str:
    """The 15 characters of an id in either form."""
    return record_id[:SHORT]
