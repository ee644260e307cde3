"""Stripe's integers as amounts. Stripe counts most currencies in hundredths, some in whole units, some in thousandths, and two in
hundredths although ISO 4217 gives them none. Pure; knows currencies and nothing of objects.

Source: docs.stripe.com/currencies (zero-decimal, three-decimal and special-case currencies).
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final

from revline.core.money import MINOR_UNITS_LIMIT, PRECISION, Currency, currency, in_scale
from revline.core.problem import Mender, Problem, Retryable, define, problem

ZERO_DECIMAL: Final = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"}
)
THREE_DECIMAL: Final = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
SENT_IN_HUNDREDTHS: Final = frozenset({"ISK", "UGX"})
"""Without decimals in ISO 4217, yet sent in hundredths, for compatibility on Stripe's side."""
UNIT_PRICE_DIGITS: Final = 12
_DECIMAL_TEXT: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?\Z", re.ASCII)


def stripe_currency(code: object) -> Currency | Problem:
    """The currency of Stripe's three-letter code, lower case on the wire. `currency.unknown` when it is none."""
    if not isinstance(code, str) or len(code) != 3:
        return problem("currency.unknown", f"{str(code)[:12]!r} is not a currency code", field="currency")
    return currency(code.upper())


def exponent(currency: Currency) -> int | None:
    """How many decimal digits Stripe's integers have in this currency; None when Stripe does not offer it."""
    if currency.code in ZERO_DECIMAL:
        return 0
    if currency.code in THREE_DECIMAL:
        return 3
    return 2 if currency.scale == 2 or currency.code in SENT_IN_HUNDREDTHS else None


def to_amount(*, units: int, currency: Currency) -> Decimal | Problem:
    """Stripe's integer as an amount in the currency's ISO 4217 scale: exact, and `stripe.amount_invalid` when digits would be lost
    (5 hundredths of an Icelandic krona), the count is beyond 18 digits, or Stripe does not offer the currency."""
    digits = exponent(currency)
    if digits is None or abs(units) >= MINOR_UNITS_LIMIT:
        return _invalid(str(units)[:24], currency)
    amount = in_scale(amount=Decimal(units).scaleb(-digits), currency=currency)
    return _invalid(str(units), currency) if isinstance(amount, Problem) else amount


def to_units(*, amount: Decimal, currency: Currency) -> int | Problem:
    """An amount as Stripe's integer; the inverse of `to_amount`."""
    digits = exponent(currency)
    if digits is None:
        return _invalid(str(amount)[:24], currency)
    with localcontext() as context:
        context.prec = PRECISION
        scaled = amount.scaleb(digits)
        return int(scaled) if scaled == scaled.to_integral_value() else _invalid(str(amount)[:24], currency)


def to_unit_price(*, text: str, currency: Currency) -> Decimal | Problem:
    """A unit price from Stripe's decimal text of units ("0.5" is half a cent): at least the currency's digits, at most 12.

    A thirteenth and later digit is rounded half up. A unit price is shown, never booked: the line has its own amount.
    """
    digits = exponent(currency)
    if digits is None or not _DECIMAL_TEXT.match(text):
        return _invalid(text[:40], currency)
    with localcontext() as context:
        context.prec = PRECISION
        return shown_price(price=Decimal(text).scaleb(-digits), currency=currency)


def shown_price(*, price: Decimal, currency: Currency) -> Decimal:
    """A price with no needless zeros, at least the currency's digits and at most 12, rounded half up."""
    with localcontext() as context:
        context.prec = PRECISION
        plain = price.quantize(Decimal(1).scaleb(-UNIT_PRICE_DIGITS), rounding=ROUND_HALF_UP).normalize()
        used = plain.as_tuple().exponent
        shortest = -currency.scale if not isinstance(used, int) or used > -currency.scale else used
        return plain.quantize(Decimal(1).scaleb(shortest))


def _invalid(units: str, currency: Currency) -> Problem:
    return problem(
        "stripe.amount_invalid", f"{units!r} is no amount of {currency.code} as Stripe counts it", field="amount"
    )


define(
    code="stripe.amount_invalid",
    title="Not an amount as Stripe counts it",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Compare the object in Stripe's dashboard; if it is right there, the connector needs the currency's rule.",
)
