"""Documents to NetSuite's bodies, byte by byte, and what is refused before anything is sent."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from revline.connectors.netsuite.assertion import Signer
from revline.connectors.netsuite.conformance import keys, mapping, world
from revline.connectors.netsuite.connector import base_url_of
from revline.connectors.netsuite.content import envelope_of
from revline.connectors.netsuite.manifest import Options, manifest_of
from revline.connectors.netsuite.marks import encoded, rendered
from revline.connectors.netsuite.translate import prepare_step
from revline.connectors.sdk import conformance_documents as make
from revline.core.documents import CustomerContent, Document, DocumentKind
from revline.core.farside import EntityMapping, ErpRecord, PrepareContext, PreparedStep
from revline.core.problem import Problem

WORLD = world(nonce="unit")
BUYER = make.customer(world=WORLD)
HELD = {BUYER.document_id: ErpRecord(record_kind="customer", erp_id="614", state="posted")}


def prepared(document: Document, *, options: Options | None = None, **changes: Any) -> PreparedStep | Problem:
    context = PrepareContext(
        mapping=changes.pop("mapping", mapping()), functional_currency="USD", records=HELD | changes
    )
    return prepare_step(document=document, step="create", context=context, options=options or Options())


def sent(document: Document, **changes: Any) -> Any:
    step = prepared(document, **changes)
    assert isinstance(step, PreparedStep), step
    body = rendered(envelope_of(step)["values"], currencies={"USD": "1", "EUR": "4"})
    return json.loads(encoded(body), parse_float=Decimal)


def test_an_invoice_is_lines_of_items_with_exact_amounts() -> None:
    bill = make.invoice(world=WORLD, buyer=BUYER)
    body = sent(bill)
    assert body["externalId"] == bill.external_reference
    assert body["entity"] == {"id": "614"}
    assert body["subsidiary"] == {"id": "1"}
    assert [(line["item"]["id"], line["amount"]) for line in body["item"]["items"]] == [
        ("31", Decimal("100.00")),
        ("32", Decimal("20.00")),
    ]
    assert "exchangeRate" not in body


def test_amounts_go_as_numbers_of_exactly_their_digits() -> None:
    bill = make.invoice(world=WORLD, buyer=BUYER, nets=(Decimal("999999999999999.99"),))
    step = prepared(bill)
    assert isinstance(step, PreparedStep)
    assert b'"amount":999999999999999.99' in encoded(rendered(envelope_of(step)["values"], currencies={"USD": "1"}))


def test_a_foreign_invoice_carries_the_rate_our_journal_used_unless_the_erp_has_its_own() -> None:
    bill = make.invoice(world=WORLD, buyer=BUYER, currency="EUR", rate=Decimal("1.0825"))
    assert sent(bill)["exchangeRate"] == Decimal("1.0825")
    own = msgspec.structs.replace(mapping(), settings=dict(mapping().settings) | {"rateFrom": "erp"})
    assert "exchangeRate" not in sent(bill, mapping=own)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"accounts": {}}, "accounts:accounts_receivable"),
        ({"settings": {}, "taxes": {"standard": "32"}}, "settings:item.deferred_revenue"),
        ({"settings": {"item.deferred_revenue": "31"}, "taxes": {}}, "taxes:standard"),
    ],
)
def test_what_the_mapping_lacks_is_named(changes: dict[str, Any], field: str) -> None:
    values = msgspec.structs.asdict(mapping()) | changes
    if changes.get("accounts") == {}:
        values["accounts"] = {"deferred_revenue": "240"}
    found = prepared(make.invoice(world=WORLD, buyer=BUYER), mapping=EntityMapping(**values))
    assert isinstance(found, Problem)
    assert (found.code, found.field) == ("mapping.missing", field)


def test_a_customer_gets_a_name_of_its_own_however_long_it_is() -> None:
    content = CustomerContent(name="Ä" * 200, currency="USD", outside_id="cus_1")
    body = sent(msgspec.structs.replace(BUYER, content=content))
    assert (len(body["companyName"]), len(body["entityId"])) == (83, 83)
    assert body["entityId"].endswith(f"[{BUYER.external_reference}]")


def test_a_product_of_the_mapping_is_its_item_and_a_number_can_be_ours() -> None:
    bill = make.invoice(world=WORLD, buyer=BUYER)
    line = msgspec.structs.replace(bill.content.lines[0], product="team")
    bill = msgspec.structs.replace(bill, content=msgspec.structs.replace(bill.content, lines=(line,)))
    mapped = msgspec.structs.replace(mapping(), products={"team": "33"})
    body = sent(bill, mapping=mapped, options=Options(numbers="ours"))
    assert body["item"]["items"][0]["item"] == {"id": "33"}
    assert body["tranId"] == bill.content.number
    assert sent(bill, mapping=mapped)["otherRefNum"] == bill.content.number


def test_a_deposit_and_a_payment_name_both_accounts() -> None:
    deposit = sent(make.money(world=WORLD, kind=DocumentKind.DEPOSIT, buyer=BUYER))
    assert (deposit["account"], deposit["other"]["items"][0]["account"]) == ({"id": "1"}, {"id": "122"})
    payment = sent(make.money(world=WORLD, kind=DocumentKind.PAYMENT, buyer=BUYER))
    assert (payment["account"], payment["arAcct"], payment["autoApply"]) == ({"id": "122"}, {"id": "119"}, False)


def test_the_accounts_address_is_made_from_its_id() -> None:
    assert base_url_of(settings={"account": "1234567_SB1"}) == "https://1234567-sb1.suitetalk.api.netsuite.com"
    with pytest.raises(ValueError, match="account"):
        base_url_of(settings={"account": "evil.example/"})


@pytest.mark.parametrize(
    "settings", [{"oneWorld": "maybe"}, {"slots": "many"}, {"effectBoundSeconds": "99999"}, {"numbers": "theirs"}]
)
def test_a_setting_that_can_not_be_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        manifest_of(settings=settings)


@pytest.mark.parametrize(("algorithm", "scope"), [("RS256", "array"), ("PS256", "array"), ("ES256", "list")])
def test_an_algorithm_netsuite_does_not_take_or_a_key_that_does_not_fit_is_refused(algorithm: str, scope: str) -> None:
    with pytest.raises(ValueError, match=r"algorithm|privateKey|scopeForm") as caught:
        Signer(client_id="c", certificate_id="k", private_key=keys()[0], algorithm=algorithm, scope_form=scope)
    assert "PRIVATE" not in str(caught.value)
