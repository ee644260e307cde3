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
    fail_unless(recurring is None or isinstance(recurring, dict), "Invalid object", param="recurring")
    values: Wire = {
        "active": flag(given, "active", default=True),
        "currency": required(given, "currency").lower(),
        "custom_unit_amount": None,
        "lookup_key": given.get("lookup_key"),
        "nickname": given.get("nickname"),
        "product": product,
        "recurring": None if recurring is None else _recurring(account, recurring),
        "tax_behavior": "unspecified",
        "transform_quantity": _transform(given.get("transform_quantity")),
        "type": "recurring" if recurring else "one_time",
        **(_tiered(given) if given.get("billing_scheme") == "tiered" else _per_unit(given)),
    }
    one = account.add("price", values, now=now, metadata=given.get("metadata"))
    account.emit("price.created", one, now=now)
    return one


def _recurring(account: Account, given: Wire) -> Wire:
    usage, meter = given.get("usage_type", "licensed"), given.get("meter") or None
    fail_unless(usage in {"licensed", "metered"}, "Invalid usage_type", param="recurring[usage_type]")
    detail = "Metered prices are backed by a meter."
    fail_unless((usage == "metered") == (meter is not None), detail, param="recurring[meter]")
    if meter is not None:
        account.get("billing.meter", str(meter), param="recurring[meter]")
    return {
        "interval": required(given, "interval"),
        "interval_count": integer(given, "interval_count", 1),
        "meter": meter,
        "trial_period_days": None,
        "usage_type": usage,
    }


def _per_unit(given: Wire) -> Wire:
    exact = given.get("unit_amount_decimal")
    whole = integer(given, "unit_amount") if exact is None else None
    return {
        "billing_scheme": "per_unit",
        "tiers_mode": None,
        "unit_amount": whole,
        "unit_amount_decimal": str(whole) if exact is None else str(exact),
    }


def _tiered(given: Wire) -> Wire:
    mode, tiers = given.get("tiers_mode"), given.get("tiers") or []
    fail_unless(mode in {"graduated", "volume"}, "Invalid tiers_mode", param="tiers_mode")
    fail_unless(bool(tiers) and tiers[-1].get("up_to") == "inf", "The last tier is up to inf.", param="tiers")
    made = [_tier(tier) for tier in tiers]
    bounds = [tier["up_to"] for tier in made[:-1]]
    fail_unless(bounds == sorted(set(bounds)), "Tiers rise.", param="tiers")
    return {
        "billing_scheme": "tiered", "tiers_mode": mode, "tiers": made, "unit_amount": None, "unit_amount_decimal": None,
    }  # fmt: skip


def _tier(given: Wire) -> Wire:
    up_to = given.get("up_to")
    made: Wire = {"up_to": None if up_to == "inf" else integer(given, "up_to")}
    for name in ("unit_amount", "flat_amount"):
        exact, whole = given.get(f"{name}_decimal"), given.get(name)
        made[name] = None if whole is None else integer(given, name)
        made[f"{name}_decimal"] = exact if exact is not None else (None if whole is None else str(whole))
    return made


def _transform(given: Any) -> Wire | None:
    if not isinstance(given, dict):
        return None
    fail_unless(given.get("round") in {"up", "down"}, "Invalid round", param="transform_quantity[round]")
    return {"divide_by": integer(given, "divide_by"), "round": given["round"]}


def update_price(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/prices/{id}."""
    changes: Wire = {"nickname": given["nickname"]} if "nickname" in given else {}
    changes |= {"active": flag(given, "active")} if "active" in given else {}
    changes |= {"metadata": with_metadata(one["metadata"], given["metadata"])} if "metadata" in given else {}
    return account.update(one, changes, event="price.updated", now=account.clock())
