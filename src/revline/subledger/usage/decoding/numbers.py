"""Texts of numbers in one field of many events: are they plain, canonical and within the field's precision and scale? Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np
from msgspec import Raw

from revline.core.exact_json import DIGITS_MAX
from revline.subledger.usage.kinds import UsageField

_PLAIN: Final = b"0123456789.\n"
_FEW: Final = 32
_LINE, _POINT, _ZERO = 10, 46, 48
_TRAILING: Final = re.compile(rb"[0-9]{1,20}\.[0-9]{0,38}0").fullmatch


class NumberRule:
    """What the canonical text of a field's number looks like. whole: digits before the point; scale: digits after it, at most.

    matches: for a text alone; an empty one stands for no number.
    """

    __slots__ = ("matches", "scale", "whole")

    def __init__(self, field: UsageField) -> None:
        self.scale = field.scale
        digits = field.precision - field.scale
        self.whole = max(digits, 1)
        whole = rb"(?:0|[1-9][0-9]{0,%d})" % (digits - 1) if digits else rb"0"
        fraction = rb"\.[0-9]{0,%d}[1-9]" % (field.scale - 1) if field.scale else rb"(?!)"
        pattern = rb"0|-?" + whole.replace(rb"0|", b"") + rb"|-?" + whole + fraction + rb"|"
        if not digits:
            pattern = rb"0|-?0" + fraction + rb"|"
        self.matches: Callable[[Any], object] = re.compile(pattern).fullmatch


def plain_number(value: Decimal) -> str:
    """A number without exponent, without zeros that say nothing, and without a sign when it is zero."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").removesuffix(".")
    return "0" if text == "-0" else text


def mend(texts: list[Raw], rule: NumberRule) -> list[int] | None:
    """Puts canonical texts in place of those that are not; their places. None when a text is no number within the rule.

    A few are looked at one by one; many by where their line breaks and points are. An empty text is no number, and may stay.
    """
    joined = b"\n".join(texts)
    if len(texts) < _FEW or joined.translate(None, _PLAIN):
        return _mend_each(texts, rule)
    data = np.frombuffer(joined + b"\n", np.uint8)
    ends = np.flatnonzero(data == _LINE)
    points = np.flatnonzero(data == _POINT)
    owners = np.searchsorted(ends, points)
    wholes = ends.copy()
    wholes[1:] -= ends[:-1] + 1
    last = ends[owners]
    after = last - points
    wholes[owners] -= after
    if wholes.max() > rule.whole or (len(after) and after.max() - 1 > rule.scale):
        return _mend_each(texts, rule)
    places: list[int] = owners[data[last - 1] == _ZERO].tolist()
    for place in places:
        texts[place] = Raw(bytes(texts[place]).rstrip(b"0").removesuffix(b"."))
    return places


def _mend_each(texts: list[Raw], rule: NumberRule) -> list[int] | None:
    matches = rule.matches
    places = [place for place, text in enumerate(texts) if not matches(text)]
    for place in places:
        text = mended(bytes(texts[place]), rule)
        if text is None:
            return None
        texts[place] = text
    return places


def mended(text: bytes, rule: NumberRule) -> Raw | None:
    """A number's canonical text; None for what is no number within the rule."""
    if _TRAILING(text):
        short = text.rstrip(b"0").removesuffix(b".")
        if rule.matches(short):
            return Raw(short)
    if len(text) > DIGITS_MAX or text[:1] not in b"-0123456789":
        return None
    try:
        canonical = plain_number(Decimal(text.decode())).encode()
    except InvalidOperation:
        return None
    return Raw(canonical) if rule.matches(canonical) else None
