"""Stripe's products, prices, subscriptions, credit notes, disputes and credit movements in the shape of the API version
2026-10-28.endive. Field lists only: no story, no rule. Source: the published API reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from revline.sim.stripe_objects import Wire, list_object

ISSUER: Final[Wire] = {"account_tax_ids": None, "issuer": {"type": "self"}}


def product(*, outside_id: str, name: str, family: str, created: int) -> Wire:
    """A product."""
    return {
        "id": outside_id,
        "object": "product",
        "active": True,
        "created": created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {"product_family": family} if family else {},
        "name": name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": created,
        "url": None,
    }


def price(*, outside_id: str, product: str, currency: str, unit_amount: int, interval: str, created: int) -> Wire:
    """A licensed price. interval: "" for a one-off."""
    recurring = {
        "interval": interval,
        "interval_count": 1,
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }
    return {
        "id": outside_id,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "created": created,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": product,
        "recurring": recurring if interval else None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if interval else "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }


def subscription_item(
    *, outside_id: str, subscription: str, price: Wire, quantity: int, period: tuple[int, int]
) -> Wire:
    """An item of a subscription, with its price whole and the older plan beside it."""
    plan = {
        "id": price["id"],
        "object": "plan",
        "active": True,
        "currency": price["currency"],
        "product": price["product"],
    }
    return {
        "id": outside_id,
        "object": "subscription_item",
        "created": period[0],
        "current_period_end": period[1],
        "current_period_start": period[0],
        "discounts": [],
        "metadata": {},
        "plan": plan,
        "price": price,
        "quantity": quantity,
        "subscription": subscription,
        "tax_rates": [],
    }


def subscription(
    *, outside_id: str, customer: str, currency: str, items: Sequence[Wire], created: int, latest_invoice: str,
    metadata: Mapping[str, str],
) -> Wire:  # fmt: skip
    """An active subscription."""
    return {
        "id": outside_id,
        "object": "subscription",
        "application": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": created,
        "billing_mode": {"type": "flexible"},
        "billing_schedules": [],
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "collection_method": "charge_automatically",
        "created": created,
        "currency": currency,
        "customer": customer,
        "default_payment_method": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": ISSUER,
        "items": list_object(url=f"/v1/subscription_items?subscription={outside_id}", data=items),
        "latest_invoice": latest_invoice,
        "livemode": False,
        "metadata": dict(metadata),
        "schedule": None,
        "start_date": created,
        "status": "active",
        "test_clock": None,
        "trial_end": None,
        "trial_start": None,
    }


def credit_note_line(
    *, outside_id: str, credited: Wire, amount: int, discounts: Sequence[Wire], taxes: Sequence[Wire]
) -> Wire:
    """A line that credits a part of an invoice's line."""
    return {
        "id": outside_id,
        "object": "credit_note_line_item",
        "amount": amount,
        "description": credited["description"],
        "discount_amount": sum(each["amount"] for each in discounts),
        "discount_amounts": list(discounts),
        "invoice_line_item": credited["id"],
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": 1,
        "tax_rates": [],
        "taxes": list(taxes),
        "type": "invoice_line_item",
        "unit_amount": amount,
        "unit_amount_decimal": str(amount),
    }


def credit_note(
    *, outside_id: str, number: str, invoice: Wire, line: Wire, created: int, after_payment: bool, refund: str = "",
    movement: str = "",
) -> Wire:  # fmt: skip
    """A credit note of one line. refund, movement: ids of what gives the money back after payment, "" for none."""
    taxes = line["taxes"]
    outside = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    net = line["amount"] - line["discount_amount"]
    total = net + outside
    linked = {"amount_refunded": total, "payment_record_refund": None, "refund": refund, "type": "refund"}
    return {
        "id": outside_id,
        "object": "credit_note",
        "amount": total,
        "amount_shipping": 0,
        "created": created,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_balance_transaction": movement or None,
        "discount_amount": line["discount_amount"],
        "discount_amounts": line["discount_amounts"],
        "effective_at": created,
        "invoice": invoice["id"],
        "lines": list_object(url=f"/v1/credit_notes/{outside_id}/lines", data=[line]),
        "livemode": False,
        "memo": None,
        "metadata": {},
        "number": number,
        "out_of_band_amount": None,
        "pdf": f"https://pay.example/credit_notes/{outside_id}/pdf",
        "post_payment_amount": total if after_payment else 0,
        "pre_payment_amount": 0 if after_payment else total,
        "pretax_credit_amounts": [],
        "reason": "order_change",
        "refunds": [linked] if refund else [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": line["amount"],
        "subtotal_excluding_tax": net - sum(tax["amount"] for tax in taxes) + outside,
        "total": total,
        "total_excluding_tax": total - sum(tax["amount"] for tax in taxes),
        "total_taxes": list(taxes),
        "type": "post_payment" if after_payment else "pre_payment",
        "voided_at": None,
    }


def customer_balance_transaction(
    *, outside_id: str, kind: str, customer: str, currency: str, amount: int, ending: int, created: int,
    invoice: str = "", credit_note: str = "",
) -> Wire:  # fmt: skip
    """A movement on a customer's balance. amount, ending: negative is credit, as Stripe counts."""
    return {
        "id": outside_id,
        "object": "customer_balance_transaction",
        "amount": amount,
        "checkout_session": None,
        "created": created,
        "credit_note": credit_note or None,
        "currency": currency,
        "customer": customer,
        "description": None,
        "ending_balance": ending,
        "invoice": invoice or None,
        "livemode": False,
        "metadata": {},
        "type": kind,
    }


def dispute(*, outside_id: str, charge: Wire, created: int, status: str, movements: Sequence[Wire]) -> Wire:
    """A card dispute over the whole of a charge."""
    details: dict[str, Any] = {
        "due_by": created + 7 * 86_400,
        "has_evidence": False,
        "past_due": False,
        "submission_count": 0,
    }
    kind = "inquiry" if status.startswith("warning") else "chargeback"
    return {
        "id": outside_id,
        "object": "dispute",
        "amount": charge["amount"],
        "balance_transactions": list(movements),
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": details,
        "is_charge_refundable": kind == "inquiry",
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": kind, "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": "fraudulent",
        "status": status,
    }
