"""Charges, intents, refunds, payouts and balance transactions as documented become canonical ones on the right roots."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from revline.core.canonical import BalanceTransaction, Customer, Payment, PaymentIntent, PaymentStatus, Payout, Refund
from revline.core.facts import Name
from revline.core.ids import SourceObject
from tests.contract.stripe.inputs import fact, imported, refusal, stripe_object


def root(kind: str, outside_id: str) -> SourceObject:
    return SourceObject(connection="stripe_us", kind=kind, outside_id=outside_id)


def test_a_charge_is_a_payment() -> None:
    translated = fact("charge.succeeded", stripe_object("charge"))
    payment = translated.snapshot
    assert isinstance(payment, Payment)
    assert (payment.amount, payment.currency, payment.status) == (Decimal("100.00"), "USD", PaymentStatus.SUCCEEDED)
    assert (payment.created_at, payment.method) == (datetime.fromtimestamp(1_793_502_000, UTC), "card")
    assert translated.source == root("payment", "ch_1")
    assert translated.roots == (root("payment", "ch_1"),)
    assert {Name(kind="payment_intent", value="pi_1"), Name(kind="source_event", value="evt_1")} <= set(
        translated.names
    )


@pytest.mark.parametrize(
    ("changes", "status", "amount"),
    [
        (
            {"status": "failed", "captured": False, "amount_captured": 0, "balance_transaction": None},
            "failed",
            "100.00",
        ),
        ({"status": "pending", "captured": False, "amount_captured": 0}, "pending", "100.00"),
        ({"captured": False, "amount_captured": 0}, "pending", "100.00"),  # authorised and not captured: no money moved
        ({"amount_captured": 7_500}, "succeeded", "75.00"),  # captured in part
    ],
)
def test_only_captured_money_is_received(changes: dict[str, object], status: str, amount: str) -> None:
    payment = fact("charge.updated", stripe_object("charge", **changes)).snapshot
    assert isinstance(payment, Payment)
    assert (payment.status, payment.amount) == (status, Decimal(amount))


def test_a_refunded_charge_is_newer_than_the_charge_of_the_same_second() -> None:
    before = fact("charge.succeeded", stripe_object("charge"))
    after = fact("charge.refunded", stripe_object("charge", amount_refunded=2_500))
    assert after.order_key > before.order_key


def test_an_intent_links_on_the_root_of_its_charge() -> None:
    translated = fact("payment_intent.succeeded", stripe_object("payment_intent"))
    assert isinstance(translated.snapshot, PaymentIntent)
    assert (translated.snapshot.payment, translated.roots) == ("ch_1", (root("payment", "ch_1"),))
    waiting = fact("payment_intent.created", stripe_object("payment_intent", latest_charge=None, status="processing"))
    assert waiting.roots == (root("payment_intent", "pi_1"),)


def test_a_refund_is_on_the_root_of_its_charge() -> None:
    translated = fact("refund.created", stripe_object("refund"))
    refund = translated.snapshot
    assert isinstance(refund, Refund)
    assert (refund.amount, refund.earned, refund.payment, refund.failed_at) == (
        Decimal("25.00"),
        Decimal("0.00"),
        "ch_1",
        None,
    )
    assert translated.roots == (root("payment", "ch_1"),)


def test_only_the_event_refund_failed_tells_when_it_failed() -> None:
    failed = stripe_object("refund", status="failed", failure_reason="declined")
    told = fact("refund.failed", failed, created=1_793_700_000)
    assert isinstance(told.snapshot, Refund)
    assert told.snapshot.failed_at == datetime.fromtimestamp(1_793_700_000, UTC)
    for kind in ("refund.updated", "charge.refund.updated"):
        later = fact(kind, failed, created=1_793_799_999)
        assert isinstance(later.snapshot, Refund)
        assert later.snapshot.failed_at is None
        assert told.order_key > later.order_key, "a later snapshot can't take the time away"


def test_a_payout_arrives_on_its_utc_day_whatever_the_entitys_zone() -> None:
    translated = fact("payout.paid", stripe_object("payout"))
    payout = translated.snapshot
    assert isinstance(payout, Payout)
    assert (payout.amount, payout.arrival_date, payout.status) == (Decimal("96.80"), date(2026, 11, 4), "paid")
    assert translated.roots == (root("payout", "po_1"),)


def test_a_payout_may_take_money_from_the_bank() -> None:
    payout = fact("payout.paid", stripe_object("payout", amount=-500)).snapshot
    assert isinstance(payout, Payout)
    assert payout.amount == Decimal("-5.00")


def test_only_the_event_payout_failed_tells_when_it_failed() -> None:
    failed = stripe_object("payout", status="failed", failure_code="account_closed")
    told = fact("payout.failed", failed, created=1_793_800_000)
    paid = fact("payout.paid", stripe_object("payout"), created=1_793_900_000)
    (listed,) = imported(failed)
    assert isinstance(told.snapshot, Payout)
    assert isinstance(listed.snapshot, Payout)
    assert (told.snapshot.failed_at, listed.snapshot.failed_at) == (datetime.fromtimestamp(1_793_800_000, UTC), None)
    assert told.order_key > listed.order_key > paid.order_key


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("payment", "ch_1")),
        ({"type": "payment", "source": "py_1"}, ("payment", "py_1")),
        ({"type": "payout", "source": "po_1", "amount": -9_680, "fee": 0, "net": -9_680}, ("payout", "po_1")),
        ({"type": "payout_failure", "source": "po_1", "amount": 9_680, "fee": 0, "net": 9_680}, ("payout", "po_1")),
        (
            {"type": "refund", "source": "re_1", "amount": -2_500, "fee": 0, "net": -2_500},
            ("balance_transaction", "txn_1"),
        ),
        (
            {"type": "stripe_fee", "source": None, "amount": -200, "fee": 0, "net": -200},
            ("balance_transaction", "txn_1"),
        ),
    ],
)
def test_a_movement_is_on_the_root_of_what_made_it(changes: dict[str, object], expected: tuple[str, str]) -> None:
    (translated,) = imported(stripe_object("balance_transaction", **changes))
    assert translated.roots == (root(*expected),)
    assert translated.source == root("balance_transaction", "txn_1")


def test_a_settlement_in_another_currency_keeps_its_rate_exactly() -> None:
    body = stripe_object("balance_transaction", exchange_rate=1.08423)
    (translated,) = imported(body)
    movement = translated.snapshot
    assert isinstance(movement, BalanceTransaction)
    assert (movement.exchange_rate, movement.fee, movement.net) == (
        Decimal("1.08423"),
        Decimal("3.20"),
        Decimal("96.80"),
    )


def test_a_movement_that_came_with_its_charge_is_a_fact_of_its_own() -> None:
    movement = stripe_object("balance_transaction")
    payment, inside = imported(stripe_object("charge", balance_transaction=movement))
    assert isinstance(payment.snapshot, Payment)
    assert payment.snapshot.balance_transaction == "txn_1"
    assert imported(movement) == (inside,)


def test_a_net_that_is_not_amount_less_fee_is_refused() -> None:
    problem = refusal("balance.available", stripe_object("balance_transaction", net=9_000))
    assert (problem.code, problem.field) == ("stripe.object_invalid", "net")


def test_a_customer() -> None:
    translated = fact("customer.updated", stripe_object("customer"))
    customer = translated.snapshot
    assert isinstance(customer, Customer)
    assert (customer.name, customer.currency, customer.address.city) == ("Alder Works", "USD", "New York")
    assert customer.tax_ids == (("eu_vat", "DE123456789"),)
    assert translated.roots == (root("customer", "cus_Alder1"),)


def test_a_deleted_customer_stays_deleted() -> None:
    gone = fact("customer.deleted", stripe_object("customer"), created=1_793_000_000)
    later = fact("customer.updated", stripe_object("customer"), created=1_793_900_000)
    (listed,) = imported(stripe_object("deleted_customer"))
    assert isinstance(gone.snapshot, Customer)
    assert (gone.snapshot.deleted, gone.snapshot.name) == (True, "Alder Works")
    assert gone.order_key > listed.order_key > later.order_key


@pytest.mark.parametrize(
    ("fields", "name"), [({"name": None}, "billing@alder.example"), ({"name": None, "email": None}, "cus_Alder1")]
)
def test_a_customer_without_a_name_still_has_one(fields: dict[str, object], name: str) -> None:
    customer = fact("customer.created", stripe_object("customer", **fields)).snapshot
    assert isinstance(customer, Customer)
    assert customer.name == name
