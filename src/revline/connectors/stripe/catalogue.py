"""Stripe products and prices as canonical snapshots. Pure. Source: docs.stripe.com/api/products, /api/prices."""

from __future__ import annotations

from decimal import Decimal

from revline.connectors.stripe.fields import Fields
from revline.connectors.stripe.reading import Message, Reading, expanded, link_names, links
from revline.core.canonical import Price, PriceTier, Product
from revline.core.clock import from_unix_seconds
from revline.core.money import Currency


def read_product(*, fields: Fields, message: Message) -> Reading:
    """A product. family and code: its metadata product_family and sku. A deleted one outranks every other snapshot of it."""
    outside_id = fields.required_identifier("id")
    deleted = fields.flag("deleted") or message.event_type == "product.deleted"
    metadata, linked = fields.child("metadata"), links(message=message, holders=(fields,))
    snapshot = Product(
        outside_id=outside_id,
        name=fields.text("name") or outside_id,
        family=metadata.text("product_family"),
        code=metadata.text("sku"),
        active=fields.flag("active", default=True) and not deleted,
        tax_code=fields.identifier("tax_code"),
        description=fields.text("description"),
        deleted=deleted,
        links=linked,
    )
    root = message.source("product", outside_id)
    times = (fields.optional_moment("updated"), fields.optional_moment("created"), from_unix_seconds(seconds=0))
    return Reading(
        source=root,
        snapshot=snapshot,
        roots=(root,),
        rank=int(deleted),
        latest=max(moment for moment in times if moment is not None),
        names=link_names(linked),
        nested=expanded(fields, "default_price"),
    )


def read_price(*, fields: Fields, message: Message) -> Reading:
    """A price. Tiers are there only when Stripe was asked to expand them. A deleted one is inactive and outranks the others."""
    currency, recurring, transform = fields.currency(), fields.child("recurring"), fields.child("transform_quantity")
    deleted = fields.flag("deleted") or message.event_type == "price.deleted"
    unit = fields.unit_price("unit_amount_decimal", currency=currency)
    snapshot = Price(
        outside_id=fields.required_identifier("id"),
        product=fields.required_identifier("product"),
        currency=currency.code,
        unit_amount=fields.unit_price("unit_amount", currency=currency) if unit is None else unit,
        interval=recurring.text("interval"),
        interval_count=recurring.integer("interval_count") if recurring.has("interval_count") else 1,
        usage=recurring.text("usage_type") or "licensed",
        tiers_mode=fields.text("tiers_mode"),
        tiers=tuple(_tier(tier, currency) for tier in fields.children("tiers")),
        meter=recurring.identifier("meter"),
        active=fields.flag("active", default=True) and not deleted,
        nickname=fields.text("nickname"),
        package_size=transform.decimal("divide_by"),
        package_rounding=transform.text("round"),
    )
    root = message.source("price", snapshot.outside_id)
    return Reading(
        source=root,
        snapshot=snapshot,
        roots=(root,),
        rank=int(deleted),
        latest=fields.moment("created"),
        nested=expanded(fields, "product"),
    )


def _tier(fields: Fields, currency: Currency) -> PriceTier:
    return PriceTier(
        up_to=fields.decimal("up_to"),
        unit_amount=_either(fields, "unit_amount", currency),
        flat_amount=_either(fields, "flat_amount", currency),
    )


def _either(fields: Fields, name: str, currency: Currency) -> Decimal:
    exact = fields.unit_price(f"{name}_decimal", currency=currency)
    whole = fields.unit_price(name, currency=currency) if exact is None else exact
    return currency.quantum * 0 if whole is None else whole
