"""Subscriptions, their items and schedules, and test clocks of the simulated Stripe: time moves and invoices come in order.

Sources: docs.stripe.com/api/subscriptions, /api/subscription_schedules, /api/test_clocks, /billing/testing/test-clocks.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from revline.connectors.stripe.simulator import invoicing, metered
from revline.connectors.stripe.simulator.account import Account, fail_unless
from revline.connectors.stripe.simulator.wire import (
    StripeError,
    Wire,
    flag,
    integer,
    list_object,
    required,
    with_metadata,
)

SUBSCRIPTION_NOTHING: Final = (
    "application_fee_percent",
    "billing_thresholds",
    "cancel_at",
    "canceled_at",
    "default_source",
    "description",
    "ended_at",
    "latest_invoice",
    "next_pending_invoice_item_invoice",
    "pause_collection",
    "pending_invoice_item_interval",
    "pending_setup_intent",
    "pending_update",
    "trial_end",
)
"""Fields of a subscription that are null here, or until something happens."""
LIVE: Final = frozenset({"active", "past_due", "trialing"})
STEPS_MAX: Final = 10_000
SECONDS: Final = {"day": 86_400, "week": 604_800}


def create_subscription(account: Account, given: Wire, *, schedule: str | None = None) -> Wire:
    """POST /v1/subscriptions: active once its first invoice is paid, or at once when the invoice is sent."""
    customer = account.get("customer", required(given, "customer"), param="customer")
    now = account.now(customer)
    items = given.get("items") or []
    fail_unless(bool(items), "Missing required param: items.", code="parameter_missing", param="items")
    price = account.get("price", required(items[0], "price"), param="items[0][price]")
    values: Wire = {
        **dict.fromkeys(SUBSCRIPTION_NOTHING),
        "automatic_tax": {"enabled": False, "disabled_reason": None, "liability": None},
        "billing_cycle_anchor": now,
        "billing_mode": {"type": "flexible"},
        "cancel_at_period_end": False,
        "collection_method": given.get("collection_method") or "charge_automatically",
        "currency": price["currency"],
        "customer": customer["id"],
        "days_until_due": integer(given, "days_until_due", 0) or None,
        "default_payment_method": given.get("default_payment_method"),
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": list_object([], url="/v1/subscription_items"),
        "payment_settings": {"payment_method_options": None, "payment_method_types": None},
        "schedule": schedule,
        "start_date": now,
        "status": "incomplete",
        "test_clock": customer["test_clock"],
    }
    one = account.add("subscription", values, now=now, metadata=given.get("metadata"))
    one["items"]["url"] = f"/v1/subscription_items?subscription={one['id']}"
    for item in items:
        _add_item(account, one, item, start=now)
    account.emit("customer.subscription.created", one, now=now)
    _bill(account, one, reason="subscription_create")
    return one


def _add_item(account: Account, one: Wire, given: Wire, *, start: int) -> Wire:
    price = account.get("price", required(given, "price"), param="price")
    fail_unless(price["recurring"] is not None, "The price is not recurring.", param="price")
    values: Wire = {
        "billing_thresholds": None,
        "current_period_end": period_end(price["recurring"], anchor=one["billing_cycle_anchor"], after=start),
        "current_period_start": start,
        "discounts": [],
        "price": dict(price),
        "quantity": integer(given, "quantity", 1),
        "subscription": one["id"],
        "tax_rates": [],
    }
    item = account.add("subscription_item", values, now=start, metadata=given.get("metadata"))
    one["items"]["data"].append(item)
    return item


def period_end(recurring: Wire, *, anchor: int, after: int) -> int:
    """The first end of a period after a moment; months keep the anchor's day where the month has it."""
    every = int(recurring["interval_count"])
    if recurring["interval"] in SECONDS:
        length = SECONDS[recurring["interval"]] * every
        return anchor + ((after - anchor) // length + 1) * length
    months = every * (12 if recurring["interval"] == "year" else 1)
    start = datetime.fromtimestamp(anchor, UTC)
    for number in range(1, STEPS_MAX):
        year, month = divmod(start.year * 12 + start.month - 1 + number * months, 12)
        day = min(start.day, calendar.monthrange(year, month + 1)[1])
        end = int(start.replace(year=year, month=month + 1, day=day).timestamp())
        if end > after:
            return end
    raise StripeError("The period is too far away.")


def _bill(
    account: Account, one: Wire, *, reason: str, elapsed: metered.Elapsed | None = None, ends: bool = False
) -> Wire:
    """An invoice for the items' present periods and for the use of those that ended. The first is finalized and paid at once, a
    renewal's stays a draft for an hour. ends: the subscription ends, so nothing is billed ahead."""
    customer = account.objects["customer"][one["customer"]]
    invoice = invoicing.new_invoice(
        account, customer, currency=one["currency"], reason=reason, subscription=one["id"],
        collection=one["collection_method"], days_until_due=one["days_until_due"] or 0,
    )  # fmt: skip
    metered.add_usage(account, one, invoice, elapsed or {})
    for item in one["items"]["data"]:
        if not ends and not metered.is_metered(item):
            _add_line(account, one, item, invoice)
    pending = [
        item for item in account.objects["invoiceitem"].values()
        if item["customer"] == customer["id"] and item["invoice"] is None and item["subscription"] in {None, one["id"]}
    ]  # fmt: skip
    invoicing.add_lines(account, invoice, [invoicing.item_line(account, item, invoice) for item in pending])
    one["latest_invoice"] = invoice["id"]
    account.emit("invoice.created", invoice, now=invoice["created"])
    if reason == "subscription_create":
        _collect(account, one, invoice)
    return invoice


def _add_line(account: Account, one: Wire, item: Wire, invoice: Wire) -> None:
    price = item["price"]
    details = {
        "invoice_item": None, "proration": False, "proration_details": {"credited_items": None},
        "subscription": one["id"], "subscription_item": item["id"],
    }  # fmt: skip
    name = account.objects["product"][price["product"]]["name"]
    made = invoicing.line(
        account, invoice=invoice["id"], amount=(price["unit_amount"] or 0) * item["quantity"],
        currency=one["currency"], quantity=item["quantity"], description=f"{item['quantity']} × {name}",
        period={"start": item["current_period_start"], "end": item["current_period_end"]},
        pricing={
            "price_details": {"price": price["id"], "product": price["product"]}, "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        parent={
            "invoice_item_details": None, "subscription_item_details": details, "type": "subscription_item_details",
        },
        subscription=one["id"], metadata=one["metadata"], now=invoice["created"],
    )  # fmt: skip
    invoicing.add_lines(account, invoice, [made])


def _collect(account: Account, one: Wire, invoice: Wire) -> None:
    invoicing.finalize(account, metered.counted_again(account, invoice))
    if one["collection_method"] == "charge_automatically" and invoice["status"] == "open":
        try:
            invoicing.pay(account, invoice, {"payment_method": one["default_payment_method"]})
        except StripeError:
            if one["status"] != "incomplete":
                _set(account, one, {"status": "past_due"})
            return
    if one["status"] in {"incomplete", "past_due"}:
        _set(account, one, {"status": "active"})


def _set(account: Account, one: Wire, changes: Wire, *, event: str = "customer.subscription.updated") -> Wire:
    return account.update(one, changes, event=event, now=account.now(one))


def update_subscription(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/subscriptions/{id}: metadata, quantities and prices of items (no proration), and its end."""
    fail_unless(one["status"] != "canceled", "A canceled subscription can only update its metadata.")
    changes: Wire = {"metadata": with_metadata(one["metadata"], given["metadata"])} if "metadata" in given else {}
    if "cancel_at_period_end" in given:
        ends = flag(given, "cancel_at_period_end")
        last = max(item["current_period_end"] for item in one["items"]["data"])
        changes |= {"cancel_at_period_end": ends, "cancel_at": last if ends else None}
        changes |= {"canceled_at": account.now(one) if ends else None}
    if given.get("items"):
        changes |= {"items": _changed_items(account, one, given["items"])}
    return _set(account, one, changes)


def _changed_items(account: Account, one: Wire, asked: list[Wire]) -> Wire:
    held = [dict(item) for item in one["items"]["data"]]
    for given in asked:
        item = next((each for each in held if each["id"] == given.get("id")), None)
        if item is None:
            held.append(_add_item(account, {**one, "items": {"data": []}}, given, start=account.now(one)))
            continue
        if flag(given, "deleted"):
            held.remove(item)
            continue
        item["quantity"] = integer(given, "quantity", item["quantity"])
        if given.get("price"):
            item["price"] = dict(account.get("price", given["price"], param="price"))
        account.objects["subscription_item"][item["id"]] = item
    return {**one["items"], "data": held}


def cancel_subscription(account: Account, one: Wire) -> Wire:
    """DELETE /v1/subscriptions/{id}: at once."""
    fail_unless(one["status"] != "canceled", "The subscription is already canceled.")
    now = account.now(one)
    changes = {"status": "canceled", "canceled_at": one["canceled_at"] or now, "ended_at": now}
    return _set(account, one, changes, event="customer.subscription.deleted")


def create_schedule(account: Account, given: Wire) -> Wire:
    """POST /v1/subscription_schedules: phases after one another; the first begins now."""
    customer = account.get("customer", required(given, "customer"), param="customer")
    start, phases = account.now(customer), []
    for asked in given.get("phases") or []:
        price = account.get("price", required(asked["items"][0], "price"), param="phases")
        end = start
        for _ in range(integer(asked, "iterations", 1)):
            end = period_end(price["recurring"], anchor=start, after=end)
        end = integer(asked, "end_date", end)
        items = [
            {
                "price": each["price"],
                "quantity": integer(each, "quantity", 1),
                "metadata": {},
                "discounts": [],
                "tax_rates": [],
            }
            for each in asked["items"]
        ]
        phases.append(
            {"start_date": start, "end_date": end, "items": items, "metadata": {}, "currency": price["currency"]}
        )
        start = end
    fail_unless(bool(phases), "Missing required param: phases.", code="parameter_missing", param="phases")
    values: Wire = {
        "canceled_at": None,
        "completed_at": None,
        "current_phase": {name: phases[0][name] for name in ("start_date", "end_date")},
        "customer": customer["id"],
        "end_behavior": given.get("end_behavior", "release"),
        "phases": phases,
        "released_at": None,
        "released_subscription": None,
        "status": "active",
        "subscription": None,
        "test_clock": customer["test_clock"],
    }
    one = account.add("subscription_schedule", values, now=account.now(customer), metadata=given.get("metadata"))
    account.emit("subscription_schedule.created", one, now=account.now(customer))
    asked = {
        "customer": customer["id"],
        "items": [{**each, "quantity": str(each["quantity"])} for each in phases[0]["items"]],
    }
    one["subscription"] = create_subscription(account, asked, schedule=one["id"])["id"]
    account.emit("subscription_schedule.updated", one, now=account.now(customer))
    return one


def end_schedule(account: Account, one: Wire, *, status: str) -> Wire:
    """POST /v1/subscription_schedules/{id}/release or /cancel."""
    fail_unless(one["status"] in {"active", "not_started"}, "The schedule is already over.")
    now, subscription = account.now(one), account.objects["subscription"][one["subscription"]]
    changes: Wire = {"status": status, f"{status}_at": now, "current_phase": None}
    if status == "canceled":
        cancel_subscription(account, subscription)
    else:
        changes |= {"released_subscription": one["subscription"], "subscription": None}
        subscription["schedule"] = None
    return account.update(one, changes, event=f"subscription_schedule.{status}", now=now)


def create_clock(account: Account, given: Wire) -> Wire:
    """POST /v1/test_helpers/test_clocks."""
    values: Wire = {
        "deletes_after": account.clock() + 30 * 86_400,
        "frozen_time": integer(given, "frozen_time"),
        "name": given.get("name"),
        "status": "ready",
        "status_details": {},
    }
    one = account.add("test_helpers.test_clock", values, now=account.clock())
    account.emit("test_helpers.test_clock.created", one, now=one["frozen_time"])
    return one


def advance_clock(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/test_helpers/test_clocks/{id}/advance: everything due until then happens, in the order of time."""
    until = integer(given, "frozen_time")
    fail_unless(until > one["frozen_time"], "The time must be after the clock's.", param="frozen_time")
    account.emit("test_helpers.test_clock.advancing", {**one, "status": "advancing"}, now=one["frozen_time"])

    def turn(moment: int) -> None:
        one["frozen_time"] = moment

    run_until(account, until=until, clock=one["id"], turn=turn)
    one |= {"frozen_time": until, "status": "ready"}
    account.emit("test_helpers.test_clock.ready", one, now=until)
    return {**one, "status": "advancing"}


def run_until(account: Account, *, until: int, clock: str | None, turn: Callable[[int], None]) -> None:
    """Let everything happen that is due until a moment, for the objects of a test clock, or of none."""
    for _ in range(STEPS_MAX):
        due = min(_due(account, clock), key=lambda step: (step[0], step[1]), default=None)
        if due is None or due[0] > until:
            return
        turn(max(due[0], 0))
        due[2]()
    raise StripeError("The clock was advanced too far at once.", param="frozen_time")


def _due(account: Account, clock: str | None) -> Iterator[tuple[int, str, Callable[[], Any]]]:
    for invoice in account.objects["invoice"].values():
        waits = invoice["status"] == "draft" and invoice["billing_reason"] == "subscription_cycle"
        if waits and invoice["auto_advance"] and invoice["test_clock"] == clock:
            held = account.objects["subscription"][invoice["parent"]["subscription_details"]["subscription"]]
            at = invoice["created"] + account.rules.draft_seconds
            yield at, invoice["id"], lambda held=held, invoice=invoice: _collect(account, held, invoice)  # type: ignore[misc]
    for one in account.objects["subscription"].values():
        if one["test_clock"] == clock and one["status"] in LIVE:
            at = min(item["current_period_end"] for item in one["items"]["data"])
            yield at, one["id"], lambda one=one, at=at: _renew(account, one, at)  # type: ignore[misc]


def _renew(account: Account, one: Wire, at: int) -> None:
    elapsed = {
        item["id"]: (item["current_period_start"], item["current_period_end"])
        for item in one["items"]["data"]
        if metered.is_metered(item) and item["current_period_end"] <= at
    }
    if one["cancel_at"] is not None and one["cancel_at"] <= at:
        if elapsed:
            _bill(account, one, reason="subscription_cycle", elapsed=elapsed, ends=True)
        cancel_subscription(account, one)
        return
    schedule = account.objects["subscription_schedule"].get(str(one["schedule"] or ""))
    if schedule is not None and _next_phase(account, one, schedule, at):
        return
    before = {"items": {"data": [dict(item) for item in one["items"]["data"]]}}
    for item in one["items"]["data"]:
        if item["current_period_end"] <= at:
            item["current_period_start"] = item["current_period_end"]
            item["current_period_end"] = period_end(
                item["price"]["recurring"], anchor=one["billing_cycle_anchor"], after=item["current_period_start"]
            )
    invoice = _bill(account, one, reason="subscription_cycle", elapsed=elapsed)
    account.emit("customer.subscription.updated", one, now=invoice["created"], before=before)


def _next_phase(account: Account, one: Wire, schedule: Wire, at: int) -> bool:
    """Whether the schedule ended the subscription; otherwise its next phase's items are the subscription's from now on."""
    current = schedule["current_phase"]
    if current is None or current["end_date"] > at:
        return False
    later = [phase for phase in schedule["phases"] if phase["start_date"] >= current["end_date"]]
    if not later:
        now = account.now(one)
        changes = {"status": "completed", "completed_at": now, "current_phase": None}
        account.update(schedule, changes, event="subscription_schedule.completed", now=now)
        if schedule["end_behavior"] == "cancel":
            cancel_subscription(account, one)
            return True
        one["schedule"] = None
        return False
    phase = later[0]
    for item, wanted in zip(one["items"]["data"], phase["items"], strict=False):
        item |= {"quantity": wanted["quantity"], "price": dict(account.get("price", wanted["price"]))}
    schedule["current_phase"] = {name: phase[name] for name in ("start_date", "end_date")}
    account.emit("subscription_schedule.updated", schedule, now=account.now(one))
    return False
