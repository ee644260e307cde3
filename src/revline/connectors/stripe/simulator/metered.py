"""What metered prices of the simulated Stripe put on an invoice: the use of the period that has just ended, by tiers and packages.

Each tier of a graduated price is a line, and its flat fee one more of quantity 0 [M]; other prices make one line. A line's amount
is rounded to the smallest unit half up. A draft is counted again when it is finalized, with what came in since.
Sources: docs.stripe.com/billing/subscriptions/usage-based, /products-prices/pricing-models, /api/prices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from typing import Any, Final

import msgspec

from revline.connectors.stripe.simulator import invoicing, meters
from revline.connectors.stripe.simulator.account import Account
from revline.connectors.stripe.simulator.wire import Wire

ZERO: Final = Decimal(0)
Elapsed = Mapping[str, tuple[int, int]]
"""Subscription item -> the period that ended for it, as unix seconds."""


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """One line's worth. unit: in the smallest unit of the currency, None for a flat fee."""

    quantity: Decimal
    unit: Decimal | None
    amount: Decimal
    words: str


def is_metered(item: Wire) -> bool:
    """Whether an item is billed by its meter."""
    return bool(item["price"]["recurring"]["usage_type"] == "metered")


def add_usage(account: Account, one: Wire, invoice: Wire, elapsed: Elapsed) -> None:
    """Lines of a subscription's metered items for the periods that have ended."""
    items = {item["id"]: item for item in one["items"]["data"]}
    for identity, (start, end) in elapsed.items():
        invoicing.add_lines(account, invoice, _lines(account, one, items[identity], invoice, start, end))


def counted_again(account: Account, invoice: Wire) -> Wire:
    """A subscription's draft with its metered lines as of now."""
    details = ((invoice["parent"] or {}).get("subscription_details") or {}).get("subscription")
    one = account.objects["subscription"].get(str(details))
    if invoice["status"] != "draft" or one is None:
        return invoice
    items = {item["id"]: item for item in one["items"]["data"]}
    elapsed: dict[str, tuple[int, int]] = {}
    for line in invoice["lines"]["data"]:
        held = items.get(_item_of(line))
        if held is not None and is_metered(held):
            elapsed[held["id"]] = (line["period"]["start"], line["period"]["end"])
    invoice["lines"]["data"] = [line for line in invoice["lines"]["data"] if _item_of(line) not in elapsed]
    add_usage(account, one, invoice, elapsed)
    return invoice


def _item_of(line: Wire) -> str:
    return str(((line["parent"] or {}).get("subscription_item_details") or {}).get("subscription_item") or "")


def _lines(account: Account, one: Wire, item: Wire, invoice: Wire, start: int, end: int) -> list[Wire]:
    price = account.get("price", str(item["price"]["id"]))
    meter = str(price["recurring"]["meter"])
    found = meters.used(account, meter=meter, customer=invoice["customer"], start=start, end=end)
    quantity = max(found or ZERO, ZERO)
    name = account.objects["product"][price["product"]]["name"]
    return [
        _line(account, one, item, invoice, portion, f"{_plain(portion.quantity)} × {name}{portion.words}", start, end)
        for portion in portions(price, quantity)
    ]


def portions(price: Wire, quantity: Decimal) -> list[Portion]:
    """What a quantity costs, line by line."""
    counted = quantity
    if price["transform_quantity"]:
        packages = quantity / price["transform_quantity"]["divide_by"]
        counted = packages.to_integral_value(
            ROUND_CEILING if price["transform_quantity"]["round"] == "up" else ROUND_FLOOR
        )
    if price["tiers_mode"] == "graduated":
        return list(_graduated(price["tiers"], counted))
    if price["tiers_mode"] == "volume":
        return list(_volume(price["tiers"], counted))
    unit = Decimal(price["unit_amount_decimal"] or 0)
    return [Portion(quantity=quantity, unit=unit, amount=_rounded(unit * counted), words="")]


def _graduated(tiers: list[Wire], quantity: Decimal) -> Iterator[Portion]:
    lower = ZERO
    for number, tier in enumerate(tiers, start=1):
        upper = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        if number > 1 and quantity <= lower:
            return
        yield from _tier(tier, max(upper - lower, ZERO), number)
        lower = Decimal(tier["up_to"] or 0)


def _volume(tiers: list[Wire], quantity: Decimal) -> Iterator[Portion]:
    for number, tier in enumerate(tiers, start=1):
        if tier["up_to"] is None or quantity <= tier["up_to"]:
            yield from _tier(tier, quantity, number)
            return


def _tier(tier: Wire, quantity: Decimal, number: int) -> Iterator[Portion]:
    unit = Decimal(tier["unit_amount_decimal"] or 0)
    yield Portion(quantity=quantity, unit=unit, amount=_rounded(unit * quantity), words=f" (tier {number})")
    if tier["flat_amount_decimal"]:
        flat = _rounded(Decimal(tier["flat_amount_decimal"]))
        yield Portion(quantity=ZERO, unit=None, amount=flat, words=f" (tier {number} flat fee)")


def _line(
    account: Account, one: Wire, item: Wire, invoice: Wire, portion: Portion, words: str, start: int, end: int
) -> Wire:  # fmt: skip
    price = item["price"]
    details: Wire = {
        "invoice_item": None, "proration": False, "proration_details": {"credited_items": None},
        "subscription": one["id"], "subscription_item": item["id"],
    }  # fmt: skip
    pricing: Any = {
        "price_details": {"price": price["id"], "product": price["product"]}, "type": "price_details",
        "unit_amount_decimal": None if portion.unit is None else _plain(portion.unit),
    }  # fmt: skip
    parent = {"invoice_item_details": None, "subscription_item_details": details, "type": "subscription_item_details"}
    made = invoicing.line(
        account, invoice=invoice["id"], amount=int(portion.amount), currency=one["currency"], quantity=int(portion.quantity),
        description=words, period={"start": start, "end": end}, pricing=pricing, parent=parent, subscription=one["id"],
        metadata=one["metadata"], now=invoice["created"],
    )  # fmt: skip
    whole = portion.quantity == portion.quantity.to_integral_value()
    return {**made, "quantity": int(portion.quantity) if whole else None, "quantity_decimal": _plain(portion.quantity)}


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal(1), rounding=ROUND_HALF_UP)


def _plain(value: Decimal) -> str:
    text = format(value.normalize(), "f")
    return text if value else "0"
