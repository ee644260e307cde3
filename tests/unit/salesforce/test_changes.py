"""Change events: what they ask to be read, and how a relay proves them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from revline.connectors.salesforce.connector import SalesforceSource
from revline.connectors.salesforce.signature import signature_header
from revline.core.facts import Incomplete
from revline.core.problem import Problem
from tests.unit.salesforce.records import event
from tests.unit.salesforce.test_translate import context

SOURCE = SalesforceSource()
ORDER = "801000000000001AAA"
ITEM = "802000000000001AAA"


def asked(body: bytes) -> list[tuple[str, str, str]]:
    """(object to read, its id, kind of the source object)."""
    found = SOURCE.translate(body=body, context=context())
    assert not isinstance(found, Problem), found
    assert all(isinstance(one, Incomplete) for one in found)
    return [(one.object_kind, one.source.outside_id, one.source.kind) for one in found if isinstance(one, Incomplete)]


def test_every_record_an_event_names_is_read_again() -> None:
    body = event("Opportunity", "UPDATE", "006000000000001AAA", "006000000000002AAA", changedFields=["Amount"])
    assert asked(body) == [
        ("Opportunity", "006000000000001AAA", "opportunity"),
        ("Opportunity", "006000000000002AAA", "opportunity"),
    ]


@pytest.mark.parametrize("change", ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_UPDATE", "GAP_DELETE"])
def test_whatever_the_change_the_record_is_read(change: str) -> None:
    assert asked(event("Account", change, "001000000000002AAA")) == [("Account", "001000000000002AAA", "customer")]


def test_an_overflow_and_a_wildcard_ask_for_everything_of_the_kind() -> None:
    assert asked(event("Order", "GAP_OVERFLOW", "000000000000000AAA")) == [("Order", "*", "order")]
    assert asked(event("Order", "UPDATE", "801*", ORDER)) == [("Order", ORDER, "order"), ("Order", "*", "order")]


def test_a_line_leads_to_its_order_when_the_event_names_it() -> None:
    assert asked(event("OrderItem", "CREATE", ITEM, fields={"OrderId": ORDER})) == [("Order", ORDER, "order")]
    assert asked(event("OrderItem", "UPDATE", ITEM)) == [("OrderItem", ITEM, "order_line")]


def test_two_events_of_one_transaction_are_two_and_a_redelivered_one_is_the_same() -> None:
    first = SOURCE.translate(body=event("Account", "UPDATE", "001000000000002AAA"), context=context())
    again = SOURCE.translate(body=event("Account", "UPDATE", "001000000000002AAA"), context=context())
    other = SOURCE.translate(body=event("Account", "UPDATE", "001000000000002AAA", sequenceNumber=2), context=context())
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("header", "silent"),
    [
        ({"changeOrigin": "com/salesforce/api/rest/62.0;client=revline", "changedFields": ["ERP_State__c"]}, True),
        ({"changeOrigin": "com/salesforce/api/rest/62.0;client=revline", "changedFields": ["ERP__c", "Status"]}, False),
        ({"changeOrigin": "com/salesforce/api/rest/62.0;client=other", "changedFields": ["ERP_State__c"]}, False),
        ({"changeOrigin": "com/salesforce/api/rest/62.0;client=revline", "changedFields": []}, False),
    ],
)
def test_our_own_write_back_is_no_news_unless_the_org_changed_more(header: dict[str, Any], silent: bool) -> None:
    assert (asked(event("Order", "UPDATE", ORDER, **header)) == []) is silent


def test_an_event_of_an_unknown_object_is_kept_with_a_reason() -> None:
    found = SOURCE.translate(body=event("Lead", "UPDATE", "00Q000000000001AAA"), context=context())
    assert isinstance(found, Problem)
    assert found.code == "salesforce.type_unsupported"


@pytest.mark.parametrize("body", [b"{}", b'{"data":{"payload":{}}}', b"[]", event("Order", "EXPLODE", ORDER)])
def test_what_is_no_change_event_is_refused(body: bytes) -> None:
    assert isinstance(SOURCE.translate(body=body, context=context()), Problem)


def test_only_a_relay_with_the_secret_may_push() -> None:
    now = datetime(2026, 9, 1, 9, tzinfo=UTC)
    secret = "whsec_" + base64.b64encode(b"k" * 24).decode()
    body = event("Order", "UPDATE", ORDER)
    stamp = int(now.timestamp())
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(stamp),
        "Webhook-Signature": "v1,bm90aGluZw== "
        + signature_header(identifier="msg_1", timestamp=stamp, body=body, secret=secret),
    }

    def verify(
        changed: dict[str, str] | None = None, *, secrets: tuple[str, ...] = (secret,), sent: bytes = body
    ) -> bool:
        return SOURCE.verify(headers={**headers, **(changed or {})}, body=sent, secrets=secrets, now=now) is None

    assert verify()
    assert not verify(secrets=())
    assert not verify(secrets=("whsec_b3RoZXI=",))
    assert not verify(sent=body + b" ")
    assert not verify({"Webhook-Id": "msg_2"})
    assert not verify({"Webhook-Timestamp": str(stamp - 400)})
    assert not verify({"Webhook-Timestamp": "soon"})
