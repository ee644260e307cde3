"""The Salesforce objects Revline reads: their fields, their lines and what they are called here. Data; no wire, no meaning.

Field names are those of the object reference of API 62.0. What an org lacks (currencies, quotes, a custom field) is left out of a
query after its description was read, so this is a list of wishes and of few needs.
"""

from __future__ import annotations

from typing import Final

import msgspec

from revline.connectors.salesforce.options import Options

SYSTEM: Final = ("Id", "SystemModstamp", "CreatedDate", "IsDeleted")


class Lines(msgspec.Struct, frozen=True, kw_only=True):
    """A child object whose records are lines of its parent. parents: fields of related records, such as Product2.Name."""

    object_name: str
    relationship: str
    parent_field: str
    fields: tuple[str, ...]
    parents: tuple[str, ...] = ()


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One object. kind: the canonical kind it becomes."""

    object_name: str
    kind: str
    fields: tuple[str, ...]
    lines: Lines | None = None


_PRODUCT_LINE: Final = (
    "Id",
    "SystemModstamp",
    "IsDeleted",
    "Product2Id",
    "PricebookEntryId",
    "Quantity",
    "UnitPrice",
    "ListPrice",
    "TotalPrice",
    "ServiceDate",
    "Description",
)
_ACCOUNT: Final = (
    "AccountNumber",
    "ParentId",
    "BillingStreet",
    "BillingCity",
    "BillingState",
    "BillingStateCode",
    "BillingPostalCode",
    "BillingCountry",
    "BillingCountryCode",
    "CurrencyIsoCode",
)
_OPPORTUNITY: Final = (
    "Name",
    "AccountId",
    "StageName",
    "Amount",
    "Probability",
    "CloseDate",
    "IsWon",
    "IsClosed",
    "SyncedQuoteId",
    "ContractId",
    "CurrencyIsoCode",
)
_QUOTE: Final = (
    "Name",
    "QuoteNumber",
    "AccountId",
    "OpportunityId",
    "Status",
    "GrandTotal",
    "Tax",
    "ExpirationDate",
    "CurrencyIsoCode",
)
_ORDER: Final = (
    "OrderNumber",
    "AccountId",
    "Status",
    "StatusCode",
    "EffectiveDate",
    "EndDate",
    "ActivatedDate",
    "OpportunityId",
    "QuoteId",
    "ContractId",
    "PoNumber",
    "TotalAmount",
    "CurrencyIsoCode",
)
_CONTRACT: Final = (
    "ContractNumber",
    "AccountId",
    "Status",
    "StatusCode",
    "StartDate",
    "EndDate",
    "ContractTerm",
    "ActivatedDate",
    "CurrencyIsoCode",
)


def shapes_of(*, options: Options) -> dict[str, Shape]:
    """Every object read under these options, by API name, in the order a first listing takes them."""
    products = ("Product2.Name", f"Product2.{options.family_field}")
    found = [
        _shape(options, "Account", "customer", (options.name_field, "Name", options.email_field, *_ACCOUNT)),
        _shape(
            options,
            "Product2",
            "product",
            ("Name", "ProductCode", options.family_field, "IsActive", "Description"),
        ),
        _shape(
            options,
            "PricebookEntry",
            "price",
            ("Product2Id", "Pricebook2Id", "UnitPrice", "IsActive", "CurrencyIsoCode"),
        ),
        _shape(
            options,
            "Opportunity",
            "opportunity",
            _OPPORTUNITY,
            _product_lines("OpportunityLineItem", "OpportunityLineItems", "OpportunityId", products),
        ),
        _shape(
            options,
            "Quote",
            "quote",
            _QUOTE,
            _product_lines("QuoteLineItem", "QuoteLineItems", "QuoteId", products),
        ),
        _shape(options, "Contract", "contract", _CONTRACT, _contract_lines(options)),
        _shape(
            options,
            "Order",
            "order",
            _ORDER,
            _product_lines("OrderItem", "OrderItems", "OrderId", products, ("EndDate",)),
        ),
    ]
    return {shape.object_name: shape for shape in found}


def parents_of(*, shapes: dict[str, Shape]) -> dict[str, Shape]:
    """The object each kind of line belongs to, by the line's API name."""
    return {shape.lines.object_name: shape for shape in shapes.values() if shape.lines is not None}


def _shape(options: Options, name: str, kind: str, fields: tuple[str, ...], lines: Lines | None = None) -> Shape:
    wanted = dict.fromkeys((*SYSTEM, *fields, *options.link_fields(name)))
    return Shape(object_name=name, kind=kind, fields=tuple(wanted), lines=lines)


def _product_lines(
    name: str, relationship: str, parent_field: str, products: tuple[str, ...], more: tuple[str, ...] = ()
) -> Lines:
    fields = (*_PRODUCT_LINE, *more, parent_field)
    return Lines(
        object_name=name, relationship=relationship, parent_field=parent_field, fields=fields, parents=products
    )


def _contract_lines(options: Options) -> Lines | None:
    lines = options.contract_lines
    if lines is None:
        return None
    fields = dict.fromkeys(("Id", "SystemModstamp", "IsDeleted", lines.parent_field, *lines.fields.values()))
    return Lines(
        object_name=lines.object_name,
        relationship=lines.relationship,
        parent_field=lines.parent_field,
        fields=tuple(fields),
    )
