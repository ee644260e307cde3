"""The second version of the simulated Stripe's API, as far as metered use needs it: JSON bodies, RFC 3339 times, thin events.

Sources: docs.stripe.com/api/v2/billing-meter, /billing-meter-stream, /billing-meter-adjustment, /api/v2/core/events,
docs.stripe.com/api-v2-overview (errors, idempotency).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from revline.connectors.stripe.simulator import meters
from revline.connectors.stripe.simulator.account import Account
from revline.connectors.stripe.simulator.metering import moment, seconds_of
from revline.connectors.stripe.simulator.meters import RefusedEventError
from revline.connectors.stripe.simulator.wire import StripeError, Wire, integer, required

PREFIX: Final = "/v2/"
STREAM: Final = "/v2/billing/meter_event_stream"
SESSION_SECONDS: Final = 15 * 60
STREAM_EVENTS_MAX: Final = 100
EVENT_PATH: Final = "/v2/core/events/"


def body_of(raw: bytes) -> Wire:
    """A JSON body as values."""
    try:
        found = json.loads(raw or b"{}")
    except ValueError:
        raise StripeError("The request body is not JSON", code="invalid_json") from None
    if not isinstance(found, dict):
        raise StripeError("The request body is not an object", code="invalid_json")
    return found


def answer(account: Account, *, method: str, path: str, given: Wire) -> Wire:
    """What a call gives. Raises StripeError."""
    if method == "POST" and path == "/v2/billing/meter_event_session":
        return _session(account)
    if method == "POST" and path == "/v2/billing/meter_events":
        return _shown(meters.take(account, meters.checked(account, _classic(given))))
    if method == "POST" and path == STREAM:
        return _stream(account, given)
    if method == "POST" and path == "/v2/billing/meter_event_adjustments":
        return _cancel(account, given)
    if method == "GET" and path == "/v2/core/events":
        return _events(account, given)
    if method == "GET" and path.startswith(EVENT_PATH):
        found = account.metering.thin.get(path.removeprefix(EVENT_PATH))
        if found is None:
            raise StripeError("No such event", status=404, code="not_found")
        return found
    raise StripeError(f"Unrecognized request URL ({method}: {path}).", status=404, code="not_found")


def admits(account: Account, *, token: str) -> None:
    """Whether a token opens the stream now."""
    until = account.metering.sessions.get(token)
    if until is None:
        raise StripeError("Invalid authentication token", status=401, code="invalid_authentication_token")
    if until <= account.clock():
        raise StripeError(
            "The session has expired", status=401, kind="temporary_session_expired",
            code="billing_meter_event_session_expired",
        )  # fmt: skip


def _session(account: Account) -> Wire:
    now, number = account.clock(), len(account.metering.sessions) + 1
    identity = f"mes_sim{number:010d}"
    token = f"token_{hashlib.sha256(identity.encode()).hexdigest()[:32]}"
    account.metering.sessions[token] = now + SESSION_SECONDS
    return {
        "object": "v2.billing.meter_event_session",
        "id": identity,
        "authentication_token": token,
        "created": moment(now),
        "expires_at": moment(now + SESSION_SECONDS),
        "livemode": False,
    }


def _stream(account: Account, given: Wire) -> Wire:
    """Events that are judged after the answer: one that is wrong, or was seen before, is told of later or never."""
    events = given.get("events")
    if not isinstance(events, list) or not 0 < len(events) <= STREAM_EVENTS_MAX:
        raise StripeError(f"events takes 1 to {STREAM_EVENTS_MAX} events", code="invalid_parameter", param="events")
    for one in events:
        _judged_later(account, one if isinstance(one, dict) else {})
    return {}


def _judged_later(account: Account, one: Mapping[str, Any]) -> None:
    identifier = one.get("identifier")
    try:
        event = meters.checked(account, _classic(one))
    except RefusedEventError as error:
        account.metering.refuse(meter=error.meter, reason=error.reason, message=str(error), identifier=identifier)
        return
    except StripeError as error:
        account.metering.refuse(meter="", reason="meter_event_invalid_value", message=str(error), identifier=identifier)
        return
    known = account.metering.by_identifier.get(event.identifier)
    if known is None or known.received <= event.received - account.rules.identifier_seconds:
        meters.take(account, event)


def _cancel(account: Account, given: Wire) -> Wire:
    made = meters.cancel(account, given)
    account.metering.adjustments += 1
    return {
        **made,
        "object": "v2.billing.meter_event_adjustment",
        "id": f"mtr_evt_adj_sim{account.metering.adjustments:010d}",
        "created": moment(account.clock()),
    }


def _events(account: Account, given: Wire) -> Wire:
    """Thin events about an object, newest first."""
    wanted = required(given, "object_id")
    found = [
        one for one in reversed(account.metering.thin.values()) if (one["related_object"] or {}).get("id") == wanted
    ]
    limit = integer(given, "limit", 10)
    return {"data": found[:limit], "next_page_url": None, "previous_page_url": None}


def _classic(given: Mapping[str, Any]) -> Wire:
    """An event of the second version in the first one's fields: its time as unix seconds."""
    made = dict(given)
    stamp = made.pop("timestamp", None)
    if stamp is not None:
        found = seconds_of(str(stamp))
        if found is None:
            raise StripeError(f"Invalid timestamp: {stamp}", code="invalid_parameter", param="timestamp")
        made["timestamp"] = str(found)
    return made


def _shown(event: meters.MeterEvent) -> Wire:
    return {
        **meters.shown_event(event),
        "object": "v2.billing.meter_event",
        "created": moment(event.received),
        "timestamp": moment(event.timestamp),
    }
