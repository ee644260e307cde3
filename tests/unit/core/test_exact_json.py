"""JSON from outside is read exactly or refused, and refusing is cheap."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revline.core.exact_json import parse, parse_object
from revline.core.problem import CATALOGUE, Problem

TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abc\\"[]{}', max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(TREES)
def test_what_json_can_say_without_fractions_is_read_as_it_is(tree: Any) -> None:
    assert parse(json.dumps(tree).encode()) == tree
    assert parse(json.dumps(tree, ensure_ascii=False).encode()) == tree


@pytest.mark.parametrize("text", ["1.10", "0.1", "-12.50", "1e3", "123456789012345678.123456789012"])
def test_a_fraction_keeps_its_digits(text: str) -> None:
    value = parse(text.encode())
    assert isinstance(value, Decimal)
    assert value.as_tuple() == Decimal(text).as_tuple()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a":1,"a":1}', "json.duplicate_key"),
        (b'{"a":{"b":1,"c":2,"b":3}}', "json.duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "json.duplicate_key"),
        (b"NaN", "json.number_invalid"),
        (b"[Infinity]", "json.number_invalid"),
        (b"-Infinity", "json.number_invalid"),
        (b"1" * 41, "json.number_invalid"),
        (b"0." + b"1" * 40, "json.number_invalid"),
        (b"1e41", "json.number_invalid"),
        (b"1e-41", "json.number_invalid"),
        (b"1e999999999999999999999", "json.number_invalid"),
        (b"01", "json.invalid"),
        (b"1 2", "json.invalid"),
        (b"", "json.invalid"),
        (b"{'a':1}", "json.invalid"),
        (b'"\xc3\x28"', "json.invalid"),
        (b'"\xed\xa0\x80"', "json.invalid"),
        (b"\xef\xbb\xbf{}", "json.invalid"),
        (b'{"a":"\\ud800"}', "json.invalid"),
        (b'{"\\ud800":1}', "json.invalid"),
        (b'["\\u0000"]', "json.invalid"),
        (b'"a\nb"', "json.invalid"),
        (b"[" * 33 + b"]" * 33, "json.too_deep"),
    ],
)
def test_what_is_refused(data: bytes, code: str) -> None:
    value = parse(data)
    assert isinstance(value, Problem)
    assert value.code == code
    assert CATALOGUE[code].remedy


def test_whole_surrogate_pairs_are_text() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_depth_is_counted_outside_strings_only() -> None:
    assert parse(b'{"a":"' + b"[{" * 100 + b'"}') == {"a": "[{" * 100}
    assert parse(b"[" * 32 + b"]" * 32) is not None
    wide = b"[" + b"[]," * 500 + b"[]]"
    assert parse(wide) == [[]] * 501


def test_only_an_object_is_an_object() -> None:
    assert parse_object(b'{"a": 1}') == {"a": 1}
    assert isinstance(parse_object(b"[]"), Problem)


@pytest.mark.parametrize(
    "data",
    [
        b"1" * 1_000_000,
        b"[" * 1_000_000,
        b'"' + b'\\"' * 500_000,
        b'"' + b'\\"' * 499_999 + b"\\",
        b"{" + b'"\\' * 300_000,
    ],
    ids=["digits", "brackets", "quotes", "cut quotes", "broken"],
)
def test_a_megabyte_of_malice_is_refused_quickly(data: bytes) -> None:
    before = time.process_time()
    assert isinstance(parse(data), Problem)
    assert time.process_time() - before < 0.5


def test_a_body_beyond_the_limit_is_not_looked_at() -> None:
    value = parse(b'"' + b"a" * 100 + b'"', bytes_max=50)
    assert isinstance(value, Problem)
    assert value.code == "json.too_large"
