"""Products, prices, subscriptions and schedules as documented become canonical ones; a test clock says nothing of its own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from revline.connectors.sdk.source import LinkRule
from revline.connectors.stripe.translate import translate
from revline.core.canonical import Price, PriceTier, Product, Subscription, SubscriptionSchedule, SubscriptionStatus
from revline.core.facts import Name
from revline.core.ids import SourceObject
from tests.contract.stripe.inputs import NEW_YORK, event, fact, facts, imported, incomplete, refusal, stripe_object

D = Decimal
LINKED = msgspec.structs.replace(
    NEW_YORK, links=(LinkRule(field="salesforce_order", connection="crm", kind="order"),)
)  # fmt: skip


def test_a_product_has_its_family_and_its_code() -> None:
    translated = fact("product.updated", stripe_object("product"))
    product = translated.snapshot
    assert isinstance(product, Product)
    assert (product.name, product.family, product.code, product.active) == ("Seat", "subscription", "SEAT", True)
    assert translated.roots == (SourceObject(connection="stripe_us", kind="product", outside_id="prod_seat"),)
    (listed,) = imported(stripe_object("product"))
    assert listed.order_key == (0, 1_793_000_500), "a listed product stands where it was last changed"


def test_a_deleted_product_stays_deleted() -> None:
    gone = fact("product.deleted", stripe_object("product"), created=1_793_000_600)
    later = fact("product.updated", stripe_object("product"), created=1_793_000_900)
    assert isinstance(gone.snapshot, Product)
    assert (gone.snapshot.deleted, gone.snapshot.active) == (True, False)
    assert gone.order_key > later.order_key


def test_a_price_below_a_cent_and_a_price_by_tiers() -> None:
    price = fact("price.created", stripe_object("price", unit_amount=None, unit_amount_decimal="0.05")).snapshot
    assert isinstance(price, Price)
    assert (price.unit_amount, price.interval, price.usage, price.product) == (
        D("0.0005"),
        "month",
        "licensed",
        "prod_seat",
    )
    tiers = [
        {
            "up_to": 100,
            "unit_amount": 10,
            "unit_amount_decimal": "10",
            "flat_amount": None,
            "flat_amount_decimal": None,
        },
        {
            "up_to": None,
            "unit_amount": None,
            "unit_amount_decimal": "0.5",
            "flat_amount": 100,
            "flat_amount_decimal": "100",
        },
    ]
    tiered = stripe_object("price", unit_amount=None, unit_amount_decimal=None, tiers_mode="graduated", tiers=tiers)
    (listed,) = imported(tiered)
    assert isinstance(listed.snapshot, Price)
    assert listed.snapshot.tiers == (
        PriceTier(up_to=D(100), unit_amount=D("0.10"), flat_amount=D("0.00")),
        PriceTier(up_to=None, unit_amount=D("0.005"), flat_amount=D("1.00")),
    )


def test_a_subscription_with_its_items_and_its_order() -> None:
    (translated,) = facts(event("customer.subscription.created", stripe_object("subscription")), LINKED)
    subscription = translated.snapshot
    assert isinstance(subscription, Subscription)
    assert (subscription.status, subscription.customer) == (SubscriptionStatus.ACTIVE, "cus_Alder1")
    (item,) = subscription.items
    assert (item.price, item.product, item.quantity) == ("price_seat", "prod_seat", D(12))
    assert item.period_end == datetime.fromtimestamp(1_796_112_000, UTC)
    assert subscription.links == (SourceObject(connection="crm", kind="order", outside_id="801A"),)
    assert Name(kind="order", value="801A") in translated.names


@pytest.mark.parametrize(
    ("status", "canonical"),
    [
        ("incomplete", "incomplete"), ("incomplete_expired", "ended"), ("trialing", "trialing"), ("active", "active"),
        ("past_due", "past_due"), ("paused", "paused"), ("unpaid", "unpaid"), ("canceled", "ended"),
    ],
)  # fmt: skip
def test_every_status_of_a_subscription(status: str, canonical: str) -> None:
    snapshot = fact("customer.subscription.updated", stripe_object("subscription", status=status)).snapshot
    assert isinstance(snapshot, Subscription)
    assert snapshot.status == canonical


def test_an_ended_subscription_outranks_what_came_late() -> None:
    ended = stripe_object("subscription", status="canceled", ended_at=1_793_600_000)
    gone = fact("customer.subscription.deleted", ended, created=1_793_600_000)
    late = fact("customer.subscription.updated", stripe_object("subscription"), created=1_793_600_001)
    assert gone.order_key > late.order_key


def test_more_items_than_the_message_holds_are_read_again() -> None:
    thing = stripe_object("subscription")
    thing["items"]["has_more"] = True
    asked = incomplete("customer.subscription.updated", thing)
    assert (asked.source.kind, asked.object_kind, asked.source.outside_id) == ("subscription", "subscription", "sub_1")


def test_an_older_subscription_has_its_period_on_itself() -> None:
    thing = stripe_object("subscription", current_period_start=1_793_520_000, current_period_end=1_796_112_000)
    for name in ("current_period_start", "current_period_end"):
        del thing["items"]["data"][0][name]
    snapshot = fact("customer.subscription.updated", thing).snapshot
    assert isinstance(snapshot, Subscription)
    assert snapshot.items[0].period_start == datetime.fromtimestamp(1_793_520_000, UTC)


def test_a_schedule_has_its_phases() -> None:
    snapshot = fact("subscription_schedule.updated", stripe_object("subscription_schedule")).snapshot
    assert isinstance(snapshot, SubscriptionSchedule)
    first, second = snapshot.phases
    assert (first.end_at, second.start_at) == (second.start_at, first.end_at), "phases are half-open"
    assert [(item.outside_id, item.price, item.quantity) for item in second.items] == [
        ("1.0", "price_seat", D(20)),
        ("1.1", "price_calls", None),
    ]
    assert (snapshot.subscription, snapshot.status) == ("sub_1", "active")
    released = stripe_object(
        "subscription_schedule", status="released", subscription=None, released_subscription="sub_1"
    )
    later = fact("subscription_schedule.released", released).snapshot
    assert isinstance(later, SubscriptionSchedule)
    assert later.subscription == "sub_1"


@pytest.mark.parametrize("name", ["subscription", "subscription_schedule"])
def test_a_status_stripe_does_not_document_is_refused(name: str) -> None:
    assert refusal("some.event", stripe_object(name, status="lost")).field == "status"


@pytest.mark.parametrize(
    "thing",
    [
        {"id": "clock_1", "object": "test_helpers.test_clock", "frozen_time": 1_900_000_000, "status": "ready"},
        {"id": "txr_20", "object": "tax_rate", "percentage": 20},
        {"id": "price_seat", "object": "plan"},
        {"id": "ccsbtxn_1", "object": "customer_cash_balance_transaction", "type": "funded", "net_amount": 5_000},
    ],
)
def test_what_is_silent_makes_no_fact_and_no_case(thing: dict[str, Any]) -> None:
    assert translate(body=event("some.event", thing | {"livemode": False}), context=NEW_YORK) == ()


def test_the_order_of_simulated_time_is_the_order_of_the_clock() -> None:
    """Events of a test clock carry the clock's time, years ahead perhaps; nothing else decides what is newest."""
    renewed = fact("customer.subscription.updated", stripe_object("subscription"), created=1_990_000_000)
    before = fact(
        "customer.subscription.updated", stripe_object("subscription"), created=1_989_999_999, event_id="evt_2"
    )
    assert renewed.order_key == (0, 1_990_000_000)
    assert renewed.order_key > before.order_key


def test_a_subscription_may_come_as_an_export_of_events() -> None:
    body = event("customer.subscription.created", stripe_object("subscription"))
    assert json.loads(body)["data"]["object"]["id"] == imported(json.loads(body))[0].source.outside_id
