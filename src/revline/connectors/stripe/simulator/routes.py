"""The paths of the simulated Stripe: what each method on each path does to the account. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from revline.connectors.stripe.simulator import (
    catalogue,
    credits,  # noqa: A004
    invoicing,
    metered,
    meters,
    payments,
    subscriptions,
    webhooks,
)
from revline.connectors.stripe.simulator.account import Account
from revline.connectors.stripe.simulator.wire import StripeError, Wire, missing, page, with_metadata, within

Made = Callable[[Account, Wire], Wire]
Changed = Callable[[Account, Wire, Wire], Wire]
CLOCK: Final = "test_helpers.test_clock"

COLLECTIONS: Final[Mapping[str, str]] = {
    "customers": "customer",
    "products": "product",
    "prices": "price",
    "subscriptions": "subscription",
    "subscription_items": "subscription_item",
    "subscription_schedules": "subscription_schedule",
    "invoices": "invoice",
    "invoiceitems": "invoiceitem",
    "invoice_payments": "invoice_payment",
    "credit_notes": "credit_note",
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "refund",
    "disputes": "dispute",
    "balance_transactions": "balance_transaction",
    "payouts": "payout",
    "events": "event",
    "webhook_endpoints": "webhook_endpoint",
    "billing/meters": meters.METER,
    "test_helpers/test_clocks": CLOCK,
}
MAKERS: Final[Mapping[str, Made]] = {
    "customer": catalogue.create_customer,
    "product": catalogue.create_product,
    "price": catalogue.create_price,
    "subscription": subscriptions.create_subscription,
    "subscription_schedule": subscriptions.create_schedule,
    "invoice": invoicing.create_invoice,
    "invoiceitem": invoicing.create_item,
    "credit_note": credits.create_credit_note,
    "payment_intent": payments.create_intent,
    "refund": payments.create_refund,
    "payout": payments.create_payout,
    "webhook_endpoint": webhooks.create_endpoint,
    meters.METER: meters.create_meter,
    CLOCK: subscriptions.create_clock,
}
CHANGERS: Final[Mapping[str, Changed]] = {
    "customer": catalogue.update_customer,
    "product": catalogue.update_product,
    "price": catalogue.update_price,
    "subscription": subscriptions.update_subscription,
    "invoice": invoicing.update_invoice,
    "credit_note": credits.update_credit_note,
    meters.METER: meters.update_meter,
    **{
        kind: partial(payments.update_metadata, event=f"{name}.updated")
        for kind, name in {
            "payment_intent": "payment_intent",
            "charge": "charge",
            "refund": "refund",
            "dispute": "charge.dispute",
            "payout": "payout",
            "subscription_schedule": "subscription_schedule",
        }.items()
    },
}
DELETERS: Final[Mapping[str, Callable[[Account, Wire], Wire]]] = {
    "customer": catalogue.delete_customer,
    "invoice": invoicing.delete_draft,
    "subscription": subscriptions.cancel_subscription,
    "webhook_endpoint": webhooks.delete_endpoint,
}
VERBS: Final[Mapping[tuple[str, str], Changed]] = {
    ("invoice", "finalize"): lambda account, one, given: invoicing.finalize(
        account, metered.counted_again(account, one)
    ),
    ("invoice", "pay"): invoicing.pay,
    ("invoice", "void"): lambda account, one, given: invoicing.void(account, one),
    ("invoice", "mark_uncollectible"): lambda account, one, given: invoicing.mark_uncollectible(account, one),
    ("invoice", "send"): lambda account, one, given: one,
    ("credit_note", "void"): lambda account, one, given: credits.void_credit_note(account, one),
    ("payment_intent", "confirm"): payments.confirm,
    ("payment_intent", "cancel"): lambda account, one, given: payments.cancel(account, one),
    ("subscription_schedule", "release"): lambda account, one, given: subscriptions.end_schedule(
        account, one, status="released"
    ),
    ("subscription_schedule", "cancel"): lambda account, one, given: subscriptions.end_schedule(
        account, one, status="canceled"
    ),
    ("customer", "balance_transactions"): catalogue.create_balance_transaction,
    ("dispute", "close"): lambda account, one, given: payments.close_dispute(account, one, won=False),
    (meters.METER, "deactivate"): lambda account, one, given: meters.set_active(account, one, active=False),
    (meters.METER, "reactivate"): lambda account, one, given: meters.set_active(account, one, active=True),
    (CLOCK, "advance"): subscriptions.advance_clock,
    # What Stripe's dashboard, a bank or time does by itself, under paths of the simulator's own:
    ("charge", "simulate_dispute"): payments.open_dispute,
    ("dispute", "simulate_won"): lambda account, one, given: payments.close_dispute(account, one, won=True),
    ("dispute", "simulate_lost"): lambda account, one, given: payments.close_dispute(account, one, won=False),
    ("payout", "simulate_paid"): lambda account, one, given: payments.finish_payout(account, one, paid=True),
    ("payout", "simulate_failed"): lambda account, one, given: payments.finish_payout(account, one, paid=False),
}
FILTERS: Final = (
    "customer", "subscription", "invoice", "charge", "payment_intent", "status", "product", "source", "currency",
    "collection_method", "email",
)  # fmt: skip
ACTS: Final[Mapping[tuple[str, str], Made]] = {
    ("POST", "/v1/billing/meter_events"): meters.create_event,
    ("POST", "/v1/billing/meter_event_adjustments"): meters.cancel,
}
"""Paths of what has no id to be found by."""
INNER: Final = {("invoice", "lines"): "lines", ("credit_note", "lines"): "lines"}
_PATH: Final = re.compile(
    r"/v1/(?P<collection>(?:test_helpers|billing)/[a-z_]+|[a-z_]+)(?:/(?P<id>[^/]+))?(?:/(?P<verb>[a-z_]+))?\Z"
)


def answer(account: Account, *, method: str, path: str, given: Wire) -> Wire:
    """What a call gives, unexpanded. Raises StripeError."""
    if (method, path) in ACTS:
        return ACTS[method, path](account, given)
    matched = _PATH.match(path)
    kind = COLLECTIONS.get(matched["collection"], "") if matched else ""
    if matched is None or not kind:
        raise StripeError(f"Unrecognized request URL ({method}: {path}).", status=404)
    identity, verb = matched["id"] or "", matched["verb"] or ""
    if not identity:
        return _collection(account, kind, method=method, path=path, given=given)
    one = account.get(kind, identity)
    if method == "GET":
        return _read(account, kind, one, verb=verb, path=path, given=given)
    if one.get("deleted"):
        raise missing(kind, identity)
    if verb:
        if method == "POST" and (kind, verb) in VERBS:
            return account.shown(VERBS[kind, verb](account, one, given))
        raise StripeError(f"Unrecognized request URL ({method}: {path}).", status=404)
    if method == "DELETE" and kind in DELETERS:
        return account.shown(DELETERS[kind](account, one))
    if method == "POST" and kind in CHANGERS:
        return account.shown(CHANGERS[kind](account, one, given))
    if method == "POST" and "metadata" in given and "metadata" in one:
        one["metadata"] = with_metadata(one["metadata"], given["metadata"])
        return account.shown(one)
    raise StripeError(f"Unrecognized request URL ({method}: {path}).", status=404)


def _collection(account: Account, kind: str, *, method: str, path: str, given: Wire) -> Wire:
    if method == "POST" and kind in MAKERS:
        return account.shown(MAKERS[kind](account, given))
    if method != "GET":
        raise StripeError(f"Unrecognized request URL ({method}: {path}).", status=404)
    found = list(account.listed_events()) if kind == "event" else account.all(kind)
    chosen = [one for one in found if _matches(account, kind, one, given)]
    listed = page(chosen, given, url=path)
    return {**listed, "data": [account.shown(one) for one in listed["data"]]}


def _read(account: Account, kind: str, one: Wire, *, verb: str, path: str, given: Wire) -> Wire:
    if not verb:
        if one.get("deleted"):
            return {name: one[name] for name in ("id", "object", "deleted")}
        return account.shown(one)
    if (kind, verb) in INNER:
        return page(one[INNER[kind, verb]]["data"], given, url=path)
    if (kind, verb) == ("customer", "balance_transactions"):
        held = [each for each in account.all("customer_balance_transaction") if each["customer"] == one["id"]]
        return page(held, given, url=path)
    if (kind, verb) == (meters.METER, "event_summaries"):
        return meters.summaries(account, one, given, url=path)
    raise StripeError(f"Unrecognized request URL (GET: {path}).", status=404)


def _matches(account: Account, kind: str, one: Wire, given: Wire) -> bool:
    if one.get("deleted") or not within(one, given.get("created")):
        return False
    status = given.get("status")
    if kind == "subscription" and status in {None, "all"}:
        if status is None and one["status"] == "canceled":
            return False
        given = {name: value for name, value in given.items() if name != "status"}
    if kind == "price" and str(one["active"]).lower() != given.get("active", "true"):
        return False
    if kind == "product" and "active" in given and str(one["active"]).lower() != given["active"]:
        return False
    if kind == "event" and not _is_type(one, given):
        return False
    if kind == "balance_transaction" and "payout" in given and account.members.get(one["id"]) != given["payout"]:
        return False
    if kind == "invoice" and "subscription" in given:
        about = ((one["parent"] or {}).get("subscription_details") or {}).get("subscription")
        return about == given["subscription"] and _same(one, {**given, "subscription": ""})
    return _same(one, given)


def _same(one: Wire, given: Wire) -> bool:
    return all(one.get(name) == given[name] for name in FILTERS if given.get(name))


def _is_type(event: Wire, given: Wire) -> bool:
    wanted = given.get("types") or ([given["type"]] if given.get("type") else [])
    return not wanted or any(
        event["type"] == one or (one.endswith("*") and event["type"].startswith(one[:-1])) for one in wanted
    )
