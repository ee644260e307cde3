"""The state of a simulated Stripe account: objects, the ids it gives, its time, its events and its balance. Pure; no socket.

Objects are what the API shows, except that lists inside them are whole; `shown` cuts them as Stripe does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from revline.connectors.stripe.simulator.metering import Metering
from revline.connectors.stripe.simulator.wire import StripeError, Wire, list_object, missing, with_metadata

API_VERSION: Final = "2026-10-28.endive"
PREFIXES: Final[Mapping[str, str]] = {
    "customer": "cus",
    "product": "prod",
    "price": "price",
    "subscription": "sub",
    "subscription_item": "si",
    "subscription_schedule": "sub_sched",
    "invoice": "in",
    "line_item": "il",
    "invoiceitem": "ii",
    "invoice_payment": "inpay",
    "credit_note": "cn",
    "credit_note_line_item": "cnli",
    "customer_balance_transaction": "cbtxn",
    "payment_intent": "pi",
    "charge": "ch",
    "refund": "re",
    "dispute": "du",
    "balance_transaction": "txn",
    "payout": "po",
    "billing.meter": "mtr",
    "event": "evt",
    "webhook_endpoint": "we",
    "test_helpers.test_clock": "clock",
}
CUT: Final = {"invoice": "lines", "credit_note": "lines", "subscription": "items"}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of Stripe from memory only [M] and may be set otherwise.

    embedded: members of a list inside an object. fee_basis_points, fee_fixed: of a charge, in the smallest unit. dispute_fee.
    draft_seconds: how long a renewal's invoice stays a draft. events_kept_seconds: how long events can be listed. retries: seconds
    between the deliveries of one webhook. payout_days: until a payout arrives. identifier_seconds: how long the identifier of a
    meter event is unique (at least a day, as documented).
    """

    embedded: int = 10
    fee_basis_points: int = 290
    fee_fixed: int = 30
    dispute_fee: int = 1_500
    draft_seconds: int = 3_600
    events_kept_seconds: int = 30 * 86_400
    retries: tuple[int, ...] = (5, 300, 1_800, 7_200, 18_000, 36_000)
    payout_days: int = 2
    identifier_seconds: int = 86_400


class Account:
    """One account. clock: unix seconds of its own time; objects of a test clock have that clock's."""

    def __init__(self, *, clock: Callable[[], int], rules: Rules | None = None) -> None:
        self.clock, self.rules = clock, rules or Rules()
        self.objects: dict[str, dict[str, Wire]] = {kind: {} for kind in PREFIXES}
        self.events: list[Wire] = []
        self.members: dict[str, str] = {}
        """Balance transaction -> the payout it is part of."""
        self.secrets: dict[str, str] = {}
        """Webhook endpoint -> its signing secret."""
        self.metering = Metering()
        self.request = ""
        self.request_key: str | None = None
        self._numbers: dict[str, int] = {}
        self._happened: dict[str, int] = {}

    def new_id(self, kind: str) -> str:
        """The next id of a kind: the same account, called the same way, gives the same ids."""
        number = self._numbers[kind] = self._numbers.get(kind, 0) + 1
        return f"{PREFIXES[kind]}_sim{number:010d}"

    def now(self, holder: Mapping[str, Any] | None = None) -> int:
        """The time of an object's test clock, else the account's."""
        clock = str((holder or {}).get("test_clock") or "")
        held = self.objects["test_helpers.test_clock"].get(clock)
        return int(held["frozen_time"]) if held else self.clock()

    def now_of(self, customer: str) -> int:
        """The time of a customer."""
        return self.now(self.objects["customer"].get(customer))

    def add(self, kind: str, values: Wire, *, now: int, metadata: object = None) -> Wire:
        """A new object with its id; no event yet."""
        identity = self.new_id(kind)
        kept = with_metadata({}, metadata)
        one: Wire = {"id": identity, "object": kind, "created": now, "livemode": False, "metadata": kept, **values}
        self.objects[kind][identity] = one
        return one

    def seed(self, things: Iterable[Wire]) -> int:
        """Objects that are there from before, each under the id it has and without an event; of one id the last counts. Gives how
        many. KeyError for a kind the account does not keep."""
        ids = set()
        for thing in things:
            self.objects[thing["object"]][thing["id"]] = {"metadata": {}, **copy.deepcopy(thing)}
            ids.add(thing["id"])
        return len(ids)

    def get(self, kind: str, identity: str, *, param: str = "id") -> Wire:
        """An object, or Stripe's 404."""
        found = self.objects[kind].get(identity)
        if found is None:
            raise missing(kind.replace("_", " "), identity, param=param, status=404 if param == "id" else 400)
        return found

    def all(self, kind: str) -> list[Wire]:
        """Objects of a kind, newest first."""
        order = {identity: number for number, identity in enumerate(self.objects[kind])}
        return sorted(self.objects[kind].values(), key=lambda one: (one["created"], order[one["id"]]), reverse=True)

    def find(self, identity: str) -> Wire | None:
        """What an id names, shown; "in_1/payments" names the list of an invoice's payments."""
        owner, _, part = identity.partition("/")
        if part == "payments" and owner in self.objects["invoice"]:
            found = [self.shown(one) for one in self.all("invoice_payment") if one["invoice"] == owner]
            return list_object(found, url=f"/v1/invoice_payments?invoice={owner}")
        found_in = next((held for held in self.objects.values() if identity in held), None)
        return None if found_in is None else self.shown(found_in[identity])

    def shown(self, one: Wire) -> Wire:
        """An object as the API shows it: the list inside it cut after its first members."""
        copied = copy.deepcopy(one)
        inner: Any = copied.get(CUT.get(str(one.get("object")), ""))
        if isinstance(inner, dict) and len(inner["data"]) > self.rules.embedded:
            inner["data"], inner["has_more"] = inner["data"][: self.rules.embedded], True
        return copied

    def emit(self, kind: str, one: Wire, *, now: int, before: Wire | None = None) -> Wire:
        """An event about an object as it is now. before: values that it had, of an update."""
        data: Wire = {"object": self.shown(one)}
        data |= {"previous_attributes": before} if before is not None else {}
        event = {
            "id": self.new_id("event"),
            "object": "event",
            "api_version": API_VERSION,
            "created": now,
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": self.request or None, "idempotency_key": self.request_key},
            "type": kind,
        }
        self.happened(event)
        return event

    def happened(self, event: Wire) -> None:
        """An event that was made elsewhere is in the log from now on, under the id it has."""
        self.events.append(event)
        self.objects["event"][str(event["id"])] = event
        self._happened[str(event["id"])] = self.clock()

    def listed_events(self) -> Iterator[Wire]:
        """Events that can still be listed, newest first. Order and age are of happening; `created` is a test clock's time."""
        oldest = self.clock() - self.rules.events_kept_seconds
        return (event for event in reversed(self.events) if self._happened[event["id"]] >= oldest)

    def update(self, one: Wire, changes: Wire, *, event: str, now: int) -> Wire:
        """Change an object and say so, with what it was before."""
        before = {name: copy.deepcopy(one.get(name)) for name, value in changes.items() if one.get(name) != value}
        one.update(changes)
        if before:
            self.emit(event, one, now=now, before=before)
        return one

    def transaction(
        self, *, kind: str, source: str, amount: int, fee: int, currency: str, now: int, category: str = ""
    ) -> Wire:
        """A movement on the balance."""
        fees = {"amount": fee, "application": None, "currency": currency, "description": "Stripe processing fees"}
        return self.add(
            "balance_transaction",
            {
                "amount": amount,
                "available_on": now + 2 * 86_400,
                "balance_type": "payments",
                "currency": currency,
                "description": None,
                "exchange_rate": None,
                "fee": fee,
                "fee_details": [{**fees, "type": "stripe_fee"}] if fee else [],
                "net": amount - fee,
                "reporting_category": category or kind,
                "source": source,
                "status": "available",
                "type": kind,
            },
            now=now,
        )


def fail_unless(condition: bool, message: str, *, code: str = "", param: str = "") -> None:  # noqa: FBT001
    """Stripe's refusal of what the state does not allow."""
    if not condition:
        raise StripeError(message, code=code, param=param)
