"""What should exist of a root, whatever order its facts came in."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import permutations

import pytest
from msgspec.structs import replace

from revline.core.canonical import (
    BalanceTransaction,
    CanonicalObject,
    Customer,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceStatus,
    Payment,
    PaymentIntent,
    PaymentStatus,
    Payout,
    Refund,
)
from revline.core.events import EventKind
from revline.core.facts import Fact, Name, TranslatedFact
from revline.core.ids import SourceObject
from revline.derive.compare import changes
from revline.derive.expectation import EntityScope, Expectation, Need, RootFacts
from revline.derive.roots import rule_of

SCOPE = EntityScope(tenant="northwind", entity="northwind-us", time_zone="America/New_York")
D = Decimal


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def source(kind: str, outside_id: str) -> SourceObject:
    return SourceObject(connection="stripe-us", kind=kind, outside_id=outside_id)


def fact(kind: str, snapshot: CanonicalObject, *, rank: int = 0, serial: int = 0) -> Fact:
    return Fact(
        fact_id=f"{kind}-{snapshot.outside_id}-{rank}-{serial}",
        position=1,
        ordinal=serial,
        received_at=at(1),
        translator="stripe/1",
        body_digest="",
        translated=TranslatedFact(
            source=source(kind, snapshot.outside_id),
            source_event=f"evt-{kind}-{snapshot.outside_id}-{rank}-{serial}",
            event_type=kind,
            occurred_at=at(2),
            content_digest=f"{rank}{serial}",
            order_key=(rank, serial),
            snapshot=snapshot,
            roots=(),
        ),
    )


def invoice(status: InvoiceStatus, **more: object) -> Invoice:
    line = InvoiceLine(outside_id="il_1", quantity=D(1), unit_price=D("100.00"), amount=D("100.00"), net=D("100.00"))
    values: dict[str, object] = {
        "outside_id": "in_1",
        "number": "A-1",
        "status": status,
        "customer": "cus_1",
        "currency": "USD",
        "subtotal": D("100.00"),
        "discount_total": D("0.00"),
        "tax_total": D("0.00"),
        "total": D("100.00"),
        "amount_paid": D("0.00"),
        "amount_remaining": D("100.00"),
        "lines": (line,),
        "created_at": at(3),
        "finalized_at": datetime(2026, 2, 1, 2, tzinfo=UTC),
    }
    return Invoice(**(values | more))  # type: ignore[arg-type]


PAYMENT = Payment(
    outside_id="ch_1",
    status=PaymentStatus.SUCCEEDED,
    customer="cus_1",
    currency="USD",
    amount=D("100.00"),
    created_at=at(5),
    payment_intent="pi_1",
)
CUSTOMER = fact("customer", Customer(outside_id="cus_1", name="Acme"))
CUSTOMER_NEED = Need(object_kind="customer", name=Name(kind="outside_id", value="cus_1"))


def expect(kind: str, outside_id: str, *facts: Fact, found: dict[Need, tuple[Fact, ...]] | None = None) -> Expectation:
    known = RootFacts(
        root=source(kind, outside_id), facts=facts, found={CUSTOMER_NEED: (CUSTOMER,)} if found is None else found
    )
    return rule_of(kind).expect(known, SCOPE)


def kinds(expectation: Expectation) -> list[EventKind]:
    return [entry.event.kind for entry in expectation.events]


def test_an_invoice_is_issued_on_the_day_it_was_finalised_where_the_entity_keeps_its_books() -> None:
    issued = expect("invoice", "in_1", fact("invoice", invoice(InvoiceStatus.OPEN))).events[0].event
    assert issued.kind is EventKind.INVOICE_ISSUED
    assert issued.accounting_date == date(2026, 1, 31)  # 2 February 02:00 UTC less a night in New York: 31 January


def test_a_draft_books_nothing_and_says_so() -> None:
    expectation = expect("invoice", "in_1", fact("invoice", invoice(InvoiceStatus.DRAFT, finalized_at=None)))
    assert expectation.events == ()
    assert [rule for _, rule in expectation.silent] == ["a draft invoice books nothing"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_snapshots_in_any_order_give_the_same_events(order: tuple[int, ...]) -> None:
    snapshots = [
        fact("invoice", invoice(InvoiceStatus.DRAFT, finalized_at=None), rank=0),
        fact("invoice", invoice(InvoiceStatus.OPEN), rank=1),
        fact("invoice", invoice(InvoiceStatus.VOID, voided_at=at(20)), rank=3),
    ]
    events = [entry.event for entry in expect("invoice", "in_1", *(snapshots[index] for index in order)).events]
    assert [event.kind for event in events] == [EventKind.INVOICE_ISSUED, EventKind.INVOICE_VOIDED]
    assert events == [entry.event for entry in expect("invoice", "in_1", *snapshots).events], "arrival must not decide"
    assert events[0].payload == events[1].payload


def test_an_uncollectible_invoice_loses_what_was_still_owed_then() -> None:
    given_up = invoice(InvoiceStatus.UNCOLLECTIBLE, amount_remaining=D("60.00"), marked_uncollectible_at=at(25))
    later_paid = invoice(InvoiceStatus.PAID, amount_remaining=D("0.00"), marked_uncollectible_at=at(25), paid_at=at(28))
    expectation = expect(
        "invoice", "in_1", fact("invoice", later_paid, rank=3), fact("invoice", given_up, rank=2, serial=1)
    )
    assert kinds(expectation) == [EventKind.INVOICE_ISSUED, EventKind.INVOICE_MARKED_UNCOLLECTIBLE]
    assert expectation.events[1].event.payload.amount == D("60.00")  # type: ignore[union-attr]


def applied(**ends: str) -> Fact:
    snapshot = InvoicePayment(
        outside_id="inpay_1", invoice="in_1", currency="USD", amount=D("40.00"), status="paid", paid_at=at(6), **ends
    )
    return fact("invoice_payment", snapshot)


ISSUED = fact("invoice", invoice(InvoiceStatus.OPEN), rank=1)


def test_an_application_awaits_the_invoice_it_is_applied_to() -> None:
    waiting = expect("invoice", "in_1", applied(payment="ch_1"))
    assert waiting.events == ()
    assert waiting.awaited == (Need(object_kind="invoice", name=Name(kind="outside_id", value="in_1")),)


def test_an_application_awaits_the_payment_it_names() -> None:
    need = Need(object_kind="payment", name=Name(kind="payment_intent", value="pi_1"))
    waiting = expect("invoice", "in_1", ISSUED, applied(payment_intent="pi_1"))
    assert kinds(waiting) == [EventKind.INVOICE_ISSUED]
    assert waiting.awaited == (need,)
    known = {CUSTOMER_NEED: (CUSTOMER,), need: (fact("payment", PAYMENT),)}
    arrived = expect("invoice", "in_1", ISSUED, applied(payment_intent="pi_1"), found=known)
    assert kinds(arrived) == [EventKind.INVOICE_ISSUED, EventKind.PAYMENT_APPLIED]
    assert arrived.events[1].event.payload.payment == source("payment", "ch_1")  # type: ignore[union-attr]


def test_an_intent_leads_to_the_payment_that_succeeded_and_not_to_the_one_that_failed() -> None:
    need = Need(object_kind="payment", name=Name(kind="payment_intent", value="pi_1"))
    failed = Payment(
        outside_id="ch_0",
        status=PaymentStatus.FAILED,
        currency="USD",
        amount=D("100.00"),
        created_at=at(4),
        payment_intent="pi_1",
    )
    known = {CUSTOMER_NEED: (CUSTOMER,), need: (fact("payment", failed), fact("payment", PAYMENT))}
    event = expect("invoice", "in_1", ISSUED, applied(payment_intent="pi_1"), found=known).events[1].event
    assert event.payload.payment.outside_id == "ch_1"  # type: ignore[union-attr]


def test_a_payment_its_fee_and_its_failed_refund() -> None:
    fee = BalanceTransaction(
        outside_id="txn_1",
        transaction_type="charge",
        source="ch_1",
        currency="USD",
        amount=D("100.00"),
        fee=D("3.20"),
        net=D("96.80"),
        created_at=at(5),
    )
    refund = Refund(
        outside_id="re_1",
        payment="ch_1",
        status="failed",
        currency="USD",
        amount=D("10.00"),
        earned=D("0.00"),
        created_at=at(9),
        failed_at=at(12),
    )
    expectation = expect(
        "payment", "ch_1", fact("refund", refund), fact("balance_transaction", fee), fact("payment", PAYMENT)
    )
    assert kinds(expectation) == [
        EventKind.PAYMENT_RECEIVED,
        EventKind.PROCESSOR_FEE_CHARGED,
        EventKind.REFUND_PAID,
        EventKind.REFUND_FAILED,
    ]
    assert [entry.event.accounting_date.day for entry in expectation.events] == [5, 5, 9, 12]


def test_a_settlement_in_another_currency_is_a_case_and_the_payment_still_counts() -> None:
    settled = BalanceTransaction(
        outside_id="txn_1",
        transaction_type="charge",
        source="ch_1",
        currency="EUR",
        amount=D("90.00"),
        fee=D("3.00"),
        net=D("87.00"),
        created_at=at(5),
        exchange_rate=D("0.9"),
    )
    expectation = expect("payment", "ch_1", fact("balance_transaction", settled), fact("payment", PAYMENT))
    assert kinds(expectation) == [EventKind.PAYMENT_RECEIVED]
    assert [entry.problem.code for entry in expectation.blocked] == ["derive.settlement_other_currency"]


def test_a_failed_payout_was_paid_before() -> None:
    payout = Payout(
        outside_id="po_1",
        status="failed",
        currency="USD",
        amount=D("96.80"),
        arrival_date=date(2026, 1, 10),
        created_at=at(8),
        failed_at=at(13),
    )
    expectation = expect("payout", "po_1", fact("payout", payout))
    assert kinds(expectation) == [EventKind.PAYOUT_PAID, EventKind.PAYOUT_FAILED]
    assert [entry.event.accounting_date for entry in expectation.events] == [date(2026, 1, 10), date(2026, 1, 13)]


def refund_snapshot(**more: object) -> Refund:
    values: dict[str, object] = {
        "outside_id": "re_1",
        "payment": "ch_1",
        "status": "failed",
        "currency": "USD",
        "amount": D("10.00"),
        "earned": D("0.00"),
        "created_at": at(9),
    }
    return Refund(**(values | more))  # type: ignore[arg-type]


def test_a_failure_without_its_time_waits_for_the_message_that_has_it() -> None:
    told = fact("refund.updated", refund_snapshot(), rank=3)
    told = replace(told, translated=replace(told.translated, source=source("refund", "re_1")))
    waiting = expect("payment", "ch_1", fact("payment", PAYMENT), told)
    assert kinds(waiting) == [EventKind.PAYMENT_RECEIVED, EventKind.REFUND_PAID]
    assert waiting.awaited == (Need(object_kind="refund", name=Name(kind="outside_id", value="re_1")),)
    failed = fact("refund.failed", refund_snapshot(failed_at=at(12)), rank=4)
    failed = replace(failed, translated=replace(failed.translated, source=source("refund", "re_1")))
    complete = expect("payment", "ch_1", fact("payment", PAYMENT), told, failed)
    assert [entry.event.accounting_date.day for entry in complete.events] == [5, 9, 12]


def test_a_failure_known_from_a_listing_only_counts_on_the_refund_s_own_day() -> None:
    listed = expect("payment", "ch_1", fact("payment", PAYMENT), fact("refund", refund_snapshot()))
    assert [entry.event.accounting_date.day for entry in listed.events] == [5, 9, 9]


def test_a_payment_intent_links_and_books_nothing() -> None:
    intent = PaymentIntent(outside_id="pi_1", status="succeeded", currency="USD", amount=D("100.00"), payment="ch_1")
    expectation = expect("payment", "ch_1", fact("payment_intent", intent))
    assert expectation.events == ()
    assert [rule for _, rule in expectation.silent] == ["a payment intent only links"]


def test_what_is_booked_already_is_left_alone_and_what_changed_is_reversed_and_booked_again() -> None:
    first = expect("invoice", "in_1", fact("invoice", invoice(InvoiceStatus.OPEN)))
    booked = {entry.event.event_id: entry.event for entry in first.events}
    assert changes(booked=booked, expected=first.events).bookings == ()
    other = expect("invoice", "in_1", fact("invoice", invoice(InvoiceStatus.OPEN, total=D("90.00")), serial=9))
    change = changes(booked=booked, expected=other.events)
    assert [event.reverses for event in change.reversals] == list(booked)
    rebooked = change.bookings[0].event
    assert rebooked.event_id not in booked
    booked |= {event.event_id: event for event in (*change.reversals, rebooked)}
    settled = changes(booked=booked, expected=other.events)
    assert (settled.reversals, settled.bookings) == ((), ())
    back = changes(booked=booked, expected=first.events)
    assert [event.reverses for event in back.reversals] == [rebooked.event_id]
    gone = changes(booked=booked, expected=())
    assert [event.reverses for event in gone.reversals] == [rebooked.event_id]
