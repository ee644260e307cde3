"""The demonstration's parts, each by itself: its configuration, the played sales, the endpoint that counts messages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import pytest

from revline.app.kinds import registry
from revline.connectors.salesforce.identifiers import is_record_id, long_form
from revline.connectors.stripe.simulator.server import RunningStripe
from revline.platform.config.loader import load_folder
from revline.sim.demo.folder import TENANTS, add_missing_mapping, write_folder
from revline.sim.demo.profiles import BIRCH_ACCOUNTS, LATE_ORDERS, MONTH, PROFILES, SEED, birch_books, scaled
from revline.sim.demo.receiver import Receiver
from revline.sim.demo.selling import NUMBER_KEY, STATE_KEY, fill, new_org, sell, told_invoices, told_orders
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile

KEY = b"thirty-two bytes of signing key!"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Anything(dict[str, str]):
    """An address for every placeholder."""

    def __missing__(self, name: str) -> str:
        return "http://127.0.0.1:1" if name.endswith("url") else name


@pytest.fixture(scope="module")
def month() -> StripeMonth:
    return generate(seed=SEED, month=MONTH, profile=scaled(PROFILES["stripe"], Decimal("0.1")))


def addresses() -> Anything:
    found = Anything()
    for tenant in TENANTS:
        for document in (files("revline.sim.demo") / "configuration" / tenant).iterdir():
            for name in Template(document.read_text(encoding="utf-8")).get_identifiers():
                found[name] = found[name]
    return found


def test_the_configuration_holds_before_and_after_it_is_mended(tmp_path: Path) -> None:
    write_folder(folder=tmp_path, addresses=addresses())
    assert load_folder(tmp_path, registry()).errors == ()
    before = (tmp_path / "birch" / "40-mapping.yaml").read_text(encoding="utf-8")
    line = add_missing_mapping(folder=tmp_path)
    after = (tmp_path / "birch" / "40-mapping.yaml").read_text(encoding="utf-8")
    assert (f"# {line}" in before, f"# {line}" in after, f"    {line}" in after) == (True, False, True)
    assert load_folder(tmp_path, registry()).errors == ()


def test_every_code_of_the_mapping_is_in_netsuites_chart(tmp_path: Path) -> None:
    write_folder(folder=tmp_path, addresses=addresses(), tenants=("birch",))
    text = (tmp_path / "birch" / "40-mapping.yaml").read_text(encoding="utf-8")
    mapped = dict(re.findall(r"^    ([a-z_]+): \"(\d+)\"$", text, re.MULTILINE))
    assert {number: name for name, number in mapped.items() if number in BIRCH_ACCOUNTS} == BIRCH_ACCOUNTS
    items = {item.id: item.account for item in birch_books().items}
    named = dict(re.findall(r"^    item\.([a-z_]+): \"(\d+)\"$", text, re.MULTILINE))
    assert named
    assert all(BIRCH_ACCOUNTS[items[number]] == account for account, number in named.items())


def test_an_order_has_a_customer_a_subscription_and_an_invoice_that_name_it(month: StripeMonth) -> None:
    told: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for body in month.webhooks:
        thing = json.loads(body)["data"]["object"]
        told[thing["object"]].setdefault(thing["id"], thing)
    assert len(month.sales) == len({sale.account for sale in month.sales}) == 8
    for sale in month.sales:
        assert is_record_id(text=sale.order)
        assert told["subscription"][sale.subscription]["metadata"] == {"salesforce_order": sale.order}
        invoice = told["invoice"][sale.invoice]
        assert invoice["parent"]["subscription_details"]["metadata"] == {"salesforce_order": sale.order}
        customer = told["customer"][invoice["customer"]]
        assert (customer["metadata"], customer["name"]) == ({"salesforce_account": sale.account}, sale.customer_name)
        sums = sum(item.unit_amount * item.quantity for item in sale.items)
        assert sums == sum(line["amount"] for line in invoice["lines"]["data"] if line["amount"] > 0)
    lines = [line for thing in told["invoice"].values() for line in thing["lines"]["data"]]
    assert {line["pricing"]["price_details"]["product"] for line in lines} == set(told["product"])


def test_more_orders_than_customers_can_not_be_played() -> None:
    with pytest.raises(ValueError, match="of its own"):
        StripeProfile(account="a", customer_prefix="A", customers=3, invoices=9, subscriptions=9, orders=4)


def test_the_org_holds_every_sale_from_the_first_talk_to_the_order(month: StripeMonth) -> None:
    org = new_org().org
    sell(org, month.sales)
    for sale in month.sales:
        order = org.record(object_name="Order", record_id=long_form(record_id=sale.order))
        quote = org.record(object_name="Quote", record_id=order["QuoteId"])
        talk = org.record(object_name="Opportunity", record_id=quote["OpportunityId"])
        account = org.record(object_name="Account", record_id=talk["AccountId"])
        assert (order["Status"], order["Stripe_Subscription__c"]) == ("Activated", sale.subscription)
        assert (account["Id"], account["Name"]) == (long_form(record_id=sale.account), sale.customer_name)
        assert account["ParentId"]
    assert set(told_orders(org, month.sales).values()) == {("", "")}
    assert 0 < LATE_ORDERS < len(month.sales)


def test_stripes_api_knows_the_played_month_and_takes_what_is_told(month: StripeMonth) -> None:
    invoice = month.sales[0].invoice
    stripe = RunningStripe(key="sk_test_demo", clock=lambda: int(datetime(2026, 2, 1, tzinfo=UTC).timestamp()))
    with stripe:
        assert fill(stripe, month) > len(month.webhooks) / 4
        assert told_invoices(stripe) == {}
        body = f"metadata[{STATE_KEY}]=posted&metadata[{NUMBER_KEY}]=CUSTINVC7".encode()
        answer = stripe.do(
            lambda one: one.call(
                method="POST",
                target=f"/v1/invoices/{invoice}",
                headers={"authorization": "Bearer sk_test_demo"},
                body=body,
            )
        )
        assert answer.status == 200
        ((outside_id, (number, state, erp)),) = told_invoices(stripe).items()
    assert (outside_id, state, erp) == (invoice, "posted", "CUSTINVC7")
    assert number.startswith("BIRCH-")


def message(*, identity: str = "msg_1", age: int = 0, key: bytes = KEY) -> tuple[dict[str, str], bytes]:
    body, moment = b'{"type": "case.opened"}', str(int(time.time()) - age)
    signed = base64.b64encode(hmac.new(key, f"{identity}.{moment}.".encode() + body, hashlib.sha256).digest()).decode()
    signature = f"v1,{signed}"
    return {"Webhook-Id": identity, "Webhook-Timestamp": moment, "Webhook-Signature": signature}, body


def test_the_endpoint_counts_each_proved_message_once_and_refuses_the_others() -> None:
    with Receiver(secret=SECRET) as receiver:
        for one in (message(), message(), message(identity="msg_2")):
            assert receiver.take(headers=one[0], body=one[1])
        for wrong in (message(key=b"another key"), message(age=3_600), ({}, b"{}")):
            assert not receiver.take(headers=wrong[0], body=wrong[1])
        headers, body = message(identity="msg_3")
        assert not receiver.take(headers=headers, body=body + b" ")
        assert (receiver.types, receiver.repeated, receiver.refused) == ({"case.opened": 2}, 1, 4)
