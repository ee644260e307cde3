"""Accounts and the catalogue as canonical snapshots. Pure. Source: object reference of Account, Product2, PricebookEntry."""

from __future__ import annotations

from revline.connectors.salesforce.fields import Fields
from revline.connectors.salesforce.reading import Message, Reading, names
from revline.core.canonical import Address, CanonicalObject, Customer, Price, Product
from revline.core.facts import Name


def read_account(*, fields: Fields, message: Message) -> Reading:
    """An account. The parent account makes the hierarchy; its legal name is the field the connection names."""
    outside_id = fields.required_id("Id")
    name = fields.text(message.options.name_field) or fields.text("Name") or outside_id
    snapshot = Customer(
        outside_id=outside_id,
        name=name,
        email=fields.text(message.options.email_field),
        address=_address(fields),
        currency=fields.currency(default="").code if fields.has("CurrencyIsoCode") else message.options.currency,
        parent=fields.record_id("ParentId"),
        deleted=fields.flag("IsDeleted"),
        links=message.links(fields),
    )
    return whole(fields, message, "customer", snapshot, names(outside_id, account_number=fields.text("AccountNumber")))


def read_product(*, fields: Fields, message: Message) -> Reading:
    """A product. Its family is what posting rules choose by."""
    outside_id = fields.required_id("Id")
    code = fields.text("ProductCode")
    snapshot = Product(
        outside_id=outside_id,
        name=fields.text("Name") or outside_id,
        family=fields.text(message.options.family_field),
        code=code,
        active=fields.flag("IsActive"),
        description=fields.text("Description"),
        deleted=fields.flag("IsDeleted"),
        links=message.links(fields),
    )
    return whole(fields, message, "product", snapshot, names(outside_id, product_code=code))


def read_price(*, fields: Fields, message: Message) -> Reading:
    """A price book entry: what one unit of a product costs in one price book and currency."""
    outside_id = fields.required_id("Id")
    money = fields.currency(default=message.options.currency)
    snapshot = Price(
        outside_id=outside_id,
        product=fields.required_id("Product2Id"),
        currency=money.code,
        unit_amount=fields.unit_price("UnitPrice", money=money),
        active=fields.flag("IsActive") and not fields.flag("IsDeleted"),
        nickname=fields.record_id("Pricebook2Id"),
    )
    return whole(fields, message, "price", snapshot, names(outside_id))


def whole(
    fields: Fields,
    message: Message,
    kind: str,
    snapshot: CanonicalObject,
    found: tuple[Name, ...],
    lines: tuple[Fields, ...] = (),
) -> Reading:
    """The reading of a record. A change of a line need not touch its parent, so the newest of both decides."""
    own = fields.required_moment("SystemModstamp")
    return Reading(
        source=message.source(kind, fields.required_id("Id")),
        snapshot=snapshot,
        latest=max((own, *(line.moment("SystemModstamp") or own for line in lines))),
        own=own,
        deleted=fields.flag("IsDeleted"),
        names=found,
    )


def _address(fields: Fields) -> Address:
    street = fields.text("BillingStreet").replace("\r\n", "\n").split("\n", 1)
    return Address(
        line1=street[0].strip(),
        line2=" ".join(street[1].split()) if len(street) > 1 else "",
        city=fields.text("BillingCity"),
        region=fields.text("BillingStateCode") or fields.text("BillingState"),
        postal_code=fields.text("BillingPostalCode"),
        country=fields.text("BillingCountryCode") or _country(fields.text("BillingCountry")),
    )


def _country(text: str) -> str:
    """Without state and country picklists the field is free text: only what is a code already can be taken as one."""
    return text if len(text) == 2 and text.isascii() and text.isupper() else ""
