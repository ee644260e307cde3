"""Marks in a prepared body: amounts, which JSON must carry as exact numbers, and currencies, whose ids are asked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.core.farside import PrepareContext
from revline.core.money import amount_text
from revline.core.problem import ProblemError, problem

AMOUNT: Final = "$amount"
CURRENCY: Final = "$currency"
MEMO_MAX: Final = 900
"""NetSuite takes 999 characters; the rest is for the references of applications."""
DIMENSIONS: Final = ("department", "class", "location")


def amount_mark(amount: Decimal) -> dict[str, str]:
    """An exact amount, to be sent as a JSON number."""
    return {AMOUNT: amount_text(amount)}


def currency_mark(code: str) -> dict[str, str]:
    """A currency by ISO 4217 code, to be sent by its internal id."""
    return {CURRENCY: code}


def identity(number: str) -> dict[str, str]:
    """A reference by internal id."""
    return {"id": number}


def memo_of(text: str) -> dict[str, str]:
    """A memo of what there is to say."""
    shown = " ".join(text.split())[:MEMO_MAX]
    return {"memo": shown} if shown else {}


def mapped(mapping: Mapping[str, str], key: str, name: str) -> str:
    """The code of a key; mapping.missing names the table and the key."""
    code = mapping.get(key)
    if code is None:
        detail = f"the mapping names no code for {name} {key}"
        raise ProblemError(problem("mapping.missing", detail, field=f"{name}:{key}"))
    return code


def dimensions_of(dimensions: tuple[tuple[str, str], ...], context: PrepareContext) -> dict[str, Any]:
    """Department, class and location of a line. A dimension of another name needs a field in the mapping's settings
    (field.NAME: custcol_x); one that has none is not sent."""
    values: dict[str, Any] = {}
    for name, value in dimensions:
        field = name if name in DIMENSIONS else context.mapping.settings.get(f"field.{name}", "")
        if field:
            values[field] = identity(mapped(context.mapping.dimensions.get(name, {}), value, f"dimensions:{name}"))
    return values


def amount_in(value: Any) -> Decimal:
    """The amount of a mark."""
    return Decimal(value[AMOUNT])


def currencies_in(node: Any) -> Iterator[str]:
    """Every currency that is marked somewhere in a body."""
    if isinstance(node, dict):
        if CURRENCY in node:
            yield node[CURRENCY]
        for value in node.values():
            yield from currencies_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from currencies_in(value)


def rendered(node: Any, *, currencies: Mapping[str, str]) -> Any:
    """The body as NetSuite takes it: amounts as Decimals, currencies as references. KeyError for a currency it hasn't got."""
    if isinstance(node, dict):
        if AMOUNT in node:
            return Decimal(node[AMOUNT])
        if CURRENCY in node:
            return identity(currencies[node[CURRENCY]])
        return {name: rendered(value, currencies=currencies) for name, value in node.items()}
    if isinstance(node, list):
        return [rendered(value, currencies=currencies) for value in node]
    return node


def encoded(body: Any) -> bytes:
    """The JSON bytes; amounts as numbers of exactly their digits."""
    return _ENCODER.encode(body)


_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")
