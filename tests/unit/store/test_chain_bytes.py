"""Canonical bytes: equal for equal values however they are written, different for different ones."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revline.platform.store.chain import canonical_row_bytes, number_text, unit_hash

EAST = timezone(timedelta(hours=9))


def row(**values: Any) -> bytes:
    return canonical_row_bytes("parcel", values)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal("1.50"), Decimal("1.5")),
        (Decimal("100"), Decimal("1E+2")),
        (Decimal("-0.00"), 0),
        (Decimal("7.0000"), 7),
        (datetime(2026, 1, 1, 9, tzinfo=EAST), datetime(2026, 1, 1, tzinfo=UTC)),
        (("a", "b"), ["a", "b"]),
        ({"b": 1, "a": None}, {"a": None, "b": 1}),
        (b"x", memoryview(b"x")),
    ],
)
def test_equal_values_give_equal_bytes(one: Any, other: Any) -> None:
    assert row(value=one) == row(value=other)


def test_null_and_absent_are_one_and_where_a_row_is_kept_says_nothing() -> None:
    assert row(a=1, b=None) == row(a=1)
    assert row(a=1, archived=True) == row(a=1, archived=False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "x"}, {"b": "x"}),
        ({"a": "1"}, {"a": 1}),
        ({"a": True}, {"a": 1}),
        ({"a": b"x"}, {"a": "x"}),
        ({"a": ""}, {"a": None}),
        ({"a": []}, {"a": None}),
        ({"a": ["xy"]}, {"a": ["x", "y"]}),
        ({"a": "x" * 1000}, {"a": "x" * 1001}),
        ({"a": "x", "b": "y"}, {"a": "y", "b": "x"}),
        ({"a": date(2026, 1, 1)}, {"a": "2026-01-01"}),
        ({"a": {"x": None}}, {"a": {}}),
    ],
)
def test_different_rows_give_different_bytes(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert row(**one) != row(**other)


@pytest.mark.parametrize("value", [1.5, {"x": 1.0}, [0.1], object(), {1: "x"}])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        row(value=value)


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("Infinity"), datetime(2026, 1, 1)])  # noqa: DTZ001
def test_times_without_a_zone_and_no_numbers_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"finite|zone"):
        row(value=value)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30), st.integers(0, 8))
def test_a_number_has_one_text_in_every_scale(number: Decimal, zeros: int) -> None:
    digits = number.as_tuple()
    assert isinstance(digits.exponent, int)
    padded = Decimal((digits.sign, digits.digits + (0,) * zeros, digits.exponent - zeros))
    assert number_text(number) == number_text(padded)
    assert Decimal(number_text(number)) == number


def test_the_hash_depends_on_every_part_of_the_unit() -> None:
    parts: dict[str, Any] = {
        "previous_hash": bytes(32), "tenant_id": "alpha", "position": 1, "kind": "accept", "actor": "a", "reason": "r",
        "recorded_at": datetime(2026, 1, 1, tzinfo=UTC), "rows": [b"1", b"2"],
    }  # fmt: skip
    changes: dict[str, Any] = {
        "previous_hash": bytes(31) + b"1", "tenant_id": "beta", "position": 2, "kind": "b", "actor": "b", "reason": "s",
        "recorded_at": datetime(2026, 1, 2, tzinfo=UTC), "rows": [b"12"],
    }  # fmt: skip
    hashes = {unit_hash(**parts), *(unit_hash(**{**parts, name: value}) for name, value in changes.items())}
    assert len(hashes) == len(changes) + 1
