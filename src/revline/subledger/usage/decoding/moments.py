"""Instants as senders write them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import msgspec

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_moments: Final = msgspec.json.Decoder(datetime)


def moment(text: object) -> datetime | None:
    """An RFC 3339 time with an offset as an instant in UTC; None for anything else."""
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        return None
    try:
        return _moments.decode(b'"' + text.encode() + b'"').astimezone(UTC)
    except (msgspec.DecodeError, OverflowError):
        return None
