"""Webhooks of the simulated Stripe: signed as the official library checks it, tried again, and wrong on demand."""

from __future__ import annotations

import json

import stripe

from revline.connectors.stripe.simulator.api import SimulatedStripe
from revline.connectors.stripe.simulator.webhooks import Delivery
from tests.contract.stripe_api.conftest import JANUARY

KEY = "sk_test_simulated"


class Ear:
    """An account called without a socket, and what its one endpoint gets."""

    def __init__(self) -> None:
        self.at = JANUARY
        self.stripe = SimulatedStripe(key=KEY, clock=lambda: self.at)
        made = self.post("/v1/webhook_endpoints", "url=https://hooks.example/x&enabled_events[]=customer.created")
        self.secret = made["secret"]

    def post(self, path: str, body: str) -> dict[str, str]:
        answer = self.stripe.call(
            method="POST", target=path, headers={"authorization": f"Bearer {KEY}"}, body=body.encode()
        )
        assert answer.status == 200, answer.body
        found: dict[str, str] = json.loads(answer.body)
        return found

    def customers(self, *names: str) -> None:
        for name in names:
            self.post("/v1/customers", f"name={name}")

    def heard(self, *, taken: bool = True) -> list[str]:
        found = self.stripe.outbox.due()
        for delivery in found:
            self.stripe.outbox.done(delivery, taken=taken)
        return [json.loads(one.body)["data"]["object"]["name"] for one in found]


def test_a_delivery_is_proved_by_the_official_library() -> None:
    ear = Ear()
    ear.customers("Ada")
    delivery: Delivery = ear.stripe.outbox.due()[0]
    header = ear.stripe.outbox.headers(delivery)["stripe-signature"]
    event = stripe.Webhook.construct_event(delivery.body, header, ear.secret, tolerance=10**9)
    assert (event.type, event.data.object.name) == ("customer.created", "Ada")


def test_only_the_events_asked_for_are_delivered_once() -> None:
    ear = Ear()
    ear.customers("Ada", "Grace")
    ear.post("/v1/products", "name=Pro")
    assert (ear.heard(), ear.heard()) == (["Ada", "Grace"], [])


def test_what_is_not_taken_comes_again_later_and_is_given_up_at_last() -> None:
    ear = Ear()
    ear.customers("Ada")
    tries = 0
    for _ in range(20):
        tries += len(ear.heard(taken=False))
        ear.at += 86_400
    assert tries == 1 + len(ear.stripe.account.rules.retries)
    assert len(ear.stripe.outbox.lost) == 1


def test_deliveries_get_lost_doubled_and_out_of_order_on_demand() -> None:
    ear = Ear()
    ear.stripe.add_fault("drop_webhook")
    ear.customers("Ada", "Grace")
    assert ear.heard() == ["Grace"]
    ear.stripe.add_fault("double_webhook")
    ear.customers("Ada")
    assert ear.heard() == ["Ada", "Ada"]
    ear.customers("Ada")
    ear.stripe.add_fault("reorder_webhooks")
    ear.customers("Grace")
    assert ear.heard() == ["Grace", "Ada"]
