"""Meters of the simulated Stripe: what is metered, the events that come in, their cancellation, and what they add up to.

Rules as documented: an identifier is unique for a day at least; an event is at most 35 days old and five minutes ahead; it can be
cancelled for a day; sum, count and last; hourly or daily pre-aggregated meters keep the newest event of each hour or day in UTC;
negative values lower a sum, and an invoice never counts below zero. What the stream takes is judged later (`reports`).
Sources: docs.stripe.com/api/billing/meter, /meter-event, /meter-event-adjustment, /meter-event-summary,
docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api, changelog 2026-04-22 (digits of a value).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec

from revline.connectors.stripe.simulator.account import Account, fail_unless
from revline.connectors.stripe.simulator.wire import StripeError, Wire, integer, list_object, missing, required

METER: Final = "billing.meter"
DAY: Final = 86_400
HOUR: Final = 3_600
MINUTE: Final = 60
PAST_MAX: Final = 35 * DAY
AHEAD_MAX: Final = 5 * MINUTE
FORMULAS: Final = frozenset({"sum", "count", "last"})
WINDOWS: Final = {"hour": HOUR, "day": DAY}
TEXT_MAX: Final = 100
DIGITS_MAX: Final = 15
SUMMARIES_MAX: Final = 10_000
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?\Z")


class MeterEvent(msgspec.Struct, kw_only=True):
    """One event that counts. number: in order of arrival. received: the account's time when it came."""

    number: int
    meter: str
    event_name: str
    identifier: str
    customer: str
    value: Decimal
    timestamp: int
    received: int
    payload: dict[str, str]
    cancelled: bool = False


class RefusedEventError(StripeError):
    """Why an event does not count, with the code an error report has for it. meter: "" where none was found."""

    def __init__(self, message: str, *, reason: str, meter: str = "", code: str = "", param: str = "") -> None:
        super().__init__(message, code=code, param=param)
        self.reason, self.meter = reason, meter


def create_meter(account: Account, given: Wire) -> Wire:
    """POST /v1/billing/meters."""
    name = required(given, "event_name")
    formula = str((given.get("default_aggregation") or {}).get("formula", ""))
    fail_unless(formula in FORMULAS, "Invalid formula", param="default_aggregation[formula]")
    fail_unless(len(name) <= TEXT_MAX, "Invalid string: event_name is too long", param="event_name")
    taken = any(one["event_name"] == name and one["status"] == "active" for one in account.objects[METER].values())
    fail_unless(not taken, f"An active meter with the event name {name} exists already.", param="event_name")
    window = given.get("event_time_window")
    fail_unless(window is None or window in WINDOWS, "Invalid event_time_window", param="event_time_window")
    mapping, settings = given.get("customer_mapping") or {}, given.get("value_settings") or {}
    now = account.clock()
    values: Wire = {
        "customer_mapping": {
            "event_payload_key": mapping.get("event_payload_key", "stripe_customer_id"),
            "type": "by_id",
        },
        "default_aggregation": {"formula": formula},
        "display_name": required(given, "display_name"),
        "event_name": name,
        "event_time_window": window,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": now,
        "value_settings": {"event_payload_key": settings.get("event_payload_key", "value")},
    }
    one = account.add(METER, values, now=now)
    del one["metadata"]
    account.emit("billing.meter.created", one, now=now)
    return one


def update_meter(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/billing/meters/{id}: its name alone."""
    now = account.clock()
    changes = {"display_name": required(given, "display_name"), "updated": now}
    return account.update(one, changes, event="billing.meter.updated", now=now)


def set_active(account: Account, one: Wire, *, active: bool) -> Wire:
    """POST /v1/billing/meters/{id}/deactivate or /reactivate."""
    now, verb = account.clock(), "reactivated" if active else "deactivated"
    fail_unless((one["status"] == "active") is not active, f"The meter is already {one['status']}.")
    changes: Wire = {
        "status": "active" if active else "inactive",
        "status_transitions": {"deactivated_at": None if active else now},
        "updated": now,
    }
    return account.update(one, changes, event=f"billing.meter.{verb}", now=now)


def checked(account: Account, given: Wire) -> MeterEvent:
    """An event that may count; `RefusedEventError` or `StripeError` says why it does not."""
    name, payload = required(given, "event_name"), given.get("payload")
    if not isinstance(payload, dict) or not payload:
        raise StripeError("Missing required param: payload.", code="parameter_missing", param="payload")
    meter = _meter_of(account, name)
    number = len(account.metering.events) + 1
    identifier = str(given.get("identifier") or f"sim{number:010d}")
    fail_unless(len(identifier) <= TEXT_MAX, "Invalid string: identifier is too long", param="identifier")
    customer = _customer_of(account, meter, payload)
    now = account.now(customer)
    timestamp = integer(given, "timestamp", now)
    if timestamp < now - PAST_MAX:
        detail = "The timestamp must be within the past 35 calendar days."
        raise RefusedEventError(detail, reason="timestamp_too_far_in_past", meter=meter["id"], param="timestamp")
    if timestamp > now + AHEAD_MAX:
        detail = "The timestamp must be at most 5 minutes in the future."
        raise RefusedEventError(detail, reason="timestamp_in_future", meter=meter["id"], param="timestamp")
    return MeterEvent(
        number=number,
        meter=meter["id"],
        event_name=name,
        identifier=identifier,
        customer=customer["id"],
        value=_value_of(meter, payload),
        timestamp=timestamp,
        received=account.clock(),
        payload={str(key): str(value) for key, value in payload.items()},
    )


def take(account: Account, event: MeterEvent) -> MeterEvent:
    """Count an event, unless its identifier was seen within the last day."""
    known = account.metering.by_identifier.get(event.identifier)
    if known is not None and known.received > event.received - account.rules.identifier_seconds:
        raise StripeError(f"An event already exists with identifier {event.identifier}.", param="identifier")
    account.metering.events.append(event)
    account.metering.by_identifier[event.identifier] = event
    return event


def create_event(account: Account, given: Wire) -> Wire:
    """POST /v1/billing/meter_events."""
    if account.metering.judged_later:
        account.metering.judged_later -= 1
        return _unjudged(account, given)
    return shown_event(take(account, checked(account, given)))


def shown_event(event: MeterEvent) -> Wire:
    """An event as the API shows it; it has no id but its identifier."""
    return {
        "object": "billing.meter_event",
        "created": event.received,
        "event_name": event.event_name,
        "identifier": event.identifier,
        "livemode": False,
        "payload": dict(event.payload),
        "timestamp": event.timestamp,
    }


def _unjudged(account: Account, given: Wire) -> Wire:
    """Taken, and told to be wrong later only: what validation finds when it runs after the answer."""
    name = required(given, "event_name")
    meter = next((one["id"] for one in account.objects[METER].values() if one["event_name"] == name), "")
    account.metering.refuse(
        meter=meter,
        reason="meter_event_customer_not_found",
        message="No such customer",
        identifier=given.get("identifier"),
    )
    now = account.clock()
    return {
        "object": "billing.meter_event",
        "created": now,
        "event_name": name,
        "identifier": str(given.get("identifier", "")),
        "livemode": False,
        "payload": dict(given.get("payload") or {}),
        "timestamp": integer(given, "timestamp", now),
    }


def cancel(account: Account, given: Wire) -> Wire:
    """POST /v1/billing/meter_event_adjustments: an event that came within the last day counts no more."""
    fail_unless(given.get("type") == "cancel", "Invalid type: must be cancel", param="type")
    name = required(given, "event_name")
    identifier = required(given.get("cancel") or {}, "identifier")
    event = account.metering.by_identifier.get(identifier)
    if event is None or event.event_name != name:
        raise missing("meter event", identifier, param="cancel[identifier]", status=400)
    fail_unless(not event.cancelled, f"The event {identifier} is already canceled.", param="cancel[identifier]")
    fail_unless(
        event.received > account.clock() - DAY,
        "Meter events can only be canceled within 24 hours of being received.",
        param="cancel[identifier]",
    )
    event.cancelled = True
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": name,
        "livemode": False,
        "status": "complete",
        "type": "cancel",
    }


def used(account: Account, *, meter: str, customer: str, start: int, end: int) -> Decimal | None:
    """What a customer's events from start up to end add up to by the meter's formula; None when there are none."""
    one = account.objects[METER][meter]
    found = sorted(
        (
            event
            for event in account.metering.events
            if (event.meter, event.customer) == (meter, customer)
            and start <= event.timestamp < end
            and not event.cancelled
        ),
        key=lambda event: (event.timestamp, event.number),
    )
    counted = _newest_of_each(found, WINDOWS.get(str(one["event_time_window"])))
    if not counted:
        return None
    formula = one["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(counted))
    return counted[-1].value if formula == "last" else sum((event.value for event in counted), Decimal(0))


def _newest_of_each(found: list[MeterEvent], seconds: int | None) -> list[MeterEvent]:
    """The event received last of each pre-aggregated window; every one where the meter takes raw events."""
    if seconds is None:
        return found
    newest: dict[int, MeterEvent] = {}
    for event in sorted(found, key=lambda one: one.number):
        newest[event.timestamp // seconds] = event
    return [newest[window] for window in sorted(newest)]


def summaries(account: Account, one: Wire, given: Wire, *, url: str) -> Wire:
    """GET /v1/billing/meters/{id}/event_summaries."""
    customer = account.get("customer", required(given, "customer"), param="customer")["id"]
    start, end = integer(given, "start_time"), integer(given, "end_time")
    grouping = given.get("value_grouping_window")
    fail_unless(grouping is None or grouping in WINDOWS, "Invalid value_grouping_window", param="value_grouping_window")
    step = WINDOWS.get(str(grouping), MINUTE)
    fail_unless(start % step == 0, "start_time is not aligned.", param="start_time")
    fail_unless(end % step == 0 and end > start, "end_time is not aligned.", param="end_time")
    bounds = [(start, end)]
    if grouping is not None:
        fail_unless((end - start) // step <= SUMMARIES_MAX, "The range is too long.", param="end_time")
        bounds = [(moment, moment + step) for moment in range(start, end, step)]
    made = [
        {
            "object": "billing.meter_event_summary",
            "aggregated_value": _number(value),
            "end_time": until,
            "id": f"mtrusg_sim{one['id'][-10:]}{begin}",
            "livemode": False,
            "meter": one["id"],
            "start_time": begin,
        }
        for begin, until in reversed(bounds)
        if (value := used(account, meter=one["id"], customer=customer, start=begin, end=until)) is not None
    ]
    if grouping is None and not made:
        made = [_nothing(one, start, end)]
    limit = integer(given, "limit", 10)
    after = str(given.get("starting_after", ""))
    ids = [each["id"] for each in made]
    fail_unless(not after or after in ids, "No such object", param="starting_after")
    rest = made[ids.index(after) + 1 :] if after else made
    return list_object(rest[:limit], url=url, more=len(rest) > limit)


def _nothing(one: Wire, start: int, end: int) -> Wire:
    return {
        "object": "billing.meter_event_summary", "aggregated_value": 0, "end_time": end,
        "id": f"mtrusg_sim{one['id'][-10:]}{start}", "livemode": False, "meter": one["id"], "start_time": start,
    }  # fmt: skip


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _meter_of(account: Account, name: str) -> Wire:
    found: Iterable[Wire] = (one for one in account.objects[METER].values() if one["event_name"] == name)
    meters = sorted(found, key=lambda one: str(one["status"]))
    if not meters:
        raise RefusedEventError(f"No active meter found for event name {name}.", reason="no_meter", param="event_name")
    if meters[0]["status"] != "active":
        detail = f"The meter for event name {name} is inactive."
        raise RefusedEventError(detail, reason="archived_meter", meter=meters[0]["id"], param="event_name")
    return meters[0]


def _customer_of(account: Account, meter: Wire, payload: Wire) -> Wire:
    key = meter["customer_mapping"]["event_payload_key"]
    identity = str(payload.get(key) or "")
    if not identity:
        detail = f"The payload has no {key}."
        raise RefusedEventError(detail, reason="meter_event_no_customer_defined", meter=meter["id"], param="payload")
    customer = account.objects["customer"].get(identity)
    if customer is None or customer.get("deleted"):
        detail = f"No such customer: '{identity}'"
        raise RefusedEventError(
            detail, reason="meter_event_customer_not_found", meter=meter["id"], code="resource_missing", param="payload"
        )
    return customer


def _value_of(meter: Wire, payload: Wire) -> Decimal:
    if meter["default_aggregation"]["formula"] == "count":
        return Decimal(1)
    given: Any = payload.get(meter["value_settings"]["event_payload_key"])
    text = str(given)
    if given is None or not _NUMBER.match(text):
        detail = f"The value in the event payload must be numeric. Received {text[:60]}."
        raise RefusedEventError(detail, reason="meter_event_invalid_value", meter=meter["id"], param="payload")
    if len(text.lstrip("-0").replace(".", "").lstrip("0")) > DIGITS_MAX:
        detail = f"The value in the event payload can have at most {DIGITS_MAX} digits. Received {text[:60]}."
        raise RefusedEventError(detail, reason="meter_event_value_too_many_digits", meter=meter["id"], param="payload")
    return Decimal(text)
