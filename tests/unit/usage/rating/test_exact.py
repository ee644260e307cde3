"""Columns of exact numbers do what fractions do, on both sides of what a machine word holds."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from revline.subledger.usage.rating.exact import Column, fractions
from revline.subledger.usage.rating.explanation import decimal_text, exact_number, exact_text, numerals, shown

SOME = settings(max_examples=60, deadline=None)
near_a_word = st.sampled_from([2**31, 2**61, 2**62, 2**63, 2**64, 10**18, 10**30]).flatmap(
    lambda edge: st.integers(-3, 3).map(lambda off: edge + off)
)
wholes = st.one_of(st.integers(-100, 100), near_a_word, near_a_word.map(lambda each: -each))
numbers = st.builds(
    Fraction, wholes, st.one_of(st.sampled_from([1, 2, 3, 10, 10**6, 10**12, 10**20]), st.integers(1, 50))
)


def rows(column: Column, count: int) -> list[Fraction]:
    return [column.at(row) for row in range(count)]


def half_up(number: Fraction) -> int:
    whole = floor(abs(number) + Fraction(1, 2))
    return whole if number >= 0 else -whole


def two(
    name: str, columns: Callable[[Column, Column], Column], plain: Callable[[Fraction, Fraction], Fraction]
) -> object:
    return pytest.param(columns, plain, id=name)


@pytest.mark.parametrize(
    ("columns", "plain"),
    [
        two("plus", Column.plus, lambda a, b: a + b),
        two("minus", Column.minus, lambda a, b: a - b),
        two("times", Column.times_column, lambda a, b: a * b),
        two("least", Column.least, min),
        two("greatest", Column.greatest, max),
        two("only above", lambda a, b: a.only(a.above(b)), lambda a, b: a if a > b else Fraction(0)),
        two("where at least", lambda a, b: a.where(a.at_least(b), b), max),
    ],
)
@SOME
@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_two_columns(
    columns: Callable[[Column, Column], Column],
    plain: Callable[[Fraction, Fraction], Fraction],
    pairs: list[tuple[Fraction, Fraction]],
) -> None:
    found = columns(fractions([one for one, _ in pairs]), fractions([other for _, other in pairs]))

    assert rows(found, len(pairs)) == [plain(one, other) for one, other in pairs]


@SOME
@given(st.lists(numbers, min_size=1, max_size=5), numbers)
def test_one_column(given_numbers: list[Fraction], factor: Fraction) -> None:
    column, count = fractions(given_numbers), len(given_numbers)

    assert rows(column.times(factor), count) == [each * factor for each in given_numbers]
    assert rows(column.down(), count) == [floor(each) for each in given_numbers]
    assert rows(column.up(), count) == [ceil(each) for each in given_numbers]
    assert rows(column.half_up(), count) == [half_up(each) for each in given_numbers]
    assert rows(column.half_even(), count) == [round(each) for each in given_numbers]


@SOME
@given(st.lists(st.lists(numbers, max_size=4), min_size=1, max_size=4))
def test_sums_of_runs(runs: list[list[Fraction]]) -> None:
    offsets = np.zeros(len(runs) + 1, dtype=np.int64)
    offsets[1:] = np.cumsum([len(run) for run in runs])
    flat = [each for run in runs for each in run]
    places = np.repeat(np.arange(len(runs), dtype=np.int64), [len(run) for run in runs])
    column = fractions(flat)

    assert rows(column.summed(offsets), len(runs)) == [sum(run, Fraction(0)) for run in runs]
    before = [sum(run[:index], Fraction(0)) for run in runs for index in range(len(run))]
    assert rows(column.before_each(offsets, places), len(flat)) == before


@SOME
@given(st.lists(numbers, min_size=1, max_size=6))
def test_many_operations_in_a_row_never_overflow(given_numbers: list[Fraction]) -> None:
    column, plain = fractions(given_numbers), list(given_numbers)
    for _ in range(6):
        column, plain = column.plus(column.times(Fraction(7, 3))), [each + each * Fraction(7, 3) for each in plain]
        column, plain = column.times_column(column), [each * each for each in plain]
        column, plain = column.minus(column.half_up()), [each - half_up(each) for each in plain]

    assert rows(column, len(plain)) == plain


@SOME
@given(numbers, st.integers(1, 40))
def test_every_exact_number_has_one_text_that_says_it(number: Fraction, by: int) -> None:
    assert exact_number(exact_text(number)) == number
    assert numerals(number.denominator * by).exact(number.numerator * by) == exact_text(number)


@pytest.mark.parametrize(
    ("number", "text", "read"),
    [
        (Fraction(0), "0", "0.00"),
        (Fraction(5, 2), "2.5", "2.50"),
        (Fraction(-1234567, 100), "-12345.67", "-12,345.67"),
        (Fraction(1700, 31), "1700/31", "54.838709…"),
        (Fraction(-1, 3), "-1/3", "-0.333333…"),
        (Fraction(1, 8), "0.125", "0.125"),
        (Fraction(10**21), "1" + "0" * 21, "1,000,000,000,000,000,000,000.00"),
    ],
)
def test_numbers_as_they_are_kept_and_read(number: Fraction, text: str, read: str) -> None:
    assert exact_text(number) == text
    assert shown(number, digits=2) == read


def test_amounts_in_currencies_without_and_with_three_digits() -> None:
    assert [decimal_text(units, digits) for units, digits in ((1050, 0), (-5, 2), (7, 3), (0, 2))] == [
        "1050",
        "-0.05",
        "0.007",
        "0.00",
    ]
