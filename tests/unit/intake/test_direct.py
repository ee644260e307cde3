"""The direct source: CloudEvents to facts, and every way to be wrong named."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from revline.connectors.direct.cloudevents import read_time
from revline.connectors.direct.connector import build
from revline.connectors.sdk.source import SourceContext
from revline.core.canonical import Invoice, Payment
from revline.core.facts import Name, TranslatedFact
from revline.core.ids import SourceObject
from revline.core.money import Amount
from revline.core.problem import Problem

CONTEXT = SourceContext(connection="crm", entity="alpha-inc", time_zone="America/New_York", sandbox=False)

INVOICE: dict[str, Any] = {
    "outside_id": "in_1",
    "number": "INV-1",
    "status": "open",
    "customer": "cus_1",
    "currency": "USD",
    "subtotal": "100.00",
    "discount_total": "0.00",
    "tax_total": "8.00",
    "total": "108.00",
    "amount_paid": "0.00",
    "amount_remaining": "108.00",
    "created_at": "2026-03-01T10:00:00Z",
    "lines": [
        {
            "outside_id": "il_1",
            "quantity": "1",
            "unit_price": "100.000000",
            "amount": "100.00",
            "net": "100.00",
            "taxes": [{"amount": "8.00", "taxable": "100.00"}],
        }
    ],
}
PAYMENT: dict[str, Any] = {
    "outside_id": "pay_1",
    "status": "succeeded",
    "currency": "USD",
    "amount": "1.00",
    "created_at": "2026-03-01T11:00:00+01:00",
    "payment_intent": "pi_1",
}


def event(kind: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "e1",
        "source": "//crm.example",
        "type": f"revline.{kind}.v1",
        "time": "2026-03-01T11:00:00.250Z",
        "data": data,
        **more,
    }


def translate(values: Any) -> tuple[TranslatedFact, ...] | Problem:
    return build().translate(body=json.dumps(values).encode(), context=CONTEXT)


def fact(values: Any) -> TranslatedFact:
    made = translate(values)
    assert isinstance(made, tuple), made
    return made[0]


def refused(values: Any) -> Problem:
    made = translate(values)
    assert isinstance(made, Problem)
    return made


def test_an_event_is_a_fact_of_its_object_known_by_its_names() -> None:
    made = fact(event("payment", PAYMENT))
    source = SourceObject(connection="crm", kind="payment", outside_id="pay_1")
    assert (made.source, made.roots) == (source, (source,))
    assert made.source_event == "//crm.example e1"
    assert made.occurred_at == datetime(2026, 3, 1, 11, 0, 0, 250_000, tzinfo=UTC)
    assert isinstance(made.snapshot, Payment)
    assert made.snapshot.amount == Amount("1.00")
    assert made.snapshot.created_at == datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
    assert {Name(kind="payment_intent", value="pi_1"), Name(kind="event_id", value="e1")} <= set(made.names)


@pytest.mark.parametrize(
    ("kind", "data", "root"),
    [
        (
            "refund",
            {"outside_id": "re", "payment": "pay_1", "status": "succeeded", "earned": "0.00"},
            ("payment", "pay_1"),
        ),
        ("invoice_payment", {"outside_id": "ip", "invoice": "in_1", "status": "paid"}, ("invoice", "in_1")),
        ("payment_intent", {"outside_id": "pi", "status": "processing"}, ("payment_intent", "pi")),
        ("payment_intent", {"outside_id": "pi", "status": "succeeded", "payment": "pay_1"}, ("payment", "pay_1")),
    ],
)
def test_an_object_stands_on_the_root_it_belongs_to(kind: str, data: dict[str, Any], root: tuple[str, str]) -> None:
    whole = {"currency": "USD", "amount": "1.00", **data}
    if kind == "refund":
        whole["created_at"] = "2026-03-01T11:00:00Z"
    (found,) = fact(event(kind, whole)).roots
    assert (found.kind, found.outside_id) == root


def test_a_balance_transaction_stands_on_what_moved_it() -> None:
    data = {
        "outside_id": "txn",
        "transaction_type": "charge",
        "source": "pay_1",
        "currency": "USD",
        "amount": "1.00",
        "fee": "0.10",
        "net": "0.90",
        "created_at": "2026-03-01T11:00:00Z",
    }
    (found,) = fact(event("balance_transaction", data)).roots
    assert (found.kind, found.outside_id) == ("payment", "pay_1")
    (own,) = fact(event("balance_transaction", {**data, "transaction_type": "stripe_fee"})).roots
    assert own.kind == "balance_transaction"


def test_the_newest_snapshot_goes_by_status_then_time_then_sequence() -> None:
    opened = fact(event("invoice", INVOICE, id="a", time="2026-03-05T00:00:00Z"))
    paid = fact(event("invoice", {**INVOICE, "status": "paid"}, id="b", time="2026-03-01T00:00:00Z"))
    later = fact(event("invoice", {**INVOICE, "status": "paid"}, id="c", time="2026-03-01T00:00:00.000001Z"))
    after = fact(
        event("invoice", {**INVOICE, "status": "paid"}, id="d", time="2026-03-01T00:00:00.000001Z", sequence="7")
    )
    assert opened.order_key < paid.order_key < later.order_key < after.order_key


def test_the_digest_is_of_values_and_not_of_bytes() -> None:
    values = event("invoice", INVOICE)
    spaced = json.dumps(dict(reversed(values.items())), indent=3).encode()
    again = build().translate(body=spaced, context=CONTEXT)
    assert isinstance(again, tuple)
    assert again[0].content_digest == fact(values).content_digest
    assert fact(event("invoice", {**INVOICE, "memo": "x"})).content_digest != fact(values).content_digest


def test_an_invoice_comes_back_whole() -> None:
    snapshot = fact(event("invoice", {**INVOICE, "type": "invoice"})).snapshot
    assert isinstance(snapshot, Invoice)
    assert snapshot.lines[0].taxes[0].amount == Amount("8.00")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"lines": [{"outside_id": "x"}]}, "events.data_invalid", "/data/lines/0"),
        ({"lines": [{**INVOICE["lines"][0], "quantity": 1.5}]}, "events.data_invalid", "/data/lines/0/quantity"),
        ({"lines": [{**INVOICE["lines"][0], "nett": "1"}]}, "events.data_invalid", "/data/lines/0/nett"),
        ({"status": "frozen"}, "events.data_invalid", "/data/status"),
        ({"total": "1,000.00"}, "events.data_invalid", "/data/total"),
        ({"type": "payment"}, "events.data_invalid", "/data/type"),
        ({"created_at": "2026-03-01T10:00:00"}, "time.invalid", "/data/created_at"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(change: dict[str, Any], code: str, field: str) -> None:
    found = refused(event("invoice", {**INVOICE, **change}))
    assert (found.code, found.field) == (code, field)


def test_every_wrong_attribute_of_an_envelope_is_named() -> None:
    found = refused({"specversion": "1", "id": 7, "source": "a b", "type": "t", "data": [], "Bad-Name": 1})
    assert found.code == "events.envelope_invalid"
    assert {error.pointer for error in found.errors} == {"/specversion", "/id", "/source", "/data", "/Bad-Name"}


@pytest.mark.parametrize("kind", ["usage", "com.example.usage", "usage.recorded", "api-usage-v1"])
def test_usage_is_sent_elsewhere(kind: str) -> None:
    assert refused({"type": kind}).code == "events.usage_elsewhere"


def test_a_word_that_holds_usage_is_not_usage() -> None:
    assert refused(event("x", {}, type="com.example.sausages")).code == "events.type_unknown"


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01",
        "2026-03-01T10:00:00",
        "2026-02-30T10:00:00Z",
        "2026-03-01T25:00:00Z",
        "٢٠٢٦-03-01T10:00:00Z",
        None,
        5,
    ],
)
def test_what_is_no_time_is_refused(text: object) -> None:
    assert isinstance(read_time(text), Problem)


def test_a_time_keeps_its_microseconds_and_its_offset() -> None:
    found = read_time("2026-03-01t10:00:00.123456789+05:30")
    assert isinstance(found, datetime)
    assert (found.microsecond, found.utcoffset()) == (123_456, timedelta(hours=5, minutes=30))


STATED: dict[str, Any] = {
    "outside_id": "rr_1",
    "event": "revenue.recognized",
    "occurred_on": "2026-03-31",
    "currency": "USD",
    "payload": {"type": "recognized_revenue", "amount": "100.00"},
}


@pytest.mark.parametrize(
    ("change", "field", "instead"),
    [
        ({"event": "invoice.issued"}, "/data/event", "revenue.recognized"),
        ({"event": "revenue.imagined"}, "/data/event", "revenue.recognized"),
        ({"event": "sale.completed"}, "/data/payload/type", "completed_sale"),
        ({"payload": {"type": "wages", "amount": "1.00"}}, "/data/payload/type", ""),
        ({"payload": {"type": "recognized_revenue", "amount": "100.00", "colour": "red"}}, "/data/payload/colour", ""),
    ],
)
def test_a_stated_event_is_one_that_may_be_stated_with_its_own_payload(
    change: dict[str, Any], field: str, instead: str
) -> None:
    found = refused(event("stated_event", {**STATED, **change}))
    assert (found.code, found.errors[0].pointer) == ("events.data_invalid", field)
    assert instead in found.errors[0].instead


def test_a_stated_event_that_is_taken_back_is_newer_than_any_word_of_it() -> None:
    said = fact(event("stated_event", STATED))
    voided = fact(event("stated_event", {**STATED, "voided": True}, time="2026-01-01T00:00:00Z"))
    assert voided.order_key > said.order_key
    assert said.roots == (SourceObject(connection="crm", kind="stated_event", outside_id="rr_1"),)


def test_an_order_is_found_by_its_number_and_by_what_it_links() -> None:
    order = {
        "outside_id": "801",
        "number": "O-1",
        "status": "activated",
        "customer": "001",
        "currency": "USD",
        "total": "10.00",
        "lines": [],
        "created_at": "2026-03-01T10:00:00Z",
        "links": [{"connection": "billing", "kind": "subscription", "outside_id": "sub_1"}],
    }
    names = fact(event("order", order)).names
    assert {Name(kind="order_number", value="O-1"), Name(kind="subscription", value="sub_1")} <= set(names)
