"""Stripe invoices as documented become canonical invoices, to the cent and to the local day."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from revline.connectors.sdk.source import LinkRule
from revline.connectors.stripe.translate import translate_object
from revline.core.canonical import Invoice, InvoicePayment, InvoiceStatus
from revline.core.facts import Name
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from tests.contract.stripe.inputs import NEW_YORK, event, fact, facts, imported, incomplete, refusal, stripe_object


def invoice_of(thing: dict[str, Any]) -> Invoice:
    snapshot = fact("invoice.finalized", thing).snapshot
    assert isinstance(snapshot, Invoice)
    return snapshot


def test_an_invoice_keeps_its_sums_its_moments_and_its_references() -> None:
    invoice = invoice_of(stripe_object("invoice"))
    assert (invoice.number, invoice.status, invoice.currency) == ("A-0001", InvoiceStatus.OPEN, "USD")
    assert (invoice.subtotal, invoice.discount_total, invoice.tax_total, invoice.total) == (
        Decimal("153.60"),
        Decimal("12.00"),
        Decimal("28.95"),
        Decimal("163.20"),
    )
    assert (invoice.amount_paid, invoice.amount_remaining) == (Decimal("0.00"), Decimal("163.20"))
    assert invoice.finalized_at == datetime(2026, 11, 1, 2, 1, tzinfo=UTC)
    assert (invoice.customer, invoice.subscription, invoice.purchase_order) == ("cus_Alder1", "sub_1", "PO-77")


def test_a_line_is_net_of_discounts_and_of_tax_inside_the_price() -> None:
    seats, credit, setup = invoice_of(stripe_object("invoice")).lines
    assert (seats.amount, seats.net, seats.quantity, seats.unit_price) == (
        Decimal("120.00"),
        Decimal("108.00"),
        Decimal(12),
        Decimal("10.00"),
    )
    assert [(entry.amount, entry.discount) for entry in seats.discounts] == [(Decimal("12.00"), "di_10")]
    assert [(tax.amount, tax.taxable, tax.rate, tax.inclusive) for tax in seats.taxes] == [
        (Decimal("21.60"), Decimal("108.00"), "txr_20", False)
    ]
    assert (setup.amount, setup.net, setup.taxes[0].inclusive) == (Decimal("44.10"), Decimal("36.75"), True)
    assert (seats.product, seats.price, seats.subscription_item, seats.product_family) == (
        "prod_seat",
        "price_seat",
        "si_1",
        "subscription",
    )
    assert (credit.proration, credit.credited_line, credit.net) == (True, "il_before", Decimal("-10.50"))


def test_lines_and_taxes_add_up_to_the_total() -> None:
    invoice = invoice_of(stripe_object("invoice"))
    assert sum(line.net for line in invoice.lines) + invoice.tax_total == invoice.total


def test_service_days_are_local_and_half_open() -> None:
    thing = stripe_object("invoice")
    # Midnight in UTC is the evening before in New York, on both ends.
    thing["lines"]["data"][0]["period"] = {"start": 1_793_491_200, "end": 1_796_083_200}
    seats, _, setup = invoice_of(thing).lines
    assert (seats.service_start, seats.service_end) == (date(2026, 10, 31), date(2026, 11, 30))
    assert (setup.service_start, setup.service_end) == (None, None)


def test_a_period_within_one_day_lasts_that_day() -> None:
    thing = stripe_object("invoice")
    thing["lines"]["data"][0]["period"] = {"start": 1_793_556_000, "end": 1_793_559_600}
    line = invoice_of(thing).lines[0]
    assert (line.service_start, line.service_end) == (date(2026, 11, 1), date(2026, 11, 2))


@pytest.mark.parametrize(
    ("status", "transition", "rank"),
    [
        ("draft", "", 0),
        ("open", "", 1),
        ("uncollectible", "marked_uncollectible_at", 2),
        ("paid", "paid_at", 3),
        ("void", "voided_at", 3),
    ],
)
def test_status_ranks_before_time(status: str, transition: str, rank: int) -> None:
    thing = stripe_object("invoice", status=status)
    if transition:
        thing["status_transitions"][transition] = 1_793_600_000
    translated = fact("invoice.updated", thing, created=1_793_600_005)
    assert translated.order_key == (rank, 1_793_600_005, 0)
    if transition:
        assert getattr(translated.snapshot, transition) == datetime.fromtimestamp(1_793_600_000, UTC)


def test_what_was_paid_decides_between_snapshots_of_one_second() -> None:
    before = fact("invoice.updated", stripe_object("invoice", amount_paid=5_000, amount_remaining=11_320))
    after = fact("invoice.updated", stripe_object("invoice", amount_paid=9_000, amount_remaining=7_320))
    assert after.order_key > before.order_key


def test_an_imported_invoice_stands_where_its_latest_transition_stands() -> None:
    thing = stripe_object("invoice", status="paid", amount_paid=16_320, amount_remaining=0)
    thing["status_transitions"]["paid_at"] = 1_793_600_000
    (translated,) = imported(thing)
    assert translated.order_key == (3, 1_793_600_000, 16_320)
    assert translated.source_event == f"in_A1@{translated.content_digest[:16]}"
    assert translated.roots == (SourceObject(connection="stripe_us", kind="invoice", outside_id="in_A1"),)
    assert Name(kind="invoice_number", value="A-0001") in translated.names


def test_payments_that_came_with_an_imported_invoice_are_facts_of_their_own() -> None:
    payments = {"object": "list", "data": [stripe_object("invoice_payment")], "has_more": False}
    invoice, payment = imported(stripe_object("invoice", payments=payments))
    assert isinstance(payment.snapshot, InvoicePayment)
    assert payment.roots == invoice.roots
    assert imported(stripe_object("invoice_payment")) == (payment,), "alone or inside, it is the same fact"


def test_an_application_names_its_invoice_and_its_intent() -> None:
    translated = fact("invoice_payment.paid", stripe_object("invoice_payment"))
    snapshot = translated.snapshot
    assert isinstance(snapshot, InvoicePayment)
    assert (snapshot.amount, snapshot.invoice, snapshot.payment_intent) == (Decimal("100.00"), "in_A1", "pi_1")
    assert snapshot.paid_at == datetime.fromtimestamp(1_793_502_060, UTC)
    assert translated.roots == (SourceObject(connection="stripe_us", kind="invoice", outside_id="in_A1"),)


def test_the_shape_of_2017_is_read_too() -> None:
    invoice = invoice_of(stripe_object("invoice_2017"))
    (line,) = invoice.lines
    assert (invoice.total, invoice.tax_total, invoice.subscription) == (Decimal("12.10"), Decimal("2.10"), "sub_old")
    assert (line.unit_price, line.quantity, line.product, line.product_family) == (
        Decimal("5.00"),
        Decimal(2),
        "prod_basic",
        "subscription",
    )
    assert [(tax.rate, tax.amount, tax.taxable) for tax in line.taxes] == [
        ("txr_21", Decimal("2.10"), Decimal("10.00"))
    ]


def test_a_price_below_a_cent_and_a_price_by_tiers() -> None:
    thing = stripe_object("invoice")
    lines = thing["lines"]["data"]
    lines[0]["pricing"]["unit_amount_decimal"] = "0.05"
    lines[2]["pricing"]["unit_amount_decimal"] = None
    lines[2]["quantity"] = 3
    first, _, third = invoice_of(thing).lines
    assert (first.unit_price, third.unit_price) == (Decimal("0.0005"), Decimal("14.70"))


def test_more_lines_than_the_message_holds_are_read_again() -> None:
    thing = stripe_object("invoice")
    thing["lines"]["has_more"] = True
    asked = incomplete("invoice.finalized", thing)
    assert asked.source == SourceObject(connection="stripe_us", kind="invoice", outside_id="in_A1")
    assert (asked.object_kind, asked.source_event, asked.event_type) == ("invoice", "evt_1", "invoice.finalized")
    assert "lines" in asked.why
    told = fact("invoice.finalized", stripe_object("invoice"))
    assert asked.content_digest != told.content_digest


def test_an_object_that_holds_a_part_of_its_lines_is_refused() -> None:
    thing = stripe_object("invoice")
    thing["lines"]["has_more"] = True
    problem = translate_object(body=json.dumps(thing).encode(), context=NEW_YORK)
    assert isinstance(problem, Problem)
    assert (problem.code, problem.field) == ("stripe.list_incomplete", "lines/has_more")


def test_taxes_that_stand_on_the_invoice_alone_are_put_on_its_largest_line() -> None:
    thing = stripe_object("invoice")
    thing["lines"]["data"] = thing["lines"]["data"][:1]
    first = thing["lines"]["data"][0]
    first |= {"amount": 10_000, "discount_amounts": [], "taxes": []}
    rate = {"object": "tax_rate", "id": "txr_20", "percentage": 20, "jurisdiction": "DE", "effective_percentage": None}
    wide = {
        "amount": 2_000,
        "tax_behavior": "exclusive",
        "tax_rate_details": {"tax_rate": "txr_20"},
        "taxable_amount": 10_000,
    }
    invoice = invoice_of(thing | {"total": 12_000, "total_taxes": [wide], "default_tax_rates": [rate]})
    (tax,) = invoice.lines[0].taxes
    assert (tax.amount, tax.taxable, tax.rate_percent, tax.jurisdiction) == (
        Decimal("20.00"),
        Decimal("100.00"),
        Decimal(20),
        "DE",
    )
    assert (invoice.tax_total, invoice.total) == (Decimal("20.00"), Decimal("120.00"))


def test_links_are_the_invoices_own_before_its_subscriptions() -> None:
    context = msgspec.structs.replace(
        NEW_YORK,
        links=(
            LinkRule(field="salesforce_order", connection="crm", kind="order"),
            LinkRule(field="metadata.contract", connection="crm", kind="contract"),
        ),
    )
    thing = stripe_object("invoice", metadata={"salesforce_order": "801A"})
    thing["parent"]["subscription_details"]["metadata"] = {"salesforce_order": "801B", "contract": " 800C "}
    (translated,) = facts(event("invoice.finalized", thing), context)
    assert isinstance(translated.snapshot, Invoice)
    assert translated.snapshot.links == (
        SourceObject(connection="crm", kind="order", outside_id="801A"),
        SourceObject(connection="crm", kind="contract", outside_id="800C"),
    )
    assert {Name(kind="order", value="801A"), Name(kind="contract", value="800C")} <= set(translated.names)


@pytest.mark.parametrize(
    ("changes", "amount"),
    [
        ({"amount_paid_off_stripe": 5_000}, "50.00"),
        ({"paid_out_of_band": True, "amount_paid": 16_320}, "163.20"),
        ({"amount_paid": 16_320}, "0.00"),
    ],
)
def test_what_was_paid_outside_of_stripe_is_told_apart(changes: dict[str, Any], amount: str) -> None:
    assert invoice_of(stripe_object("invoice", **changes)).amount_paid_elsewhere == Decimal(amount)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"total": 16_820, "shipping_cost": {"amount_total": 500}}, "shipping_cost"),
        ({"total": 16_319}, "total"),
        (
            {"total": 15_320, "total_pretax_credit_amounts": [{"amount": 1_000, "type": "credit_balance_transaction"}]},
            "total_pretax_credit_amounts",
        ),
    ],
)
def test_a_total_that_is_on_no_line_is_a_problem(changes: dict[str, Any], field: str) -> None:
    problem = refusal("invoice.finalized", stripe_object("invoice", **changes))
    assert (problem.code, problem.field) == ("stripe.invoice_inconsistent", field)


def test_a_draft_need_not_add_up_yet() -> None:
    thing = stripe_object("invoice", status="draft", number=None, total=1)
    thing["status_transitions"]["finalized_at"] = None
    assert invoice_of(thing).finalized_at is None


@pytest.mark.parametrize(
    ("currency", "units", "amount"), [("jpy", 16_320, "16320"), ("kwd", 16_320, "16.320"), ("usd", 16_320, "163.20")]
)
def test_currencies_without_and_with_three_decimals(currency: str, units: int, amount: str) -> None:
    thing = stripe_object("invoice", currency=currency, total=units)
    for line in thing["lines"]["data"]:
        line["currency"] = currency
    assert str(invoice_of(thing).total) == amount
