"""JSON read exactly: no digit lost, no key dropped, no surprise later. What is refused is refused before it costs anything.

The standard parser takes duplicate keys, NaN, half surrogate pairs, any depth and numbers of a million digits; this one is for
bytes from outside. It must not know what the JSON means.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

from revline.core.problem import Mender, Problem, Retryable, define, problem

BYTES_MAX: Final = 1_048_576
DEPTH_MAX: Final = 32
DIGITS_MAX: Final = 40

_STRINGS: Final = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_NOT_BRACKETS: Final = bytes(value for value in range(256) if value not in b"[]{}")
_SURROGATE_OR_NUL: Final = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
_TEXT_SHOWN: Final = 40


class _RefusedError(Exception):
    """Leaves the standard parser's hooks; becomes a value in `parse`."""

    def __init__(self, refusal: Problem) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def parse(
    data: bytes, *, bytes_max: int = BYTES_MAX, depth_max: int = DEPTH_MAX, digits_max: int = DIGITS_MAX
) -> object | Problem:
    """The value of one JSON text (RFC 8259) in strict UTF-8: dict, list, str, int, Decimal, bool or None.

    A number with a point or an exponent becomes a Decimal of exactly its digits, never a float, so a string and a number stay
    distinct. bytes_max: length of the text; depth_max: nested arrays and objects; digits_max: characters of one number, and its
    digits when written out. Problems: json.too_large, json.too_deep, json.duplicate_key, json.number_invalid, and json.invalid for
    everything else, among it halves of surrogate pairs and NUL, which no database text can hold.
    """
    if len(data) > bytes_max:
        return problem("json.too_large", f"{len(data)} bytes are more than the {bytes_max} taken here")
    if _deeper_than(data, depth_max=depth_max):
        return problem("json.too_deep", f"arrays and objects nest deeper than {depth_max}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return problem("json.invalid", f"byte {error.start} is not UTF-8")
    try:
        value: object = _decoder(digits_max).decode(text)
    except _RefusedError as error:
        return error.refusal
    except json.JSONDecodeError as error:
        return problem("json.invalid", f"line {error.lineno} column {error.colno}: {error.msg}")
    if _SURROGATE_OR_NUL.search(data) and not _storable(value):
        return problem("json.invalid", "a text holds NUL or half of a surrogate pair")
    return value


def parse_object(
    data: bytes, *, bytes_max: int = BYTES_MAX, depth_max: int = DEPTH_MAX, digits_max: int = DIGITS_MAX
) -> dict[str, Any] | Problem:
    """Like `parse`, for a text that must be one JSON object."""
    value = parse(data, bytes_max=bytes_max, depth_max=depth_max, digits_max=digits_max)
    if isinstance(value, Problem | dict):
        return value
    return problem("json.invalid", "the text is not a JSON object")


def _deeper_than(data: bytes, *, depth_max: int) -> bool:
    """Whether brackets outside strings nest deeper than `depth_max`. Linear in the data, broken strings included."""
    if data.count(b"[") + data.count(b"{") <= depth_max:
        return False
    depth = 0
    for bracket in _STRINGS.sub(b"", data).translate(None, _NOT_BRACKETS):
        if bracket not in b"[{":
            depth -= 1
        elif depth == depth_max:
            return True
        else:
            depth += 1
    return False


def _decoder(digits_max: int) -> json.JSONDecoder:
    def refuse_number(text: str) -> NoReturn:
        raise _RefusedError(problem("json.number_invalid", f"{text[:_TEXT_SHOWN]!r} is not a number taken here"))

    def integer(text: str) -> int:
        # The length is looked at before int(), which is quadratic in the digits.
        return int(text) if len(text) <= digits_max else refuse_number(text)

    def decimal(text: str) -> Decimal:
        if len(text) > digits_max:
            refuse_number(text)
        try:
            number = Decimal(text)
        except InvalidOperation:  # an exponent beyond what the decimal library can hold
            refuse_number(text)
        exponent = number.as_tuple().exponent
        if not isinstance(exponent, int) or not -digits_max <= exponent <= digits_max:
            refuse_number(text)
        return number

    return json.JSONDecoder(
        object_pairs_hook=_distinct, parse_int=integer, parse_float=decimal, parse_constant=refuse_number
    )


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _RefusedError(problem("json.duplicate_key", f"an object has the key {twice[:_TEXT_SHOWN]!r} twice"))
    return found


def _storable(value: object) -> bool:
    """Whether every text in the value is whole Unicode without NUL."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, str) and ("\0" in item or any("\ud800" <= letter <= "\udfff" for letter in item)):
            return False
    return True


for _code, _title, _status, _remedy in (
    ("json.invalid", "Not JSON", 400, "Send one JSON text in UTF-8 (RFC 8259)."),
    ("json.duplicate_key", "A key appears twice", 400, "Send each key of an object once."),
    ("json.too_deep", "Nested too deep", 400, "Send a flatter structure."),
    ("json.number_invalid", "Not a number taken here", 400, "Send finite numbers; send amounts as strings."),
    ("json.too_large", "The text is too large", 413, "Send smaller bodies; split batches."),
):
    define(code=_code, title=_title, status=_status, retryable=Retryable.NO, mender=Mender.SENDER, remedy=_remedy)
