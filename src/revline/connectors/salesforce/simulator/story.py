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
    teller = _Teller(org=org, record_ids=record_ids or {}, currency=currency)
    parent, account = teller.accounts(name, account_fields or {})
    products = teller.catalogue(name, items)
    opportunity, quote = teller.offer(name, account, items, products, start)
    contract = teller.make("contract", "Contract", {"AccountId": account, "StartDate": start, "ContractTerm": 12})
    org.update(object_name="Contract", record_id=contract, values={"Status": "Activated"})
    won = {"StageName": "Closed Won", "Probability": Decimal(100), "SyncedQuoteId": quote, "ContractId": contract}
    org.update(object_name="Opportunity", record_id=opportunity, values=won)
    signed = {
        "AccountId": account,
        "EffectiveDate": start,
        "EndDate": last_day,
        "Status": "Draft",
        "OpportunityId": opportunity,
        "QuoteId": quote,
        "ContractId": contract,
        "PoNumber": "PO-7781",
    }
    order = teller.make("order", "Order", {**signed, **(order_fields or {})})
    term = {"OrderId": order, "ServiceDate": start, "EndDate": last_day}
    teller.lines("OrderItem", term, items, products)
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


class _Teller:
    """Saves the parts of a story, each under its stated id where one is given."""

    def __init__(self, *, org: Org, record_ids: Mapping[str, str], currency: str) -> None:
        self._org = org
        self._ids = record_ids
        self._money = {"CurrencyIsoCode": currency} if org.behaviour.multi_currency else {}

    def make(self, role: str, object_name: str, values: Mapping[str, Any]) -> str:
        return self._org.create(
            object_name=object_name, values={**values, **self._money}, record_id=self._ids.get(role, "")
        )

    def accounts(self, name: str, account_fields: Mapping[str, Any]) -> tuple[str, str]:
        address = {"BillingStreet": "1 Harbour Road\nFloor 4", "BillingCity": "Boston", "BillingCountryCode": "US"}
        parent = self.make("parent_account", "Account", {"Name": f"{name} Holding", **address})
        own = {"Name": name, "ParentId": parent, **address, **account_fields}
        return parent, self.make("account", "Account", own)

    def catalogue(self, name: str, items: tuple[Item, ...]) -> dict[str, tuple[str, str]]:
        book = self.make("price_book", "Pricebook2", {"Name": f"Standard for {name}"})
        return {item.code: self._product(item, book) for item in items}

    def offer(
        self,
        name: str,
        account: str,
        items: tuple[Item, ...],
        products: Mapping[str, tuple[str, str]],
        close_date: str,
    ) -> tuple[str, str]:
        talk = {"Name": f"{name}: first year", "AccountId": account, "StageName": "Proposal/Price Quote"}
        likely = {"CloseDate": close_date, "Probability": Decimal(75)}
        opportunity = self.make("opportunity", "Opportunity", {**talk, **likely})
        self.lines("OpportunityLineItem", {"OpportunityId": opportunity}, items, products)
        offer = {"Name": f"{name} offer", "OpportunityId": opportunity, "AccountId": account, "Status": "Draft"}
        quote = self.make("quote", "Quote", offer)
        self.lines("QuoteLineItem", {"QuoteId": quote}, items, products)
        self._org.update(object_name="Quote", record_id=quote, values={"Status": "Accepted"})
        return opportunity, quote

    def lines(
        self,
        object_name: str,
        values: Mapping[str, Any],
        items: tuple[Item, ...],
        products: Mapping[str, tuple[str, str]],
    ) -> None:
        for item in items:
            product, entry = products[item.code]
            line = {
                "Product2Id": product,
                "PricebookEntryId": entry,
                "Quantity": Decimal(item.quantity),
                "UnitPrice": Decimal(item.price),
                "ListPrice": Decimal(item.price),
            }
            self.make("", object_name, {**values, **line})

    def _product(self, item: Item, book: str) -> tuple[str, str]:
        every = self._org.records["Product2"].values()
        same = [str(one["Id"]) for one in every if one["ProductCode"] == item.code and not one["IsDeleted"]]
        named = {"Name": item.name, "ProductCode": item.code, "Family": item.family}
        product = same[0] if same else self.make(f"product:{item.code}", "Product2", named)
        entry = {"Product2Id": product, "Pricebook2Id": book, "UnitPrice": Decimal(item.price)}
        return product, self.make("", "PricebookEntry", entry)
