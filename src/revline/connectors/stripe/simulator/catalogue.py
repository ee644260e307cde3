"""Customers with their credit balance, products and prices of the simulated Stripe.

Sources: docs.stripe.com/api/customers, /api/customer_balance_transactions, /api/products, /api/prices.
"""

from __future__ import annotations

from typing import Any, Final

from revline.connectors.stripe.simulator.account import Account, fail_unless
from revline.connectors.stripe.simulator.wire import Wire, flag, integer, required, with_metadata

CUSTOMER_FIELDS: Final = ("description", "email", "name", "phone", "tax_exempt")
ADDRESS_FIELDS: Final = ("city", "country", "line1", "line2", "postal_code", "state")


def create_customer(account: Account, given: Wire) -> Wire:
    """POST /v1/customers."""
    if given.get("test_clock"):
        account.get("test_helpers.test_clock", str(given["test_clock"]), param="test_clock")
    now = account.now(given)
    settings = dict.fromkeys(("custom_fields", "default_payment_method", "footer", "rendering_options"))
    values: Wire = {
        "address": _address(given.get("address")),
        "balance": 0,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "invoice_prefix": f"C{len(account.objects['customer']) + 1:07d}",
        "invoice_settings": settings,
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "shipping": None,
        "test_clock": given.get("test_clock"),
        **{name: given.get(name) or None for name in CUSTOMER_FIELDS},
    }
    values["tax_exempt"] = given.get("tax_exempt") or "none"
    one = account.add("customer", values, now=now, metadata=given.get("metadata"))
    account.emit("customer.created", one, now=now)
    if given.get("balance"):
        move_balance(account, one, amount=integer(given, "balance"), kind="adjustment", currency="usd")
    return one


def update_customer(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/customers/{id}."""
    changes: Wire = {name: given[name] or None for name in CUSTOMER_FIELDS if name in given}
    changes |= {"address": _address(given["address"])} if "address" in given else {}
    changes |= {"metadata": with_metadata(one["metadata"], given["metadata"])} if "metadata" in given else {}
    return account.update(one, changes, event="customer.updated", now=account.now(one))


def delete_customer(account: Account, one: Wire) -> Wire:
    """DELETE /v1/customers/{id}: it stays readable as deleted."""
    account.emit("customer.deleted", one, now=account.now(one))
    for name in set(one) - {"id", "object", "created"}:
        del one[name]
    one["deleted"] = True
    return {"id": one["id"], "object": "customer", "deleted": True}


def _address(given: Any) -> Wire | None:
    return {name: given.get(name) for name in ADDRESS_FIELDS} if isinstance(given, dict) else None


def move_balance(
    account: Account, customer: Wire, *, amount: int, kind: str, currency: str, invoice: str | None = None,
    credit_note: str | None = None, description: str | None = None,
) -> Wire:  # fmt: skip
    """A movement on a customer's balance: positive is owed by the customer. Only customer.updated tells of it."""
    now = account.now(customer)
    moved = account.add(
        "customer_balance_transaction",
        {
            "amount": amount,
            "checkout_session": None,
            "credit_note": credit_note,
            "currency": currency,
            "customer": customer["id"],
            "description": description,
            "ending_balance": customer["balance"] + amount,
            "invoice": invoice,
            "type": kind,
        },
        now=now,
    )
    changes = {"balance": customer["balance"] + amount, "currency": customer["currency"] or currency}
    account.update(customer, changes, event="customer.updated", now=now)
    return moved


def create_balance_transaction(account: Account, customer: Wire, given: Wire) -> Wire:
    """POST /v1/customers/{id}/balance_transactions."""
    return move_balance(
        account,
        customer,
        amount=integer(given, "amount"),
        kind="adjustment",
        currency=required(given, "currency"),
        description=given.get("description"),
    )


def create_product(account: Account, given: Wire) -> Wire:
    """POST /v1/products."""
    now = account.clock()
    values: Wire = {
        "active": flag(given, "active", default=True),
        "default_price": None,
        "description": given.get("description"),
        "images": [],
        "marketing_features": [],
        "name": required(given, "name"),
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": given.get("tax_code"),
        "type": "service",
        "unit_label": given.get("unit_label"),
        "updated": now,
        "url": None,
    }
    one = account.add("product", values, now=now, metadata=given.get("metadata"))
    account.emit("product.created", one, now=now)
    return one


def update_product(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/products/{id}."""
    now = account.clock()
    changes: Wire = {name: given[name] for name in ("name", "description", "tax_code") if name in given}
    changes |= {"active": flag(given, "active")} if "active" in given else {}
    changes |= {"metadata": with_metadata(one["metadata"], given["metadata"])} if "metadata" in given else {}
    return account.update(one, {**changes, "updated": now}, event="product.updated", now=now)


def create_price(account: Account, given: Wire) -> Wire:
    """POST /v1/prices."""
    product = required(given, "product")
    account.get("product", product, param="product")
    recurring, now = given.get("recurring"), account.clock()
    exact = given.get("unit_amount_decimal")
    whole = integer(given, "unit_amount") if exact is None else None
    fail_unless(recurring is None or isinstance(recurring, dict), "Invalid object", param="recurring")
    values: Wire = {
        "active": flag(given, "active", default=True),
        "billing_scheme": "per_unit",
        "currency": required(given, "currency").lower(),
        "custom_unit_amount": None,
        "lookup_key": given.get("lookup_key"),
        "nickname": given.get("nickname"),
        "product": product,
        "recurring": recurring
        and {
            "interval": required(recurring, "interval"),
            "interval_count": integer(recurring, "interval_count", 1),
            "meter": None,
            "trial_period_days": None,
            "usage_type": recurring.get("usage_type", "licensed"),
        },
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": whole,
        "unit_amount_decimal": str(whole) if exact is None else str(exact),
    }
    one = account.add("price", values, now=now, metadata=given.get("metadata"))
    account.emit("price.created", one, now=now)
    return one


def update_price(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/prices/{id}."""
    changes: Wire = {"nickname": given["nickname"]} if "nickname" in given else {}
    changes |= {"active": flag(given, "active")} if "active" in given else {}
    changes |= {"metadata": with_metadata(one["metadata"], given["metadata"])} if "metadata" in given else {}
    return account.update(one, changes, event="price.updated", now=account.clock())
