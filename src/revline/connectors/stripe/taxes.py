"""Tax amounts of Stripe's invoice and credit note lines. Pure. Source: docs.stripe.com/api/invoice-line-item, /api/tax_rates."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from revline.connectors.stripe.fields import Fields
from revline.core.canonical import TaxAmount
from revline.core.money import Currency


def read_taxes(
    *, fields: Fields, currency: Currency, base: Decimal, rates: Mapping[str, Fields], older: str = "tax_amounts",
    present: str = "taxes",
) -> tuple[TaxAmount, ...]:  # fmt: skip
    """Taxes in the present shape or the older one. base: taxable where Stripe gives none. rates: tax rates that came whole, by id.

    Percentage and jurisdiction are known only of a rate that came whole; an id alone leaves them out.
    """
    return tuple(
        _tax(entry, currency=currency, base=base, rates=rates)
        for entry in fields.children(present if fields.has(present) else older)
    )


def _tax(entry: Fields, *, currency: Currency, base: Decimal, rates: Mapping[str, Fields]) -> TaxAmount:
    holder = entry.child("tax_rate_details") if entry.has("tax_rate_details") else entry
    identity = holder.identifier("tax_rate")
    whole = holder.child("tax_rate")
    rate = whole if whole.values else rates.get(identity, whole)
    taxable = entry.optional_amount("taxable_amount", currency=currency)
    # The percentage of the place and day, where it differs from the published one.
    percent = rate.decimal("effective_percentage")
    return TaxAmount(
        amount=entry.amount("amount", currency=currency),
        taxable=base if taxable is None else taxable,
        rate=identity,
        rate_percent=rate.decimal("percentage") if percent is None else percent,
        jurisdiction=rate.text("jurisdiction"),
        inclusive=entry.text("tax_behavior") == "inclusive" or entry.flag("inclusive"),
        reverse_charge=entry.text("taxability_reason") == "reverse_charge",
    )
