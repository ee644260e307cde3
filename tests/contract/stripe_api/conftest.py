"""A simulated Stripe on a free port and the official library that talks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import stripe

from revline.connectors.stripe.simulator.account import Rules
from revline.connectors.stripe.simulator.server import RunningStripe

JANUARY = 1_767_225_600
"""2026-01-01 00:00 UTC."""


class Shop:
    """The account with things to sell. library: the official client's API; at: the account's time, to be moved."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.at = JANUARY
        self.running = RunningStripe(clock=lambda: self.at, rules=rules)
        self.running.__enter__()
        self.client = stripe.StripeClient(
            self.running.key,
            base_addresses={"api": self.running.base_url, "meter_events": self.running.base_url},
            max_network_retries=0,
        )
        self.library: Any = self.client.v1

    def retrying(self) -> Any:
        """The library as it is used outside tests: it tries again by itself."""
        client = stripe.StripeClient(
            self.running.key, base_addresses={"api": self.running.base_url}, max_network_retries=2
        )
        return client.v1

    def price(self, amount: int = 5_000) -> str:
        product = self.library.products.create({"name": "Pro"})
        given = {"product": product.id, "currency": "usd", "unit_amount": amount, "recurring": {"interval": "month"}}
        return str(self.library.prices.create(given).id)

    def paid_invoice(self, amount: int = 10_000, lines: int = 1) -> Any:
        customer = self.library.customers.create({"name": "Ada", "email": "ada@example.com"})
        for number in range(lines):
            self.library.invoice_items.create(
                {"customer": customer.id, "currency": "usd", "amount": amount, "description": f"Work {number}"}
            )
        invoice = self.library.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
        return self.library.invoices.pay(invoice.id)

    def charge_of(self, invoice: Any) -> str:
        payments = self.library.invoice_payments.list({"invoice": invoice.id}).data
        intent = self.library.payment_intents.retrieve(payments[0].payment.payment_intent)
        return str(intent.latest_charge)

    def simulate(self, path: str, **given: str) -> Any:
        """What a bank or the dashboard does."""
        return self.client.raw_request("post", path, **given)

    def event_types(self) -> list[str]:
        """Oldest first."""
        return [event.type for event in self.library.events.list({"limit": 100}).auto_paging_iter()][::-1]


@pytest.fixture
def shop() -> Iterator[Shop]:
    one = Shop()
    yield one
    one.running.__exit__()


@pytest.fixture
def shop_of() -> Iterator[Callable[..., Shop]]:
    made: list[Shop] = []

    def build(**rules: Any) -> Shop:
        made.append(Shop(rules=Rules(**rules)))
        return made[-1]

    yield build
    for one in made:
        one.running.__exit__()
