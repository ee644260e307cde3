"""Stripe's integers are amounts, exactly, in every currency that Stripe offers."""

from __future__ import annotations

from decimal import Decimal

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revline.connectors.stripe.amounts import (
    SENT_IN_HUNDREDTHS,
    THREE_DECIMAL,
    ZERO_DECIMAL,
    exponent,
    stripe_currency,
    to_amount,
    to_unit_price,
    to_units,
)
from revline.core.money import Currency, currency, known_currency
from revline.core.problem import Problem

CURRENCIES = sorted(entry.code for entry in iso4217.Currency if isinstance(currency(entry.code), Currency))
OFFERED = [code for code in CURRENCIES if exponent(known_currency(code)) is not None]


@pytest.mark.parametrize(
    ("code", "units", "amount"),
    [
        ("USD", 1050, "10.50"),
        ("USD", -1, "-0.01"),
        ("JPY", 1050, "1050"),
        ("KWD", 1050, "1.050"),
        ("MGA", 5, "5.00"),  # whole units at Stripe, two digits in ISO 4217
        ("ISK", 500, "5"),  # hundredths at Stripe, no digits in ISO 4217
        ("UGX", 123_400, "1234"),
        ("HUF", 1_000, "10.00"),
        ("TWD", 80_045, "800.45"),
        ("XOF", 655, "655"),
    ],
)
def test_units_of_each_kind_of_currency(code: str, units: int, amount: str) -> None:
    found = to_amount(units=units, currency=known_currency(code))
    assert isinstance(found, Decimal)
    assert str(found) == amount


@pytest.mark.parametrize(
    ("code", "units"), [("ISK", 501), ("UGX", 50), ("LYD", 1000), ("IQD", 1000), ("USD", 10**18), ("USD", -(10**18))]
)
def test_what_does_not_fit_is_refused(code: str, units: int) -> None:
    found = to_amount(units=units, currency=known_currency(code))
    assert isinstance(found, Problem)
    assert found.code == "stripe.amount_invalid"


@given(st.sampled_from(OFFERED), st.integers(-(10**15), 10**15))
def test_units_come_back_from_the_amount(code: str, units: int) -> None:
    known = known_currency(code)
    units *= 100 if code in SENT_IN_HUNDREDTHS else 1
    amount = to_amount(units=units, currency=known)
    assert isinstance(amount, Decimal)
    assert amount.as_tuple().exponent == -known.scale
    assert to_units(amount=amount, currency=known) == units


def test_every_currency_of_iso_4217_has_a_rule_or_is_refused() -> None:
    ruled = {code for code in CURRENCIES if code not in OFFERED}
    assert set(OFFERED) >= ZERO_DECIMAL | THREE_DECIMAL | SENT_IN_HUNDREDTHS
    assert {code for code in CURRENCIES if known_currency(code).scale == 2} <= set(OFFERED)
    assert {"IQD", "LYD"} <= ruled


@pytest.mark.parametrize(
    ("text", "code", "price"),
    [
        ("1000", "USD", "10.00"),
        ("0.5", "USD", "0.005"),
        ("12.3400", "USD", "0.1234"),
        ("0.00000000005", "USD", "0.000000000001"),  # half a unit of the thirteenth digit is rounded up
        ("7", "JPY", "7"),
        ("1.5", "KWD", "0.0015"),
        ("-1050", "USD", "-10.50"),
    ],
)
def test_unit_prices_keep_twelve_digits(text: str, code: str, price: str) -> None:
    found = to_unit_price(text=text, currency=known_currency(code))
    assert isinstance(found, Decimal)
    assert format(found, "f") == price


@pytest.mark.parametrize("code", ["US", "USDX", "zzz", None, 3, "u s"])
def test_codes_that_are_no_currency(code: object) -> None:
    assert isinstance(stripe_currency(code), Problem)
