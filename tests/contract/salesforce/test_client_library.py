"""The widely used client library, unchanged, against the simulated org."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from revline.connectors.salesforce.simulator import SimulatedSalesforce, quote_to_order
from revline.connectors.salesforce.simulator.faults import LIMIT_EXCEEDED, ROW_LOCKED, UNAVAILABLE
from revline.connectors.salesforce.simulator.schema import Field
from revline.connectors.salesforce.simulator.server import CONSUMER_KEY, CONSUMER_SECRET, USERNAME
from revline.connectors.salesforce.simulator.session import loopback_session
from tests.contract.salesforce.orgs import an_org, key, serving

CUSTOM = {"Account": (Field(name="Legacy__c", external_id=True),), "Order": (Field(name="ERP_Number__c"),)}


@pytest.fixture
def server() -> Iterator[SimulatedSalesforce]:
    org, clock = an_org(custom=CUSTOM, batch_size=2, child_batch_size=1)
    clock.pass_seconds(
        9_000_000
    )  # the library stamps assertions by the machine's clock, which is later than the story's
    with serving(org, assertions=True) as serving_org:
        yield serving_org


@pytest.fixture
def salesforce(server: SimulatedSalesforce) -> Salesforce:
    return Salesforce(
        consumer_key=CONSUMER_KEY,
        consumer_secret=CONSUMER_SECRET,
        domain="acme.my",
        session=loopback_session(base_url=server.base_url),
        version="62.0",
        parse_float=Decimal,
    )


def test_it_logs_in_with_a_signed_assertion(server: SimulatedSalesforce) -> None:
    server.org.clock.moment = server.org.clock.moment.replace(year=2020)
    salesforce = Salesforce(
        username=USERNAME,
        consumer_key=CONSUMER_KEY,
        privatekey=key().as_pem(private=True).decode(),
        domain="test",
        session=loopback_session(base_url=server.base_url),
        version="62.0",
    )
    assert salesforce.limits()["DailyApiRequests"]["Max"] == 100_000


def test_wrong_credentials_are_refused(server: SimulatedSalesforce) -> None:
    with pytest.raises(SalesforceAuthenticationFailed, match="invalid_client"):
        Salesforce(
            consumer_key=CONSUMER_KEY,
            consumer_secret="wrong",
            domain="acme.my",
            session=loopback_session(base_url=server.base_url),
        )


def test_records_are_made_read_changed_and_removed(salesforce: Salesforce) -> None:
    made = salesforce.Account.create({"Name": "Northwind", "BillingCity": "Boston"})
    assert made["success"] is True
    assert salesforce.Account.get(made["id"])["BillingCity"] == "Boston"
    assert salesforce.Account.update(made["id"], {"BillingCity": "Salem"}) == 204
    assert salesforce.Account.get(made["id"][:15])["BillingCity"] == "Salem"
    assert salesforce.Account.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Account.get(made["id"])


def test_an_external_id_makes_a_record_once(salesforce: Salesforce) -> None:
    assert salesforce.Account.upsert("Legacy__c/A-1", {"Name": "First"}) == 201
    assert salesforce.Account.upsert("Legacy__c/A-1", {"Name": "Renamed"}) in {200, 204}
    assert salesforce.Account.get_by_custom_id("Legacy__c", "A-1")["Name"] == "Renamed"
    with pytest.raises(SalesforceMalformedRequest) as refused:
        salesforce.Account.create({"Name": "Second", "Legacy__c": "A-1"})
    assert refused.value.content[0]["errorCode"] == "DUPLICATE_VALUE"


def test_queries_come_in_pages(server: SimulatedSalesforce, salesforce: Salesforce) -> None:
    for number in range(5):
        salesforce.Account.create({"Name": f"Account {number}"})
    first = salesforce.query("SELECT Id, Name FROM Account ORDER BY Name")
    assert (first["totalSize"], first["done"], len(first["records"])) == (5, False, 2)
    every = salesforce.query_all("SELECT Id, Name FROM Account WHERE Name LIKE 'Account%' AND Name != 'Account 3'")
    assert [record["Name"] for record in every["records"]] == ["Account 0", "Account 1", "Account 2", "Account 4"]


def test_children_and_parents_come_with_their_record(server: SimulatedSalesforce, salesforce: Salesforce) -> None:
    told = quote_to_order(org=server.org)
    text = (
        "SELECT Id, Account.Name, (SELECT Id, TotalPrice, Product2.Name FROM OrderItems ORDER BY TotalPrice DESC) "
        f"FROM Order WHERE Id = '{told.order}' OR (OrderNumber = 'none' AND Status IN ('Draft', 'Activated'))"
    )
    (order,) = salesforce.query(text)["records"]
    assert order["Account"]["Name"] == "Northwind Traders"
    assert order["OrderItems"]["done"] is False
    assert order["OrderItems"]["records"][0]["Product2"]["Name"] == "Gold support"
    rest = salesforce.query_more(order["OrderItems"]["nextRecordsUrl"], identifier_is_url=True)
    assert [line["TotalPrice"] for line in rest["records"]] == [Decimal("1500.0")]


def test_the_recycle_bin_is_asked_for_by_name(salesforce: Salesforce) -> None:
    made = salesforce.Account.create({"Name": "Gone"})
    salesforce.Account.delete(made["id"])
    text = "SELECT Id, IsDeleted FROM Account WHERE Name = 'Gone'"
    assert salesforce.query(text)["totalSize"] == 0
    assert salesforce.query(text, include_deleted=True)["records"][0]["IsDeleted"] is True


def test_a_composite_request_names_what_it_made(salesforce: Salesforce) -> None:
    version = "/services/data/v62.0/sobjects"
    requests = [
        {"method": "POST", "url": f"{version}/Account", "referenceId": "parent", "body": {"Name": "Holding"}},
        {
            "method": "POST",
            "url": f"{version}/Account",
            "referenceId": "child",
            "body": {"Name": "Daughter", "ParentId": "@{parent.id}"},
        },
        {"method": "GET", "url": f"{version}/Account/@{{child.id}}", "referenceId": "read"},
        {"method": "POST", "url": f"{version}/Account", "referenceId": "wrong", "body": {"Nane": "Typo"}},
    ]
    answer = salesforce.restful("composite", method="POST", json={"compositeRequest": requests})
    parent, child, read, wrong = answer["compositeResponse"]
    assert (parent["httpStatusCode"], child["httpStatusCode"], wrong["httpStatusCode"]) == (201, 201, 400)
    assert read["body"]["ParentId"] == parent["body"]["id"]
    assert wrong["body"][0]["errorCode"] == "INVALID_FIELD"


def test_the_rules_of_saving_are_kept(server: SimulatedSalesforce, salesforce: Salesforce) -> None:
    account = salesforce.Account.create({"Name": "Rules"})["id"]
    cases = {
        "REQUIRED_FIELD_MISSING": lambda: salesforce.Order.create({"AccountId": account}),
        "INVALID_CROSS_REFERENCE_KEY": lambda: salesforce.Account.create({"Name": "x", "ParentId": "001000000000999"}),
        "INVALID_FIELD": lambda: salesforce.query("SELECT Nane FROM Account"),
        "MALFORMED_QUERY": lambda: salesforce.query("SELECT FROM Account"),
        "INVALID_FIELD_FOR_INSERT_UPDATE": lambda: salesforce.Account.create({"Name": "x", "IsDeleted": True}),
    }
    for code, call in cases.items():
        with pytest.raises(SalesforceMalformedRequest) as refused:
            call()
        assert refused.value.content[0]["errorCode"] == code
    order = salesforce.Order.create({"AccountId": account, "EffectiveDate": "2026-09-01", "Status": "Draft"})["id"]
    with pytest.raises(SalesforceMalformedRequest, match="at least one product"):
        salesforce.Order.update(order, {"Status": "Activated"})


def test_it_misbehaves_on_demand(server: SimulatedSalesforce, salesforce: Salesforce) -> None:
    made = salesforce.Account.create({"Name": "Locked"})["id"]
    faults = server.api.faults
    faults.add(LIMIT_EXCEEDED)
    with pytest.raises(SalesforceRefusedRequest, match="REQUEST_LIMIT_EXCEEDED"):
        salesforce.Account.get(made)
    faults.add(ROW_LOCKED)
    with pytest.raises(SalesforceMalformedRequest, match="UNABLE_TO_LOCK_ROW"):
        salesforce.Account.update(made, {"Name": "Free"})
    faults.add(UNAVAILABLE)
    with pytest.raises(SalesforceGeneralError, match="SERVER_UNAVAILABLE"):
        salesforce.Account.get(made)
    assert salesforce.Account.get(made)["Name"] == "Locked"


def test_an_expired_token_is_renewed_by_the_library(server: SimulatedSalesforce, salesforce: Salesforce) -> None:
    salesforce.query("SELECT Id FROM Account")
    server.api.logins.expire_all()
    assert salesforce.query("SELECT Id FROM Account")["totalSize"] == 0
    assert salesforce.api_usage["api-usage"].total == 100_000
