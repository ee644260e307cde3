"""A sale from first talk to signed order, told as saves into a simulated org. Knows the org, no wire."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from revline.connectors.salesforce.simulator.org import Org


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of what a story made. products: product code -> (product, price book entry)."""

    parent_account: str
    account: str
    opportunity: str
    quote: str
    contract: str
    order: str
    products: Mapping[str, tuple[str, str]]


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """A product of a story and how much of it is sold. price: of one unit."""

    code: str
    name: str
    family: str
    quantity: str
    price: str


SEATS = Item(code="PLAT-PRO", name="Platform Pro", family="platform", quantity="25", price="60.00")
SUPPORT = Item(code="SUP-GOLD", name="Gold support", family="support", quantity="1", price="3000.00")


def quote_to_order(
    *,
    org: Org,
    name: str = "Northwind Traders",
    items: tuple[Item, ...] = (SEATS, SUPPORT),
    start: str = "2026-09-01",
    last_day: str = "2027-08-31",
    currency: str = "USD",
    record_ids: Mapping[str, str] | None = None,
    order_fields: Mapping[str, Any] | None = None,
    account_fields: Mapping[str, Any] | None = None,
) -> Told:
    """Make the records of one sale and the change events of every save.

    record_ids: stated ids by role (account, order and so on), so that another system may name them beforehand. order_fields,
    account_fields: custom fields, such as the id of the subscription that carries the order out.
    """
    ids = record_ids or {}
    money = {"CurrencyIsoCode": currency} if org.behaviour.multi_currency else {}

    def make(role: str, object_name: str, values: dict[str, Any]) -> str:
        return org.create(object_name=object_name, values={**values, **money}, record_id=ids.get(role, ""))

    address = {"BillingStreet": "1 Harbour Road\nFloor 4", "BillingCity": "Boston", "BillingCountryCode": "US"}
    parent = make("parent_account", "Account", {"Name": f"{name} Holding", **address})
    account = make("account", "Account", {"Name": name, "ParentId": parent, **address, **(account_fields or {})})
    book = make("price_book", "Pricebook2", {"Name": f"Standard for {name}"})
    products = {item.code: _product(org, item, book, money) for item in items}
    close_date = start
    opportunity = make(
        "opportunity",
        "Opportunity",
        {
            "Name": f"{name}: first year",
            "AccountId": account,
            "StageName": "Proposal/Price Quote",
            "CloseDate": close_date,
            "Probability": Decimal(75),
        },
    )
    for item in items:
        _line(org, "OpportunityLineItem", {"OpportunityId": opportunity}, item, products, money)
    quote = make(
        "quote",
        "Quote",
        {"Name": f"{name} offer", "OpportunityId": opportunity, "AccountId": account, "Status": "Draft"},
    )
    for item in items:
        _line(org, "QuoteLineItem", {"QuoteId": quote}, item, products, money)
    org.update(object_name="Quote", record_id=quote, values={"Status": "Accepted"})
    contract = make("contract", "Contract", {"AccountId": account, "StartDate": start, "ContractTerm": 12})
    org.update(object_name="Contract", record_id=contract, values={"Status": "Activated"})
    org.update(
        object_name="Opportunity",
        record_id=opportunity,
        values={"StageName": "Closed Won", "Probability": Decimal(100), "SyncedQuoteId": quote, "ContractId": contract},
    )
    order = make(
        "order",
        "Order",
        {
            "AccountId": account,
            "EffectiveDate": start,
            "EndDate": last_day,
            "Status": "Draft",
            "OpportunityId": opportunity,
            "QuoteId": quote,
            "ContractId": contract,
            "PoNumber": "PO-7781",
            **(order_fields or {}),
        },
    )
    for item in items:
        term = {"OrderId": order, "ServiceDate": start, "EndDate": last_day}
        _line(org, "OrderItem", term, item, products, money)
    org.update(object_name="Order", record_id=order, values={"Status": "Activated"})
    return Told(
        parent_account=parent,
        account=account,
        opportunity=opportunity,
        quote=quote,
        contract=contract,
        order=order,
        products=products,
    )


def _product(org: Org, item: Item, book: str, money: Mapping[str, str]) -> tuple[str, str]:
    same = [one for one in org.records["Product2"].values() if one["ProductCode"] == item.code and not one["IsDeleted"]]
    product = (
        str(same[0]["Id"])
        if same
        else org.create(
            object_name="Product2",
            values={"Name": item.name, "ProductCode": item.code, "Family": item.family, **money},
        )
    )
    entry = {"Product2Id": product, "Pricebook2Id": book, "UnitPrice": Decimal(item.price), **money}
    return product, org.create(object_name="PricebookEntry", values=entry)


def _line(
    org: Org,
    object_name: str,
    values: Mapping[str, Any],
    item: Item,
    products: Mapping[str, tuple[str, str]],
    money: Mapping[str, str],
) -> str:
    product, entry = products[item.code]
    line = {
        "Product2Id": product,
        "PricebookEntryId": entry,
        "Quantity": Decimal(item.quantity),
        "UnitPrice": Decimal(item.price),
        "ListPrice": Decimal(item.price),
        **money,
    }
    return org.create(object_name=object_name, values={**values, **line})
