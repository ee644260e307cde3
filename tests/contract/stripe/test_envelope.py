"""What all Stripe messages share: the digest, the modes, what is not translated, and input that is not as documented."""

from __future__ import annotations

import json
from typing import Any

import pytest

from revline.connectors.stripe.connector import build
from revline.connectors.stripe.translate import translate, translate_object
from revline.core.problem import Problem
from tests.contract.stripe.inputs import NEW_YORK, event, fact, facts, imported, refusal, stripe_object


def test_a_second_delivery_has_the_same_digest_and_a_changed_one_has_not() -> None:
    charge = stripe_object("charge")
    first = facts(event("charge.succeeded", charge))
    again = facts(event("charge.succeeded", charge, pending_webhooks=0, request=None, api_version="2025-01-01"))
    changed = facts(event("charge.succeeded", charge | {"description": "other"}))
    assert first[0].content_digest == again[0].content_digest != changed[0].content_digest
    assert first[0].source_event == changed[0].source_event == "evt_1"


def test_white_space_and_key_order_are_no_content() -> None:
    body = event("charge.succeeded", stripe_object("charge"))
    other = json.dumps(json.loads(body), indent=2, sort_keys=True).encode()
    assert facts(body) == facts(other)


def test_the_same_state_imported_twice_is_one_fact_and_another_state_is_another() -> None:
    (first,), (again,) = imported(stripe_object("payout")), imported(stripe_object("payout"))
    (later,) = imported(stripe_object("payout", status="failed"))
    assert first == again
    assert first.source_event != later.source_event


def test_an_event_from_an_export_is_imported_as_the_webhook_it_was() -> None:
    body = event("payout.paid", stripe_object("payout"))
    assert translate_object(body=body, context=NEW_YORK) == translate(body=body, context=NEW_YORK)


def test_unknown_fields_break_nothing() -> None:
    thing = stripe_object("charge", brand_new={"deep": [1, 2.5, None]}, another=True)
    assert fact("charge.succeeded", thing).snapshot == fact("charge.succeeded", stripe_object("charge")).snapshot


def test_the_request_that_caused_an_event_is_its_correlation() -> None:
    assert fact("payout.paid", stripe_object("payout")).correlation == "req_1"
    assert fact("payout.paid", stripe_object("payout"), request="req_old").correlation == "req_old"


@pytest.mark.parametrize(
    ("kind", "thing"),
    [
        ("customer.discount.created", {"id": "di_1", "object": "discount", "livemode": False}),
        ("review.opened", {"id": "prv_1", "object": "review", "livemode": False}),
        ("invoice.upcoming", {"object": "invoice", "livemode": False}),
        ("who.knows", {}),
    ],
)
def test_what_is_not_translated_says_so(kind: str, thing: dict[str, Any]) -> None:
    assert refusal(kind, thing).code == "stripe.type_unsupported"


def test_thin_events_are_not_translated() -> None:
    body = b'{"id": "evt_2", "object": "v2.core.event", "type": "v2.core.account.updated"}'
    problem = translate(body=body, context=NEW_YORK)
    assert isinstance(problem, Problem)
    assert problem.code == "stripe.type_unsupported"


def test_live_data_does_not_enter_by_a_sandbox_connection() -> None:
    assert refusal("payout.paid", stripe_object("payout"), livemode=True).code == "stripe.mode_mismatch"
    live = json.dumps(stripe_object("payout", livemode=True)).encode()
    problem = translate_object(body=live, context=NEW_YORK)
    assert isinstance(problem, Problem)
    assert problem.code == "stripe.mode_mismatch"


@pytest.mark.parametrize(
    ("name", "field", "value", "code"),
    [
        ("charge", "amount_captured", "100", "stripe.object_invalid"),
        ("charge", "amount_captured", 1.5, "stripe.object_invalid"),
        ("charge", "amount_captured", True, "stripe.object_invalid"),
        ("charge", "amount_captured", 10**18, "stripe.amount_invalid"),
        ("charge", "currency", "zzz", "currency.unknown"),
        ("charge", "currency", None, "currency.unknown"),
        ("charge", "currency", "xau", "currency.unknown"),
        ("charge", "created", -1, "stripe.object_invalid"),
        ("charge", "created", 10**15, "stripe.object_invalid"),
        ("charge", "id", "", "stripe.object_invalid"),
        ("charge", "id", "a\nb", "stripe.object_invalid"),
        ("charge", "id", "x" * 256, "stripe.object_invalid"),
        ("charge", "status", "mystery", "stripe.object_invalid"),
        ("refund", "status", None, "stripe.object_invalid"),
        ("payout", "arrival_date", None, "stripe.object_invalid"),
        ("payout", "status", "lost", "stripe.object_invalid"),
        ("payment_intent", "status", "lost", "stripe.object_invalid"),
        ("invoice", "customer", None, "stripe.object_invalid"),
        ("invoice", "status", "lost", "stripe.object_invalid"),
        ("invoice", "lines", {"data": "no list"}, "stripe.object_invalid"),
        ("invoice_payment", "status", "lost", "stripe.object_invalid"),
        ("customer", "currency", "zzz", "currency.unknown"),
        ("customer", "name", 7, "stripe.object_invalid"),
    ],
)
def test_a_wrong_field_is_named(name: str, field: str, value: Any, code: str) -> None:
    problem = refusal("some.event", stripe_object(name, **{field: value}))
    assert problem.code == code
    assert problem.field == field
    assert problem.entry.remedy


def test_a_currency_that_stripe_does_not_offer_is_refused() -> None:
    assert refusal("charge.succeeded", stripe_object("charge", currency="lyd")).code == "stripe.amount_invalid"


def test_a_line_in_another_currency_is_refused_under_one_field_for_all_lines() -> None:
    thing = stripe_object("invoice")
    thing["lines"]["data"][1]["currency"] = "eur"
    problem = refusal("invoice.finalized", thing)
    assert (problem.field, problem.errors[0].pointer) == ("lines/currency", "/lines/1/currency")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json.invalid"),
        (b"[]", "json.invalid"),
        (b'{"object": "event", "object": "event"}', "json.duplicate_key"),
        (b'{"object": "event", "type": "x", "created": NaN}', "json.number_invalid"),
        (b'{"object": "event", "type": "\xff"}', "json.invalid"),
        (b'{"object": "event", "created": ' + b"9" * 1_000_000 + b"}", "json.number_invalid"),
        (b'{"object": "event", "data": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "json.too_deep"),
        (b'{"object": "event", "type": "x", "data": null, "id": "evt_1"}', "stripe.object_invalid"),
        (b'{"object": "event", "type": 7}', "stripe.object_invalid"),
        (b" " * 2_097_153, "json.too_large"),
    ],
)
def test_bodies_that_are_no_event(body: bytes, code: str) -> None:
    problem = translate(body=body, context=NEW_YORK)
    assert isinstance(problem, Problem)
    assert problem.code == code


def test_the_connector_says_what_it_is() -> None:
    source = build()
    assert (source.name, source.version) == (source.manifest.connector, source.manifest.version)
    assert all(gotcha.verified for gotcha in source.manifest.gotchas)
    body = event("payout.paid", stripe_object("payout"))
    assert source.translate(body=body, context=NEW_YORK) == translate(body=body, context=NEW_YORK)


def test_metered_use_that_was_refused_later_is_a_case_of_its_meter() -> None:
    told = {
        "id": "evt_test_1",
        "object": "v2.core.event",
        "type": "v1.billing.meter.error_report_triggered",
        "created": "2026-01-01T00:00:00.000Z",
        "related_object": {"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    }
    found = translate(body=json.dumps(told).encode(), context=NEW_YORK)
    assert isinstance(found, Problem)
    assert (found.code, found.field) == ("stripe.use_refused", "mtr_1")
