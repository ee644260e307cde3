"""A played month of Stripe is consistent, repeatable, and shows everything its profile promises."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from revline.connectors.sdk.source import SourceContext
from revline.connectors.stripe.signature import verify
from revline.connectors.stripe.translate import translate, translate_object
from revline.core.canonical import Invoice, Payment
from revline.core.clock import local_date, month_of
from revline.core.problem import Problem
from revline.sim.stripe_month import generate, sign
from revline.sim.stripe_profile import StripeMonth, StripeProfile

OCTOBER = month_of(day=date(2026, 10, 1))
SMALL = StripeProfile(account="us", customer_prefix="Example")


def played(**changes: Any) -> StripeMonth:
    return generate(seed=5, month=OCTOBER, profile=StripeProfile(account="us", customer_prefix="Example", **changes))


def events(month: StripeMonth) -> list[dict[str, Any]]:
    """Every event once."""
    return list({event["id"]: event for event in map(json.loads, month.webhooks)}.values())


def test_the_same_seed_gives_the_same_bytes_and_another_another() -> None:
    first = generate(seed=5, month=OCTOBER, profile=SMALL)
    assert generate(seed=5, month=OCTOBER, profile=SMALL) == first
    assert generate(seed=6, month=OCTOBER, profile=SMALL) != first


def test_twelve_invoices_show_every_fate() -> None:
    kinds = {event["type"] for event in events(played())}
    assert kinds >= {
        "customer.created", "invoice.created", "invoice.finalized", "invoice.paid", "invoice.voided", "invoice.updated",
        "invoice.marked_uncollectible", "invoice_payment.paid", "charge.succeeded", "charge.failed", "charge.refunded",
        "payment_intent.succeeded", "refund.created", "refund.failed", "payout.created", "payout.paid", "payout.failed",
    }  # fmt: skip


SOME = Decimal("0.04")
AFTERMATH: dict[str, Any] = {
    "credit_share": SOME, "memo_void_share": SOME, "memo_refund_share": SOME, "memo_balance_share": SOME,
    "dispute_won_share": SOME, "dispute_lost_share": SOME, "inquiry_share": SOME, "account_fees": 1, "subscriptions": 4,
}  # fmt: skip


def test_a_month_may_have_credit_disputes_and_subscriptions() -> None:
    month = played(invoices=40, **AFTERMATH)
    assert {event["type"] for event in events(month)} >= {
        "product.created", "price.created", "customer.subscription.created", "customer.subscription.deleted",
        "credit_note.created", "credit_note.voided", "charge.dispute.created", "charge.dispute.funds_withdrawn",
        "charge.dispute.closed", "charge.dispute.funds_reinstated",
    }  # fmt: skip
    kinds = {movement["type"] for movement in map(json.loads, month.credit_movements)}
    assert kinds == {"credit_note", "applied_to_invoice"}
    types = {movement["type"] for movement in map(json.loads, month.balance_transactions)}
    assert types >= {"adjustment", "stripe_fee"}


def test_without_its_shares_a_month_is_as_it_was() -> None:
    month = played(invoices=40)
    assert month.credit_movements == ()
    assert not [
        event for event in events(month) if event["type"].startswith(("credit_note", "charge.dispute", "product"))
    ]


def test_credit_on_the_balance_ends_where_its_movements_lead() -> None:
    balances: dict[str, int] = defaultdict(int)
    for movement in map(json.loads, played(invoices=120, **AFTERMATH).credit_movements):
        balances[movement["customer"]] += movement["amount"]
        assert movement["ending_balance"] == balances[movement["customer"]] <= 0, "nobody uses credit that is not there"


@pytest.mark.parametrize("currency", ["JPY", "KWD", "ISK"])
def test_credit_and_disputes_translate_whatever_the_currency(currency: str) -> None:
    month = played(currency=currency, invoices=30, **AFTERMATH)
    context = SourceContext(connection="s", entity="e", time_zone="America/New_York", sandbox=True)
    for body in month.webhooks:
        assert not isinstance(translate(body=body, context=context), Problem)
    for body in month.listed():
        assert not isinstance(translate_object(body=body, context=context), Problem)


def test_some_events_come_twice_with_other_bytes_and_some_out_of_order() -> None:
    month = played()
    ids = [json.loads(body)["id"] for body in month.webhooks]
    assert len(ids) - len(set(ids)) == month.truth["events repeated"] > 0
    assert len(set(month.webhooks)) == len(month.webhooks), (
        "a second delivery differs in what Stripe says of deliveries"
    )
    created = [json.loads(body)["created"] for body in month.webhooks]
    assert created != sorted(created)


def test_a_payout_is_the_net_of_what_it_holds() -> None:
    month = played(invoices=60, other_currency="EUR", other_share=Decimal("0.3"), converted=2, **AFTERMATH)
    balance: dict[str, int] = defaultdict(int)
    for movement in map(json.loads, month.balance_transactions):
        assert movement["net"] == movement["amount"] - movement["fee"]
        balance[movement["currency"]] += movement["net"]
        if movement["type"] == "payout":
            before = [
                other
                for other in map(json.loads, month.balance_transactions)
                if other["currency"] == movement["currency"]
            ]
            held = sum(
                other["net"]
                for other in before
                if other["created"] < movement["created"] - 600 or other["id"] == movement["id"]
            )
            assert held == 0, "after a payout nothing is left of what it held"
    assert {key: value for key, value in balance.items() if value} == {
        currency: month.truth[f"{currency} left on the balance"]
        for currency in balance
        if month.truth[f"{currency} left on the balance"]
    }
    converted = [entry for entry in map(json.loads, month.balance_transactions) if entry["exchange_rate"] is not None]
    assert len(converted) == 2


def test_applications_make_up_what_an_invoice_says_was_paid() -> None:
    applied: Counter[str] = Counter()
    paid: dict[str, int] = {}
    for event in events(played(invoices=80)):
        thing = event["data"]["object"]
        if event["type"] == "invoice_payment.paid":
            applied[thing["invoice"]] += thing["amount_paid"]
        elif thing["object"] == "invoice":
            assert thing["amount_paid"] + thing["amount_remaining"] == thing["total"]
            paid[thing["id"]] = max(paid.get(thing["id"], 0), thing["amount_paid"])
    assert {key: value for key, value in paid.items() if value} == dict(applied)


def test_the_last_evening_in_new_york_is_the_next_month_in_utc() -> None:
    moments = [
        datetime.fromtimestamp(event["data"]["object"]["status_transitions"]["finalized_at"], UTC)
        for event in events(played(invoices=50))
        if event["type"] == "invoice.finalized"
    ]
    days = {moment: local_date(moment=moment, time_zone="America/New_York") for moment in moments}
    assert all(day in OCTOBER for day in days.values())
    assert [moment for moment in moments if moment.date() not in OCTOBER], (
        "some differ between UTC and the entity's zone"
    )


@pytest.mark.parametrize("currency", ["USD", "EUR", "JPY", "KRW", "KWD", "BHD", "ISK", "UGX", "MGA", "HUF"])
def test_every_object_translates_whatever_the_currency(currency: str) -> None:
    month = played(currency=currency, invoices=30)
    context = SourceContext(connection="s", entity="e", time_zone="America/New_York", sandbox=True)
    for body in month.webhooks:
        found = translate(body=body, context=context)
        assert not isinstance(found, Problem), found
        for fact in found:
            if isinstance(fact.snapshot, Invoice | Payment):
                assert fact.snapshot.currency == currency
    for body in month.balance_transactions:
        assert not isinstance(translate_object(body=body, context=context), Problem)


def test_a_played_month_covers_what_a_line_can_be() -> None:
    lines = [
        line
        for event in events(played(invoices=120))
        if event["type"] == "invoice.finalized"
        for line in event["data"]["object"]["lines"]["data"]
    ]
    assert {tax["tax_behavior"] for line in lines for tax in line["taxes"]} == {"inclusive", "exclusive"}
    assert any(len(line["taxes"]) == 2 for line in lines)
    assert any(line["discount_amounts"] for line in lines)
    assert any(line["amount"] < 0 for line in lines)
    assert {line["parent"]["type"] for line in lines} == {"invoice_item_details", "subscription_item_details"}
    assert {line["metadata"].get("product_family", "") for line in lines} == set(SMALL.families)
    assert any(line["period"]["start"] == line["period"]["end"] for line in lines)


def test_what_is_signed_is_believed() -> None:
    body = played().webhooks[0]
    headers = sign(body=body, secret="whsec_played", timestamp=1_790_000_000)
    now = datetime.fromtimestamp(1_790_000_000, ZoneInfo("UTC"))
    assert verify(headers=headers, body=body, secrets=["whsec_played"], now=now) is None


def test_a_large_month_is_played_quickly() -> None:
    before = time.process_time()
    month = played(invoices=1_500, customers=150)
    assert len(month.webhooks) + len(month.balance_transactions) > 5_000
    assert time.process_time() - before < 10


@pytest.mark.parametrize("changes", [{"invoices": 0}, {"converted": 1}, {"customers": 0}, {"payout_days": 0}])
def test_a_profile_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        played(**changes)
