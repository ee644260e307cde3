"""Money is exact, whatever is done with it."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revline.core.money import (
    Amount,
    Rounding,
    allocate,
    amount_text,
    at_least_in_scale,
    convert,
    currency,
    decode_hook,
    from_minor_units,
    in_scale,
    known_currency,
    less,
    parse_amount,
    round_amount,
    shortest,
    summed,
    to_minor_units,
)
from revline.core.problem import Problem

USD = known_currency("USD")
CODES = st.sampled_from(["USD", "JPY", "KWD", "CLF", "EUR", "MGA", "IQD"])


class Holder(msgspec.Struct):
    amount: Amount


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e3", "1E-2", "+1", "01", "1.", ".5", "", " 1", "1 ", "0x1", "1_000", "١"]
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    assert isinstance(parse_amount(text), Problem)
    with pytest.raises(msgspec.ValidationError, match="amount is a string"):
        msgspec.convert({"amount": text}, Holder, dec_hook=decode_hook)


@pytest.mark.parametrize("number", [1, 1.5, 10**30, True, None, ["1"]])
def test_an_amount_is_never_a_json_number(number: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"amount": number}, Holder, dec_hook=decode_hook)


def test_a_million_digits_are_refused_without_being_read() -> None:
    assert isinstance(parse_amount("9" * 1_000_000), Problem)


@pytest.mark.parametrize(("code", "scale"), [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("IQD", 3), ("XOF", 0)])
def test_scales_are_those_of_iso_4217(code: str, scale: int) -> None:
    assert known_currency(code).scale == scale


@pytest.mark.parametrize("code", ["usd", "XXX", "XAU", "XTS", "", "US", "DEM"])
def test_what_nobody_pays_with_is_no_currency(code: str) -> None:
    assert isinstance(currency(code), Problem)


@given(code=CODES, units=st.integers(-(10**17), 10**17))
def test_minor_units_go_there_and_back(code: str, units: int) -> None:
    money = known_currency(code)
    amount = from_minor_units(units=units, currency=money)
    assert to_minor_units(amount=amount, currency=money) == units
    assert parse_amount(amount_text(amount)) == amount


@given(
    code=CODES,
    units=st.integers(-(10**12), 10**12),
    weights=st.lists(st.decimals(0, 10**6, places=3), min_size=1, max_size=40).filter(any),
)
def test_an_allocation_sums_to_its_total_and_no_part_is_a_unit_off(
    code: str, units: int, weights: list[Decimal]
) -> None:
    money = known_currency(code)
    total = from_minor_units(units=units, currency=money)
    parts = allocate(total=total, weights=weights, currency=money)
    assert sum(parts) == total
    base = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - total * weight / base) < money.quantum


def test_spare_units_go_to_the_earlier_part() -> None:
    parts = allocate(total=Decimal("1000.00"), weights=[Decimal(1)] * 3, currency=USD)
    assert [amount_text(part) for part in parts] == ["333.34", "333.33", "333.33"]


@given(units=st.integers(1, 10**9), weights=st.lists(st.integers(1, 1000), min_size=1, max_size=9))
def test_a_credit_mirrors_its_charge(units: int, weights: list[int]) -> None:
    total, shares = from_minor_units(units=units, currency=USD), [Decimal(weight) for weight in weights]
    charge = allocate(total=total, weights=shares, currency=USD)
    credit = allocate(total=-total, weights=shares, currency=USD)
    assert [-part for part in credit] == list(charge)


def test_the_rounding_rule_is_the_one_named() -> None:
    half = Decimal("2.345")
    assert round_amount(amount=half, currency=USD, rounding=Rounding.HALF_UP) == Decimal("2.35")
    assert round_amount(amount=half, currency=USD, rounding=Rounding.HALF_EVEN) == Decimal("2.34")
    assert convert(amount=Decimal("10.01"), rate=Decimal("1.25"), currency=USD, rounding=Rounding.HALF_EVEN) == Decimal(
        "12.51"
    )


def test_digits_are_never_lost_in_silence() -> None:
    assert isinstance(in_scale(amount=Decimal("1.005"), currency=USD), Problem)
    assert in_scale(amount=Decimal("1"), currency=USD) == Decimal("1.00")
    assert amount_text(Decimal("-0.00")) == "0.00"
    assert amount_text(Decimal("1E+2")) == "100"


@pytest.mark.parametrize(
    ("stored", "code", "shown"),
    [
        ("55568.630000000000", "USD", "55568.63"),
        ("100.000000000000", "USD", "100.00"),
        ("100.000000000000", "JPY", "100"),
        ("0E-12", "KWD", "0.000"),
        ("0.001250000000", "USD", "0.00125"),
        ("-7.500000000000", "", "-7.5"),
        ("120000000000000000.120000000000", "EUR", "120000000000000000.12"),
    ],
)
def test_a_stored_amount_is_shown_in_its_currency(stored: str, code: str, shown: str) -> None:
    assert amount_text(at_least_in_scale(amount=Decimal(stored), code=code)) == shown


def test_sums_and_differences_keep_every_digit_a_quantity_may_have() -> None:
    """38 digits; Python's own arithmetic keeps 28 and says nothing."""
    most = Decimal("12345678901234567890123456.789012345678")

    assert summed([most, Decimal("0.000000000001")]) == Decimal("12345678901234567890123456.789012345679")
    assert less(most, most.copy_negate(), Decimal("0.000000000001")) == Decimal(
        "24691357802469135780246913.578024691355"
    )
    assert str(shortest(Decimal("12345678901234567890123456.789012340000"))) == "12345678901234567890123456.78901234"
    assert str(shortest(Decimal("5E+3"))) == "5000"
