"""Salesforce records as canonical snapshots."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from revline.connectors.salesforce.connector import SalesforceSource
from revline.connectors.salesforce.simulator.queries import number_text
from revline.connectors.sdk.source import LinkRule, SourceContext
from revline.core.canonical import Contract, Customer, Opportunity, Order, OrderStatus, Price, Product, Quote
from revline.core.facts import Name, TranslatedFact
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from tests.unit.salesforce.records import ACCOUNT, body, item, lines, order, record

SOURCE = SalesforceSource()


def context(*links: LinkRule, **settings: str) -> SourceContext:
    return SourceContext(
        connection="crm",
        entity="us",
        time_zone="America/New_York",
        sandbox=False,
        links=links,
        settings=tuple(sorted(settings.items())),
    )


def fact(value: dict[str, Any] | bytes, within: SourceContext | None = None) -> TranslatedFact:
    data = value if isinstance(value, bytes) else body(value)
    found = SOURCE.translate_object(body=data, context=within or context())
    assert not isinstance(found, Problem), found
    return found[0]


def refusal(value: dict[str, Any], within: SourceContext | None = None) -> Problem:
    found = SOURCE.translate_object(body=body(value), context=within or context())
    assert isinstance(found, Problem)
    return found


def test_an_account_has_a_parent_an_address_and_two_names() -> None:
    made = fact(
        record(
            "Account",
            ACCOUNT,
            Name="Northwind",
            ParentId="001000000000001",
            BillingStreet="1 Harbour Road\r\nFloor 4",
            BillingCountry="United States",
            BillingCountryCode="US",
            AccountNumber="N-1",
        )
    )
    customer = made.snapshot
    assert isinstance(customer, Customer)
    assert (customer.parent, customer.address.line2, customer.address.country) == (
        "001000000000001AAA",
        "Floor 4",
        "US",
    )
    assert made.roots == (SourceObject(connection="crm", kind="customer", outside_id=ACCOUNT),)
    assert {Name(kind="outside_id", value=ACCOUNT), Name(kind="outside_id", value=ACCOUNT[:15])} < set(made.names)


def test_the_legal_name_may_stand_in_a_field_of_its_own() -> None:
    account = record("Account", ACCOUNT, Name="Northwind", Legal_Name__c="Northwind Traders LLC")
    customer = fact(account, context(legalNameField="Legal_Name__c")).snapshot
    assert isinstance(customer, Customer)
    assert customer.name == "Northwind Traders LLC"


def test_an_order_ends_the_day_after_its_last_day() -> None:
    made = order(
        EndDate="2027-08-31", OrderItems=lines(item(1, ServiceDate="2026-09-01", EndDate="2027-08-31")), PoNumber="PO-1"
    )
    found = fact(made)
    snapshot = found.snapshot
    assert isinstance(snapshot, Order)
    assert (snapshot.start_date, snapshot.end_date) == (date(2026, 9, 1), date(2027, 9, 1))
    (line,) = snapshot.lines
    assert (line.service_start, line.service_end, line.product_family) == (
        date(2026, 9, 1),
        date(2027, 9, 1),
        "platform",
    )
    assert {Name(kind="order_number", value="00000105"), Name(kind="purchase_order", value="PO-1")} < set(found.names)


@pytest.mark.parametrize(
    ("status", "code", "settings", "expected"),
    [
        ("Draft", "Draft", {}, OrderStatus.DRAFT),
        ("Sent to customer", "Draft", {}, OrderStatus.DRAFT),
        ("Live", "Activated", {}, OrderStatus.ACTIVATED),
        ("Withdrawn", "Draft", {"orderStatuses": "Withdrawn=canceled"}, OrderStatus.CANCELED),
        ("Activated", None, {}, OrderStatus.ACTIVATED),
    ],
)
def test_an_orders_status_is_read_through_the_orgs_own_words(
    status: str, code: str | None, settings: dict[str, str], expected: OrderStatus
) -> None:
    snapshot = fact(order(Status=status, StatusCode=code), context(**settings)).snapshot
    assert isinstance(snapshot, Order)
    assert snapshot.status is expected


def test_a_status_nobody_explained_is_refused_with_its_place() -> None:
    found = refusal(order(Status="Nebulous", StatusCode=None))
    assert (found.code, found.field) == ("salesforce.object_invalid", "Status")
    assert "orderStatuses" in found.detail


def test_a_deleted_draft_is_a_canceled_order() -> None:
    snapshot = fact(order(IsDeleted=True)).snapshot
    assert isinstance(snapshot, Order)
    assert snapshot.status is OrderStatus.CANCELED


def test_an_opportunity_a_quote_and_a_contract_name_each_other() -> None:
    opportunity = fact(
        record(
            "Opportunity",
            "006000000000001AAA",
            Name="Deal",
            AccountId=ACCOUNT,
            StageName="Closed Won",
            Amount=1.5e7,
            Probability=100.0,
            CloseDate="2026-08-31",
            IsWon=True,
            IsClosed=True,
            SyncedQuoteId="0Q0000000000001CAA",
            ContractId="800000000000001AAA",
            CurrencyIsoCode="EUR",
        )
    ).snapshot
    assert isinstance(opportunity, Opportunity)
    assert (str(opportunity.amount), opportunity.currency, opportunity.won) == ("15000000.00", "EUR", True)
    assert (opportunity.quote, opportunity.contract) == ("0Q0000000000001CAA", "800000000000001AAA")
    quote = fact(
        record(
            "Quote",
            "0Q0000000000001CAA",
            QuoteNumber="00000007",
            OpportunityId="006000000000001AAA",
            AccountId=ACCOUNT,
            Status="Accepted",
            GrandTotal=119.0,
            Tax=19.0,
            ExpirationDate="2026-09-30",
            CurrencyIsoCode="EUR",
        )
    ).snapshot
    assert isinstance(quote, Quote)
    assert (str(quote.total), str(quote.tax_total), quote.opportunity) == ("119.00", "19.00", "006000000000001AAA")
    contract = fact(
        record(
            "Contract",
            "800000000000001AAA",
            ContractNumber="00000100",
            AccountId=ACCOUNT,
            Status="In Approval Process",
            StatusCode="InApproval",
            StartDate="2026-09-01",
            EndDate="2027-08-31",
            ContractTerm=12,
            CurrencyIsoCode="EUR",
        )
    ).snapshot
    assert isinstance(contract, Contract)
    assert (contract.status, contract.term_months, contract.end_date) == ("in_approval", 12, date(2027, 9, 1))


def test_contract_lines_come_from_the_object_the_connection_names() -> None:
    line = record("Contract_Line__c", "a00000000000001AAA", Qty__c=3, Unit_Price__c=19.99, Total__c=None, Name="Seats")
    contract = record(
        "Contract",
        "800000000000001AAA",
        AccountId=ACCOUNT,
        Status="Draft",
        CurrencyIsoCode="USD",
        Contract_Lines__r=lines(line),
    )
    within = context(contractLineObject="Contract_Line__c", contractLineFields="quantity=Qty__c")
    snapshot = fact(contract, within).snapshot
    assert isinstance(snapshot, Contract)
    assert [(str(one.quantity), str(one.total), one.description) for one in snapshot.lines] == [("3", "59.97", "Seats")]


def test_products_and_prices() -> None:
    product = fact(
        record("Product2", "01t000000000001AAA", Name="Seat", ProductCode="S", Rev__c="platform", IsActive=True),
        context(productFamilyField="Rev__c"),
    ).snapshot
    assert isinstance(product, Product)
    assert (product.family, product.code, product.active) == ("platform", "S", True)
    price = fact(
        record(
            "PricebookEntry",
            "01u000000000001AAA",
            Product2Id="01t000000000001AAA",
            Pricebook2Id="01s000000000001AAA",
            UnitPrice=0.0125,
            IsActive=True,
            CurrencyIsoCode="USD",
        )
    ).snapshot
    assert isinstance(price, Price)
    assert str(price.unit_amount) == "0.0125"


def test_an_org_with_one_currency_is_told_by_the_setting() -> None:
    plain = order(CurrencyIsoCode=None)
    assert refusal(plain).code == "salesforce.currency_missing"
    snapshot = fact(plain, context(currency="CAD")).snapshot
    assert isinstance(snapshot, Order)
    assert snapshot.currency == "CAD"


def test_links_lead_to_other_systems_by_the_fields_the_connection_names() -> None:
    rules = (
        LinkRule(field="Order.Billing_Id__c", connection="billing", kind="subscription"),
        LinkRule(field="Other_Crm__c", connection="old", kind="order"),
        LinkRule(field="Account.Billing_Id__c", connection="billing", kind="customer"),
    )
    made = order(Billing_Id__c=" sub_1 ", Other_Crm__c="801000000000009")
    snapshot = fact(made, context(*rules)).snapshot
    assert isinstance(snapshot, Order)
    assert snapshot.links == (
        SourceObject(connection="billing", kind="subscription", outside_id="sub_1"),
        SourceObject(connection="old", kind="order", outside_id="801000000000009AAA"),
    )


def test_amounts_are_read_to_the_last_digit_or_refused() -> None:
    text = body(order(OrderItems=lines(item(1)))).replace(b'"TotalPrice": 10.0', b'"TotalPrice": 90071992547409.93')
    snapshot = fact(text).snapshot
    assert isinstance(snapshot, Order)
    assert str(snapshot.total) == "90071992547409.93"
    assert refusal(order(OrderItems=lines(item(1, TotalPrice=0.005)))).code == "amount.invalid"
    assert refusal(order(OrderItems=lines(item(1, TotalPrice="10.00")))).code == "salesforce.object_invalid"
    assert refusal(order(OrderItems=lines(item(1, TotalPrice=1e30)))).code == "salesforce.object_invalid"


@given(some.decimals(min_value=-(10**12), max_value=10**12, places=2))
def test_a_number_is_the_same_however_salesforce_writes_it(amount: Decimal) -> None:
    data = body(order(OrderItems=lines(item(1)))).replace(
        b'"TotalPrice": 10.0', b'"TotalPrice": ' + number_text(amount).encode()
    )
    snapshot = fact(data).snapshot
    assert isinstance(snapshot, Order)
    assert snapshot.total == amount


def test_lines_that_are_not_all_there_are_refused() -> None:
    assert refusal(order(OrderItems=lines(item(1), done=False))).code == "salesforce.lines_incomplete"


def test_a_changed_line_makes_a_newer_snapshot_than_its_order_says() -> None:
    before = fact(order(OrderItems=lines(item(1))))
    after = fact(order(OrderItems=lines(item(1, SystemModstamp="2026-09-01T09:00:07.000+0000"))))
    gone = fact(order(OrderItems=lines(item(1, SystemModstamp="2026-09-01T09:00:09.000+0000", IsDeleted=True))))
    assert before.order_key < after.order_key < gone.order_key
    assert isinstance(gone.snapshot, Order)
    assert gone.snapshot.lines == ()


def test_the_same_state_asked_for_in_another_way_is_the_same_fact() -> None:
    one = order(OrderItems=lines(item(1), item(2)))
    other = json.loads(json.dumps(order(OrderItems=lines(item(2), item(1)))).replace("v62.0", "v63.0"))
    assert fact(one) == fact(other)
    assert fact(one).source_event != fact(order(OrderItems=lines(item(1)))).source_event


def test_objects_without_a_canonical_form_and_lines_alone_are_refused() -> None:
    for kind in ("Lead", "OrderItem"):
        found = refusal(record(kind, "802000000000001AAA"))
        assert found.code == "salesforce.type_unsupported"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"productFamilyField": "Family FROM User"}, "productFamilyField"),
        ({"orderStatuses": "Live"}, "orderStatuses"),
        ({"contractLineObject": "X__c", "contractLineFields": "colour=Red__c"}, "contractLineFields"),
    ],
)
def test_a_setting_that_cannot_be_is_named(settings: dict[str, str], named: str) -> None:
    found = refusal(order(), context(**settings))
    assert (found.code, found.field) == ("salesforce.settings_invalid", named)
