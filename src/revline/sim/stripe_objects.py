"""Stripe's objects in the shape of the API version 2026-10-28.endive, as a played Stripe sends them.

Field lists only: no story, no rule. Amounts here are Stripe's integers, times are unix seconds; the shapes are from the
published API reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

API_VERSION: Final = "2026-10-28.endive"
Wire = dict[str, Any]


def list_object(*, url: str, data: Sequence[Wire]) -> Wire:
    """A list object that is complete."""
    return {"object": "list", "data": list(data), "has_more": False, "total_count": len(data), "url": url}


def customer(*, outside_id: str, name: str, email: str, currency: str, country: str, city: str, created: int) -> Wire:
    """A customer."""
    address = {
        "city": city,
        "country": country,
        "line1": "1 Main Street",
        "line2": None,
        "postal_code": "10001",
        "state": None,
    }
    return {
        "id": outside_id,
        "object": "customer",
        "address": address,
        "balance": 0,
        "created": created,
        "currency": currency,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "email": email,
        "invoice_prefix": outside_id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": name,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def line_parent(
    *, subscription: str, subscription_item: str, invoice_item: str, proration: bool, credits_line: str
) -> Wire:
    """Where a line comes from: a subscription item, or an invoice item when there is no subscription."""
    credited = {"invoice": "in_before", "invoice_line_items": [credits_line]} if credits_line else None
    details: Wire = {
        "proration": proration,
        "proration_details": {"credited_items": credited},
        "subscription": subscription or None,
    }
    if subscription:
        details |= {"invoice_item": invoice_item or None, "subscription_item": subscription_item}
        return {"invoice_item_details": None, "subscription_item_details": details, "type": "subscription_item_details"}
    details |= {"invoice_item": invoice_item}
    return {"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"}


def line_item(
    *, outside_id: str, invoice: str, currency: str, amount: int, quantity: int, description: str, period: tuple[int, int],
    price: str, product: str, unit_amount: str, parent: Wire, discounts: Sequence[Wire], taxes: Sequence[Wire],
    metadata: Mapping[str, str],
) -> Wire:  # fmt: skip
    """A line of an invoice."""
    return {
        "id": outside_id,
        "object": "line_item",
        "amount": amount,
        "currency": currency,
        "description": description,
        "discount_amounts": list(discounts),
        "discountable": True,
        "discounts": [entry["discount"] for entry in discounts],
        "invoice": invoice,
        "livemode": False,
        "metadata": dict(metadata),
        "parent": parent,
        "period": {"end": period[1], "start": period[0]},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price, "product": product},
            "type": "price_details",
            "unit_amount_decimal": unit_amount,
        },
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": parent["subscription_item_details"] and parent["subscription_item_details"]["subscription"],
        "subtotal": amount,
        "taxes": list(taxes),
    }


def tax(*, amount: int, taxable: int, rate: str, inclusive: bool) -> Wire:
    """One tax on a line."""
    return {
        "amount": amount,
        "tax_behavior": "inclusive" if inclusive else "exclusive",
        "tax_rate_details": {"tax_rate": rate},
        "taxability_reason": "standard_rated",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def invoice(
    *,
    outside_id: str,
    customer: Wire,
    lines: Sequence[Wire],
    total: int,
    created: int,
    subscription: str,
    memo: str,
) -> Wire:
    """An invoice as a draft; the story moves its status on."""
    details = {"metadata": {}, "subscription": subscription}
    kind = "subscription_details"
    moments = ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
    return {
        "id": outside_id,
        "object": "invoice",
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": True,
        "automatic_tax": {**dict.fromkeys(("disabled_reason", "liability", "provider", "status")), "enabled": False},
        "billing_reason": "subscription_cycle" if subscription else "manual",
        "collection_method": "charge_automatically",
        "created": created,
        "currency": customer["currency"],
        "custom_fields": None,
        "default_tax_rates": [],
        "description": memo or None,
        "due_date": None,
        "effective_at": None,
        "issuer": {"type": "self"},
        "lines": list_object(url=f"/v1/invoices/{outside_id}/lines", data=lines),
        "livemode": False,
        "metadata": {},
        "number": None,
        "on_behalf_of": None,
        "parent": {"quote_details": None, kind: details, "type": kind} if subscription else None,
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "period_end": created,
        "period_start": created,
        "status": "draft",
        "status_transitions": dict.fromkeys(moments),
        "webhooks_delivered_at": None,
        **_customer_of(customer),
        **_totals(lines=lines, total=total),
    }


def _customer_of(customer: Wire) -> Wire:
    """What an invoice keeps of its customer."""
    copied = {f"customer_{name}": customer[name] for name in ("address", "email", "name", "tax_exempt")}
    return {"customer": customer["id"], "customer_tax_ids": [], **copied}


def _totals(*, lines: Sequence[Wire], total: int) -> Wire:
    """The sums of an invoice's lines, and what is paid of it: nothing yet."""
    taxes = [entry for line in lines for entry in line["taxes"]]
    discounts = [entry for line in lines for entry in line["discount_amounts"]]
    subtotal = sum(line["amount"] for line in lines)
    inclusive = sum(entry["amount"] for entry in taxes if entry["tax_behavior"] == "inclusive")
    return {
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": total,
        "amount_shipping": 0,
        "discounts": sorted({entry["discount"] for entry in discounts}),
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inclusive,
        "total": total,
        "total_discount_amounts": discounts,
        "total_excluding_tax": total - sum(entry["amount"] for entry in taxes),
        "total_pretax_credit_amounts": [],
        "total_taxes": taxes,
    }


def invoice_payment(*, outside_id: str, invoice: str, intent: str, amount: int, currency: str, created: int) -> Wire:
    """A paid application of a payment intent to an invoice."""
    return {
        "id": outside_id,
        "object": "invoice_payment",
        "amount_paid": amount,
        "amount_requested": amount,
        "created": created,
        "currency": currency,
        "invoice": invoice,
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": created},
    }


def payment_intent(
    *, outside_id: str, charge: str, amount: int, currency: str, customer: str, created: int, paid: bool
) -> Wire:
    """A payment intent after its latest charge."""
    return {
        "id": outside_id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": amount if paid else 0,
        "canceled_at": None,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "created": created,
        "currency": currency,
        "customer": customer,
        "description": None,
        "last_payment_error": None,
        "latest_charge": charge,
        "livemode": False,
        "metadata": {},
        "payment_method_types": ["card"],
        "status": "succeeded" if paid else "requires_payment_method",
    }


def charge(
    *, outside_id: str, intent: str, transaction: str | None, amount: int, currency: str, customer: str, created: int
) -> Wire:
    """A card charge: captured, or failed when it has no balance transaction."""
    paid = transaction is not None
    return {
        "id": outside_id,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount if paid else 0,
        "amount_refunded": 0,
        "application_fee": None,
        "balance_transaction": transaction,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "captured": paid,
        "created": created,
        "currency": currency,
        "customer": customer,
        "description": "Subscription update",
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None if paid else "card_declined",
        "failure_message": None if paid else "Your card was declined.",
        "livemode": False,
        "metadata": {},
        "paid": paid,
        "payment_intent": intent,
        "payment_method_details": {"card": {"brand": "visa", "country": "US", "last4": "4242"}, "type": "card"},
        "refunded": False,
        "status": "succeeded" if paid else "failed",
    }


def refund(
    *, outside_id: str, charge: Wire, transaction: str, amount: int, created: int, status: str, reason: str | None
) -> Wire:
    """A refund of a charge. Stripe sends no livemode on it."""
    return {
        "id": outside_id,
        "object": "refund",
        "amount": amount,
        "balance_transaction": transaction,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "status": status,
    }


def payout(
    *, outside_id: str, transaction: str, amount: int, currency: str, created: int, arrival: int, destination: str
) -> Wire:
    """An automatic payout on its way."""
    return {
        "id": outside_id,
        "object": "payout",
        "amount": amount,
        "arrival_date": arrival,
        "automatic": True,
        "balance_transaction": transaction,
        "created": created,
        "currency": currency,
        "description": "STRIPE PAYOUT",
        "destination": destination,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "reconciliation_status": "in_progress",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "type": "bank_account",
    }


def balance_transaction(
    *,
    outside_id: str,
    kind: str,
    source: str,
    amount: int,
    fee: int,
    currency: str,
    created: int,
    rate: Decimal | None = None,
    category: str = "",
) -> Wire:
    """A movement on the balance. rate: units of `currency` per unit of the source's when they differ; a number on the wire.

    source: "" for none. category: reporting category, the kind's own when "".
    """
    fees = [
        {
            "amount": fee,
            "application": None,
            "currency": currency,
            "description": "Stripe processing fees",
            "type": "stripe_fee",
        }
    ]
    return {
        "id": outside_id,
        "object": "balance_transaction",
        "amount": amount,
        "available_on": created + 2 * 86_400,
        "balance_type": "payments",
        "created": created,
        "currency": currency,
        "description": None,
        "exchange_rate": rate,
        "fee": fee,
        "fee_details": fees if fee else [],
        "net": amount - fee,
        "reporting_category": category or kind,
        "source": source or None,
        "status": "available",
        "type": kind,
    }


def event(*, outside_id: str, kind: str, created: int, data: Wire, request: str, pending: int) -> Wire:
    """A webhook event about an object. pending: webhooks still to be delivered, which differs between deliveries of one event."""
    return {
        "id": outside_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": {"object": data},
        "livemode": False,
        "pending_webhooks": pending,
        "request": {"id": request, "idempotency_key": None},
        "type": kind,
    }
