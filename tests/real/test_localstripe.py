"""localstripe, driven by the official library: what it really sends is verified and translated by our source connector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import stripe

from revline.connectors.sdk.source import SourceContext
from revline.connectors.stripe.connector import build
from revline.core.canonical import Customer, Invoice, InvoiceStatus, Payment, PaymentStatus, Payout, Refund
from revline.core.facts import TranslatedFact
from revline.core.problem import Problem
from tests.real.running_localstripe import Delivery, LocalStripe, Receiver, receiver, running_localstripe

pytestmark = pytest.mark.real

SECRET = "whsec_localstripe"
CONTEXT = SourceContext(connection="stripe_local", entity="fr", time_zone="Europe/Paris", sandbox=True)
SOURCE = build()


@pytest.fixture(scope="module")
def localstripe() -> Iterator[LocalStripe]:
    with running_localstripe() as running:
        yield running


@pytest.fixture(scope="module")
def endpoint(localstripe: LocalStripe) -> Iterator[Receiver]:
    with receiver() as listening:
        localstripe.send_webhooks_to(url=listening.url, secret=SECRET)
        yield listening


@pytest.fixture(scope="module")
def client(localstripe: LocalStripe, endpoint: Receiver) -> stripe.StripeClient:
    return localstripe.client()


def proved_and_translated(delivery: Delivery) -> TranslatedFact:
    now = datetime.now(UTC)
    assert SOURCE.verify(headers=delivery.headers, body=delivery.body, secrets=[SECRET], now=now) is None
    found = SOURCE.translate(body=delivery.body, context=CONTEXT)
    assert not isinstance(found, Problem), found
    assert len(found) == 1
    return found[0]


def listed(thing: stripe.StripeObject) -> TranslatedFact:
    """An object the library fetched, as an import would read it."""
    found = SOURCE.translate_object(body=json.dumps(thing.to_dict(), default=str).encode(), context=CONTEXT)
    assert not isinstance(found, Problem), found
    return found[0]


def customer_of(client: stripe.StripeClient) -> stripe.Customer:
    asked: Any = {"name": "Example Alder", "email": "billing@alder.example"}
    return client.v1.customers.create(asked)


def test_a_customer_that_was_created_arrives(client: stripe.StripeClient, endpoint: Receiver) -> None:
    made = customer_of(client)
    translated = proved_and_translated(endpoint.next_of("customer.created"))
    customer = translated.snapshot
    assert isinstance(customer, Customer)
    assert (customer.outside_id, customer.name, customer.deleted) == (made.id, "Example Alder", False)
    client.v1.customers.update(made.id, {"name": "Example Birch"})
    renamed = proved_and_translated(endpoint.next_of("customer.updated"))
    assert isinstance(renamed.snapshot, Customer)
    assert renamed.snapshot.name == "Example Birch"
    client.v1.customers.delete(made.id)
    gone = proved_and_translated(endpoint.next_of("customer.deleted"))
    assert isinstance(gone.snapshot, Customer)
    assert gone.snapshot.deleted
    assert gone.order_key > renamed.order_key
    assert gone.roots == renamed.roots == translated.roots


def test_payouts_arrive_paid_and_failed(client: stripe.StripeClient, endpoint: Receiver) -> None:
    paid: Any = {"amount": 9_680, "currency": "eur", "status": "paid"}
    made = client.v1.payouts.create(paid)
    translated = proved_and_translated(endpoint.next_of("payout.paid"))
    payout = translated.snapshot
    assert isinstance(payout, Payout)
    assert (payout.outside_id, payout.amount, payout.currency, payout.status) == (
        made.id,
        Decimal("96.80"),
        "EUR",
        "paid",
    )
    client.v1.payouts.create(paid | {"status": "failed"})
    failed = proved_and_translated(endpoint.next_of("payout.failed"))
    assert isinstance(failed.snapshot, Payout)
    assert failed.snapshot.failed_at == failed.occurred_at


def test_changed_bytes_other_secrets_and_old_times_are_refused(client: stripe.StripeClient, endpoint: Receiver) -> None:
    customer_of(client)
    delivery = endpoint.next_of("customer.created")
    now = datetime.now(UTC)

    def refused(body: bytes, secret: str, at: datetime) -> bool:
        return SOURCE.verify(headers=delivery.headers, body=body, secrets=[secret], now=at) is not None

    assert not refused(delivery.body, SECRET, now)
    assert refused(delivery.body.replace(b"Alder", b"Elder"), SECRET, now)
    assert refused(delivery.body, "whsec_other", now)
    assert refused(delivery.body, SECRET, now + timedelta(hours=1))


def paying_customer(client: stripe.StripeClient) -> tuple[str, str]:
    """A customer and its card."""
    made = customer_of(client)
    card: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
    method = client.v1.payment_methods.create({"type": "card", "card": card})
    client.v1.payment_methods.attach(method.id, {"customer": made.id})
    return made.id, method.id


def test_charges_and_refunds_are_read_as_an_import(client: stripe.StripeClient) -> None:
    customer, method = paying_customer(client)
    asked: Any = {"amount": 10_000, "currency": "eur", "customer": customer, "payment_method": method, "confirm": True}
    intent = client.v1.payment_intents.create(asked)
    (charge,) = client.v1.charges.list({"customer": customer}).data
    payment = listed(charge)
    assert isinstance(payment.snapshot, Payment)
    assert (payment.snapshot.amount, payment.snapshot.status) == (Decimal("100.00"), PaymentStatus.SUCCEEDED)
    linked = listed(client.v1.payment_intents.retrieve(intent.id))
    assert linked.roots == payment.roots
    refund = listed(client.v1.refunds.create({"charge": charge.id, "amount": 2_500}))
    assert isinstance(refund.snapshot, Refund)
    assert (refund.snapshot.amount, refund.roots) == (Decimal("25.00"), payment.roots)


def test_its_invoices_of_an_older_shape_are_read_too(client: stripe.StripeClient, endpoint: Receiver) -> None:
    customer, method = paying_customer(client)
    client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    product = client.v1.products.create({"name": "Basic", "type": "service"})
    plan = client.v1.plans.create({"amount": 2_100, "currency": "eur", "interval": "month", "product": product.id})
    asked: Any = {"display_name": "VAT", "inclusive": False, "percentage": "20"}
    rate = client.v1.tax_rates.create(asked)
    item: Any = {"plan": plan.id, "quantity": 2, "tax_rates": [rate.id]}
    client.v1.subscriptions.create({"customer": customer, "items": [item]})
    translated = proved_and_translated(endpoint.next_of("invoice.payment_succeeded"))
    invoice = translated.snapshot
    assert isinstance(invoice, Invoice)
    assert (invoice.total, invoice.tax_total, invoice.status) == (Decimal("50.40"), Decimal("8.40"), InvoiceStatus.PAID)
    (line,) = invoice.lines
    assert (line.net, line.quantity, line.unit_price, line.product) == (
        Decimal("42.00"),
        Decimal(2),
        Decimal("21.00"),
        product.id,
    )
