"""Invoices of the simulated Stripe: their items, lines and life from draft to paid, void or uncollectible.

Sources: docs.stripe.com/api/invoices, /api/invoiceitems, /api/invoice-line-item, /api/invoice-payment, /invoicing/overview.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from revline.connectors.stripe.simulator.account import Account, fail_unless
from revline.connectors.stripe.simulator.catalogue import move_balance
from revline.connectors.stripe.simulator.payments import confirm, new_intent
from revline.connectors.stripe.simulator.wire import (
    StripeError,
    Wire,
    flag,
    integer,
    list_object,
    required,
    with_metadata,
)

DAY: Final = 86_400
UPDATABLE: Final = ("description", "footer", "collection_method", "custom_fields")
INVOICE_NOTHING: Final = (
    "default_payment_method",
    "default_source",
    "effective_at",
    "footer",
    "from_invoice",
    "hosted_invoice_url",
    "invoice_pdf",
    "last_finalization_error",
    "latest_revision",
    "next_payment_attempt",
    "number",
    "on_behalf_of",
    "receipt_number",
    "shipping_cost",
    "statement_descriptor",
    "webhooks_delivered_at",
)
"""Fields of an invoice that are null here, or until it is finalized."""
DRAFT: Final[Wire] = {
    **dict.fromkeys(INVOICE_NOTHING),
    "account_country": "US",
    "account_name": "Simulated",
    "attempt_count": 0,
    "attempted": False,
    "custom_fields": None,
    "customer_shipping": None,
    "due_date": None,
    "rendering": None,
    "status": "draft",
    "threshold_reason": None,
}
"""What every invoice begins with."""
STILL_OPEN: Final = frozenset({"open", "uncollectible"})


def create_item(account: Account, given: Wire) -> Wire:
    """POST /v1/invoiceitems: a line that waits for the customer's next invoice, or goes into the draft it names."""
    customer = account.get("customer", required(given, "customer"), param="customer")
    now = account.now(customer)
    pricing = given.get("pricing")
    price = str((pricing or {}).get("price") or given.get("price") or "") if not isinstance(pricing, str) else ""
    held = account.get("price", price, param="price") if price else None
    quantity = integer(given, "quantity", 1)
    unit = held["unit_amount"] if held else integer(given, "unit_amount_decimal", integer(given, "amount", 0))
    amount = unit * quantity if held or "amount" not in given else integer(given, "amount")
    period = given.get("period") or {}
    values: Wire = {
        "amount": amount,
        "currency": held["currency"] if held else required(given, "currency").lower(),
        "customer": customer["id"],
        "date": now,
        "description": given.get("description") or (held and account.get("product", held["product"])["name"]),
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "net_amount": amount,
        "parent": None,
        "period": {"start": integer(period, "start", now), "end": integer(period, "end", now)},
        "pricing": held
        and {
            "price_details": {"price": held["id"], "product": held["product"]},
            "type": "price_details",
            "unit_amount_decimal": str(unit),
        },
        "proration": flag(given, "proration"),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": given.get("subscription"),
        "tax_rates": [],
        "test_clock": customer["test_clock"],
    }
    one = account.add("invoiceitem", values, now=now, metadata=given.get("metadata"))
    account.emit("invoiceitem.created", one, now=now)
    if given.get("invoice"):
        invoice = account.get("invoice", str(given["invoice"]), param="invoice")
        fail_unless(invoice["status"] == "draft", "The invoice can no longer be edited.", param="invoice")
        add_lines(account, invoice, [item_line(account, one, invoice)])
        account.emit("invoice.updated", invoice, now=now)
    return one


def item_line(account: Account, item: Wire, invoice: Wire) -> Wire:
    """The line that an invoice item becomes; the item then belongs to the invoice."""
    item["invoice"] = invoice["id"]
    details = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": {"credited_items": None},
        "subscription": item["subscription"],
    }
    parent = {"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"}
    return line(
        account, invoice=invoice["id"], amount=item["amount"], currency=item["currency"], quantity=item["quantity"],
        description=item["description"], period=item["period"], pricing=item["pricing"], parent=parent,
        subscription=item["subscription"], metadata=item["metadata"], now=invoice["created"],
    )  # fmt: skip


def line(
    account: Account, *, invoice: str, amount: int, currency: str, quantity: int, description: Any, period: Wire,
    pricing: Any, parent: Wire, subscription: Any, metadata: Wire, now: int,
) -> Wire:  # fmt: skip
    """One line of an invoice."""
    values: Wire = {
        "amount": amount,
        "currency": currency,
        "description": description,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice,
        "parent": parent,
        "period": period,
        "pretax_credit_amounts": [],
        "pricing": pricing,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": subscription,
        "subtotal": amount,
        "taxes": [],
    }
    one = account.add("line_item", values, now=now, metadata=metadata)
    return {name: value for name, value in one.items() if name != "created"}


def create_invoice(account: Account, given: Wire) -> Wire:
    """POST /v1/invoices: a draft of the customer's pending items."""
    customer = account.get("customer", required(given, "customer"), param="customer")
    subscription = str(given.get("subscription") or "")
    pending = [
        item
        for item in account.objects["invoiceitem"].values()
        if item["customer"] == customer["id"]
        and item["invoice"] is None
        and (item["subscription"] or "") in {"", subscription}
    ]
    wanted = given.get("pending_invoice_items_behavior", "include" if subscription else "exclude") == "include"
    currency = given.get("currency") or customer["currency"] or (pending[0]["currency"] if pending else "usd")
    one = new_invoice(
        account, customer, currency=str(currency).lower(), reason="manual", subscription=subscription,
        collection=given.get("collection_method") or "charge_automatically", metadata=given.get("metadata"),
        description=given.get("description"), auto_advance=flag(given, "auto_advance"),
        days_until_due=integer(given, "days_until_due", 0),
    )  # fmt: skip
    if wanted:
        add_lines(account, one, [item_line(account, item, one) for item in pending])
    account.emit("invoice.created", one, now=one["created"])
    return one


def new_invoice(
    account: Account, customer: Wire, *, currency: str, reason: str, subscription: str = "", collection: str,
    metadata: Any = None, description: Any = None, auto_advance: bool = True, days_until_due: int = 0,
) -> Wire:  # fmt: skip
    """An empty draft; no event yet."""
    now = account.now(customer)
    kind = "subscription_details"
    about = account.objects["subscription"].get(subscription, {}).get("metadata", {})
    held = {f"customer_{name}": customer.get(name) for name in ("address", "email", "name", "phone", "tax_exempt")}
    tax = {**dict.fromkeys(("disabled_reason", "liability", "provider", "status")), "enabled": False}
    payment = dict.fromkeys(("default_mandate", "payment_method_options", "payment_method_types"))
    nothing: tuple[str, ...] = (
        "effective_at",
        "footer",
        "from_invoice",
        "hosted_invoice_url",
        "invoice_pdf",
        "last_finalization_error",
    )
    nothing += ("latest_revision", "number", "on_behalf_of", "receipt_number", "shipping_cost", "statement_descriptor")
    nothing += ("default_payment_method", "default_source", "next_payment_attempt", "webhooks_delivered_at")
    values: Wire = {
        "auto_advance": auto_advance,
        "automatic_tax": tax,
        "billing_reason": reason,
        "collection_method": collection,
        "currency": currency,
        "customer": customer["id"],
        "customer_tax_ids": [],
        **held,
        "days_until_due": days_until_due,
        "default_tax_rates": [],
        "description": description,
        "discounts": [],
        "issuer": {"type": "self"},
        "lines": list_object([], url="/v1/invoices/lines"),
        "parent": {"quote_details": None, kind: {"metadata": dict(about), "subscription": subscription}, "type": kind}
        if subscription
        else None,
        "payment_settings": payment,
        "period_end": now,
        "period_start": now,
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "test_clock": customer["test_clock"],
        **DRAFT,
    }
    one = account.add("invoice", values, now=now, metadata=metadata)
    one["lines"]["url"] = f"/v1/invoices/{one['id']}/lines"
    _sum(one, starting=0)
    return one


def add_lines(account: Account, invoice: Wire, lines: Sequence[Wire]) -> None:
    """Put lines on a draft."""
    for one in lines:
        if one["currency"] != invoice["currency"]:
            raise StripeError("The invoice item's currency differs from the invoice's.", param="currency")
    invoice["lines"]["data"] += lines
    customer = account.objects["customer"][invoice["customer"]]
    customer["currency"] = customer["currency"] or invoice["currency"]
    _sum(invoice, starting=invoice["starting_balance"])


def _sum(invoice: Wire, *, starting: int) -> None:
    total = sum(one["amount"] for one in invoice["lines"]["data"])
    due = max(total + starting, 0)
    invoice |= {
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": due,
        "amount_shipping": 0,
        "ending_balance": None,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": starting,
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_discount_amounts": [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    }


def update_invoice(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/invoices/{id}."""
    fail_unless(
        one["status"] == "draft" or not any(name in given for name in UPDATABLE), "Finalized invoices can't be updated."
    )
    changes: Wire = {name: given[name] for name in UPDATABLE if name in given}
    changes |= {"auto_advance": flag(given, "auto_advance")} if "auto_advance" in given else {}
    changes |= {"metadata": with_metadata(one["metadata"], given["metadata"])} if "metadata" in given else {}
    return account.update(one, changes, event="invoice.updated", now=account.now(one))


def finalize(account: Account, one: Wire) -> Wire:
    """POST /v1/invoices/{id}/finalize: a number, the customer's credit taken into account; nothing due is paid at once."""
    fail_unless(one["status"] == "draft", "This invoice is already finalized.", code="invoice_not_editable")
    customer, now = account.objects["customer"][one["customer"]], account.now(one)
    sequence = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = sequence + 1
    used = max(customer["balance"], -one["total"]) if customer["balance"] < 0 < one["total"] else 0
    _sum(one, starting=used)
    if used:
        kind = "applied_to_invoice"
        move_balance(account, customer, amount=-used, kind=kind, currency=one["currency"], invoice=one["id"])
    one |= {
        "number": f"{customer['invoice_prefix']}-{sequence:04d}",
        "status": "open",
        "effective_at": now,
        "ending_balance": customer["balance"],
        "due_date": now + one["days_until_due"] * DAY if one["collection_method"] == "send_invoice" else None,
    }
    one["status_transitions"]["finalized_at"] = now
    account.emit("invoice.finalized", one, now=now)
    if one["total"] < 0:
        kind = "invoice_too_small"
        move_balance(account, customer, amount=one["total"], kind=kind, currency=one["currency"], invoice=one["id"])
    if one["amount_remaining"] <= 0:
        _paid(account, one, now=now)
    return one


def pay(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/invoices/{id}/pay, with a payment intent and a charge, or out of band with neither."""
    if one["status"] == "draft":
        finalize(account, one)
    if one["status"] == "paid":
        raise StripeError("Invoice is already paid", code="invoice_already_paid")
    fail_unless(one["status"] in STILL_OPEN, f"Invoice is {one['status']}")
    now, due = account.now(one), one["amount_remaining"]
    one["attempt_count"] += 1
    one["attempted"] = True
    if flag(given, "paid_out_of_band"):
        one |= {"amount_paid": one["amount_paid"] + due, "amount_remaining": 0}
        _paid(account, one, now=now)
        return one
    intent = new_intent(account, amount=due, currency=one["currency"], customer=one["customer"])
    payment = _payment(account, one, intent, now=now)
    try:
        confirm(account, intent, given)
    except StripeError:
        account.emit("invoice.payment_failed", one, now=now)
        raise
    payment |= {"amount_paid": due, "status": "paid"}
    payment["status_transitions"]["paid_at"] = now
    one |= {"amount_paid": one["amount_paid"] + due, "amount_remaining": 0}
    account.emit("invoice_payment.paid", payment, now=now)
    _paid(account, one, now=now)
    account.emit("invoice.payment_succeeded", one, now=now)
    return one


def _payment(account: Account, invoice: Wire, intent: Wire, *, now: int) -> Wire:
    values: Wire = {
        "amount_paid": None,
        "amount_requested": intent["amount"],
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    }
    return account.add("invoice_payment", values, now=now)


def _paid(account: Account, one: Wire, *, now: int) -> None:
    one["status"] = "paid"
    one["status_transitions"]["paid_at"] = now
    account.emit("invoice.paid", one, now=now)


def void(account: Account, one: Wire) -> Wire:
    """POST /v1/invoices/{id}/void: credit that was used comes back."""
    fail_unless(one["status"] in STILL_OPEN, "You can only void an open or uncollectible invoice.")
    now = account.now(one)
    one["status"] = "void"
    one["status_transitions"]["voided_at"] = now
    account.emit("invoice.voided", one, now=now)
    if one["starting_balance"]:
        customer, kind = account.objects["customer"][one["customer"]], "unapplied_from_invoice"
        amount = one["starting_balance"]
        move_balance(account, customer, amount=amount, kind=kind, currency=one["currency"], invoice=one["id"])
    return one


def mark_uncollectible(account: Account, one: Wire) -> Wire:
    """POST /v1/invoices/{id}/mark_uncollectible."""
    fail_unless(one["status"] == "open", "You can only mark open invoices as uncollectible.")
    now = account.now(one)
    one["status"] = "uncollectible"
    one["status_transitions"]["marked_uncollectible_at"] = now
    account.emit("invoice.marked_uncollectible", one, now=now)
    return one


def delete_draft(account: Account, one: Wire) -> Wire:
    """DELETE /v1/invoices/{id}: drafts only; their items wait again."""
    fail_unless(one["status"] == "draft", "You can only delete draft invoices.")
    for item in account.objects["invoiceitem"].values():
        if item["invoice"] == one["id"]:
            item["invoice"] = None
    account.emit("invoice.deleted", one, now=account.now(one))
    del account.objects["invoice"][one["id"]]
    return {"id": one["id"], "object": "invoice", "deleted": True}
