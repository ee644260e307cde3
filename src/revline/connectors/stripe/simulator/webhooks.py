"""Webhooks of the simulated Stripe: endpoints, signed deliveries, retries, and deliveries that get lost, doubled or out of order.

Pure: what is due is given out, what became of it is told. Sources: docs.stripe.com/webhooks, /api/webhook_endpoints.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Final

import msgspec

from revline.connectors.stripe.simulator.account import Account
from revline.connectors.stripe.simulator.metering import thin
from revline.connectors.stripe.simulator.wire import Wire, required

PENDING_MAX: Final = 100_000
THIN: Final = "v2.core.event"


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to deliver an event. due: unix seconds; attempt: 0 first; body: the event's exact bytes."""

    due: int
    number: int
    attempt: int
    endpoint: str
    event: str
    url: str
    body: bytes


class Outbox:
    """Deliveries that are waiting. fault: asks whether a fault of this name strikes now (drop, double, reorder)."""

    def __init__(self, *, account: Account, fault: Callable[[str], bool]) -> None:
        self._account, self._fault = account, fault
        self._told = 0
        self._number = 0
        self.waiting: list[Delivery] = []
        self.lost: list[str] = []
        """Events of which a delivery was dropped on demand or given up."""

    def collect(self) -> None:
        """Queue what happened since the last time."""
        now = self._account.clock()
        told = len(self._account.events)
        for event in (*self._account.events[self._told :], *map(thin, self._account.metering.reports(now=now))):
            for endpoint in self._account.objects["webhook_endpoint"].values():
                wanted = endpoint["enabled_events"]
                every = "*" in wanted and event["object"] != THIN
                if endpoint["status"] != "enabled" or not (every or event["type"] in wanted):
                    continue
                if self._fault("drop_webhook"):
                    self.lost.append(event["id"])
                    continue
                for _ in range(2 if self._fault("double_webhook") else 1):
                    self._put(endpoint, event)
        self._told = told
        if len(self.waiting) > 1 and self._fault("reorder_webhooks"):
            self.waiting.reverse()

    def _put(self, endpoint: Wire, event: Wire) -> None:
        if len(self.waiting) >= PENDING_MAX:
            self.lost.append(event["id"])
            return
        self._number += 1
        shown = event if event["object"] == THIN else {**event, "pending_webhooks": 1}
        body = json.dumps(shown, indent=2).encode()
        self.waiting.append(
            Delivery(
                due=self._account.clock(),
                number=self._number,
                attempt=0,
                endpoint=endpoint["id"],
                event=event["id"],
                url=endpoint["url"],
                body=body,
            )
        )

    def due(self) -> list[Delivery]:
        """What is to be delivered now; each is to be told about with `done`."""
        now = self._account.clock()
        found = [one for one in self.waiting if one.due <= now]
        self.waiting = [one for one in self.waiting if one.due > now]
        return found

    def done(self, delivery: Delivery, *, taken: bool) -> None:
        """What became of a delivery: not taken, it comes again later, and at last is given up."""
        retries = self._account.rules.retries
        if taken:
            return
        if delivery.attempt >= len(retries):
            self.lost.append(delivery.event)
            return
        due = self._account.clock() + retries[delivery.attempt]
        self.waiting.append(msgspec.structs.replace(delivery, due=due, attempt=delivery.attempt + 1))

    def headers(self, delivery: Delivery) -> dict[str, str]:
        """The headers of a delivery, signed for now."""
        now, secret = self._account.clock(), self._account.secrets[delivery.endpoint]
        signed = hmac.new(secret.encode(), f"{now}.".encode() + delivery.body, hashlib.sha256).hexdigest()
        return {
            "content-type": "application/json; charset=utf-8",
            "stripe-signature": f"t={now},v1={signed}",
            "user-agent": "Stripe/1.0",
        }


def create_endpoint(account: Account, given: Wire) -> Wire:
    """POST /v1/webhook_endpoints; the secret is shown here only."""
    values: Wire = {
        "api_version": given.get("api_version"),
        "application": None,
        "description": given.get("description"),
        "enabled_events": list(given.get("enabled_events") or ["*"]),
        "status": "enabled",
        "url": required(given, "url"),
    }
    one = account.add("webhook_endpoint", values, now=account.clock(), metadata=given.get("metadata"))
    account.secrets[one["id"]] = f"whsec_{hashlib.sha256(one['id'].encode()).hexdigest()[:32]}"
    return {**one, "secret": account.secrets[one["id"]]}


def delete_endpoint(account: Account, one: Wire) -> Wire:
    """DELETE /v1/webhook_endpoints/{id}."""
    del account.objects["webhook_endpoint"][one["id"]]
    return {"id": one["id"], "object": "webhook_endpoint", "deleted": True}
