"""The objects of the simulated org: fields with their types, parents and children. Data; knows no record.

Fields as in the object reference; a custom field is added by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

PREFIXES: Final = {
    "Account": "001",
    "Opportunity": "006",
    "Product2": "01t",
    "Pricebook2": "01s",
    "PricebookEntry": "01u",
    "OpportunityLineItem": "00k",
    "Quote": "0Q0",
    "QuoteLineItem": "0QL",
    "Order": "801",
    "OrderItem": "802",
    "Contract": "800",
    "Organization": "00D",
}
NUMBERS: Final = {"Order": "OrderNumber", "Contract": "ContractNumber", "Quote": "QuoteNumber"}
"""Objects that get a number of their own."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field. kind: id, reference, string, currency, double, int, date, datetime, boolean. refers_to: a reference's object.

    relationship: the name by which a query follows the reference. set_by_org: nobody may write it.
    """

    name: str
    kind: str = "string"
    refers_to: str = ""
    relationship: str = ""
    required: bool = False
    set_by_org: bool = False
    external_id: bool = False


class Relationship(msgspec.Struct, frozen=True, kw_only=True):
    """Children of an object under the name a subquery uses."""

    name: str
    child: str
    field: str


class ObjectSchema(msgspec.Struct, frozen=True, kw_only=True):
    """One object."""

    name: str
    prefix: str
    fields: Mapping[str, Field]
    children: tuple[Relationship, ...] = ()


_SYSTEM: Final = (
    Field(name="Id", kind="id", set_by_org=True),
    Field(name="IsDeleted", kind="boolean", set_by_org=True),
    Field(name="CreatedDate", kind="datetime", set_by_org=True),
    Field(name="LastModifiedDate", kind="datetime", set_by_org=True),
    Field(name="SystemModstamp", kind="datetime", set_by_org=True),
)
_CURRENCY: Final = Field(name="CurrencyIsoCode")


def _typed(kind: str, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name=name, kind=kind) for name in names)


def _to(target: str, field: str, *, required: bool = False) -> Field:
    relationship = field.removesuffix("Id") if field.endswith("Id") else field
    relationship = "Product2" if field == "Product2Id" else relationship
    return Field(name=field, kind="reference", refers_to=target, relationship=relationship, required=required)


_ITEM: Final = (
    _to("Product2", "Product2Id"),
    _to("PricebookEntry", "PricebookEntryId"),
    Field(name="Quantity", kind="double", required=True),
    *_typed("currency", "UnitPrice", "ListPrice"),
    Field(name="TotalPrice", kind="currency", set_by_org=True),
    *_typed("date", "ServiceDate"),
    Field(name="Description"),
)
_OBJECTS: Final[Mapping[str, tuple[Field, ...]]] = {
    "Organization": (Field(name="Name"), Field(name="IsSandbox", kind="boolean")),
    "Account": (
        Field(name="Name", required=True),
        _to("Account", "ParentId"),
        *_typed("string", "AccountNumber", "BillingStreet", "BillingCity", "BillingState", "BillingPostalCode"),
        *_typed("string", "BillingCountry", "BillingCountryCode", "BillingStateCode", "Type"),
    ),
    "Product2": (
        Field(name="Name", required=True),
        *_typed("string", "ProductCode", "Family", "Description"),
        *_typed("boolean", "IsActive"),
    ),
    "Pricebook2": (Field(name="Name", required=True), *_typed("boolean", "IsActive")),
    "PricebookEntry": (
        _to("Product2", "Product2Id", required=True),
        _to("Pricebook2", "Pricebook2Id", required=True),
        Field(name="UnitPrice", kind="currency", required=True),
        *_typed("boolean", "IsActive"),
    ),
    "Opportunity": (
        Field(name="Name", required=True),
        _to("Account", "AccountId"),
        Field(name="StageName", required=True),
        *_typed("currency", "Amount"),
        *_typed("double", "Probability"),
        Field(name="CloseDate", kind="date", required=True),
        Field(name="IsWon", kind="boolean", set_by_org=True),
        Field(name="IsClosed", kind="boolean", set_by_org=True),
        _to("Quote", "SyncedQuoteId"),
        _to("Contract", "ContractId"),
        _to("Pricebook2", "Pricebook2Id"),
    ),
    "OpportunityLineItem": (_to("Opportunity", "OpportunityId", required=True), *_ITEM),
    "Quote": (
        Field(name="Name", required=True),
        Field(name="QuoteNumber", set_by_org=True),
        _to("Opportunity", "OpportunityId", required=True),
        _to("Account", "AccountId"),
        _to("Contract", "ContractId"),
        Field(name="Status"),
        *_typed("currency", "Tax"),
        Field(name="GrandTotal", kind="currency", set_by_org=True),
        *_typed("date", "ExpirationDate"),
    ),
    "QuoteLineItem": (_to("Quote", "QuoteId", required=True), *_ITEM),
    "Order": (
        Field(name="OrderNumber", set_by_org=True),
        _to("Account", "AccountId", required=True),
        Field(name="EffectiveDate", kind="date", required=True),
        Field(name="EndDate", kind="date"),
        Field(name="Status", required=True),
        Field(name="StatusCode", set_by_org=True),
        Field(name="ActivatedDate", kind="datetime", set_by_org=True),
        _to("Opportunity", "OpportunityId"),
        _to("Quote", "QuoteId"),
        _to("Contract", "ContractId"),
        _to("Pricebook2", "Pricebook2Id"),
        Field(name="PoNumber"),
        Field(name="TotalAmount", kind="currency", set_by_org=True),
    ),
    "OrderItem": (_to("Order", "OrderId", required=True), *_ITEM, *_typed("date", "EndDate")),
    "Contract": (
        Field(name="ContractNumber", set_by_org=True),
        _to("Account", "AccountId", required=True),
        Field(name="Status"),
        Field(name="StatusCode", set_by_org=True),
        *_typed("date", "StartDate"),
        Field(name="EndDate", kind="date", set_by_org=True),
        *_typed("int", "ContractTerm"),
        Field(name="ActivatedDate", kind="datetime", set_by_org=True),
    ),
}
_CHILDREN: Final[Mapping[str, tuple[Relationship, ...]]] = {
    "Account": (Relationship(name="Orders", child="Order", field="AccountId"),),
    "Opportunity": (
        Relationship(name="OpportunityLineItems", child="OpportunityLineItem", field="OpportunityId"),
        Relationship(name="Quotes", child="Quote", field="OpportunityId"),
    ),
    "Quote": (Relationship(name="QuoteLineItems", child="QuoteLineItem", field="QuoteId"),),
    "Order": (Relationship(name="OrderItems", child="OrderItem", field="OrderId"),),
}
LINE_PARENTS: Final = {"OrderItem": "OrderId", "OpportunityLineItem": "OpportunityId", "QuoteLineItem": "QuoteId"}


def schema(
    *, multi_currency: bool, custom: Mapping[str, Iterable[Field]], custom_objects: Iterable[ObjectSchema] = ()
) -> dict[str, ObjectSchema]:
    """Every object of an org. custom: further fields by object."""
    found = {}
    for name, own in _OBJECTS.items():
        currency = (_CURRENCY,) if multi_currency and name != "Organization" else ()
        fields = {field.name: field for field in (*_SYSTEM, *own, *currency, *custom.get(name, ()))}
        found[name] = ObjectSchema(name=name, prefix=PREFIXES[name], fields=fields, children=_CHILDREN.get(name, ()))
    for made in custom_objects:
        found[made.name] = msgspec.structs.replace(made, fields={f.name: f for f in _SYSTEM} | dict(made.fields))
        for field in made.fields.values():
            parent = found.get(field.refers_to)
            if parent is not None and field.required:
                child = Relationship(name=made.name.removesuffix("__c") + "s__r", child=made.name, field=field.name)
                found[parent.name] = msgspec.structs.replace(parent, children=(*parent.children, child))
    return found
