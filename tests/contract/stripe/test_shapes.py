"""Played objects and fixtures have the fields that the official library declares: none made up, none it needs left out."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from types import NoneType
from typing import Any, get_args

import pytest
import stripe

from revline.core.clock import month_of
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeProfile
from tests.contract.stripe.inputs import FIXTURES

DECLARED: dict[str, type[stripe.StripeObject]] = {
    "balance_transaction": stripe.BalanceTransaction,
    "charge": stripe.Charge,
    "credit_note": stripe.CreditNote,
    "credit_note_line_item": stripe.CreditNoteLineItem,
    "customer": stripe.Customer,
    "customer_balance_transaction": stripe.CustomerBalanceTransaction,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "payout": stripe.Payout,
    "price": stripe.Price,
    "product": stripe.Product,
    "refund": stripe.Refund,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "subscription_schedule": stripe.SubscriptionSchedule,
}
NOT_PLAYED = frozenset({"subscription_schedule"})
PROFILE = StripeProfile(
    account="us",
    customer_prefix="Example",
    invoices=30,
    other_currency="EUR",
    other_share=Decimal("0.3"),
    converted=1,
    subscriptions=3,
    credit_share=Decimal("0.05"),
    memo_balance_share=Decimal("0.05"),
    dispute_won_share=Decimal("0.05"),
)


def fields_of(kind: str) -> dict[str, bool]:
    """Each declared field, and whether it must be there."""
    declared = DECLARED[kind].__annotations__
    return {name: NoneType not in get_args(annotation) for name, annotation in declared.items() if name.islower()}


def played_objects() -> dict[str, list[dict[str, Any]]]:
    month = generate(seed=3, month=month_of(day=date(2026, 10, 1)), profile=PROFILE)
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in DECLARED}
    for body in month.webhooks:
        event = json.loads(body)
        thing = event["data"]["object"]
        found["event"].append(event)
        found[thing["object"]].append(thing)
        for holder, inside in (("invoice", "line_item"), ("credit_note", "credit_note_line_item")):
            found[inside] += thing["lines"]["data"] if thing["object"] == holder else []
        found["subscription_item"] += thing["items"]["data"] if thing["object"] == "subscription" else []
    found["customer_balance_transaction"] = [json.loads(body) for body in month.credit_movements]
    found["balance_transaction"] = [json.loads(body) for body in month.balance_transactions]
    return found


PLAYED = played_objects()


@pytest.mark.parametrize("kind", sorted(DECLARED.keys() - NOT_PLAYED))
def test_a_played_object_has_the_declared_fields(kind: str) -> None:
    declared = fields_of(kind)
    required = {name for name, needed in declared.items() if needed}
    assert PLAYED[kind]
    for thing in PLAYED[kind]:
        assert set(thing) <= set(declared), "no field is made up"
        assert not required - set(thing), "no field that must be there is left out"


@pytest.mark.parametrize(
    "name",
    sorted(path.stem for path in FIXTURES.glob("*.json") if path.stem not in {"deleted_customer", "invoice_2017"}),
)
def test_a_fixture_makes_no_field_up(name: str) -> None:
    assert set(json.loads((FIXTURES / f"{name}.json").read_text())) <= set(fields_of(name))
