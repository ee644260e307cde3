"""Texts of numbers in one field of many events: are they plain, canonical and within the field's precision and scale? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

import numpy as np
from msgspec import Raw

from revline.core.exact_json import DIGITS_MAX
from revline.subledger.usage.decoding.catalogue import NumberRule, plain_number

_PLAIN: Final = b"0123456789.\n"
_FEW: Final = 32
_LINE, _POINT, _ZERO = 10, 46, 48


def improper(texts: Sequence[Raw], joined: bytes, rule: NumberRule) -> list[int]:
    """Places of the texts that are not canonical, or not within the rule. joined: the texts with line breaks between them.

    A few are looked at one by one; many by where their line breaks and points are. An empty text (no number) is proper.
    """
    if len(texts) < _FEW or joined.translate(None, _PLAIN):
        return _one_by_one(texts, rule)
    data = np.frombuffer(joined + b"\n", np.uint8)
    ends = np.flatnonzero(data == _LINE)
    points = np.flatnonzero(data == _POINT)
    owners = np.searchsorted(ends, points)
    wholes = np.diff(ends, prepend=-1) - 1
    starts = ends - wholes
    last = ends[owners]
    wholes[owners] = points - starts[owners]
    if wholes.max(initial=0) > rule.whole or (last - points - 1).max(initial=0) > rule.scale:
        return _one_by_one(texts, rule)
    return owners[data[last - 1] == _ZERO].tolist()  # type: ignore[no-any-return]


def _one_by_one(texts: Sequence[Raw], rule: NumberRule) -> list[int]:
    matches = rule.matches
    return [place for place, text in enumerate(texts) if not matches(text)]


def mended(text: bytes, rule: NumberRule) -> Raw | None:
    """A number's canonical text; None for what is no number within the rule."""
    if len(text) > DIGITS_MAX or text[:1] not in b"-0123456789":
        return None
    try:
        canonical = plain_number(Decimal(text.decode())).encode()
    except InvalidOperation:
        return None
    return Raw(canonical) if rule.matches(canonical) else None
