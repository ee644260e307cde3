"""Exact money: currencies with their ISO 4217 scale, amounts that travel as strings, named rounding, exact splits.

An amount is a finite Decimal in code, a string in JSON, numeric in SQL, never a float. Nothing here knows accounting.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from enum import StrEnum
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

import iso4217
import msgspec

from revline.core.problem import Problem, problem

AMOUNT_PATTERN: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?\Z")
MINOR_UNITS_LIMIT: Final = 10**18
PRECISION: Final = 50
CIRCULATING_X_CODES: Final = frozenset({"XAF", "XCD", "XCG", "XOF", "XPF"})
"""ISO 4217 codes in X that people pay with; the others are metals, funds and tests."""


if TYPE_CHECKING:
    Amount = Decimal
else:

    class Amount(Decimal):
        """A Decimal that is decoded from a plain decimal string only. Type checkers see Decimal."""

        __slots__ = ()


class Rounding(StrEnum):
    """How a product or quotient is brought to scale. Half-up is the rule for money; half-even where the ERP does so."""

    HALF_UP = "half_up"
    HALF_EVEN = "half_even"


_MODES: Final = {Rounding.HALF_UP: ROUND_HALF_UP, Rounding.HALF_EVEN: ROUND_HALF_EVEN}


class Currency(msgspec.Struct, frozen=True):
    """An ISO 4217 currency. scale: digits after the point (JPY 0, USD 2, KWD 3), by ISO 4217 and not CLDR."""

    code: str
    scale: int

    @property
    def quantum(self) -> Decimal:
        """The smallest step: 0.01 for USD."""
        return Decimal(1).scaleb(-self.scale)


@cache
def _currencies() -> dict[str, Currency]:
    scales = {entry.code: entry.exponent for entry in iso4217.Currency}
    return {
        code: Currency(code, scale)
        for code, scale in scales.items()
        if scale is not None and (not code.startswith("X") or code in CIRCULATING_X_CODES)
    }


def currency(code: str) -> Currency | Problem:
    """The currency of an upper-case ISO 4217 code, or the problem `currency.unknown`."""
    found = _currencies().get(code)
    if found is None:
        return problem("currency.unknown", f"{code[:12]!r} is not an ISO 4217 currency code", field="currency")
    return found


def known_currency(code: str) -> Currency:
    """The currency of a code that was checked before. KeyError otherwise."""
    return _currencies()[code]


def parse_amount(text: object) -> Decimal | Problem:
    """A finite decimal from its plain string form: at most 18 digits before the point and 12 after it, no exponent."""
    if not isinstance(text, str) or len(text) > 32 or not AMOUNT_PATTERN.match(text):
        return problem("amount.invalid", f"{str(text)[:40]!r} is not a plain decimal string")
    return Decimal(text)


def amount_text(amount: Decimal) -> str:
    """The one text form of an amount: plain, with its scale, and no minus on zero."""
    if not amount.is_finite():
        raise ValueError("an amount is finite")
    return format(amount if amount else abs(amount), "f")


def in_scale(*, amount: Decimal, currency: Currency) -> Decimal | Problem:
    """The amount with exactly the currency's digits; `amount.invalid` when digits would be lost."""
    with localcontext() as context:
        context.prec = PRECISION
        quantized = amount.quantize(currency.quantum)
    if quantized != amount:
        return problem("amount.invalid", f"{amount_text(amount)} has more digits than {currency.code} has")
    return quantized


def at_least_in_scale(*, amount: Decimal, code: str) -> Decimal:
    """An amount with its currency's digits, and no zeros beyond them: how a stored amount, padded with zeros, is shown.

    Digits that mean something are never lost, and an unknown or empty code only loses the zeros: 5.500000 is 5.50 in USD, 5.5
    without a currency.
    """
    known = _currencies().get(code)
    with localcontext() as context:
        context.prec = PRECISION
        shortest = amount.normalize()
        digits = max(-int(shortest.as_tuple().exponent), known.scale if known else 0, 0)
        return shortest.quantize(Decimal(1).scaleb(-digits))


def from_minor_units(*, units: int, currency: Currency) -> Decimal:
    """An amount from a count of the currency's smallest units: 1050 in USD is 10.50, in JPY 1050, in KWD 1.050."""
    if abs(units) >= MINOR_UNITS_LIMIT:
        raise ValueError("more minor units than Revline takes")
    return Decimal(units).scaleb(-currency.scale)


def to_minor_units(*, amount: Decimal, currency: Currency) -> int:
    """The count of the currency's smallest units in an amount that is in scale. ValueError when it is not."""
    scaled = amount.scaleb(currency.scale)
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} is not in the scale of {currency.code}")
    return int(scaled)


def round_amount(*, amount: Decimal, currency: Currency, rounding: Rounding) -> Decimal:
    """The amount brought to the currency's scale by the named rule."""
    with localcontext() as context:
        context.prec = PRECISION
        return amount.quantize(currency.quantum, rounding=_MODES[rounding])


def shortest(number: Decimal) -> Decimal:
    """The same number without zeros at its end, and without an exponent: what two numbers of one value are alike in."""
    with localcontext() as context:
        context.prec = PRECISION
        return number.normalize() + 0


def summed(numbers: Iterable[Decimal]) -> Decimal:
    """The exact sum of amounts or quantities. (Python's own sums keep 28 digits; a metered quantity may have 38.)"""
    with localcontext() as context:
        context.prec = PRECISION
        return sum(numbers, Decimal(0))


def less(number: Decimal, *others: Decimal) -> Decimal:
    """A number less others, exactly; see `summed`."""
    return summed([number, *(other.copy_negate() for other in others)])


def convert(*, amount: Decimal, rate: Decimal, currency: Currency, rounding: Rounding) -> Decimal:
    """`amount` times `rate` (units of the target per unit of the source), rounded to the target currency's scale."""
    with localcontext() as context:
        context.prec = PRECISION
        return round_amount(amount=amount * rate, currency=currency, rounding=rounding)


def allocate(*, total: Decimal, weights: Sequence[Decimal], currency: Currency) -> tuple[Decimal, ...]:
    """Split `total` in proportion to `weights` by largest remainder; parts sum to the total exactly, ties go to the earlier part.

    The magnitude is split and the sign put back, so a credit mirrors its charge. ValueError when the weights are empty,
    negative or all zero.
    """
    if not weights or any(weight < 0 for weight in weights) or not any(weights):
        raise ValueError("weights are non-negative and not all zero")
    with localcontext() as context:
        context.prec = PRECISION
        units, base = abs(to_minor_units(amount=total, currency=currency)), sum(weights, Decimal(0))
        exact = [Decimal(units) * weight / base for weight in weights]
        floors = [int(part.to_integral_value(rounding=ROUND_FLOOR)) for part in exact]
        order = sorted(range(len(weights)), key=lambda index: (floors[index] - exact[index], index))
        for index in order[: units - sum(floors)]:
            floors[index] += 1
        sign = -1 if total < 0 else 1
        return tuple(from_minor_units(units=sign * part, currency=currency) for part in floors)


def decode_hook(kind: type, value: Any) -> Any:
    """msgspec's `dec_hook`: makes an `Amount` of a plain decimal string and refuses numbers, NaN, exponents and long digits."""
    if kind is not Amount:
        raise NotImplementedError(f"no way to decode {kind!r}")
    if not isinstance(value, str):
        raise ValueError(f'an amount is a string such as "12.50", not {type(value).__name__}')
    return _amount(value)


@lru_cache(maxsize=8192)
def _amount(text: str) -> Amount:
    """Few amounts are new: most are nothing, one, or what the last line said."""
    amount = parse_amount(text)
    if isinstance(amount, Problem):
        raise ValueError(f'an amount is a string such as "12.50"; {amount.detail}')
    return Amount(amount)


def schema_hook(kind: type) -> dict[str, Any]:
    """msgspec's `schema_hook`: the JSON Schema of an `Amount`."""
    if kind is not Amount:
        raise NotImplementedError(f"no schema for {kind!r}")
    return {"type": "string", "pattern": "^-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,12})?$", "examples": ["12.50"]}
