"""Opportunities, quotes, orders and contracts as canonical snapshots. Pure. Source: object reference of each.

An order's, a line's and a contract's EndDate is its last day; ends here are exclusive, so they are the day after.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from revline.connectors.salesforce.fields import Fields
from revline.connectors.salesforce.options import ContractLines
from revline.connectors.salesforce.parties import whole
from revline.connectors.salesforce.reading import Message, Reading, names
from revline.core.canonical import Contract, Opportunity, Order, OrderLine, OrderStatus, Quote
from revline.core.money import Currency, Rounding, round_amount

DELETED: Final = "deleted"
ORDER_STATUSES: Final[Mapping[str, OrderStatus]] = {
    "draft": OrderStatus.DRAFT,
    "activated": OrderStatus.ACTIVATED,
    "canceled": OrderStatus.CANCELED,
    "cancelled": OrderStatus.CANCELED,
    "expired": OrderStatus.CANCELED,
}
CONTRACT_STATUSES: Final[Mapping[str, str]] = {
    "draft": "draft",
    "inapproval": "in_approval",
    "in approval": "in_approval",
    "in approval process": "in_approval",
    "in_approval": "in_approval",
    "activated": "activated",
    "expired": "ended",
    "terminated": "ended",
    "canceled": "ended",
    "ended": "ended",
}
CONTRACT_MONTHS_MAX: Final = 1_200


def read_opportunity(*, fields: Fields, message: Message) -> Reading:
    """An opportunity with its products."""
    outside_id = fields.required_id("Id")
    money = fields.currency(default=message.options.currency)
    children = tuple(fields.children("OpportunityLineItems"))
    deleted = fields.flag("IsDeleted")
    snapshot = Opportunity(
        outside_id=outside_id,
        name=fields.text("Name") or outside_id,
        customer=fields.record_id("AccountId"),
        stage=DELETED if deleted else fields.text("StageName"),
        currency=money.code,
        amount=fields.amount("Amount", money=money),
        probability_percent=fields.decimal("Probability"),
        close_date=fields.day("CloseDate"),
        won=fields.flag("IsWon") and not deleted,
        closed=fields.flag("IsClosed") or deleted,
        quote=fields.record_id("SyncedQuoteId"),
        contract=fields.record_id("ContractId"),
        created_at=_created(fields),
        lines=_lines(children, message=message, money=money),
    )
    return whole(fields, message, "opportunity", snapshot, names(outside_id), children)


def read_quote(*, fields: Fields, message: Message) -> Reading:
    """A quote with its lines. GrandTotal includes tax and shipping."""
    outside_id = fields.required_id("Id")
    money = fields.currency(default=message.options.currency)
    zero = money.quantum * 0
    children = tuple(fields.children("QuoteLineItems"))
    snapshot = Quote(
        outside_id=outside_id,
        number=fields.text("QuoteNumber"),
        customer=fields.record_id("AccountId"),
        opportunity=fields.record_id("OpportunityId"),
        status=DELETED if fields.flag("IsDeleted") else fields.text("Status"),
        currency=money.code,
        total=fields.amount("GrandTotal", money=money) or zero,
        tax_total=fields.amount("Tax", money=money) or zero,
        expires_on=fields.day("ExpirationDate"),
        created_at=_created(fields),
        lines=_lines(children, message=message, money=money),
    )
    return whole(fields, message, "quote", snapshot, names(outside_id, quote_number=snapshot.number), children)


def read_order(*, fields: Fields, message: Message) -> Reading:
    """An order with its lines. The total is the sum of its lines, as the record's own TotalAmount is."""
    outside_id = fields.required_id("Id")
    money = fields.currency(default=message.options.currency)
    children = tuple(fields.children("OrderItems"))
    lines = _lines(children, message=message, money=money)
    snapshot = Order(
        outside_id=outside_id,
        number=fields.text("OrderNumber"),
        status=_order_status(fields, message),
        customer=fields.required_id("AccountId"),
        currency=money.code,
        total=sum((line.total for line in lines), money.quantum * 0),
        lines=lines,
        start_date=fields.day("EffectiveDate"),
        end_date=fields.day_after("EndDate"),
        opportunity=fields.record_id("OpportunityId"),
        quote=fields.record_id("QuoteId"),
        contract=fields.record_id("ContractId"),
        purchase_order=fields.text("PoNumber"),
        created_at=_created(fields),
        activated_at=fields.moment("ActivatedDate"),
        links=message.links(fields),
    )
    found = names(outside_id, order_number=snapshot.number, purchase_order=snapshot.purchase_order)
    return whole(fields, message, "order", snapshot, found, children)


def read_contract(*, fields: Fields, message: Message) -> Reading:
    """A contract, with the lines of the object the connection names for them."""
    outside_id = fields.required_id("Id")
    money = fields.currency(default=message.options.currency)
    shape = message.options.contract_lines
    children = tuple(fields.children(shape.relationship)) if shape is not None else ()
    snapshot = Contract(
        outside_id=outside_id,
        number=fields.text("ContractNumber"),
        status=_contract_status(fields, message),
        customer=fields.required_id("AccountId"),
        currency=money.code,
        start_date=fields.day("StartDate"),
        end_date=fields.day_after("EndDate"),
        term_months=_months(fields),
        created_at=_created(fields),
        activated_at=fields.moment("ActivatedDate"),
        lines=_contract_lines(children, shape=shape, money=money),
        links=message.links(fields),
    )
    found = names(outside_id, contract_number=snapshot.number)
    return whole(fields, message, "contract", snapshot, found, children)


def _created(fields: Fields) -> datetime:
    return fields.moment("CreatedDate") or fields.required_moment("SystemModstamp")


def _months(fields: Fields) -> int | None:
    number = fields.decimal("ContractTerm")
    if number is None:
        return None
    if number != int(number) or not 0 < number <= CONTRACT_MONTHS_MAX:
        raise fields.refuse("ContractTerm", f"a whole number of months up to {CONTRACT_MONTHS_MAX}")
    return int(number)


def _order_status(fields: Fields, message: Message) -> OrderStatus:
    if fields.flag("IsDeleted"):
        return OrderStatus.CANCELED
    # An org may rename its statuses; the code behind each says which of the standard ones it is.
    for word in (message.options.order_statuses.get(fields.text("Status"), ""), fields.text("StatusCode")):
        if word.lower() in ORDER_STATUSES:
            return ORDER_STATUSES[word.lower()]
    status = ORDER_STATUSES.get(fields.text("Status").lower())
    if status is None:
        raise fields.refuse("Status", "draft, activated or canceled, nor told by the setting orderStatuses")
    return status


def _contract_status(fields: Fields, message: Message) -> str:
    if fields.flag("IsDeleted"):
        return "ended"
    given = message.options.contract_statuses.get(fields.text("Status"), "")
    for word in (given, fields.text("StatusCode"), fields.text("Status")):
        if word.lower() in CONTRACT_STATUSES:
            return CONTRACT_STATUSES[word.lower()]
    raise fields.refuse("Status", "draft, in approval, activated or ended, nor told by the setting contractStatuses")


def _lines(children: tuple[Fields, ...], *, message: Message, money: Currency) -> tuple[OrderLine, ...]:
    return tuple(_line(child, message=message, money=money) for child in children if not child.flag("IsDeleted"))


def _line(fields: Fields, *, message: Message, money: Currency) -> OrderLine:
    quantity = fields.decimal("Quantity")
    price = fields.unit_price("UnitPrice", money=money)
    product = fields.parent("Product2")
    return OrderLine(
        outside_id=fields.required_id("Id"),
        product=fields.record_id("Product2Id"),
        product_name=product.text("Name"),
        product_family=product.text(message.options.family_field),
        price=fields.record_id("PricebookEntryId"),
        description=fields.text("Description"),
        quantity=_quantity(quantity),
        unit_price=money.quantum * 0 if price is None else price,
        list_unit_price=fields.unit_price("ListPrice", money=money),
        total=_total(fields, "TotalPrice", quantity=quantity, price=price, money=money),
        service_start=fields.day("ServiceDate"),
        service_end=fields.day_after("EndDate"),
    )


def _contract_lines(
    children: tuple[Fields, ...], *, shape: ContractLines | None, money: Currency
) -> tuple[OrderLine, ...]:
    if shape is None:
        return ()
    found = []
    for child in children:
        if child.flag("IsDeleted"):
            continue
        name = shape.fields
        quantity = child.decimal(name["quantity"])
        price = child.unit_price(name["unitPrice"], money=money)
        line = OrderLine(
            outside_id=child.required_id("Id"),
            product=child.text(name["product"]),
            description=child.text(name["description"]),
            quantity=_quantity(quantity),
            unit_price=money.quantum * 0 if price is None else price,
            total=_total(child, name["total"], quantity=quantity, price=price, money=money),
            service_start=child.day(name["start"]),
            service_end=child.day_after(name["end"]),
        )
        found.append(line)
    return tuple(found)


def _quantity(quantity: Decimal | None) -> Decimal:
    return Decimal(1) if quantity is None else quantity


def _total(fields: Fields, name: str, *, quantity: Decimal | None, price: Decimal | None, money: Currency) -> Decimal:
    """What the record says; else quantity times unit price, rounded half up as Salesforce rounds what it shows."""
    stated = fields.amount(name, money=money)
    if stated is not None:
        return stated
    product = _quantity(quantity) * (Decimal(0) if price is None else price)
    return round_amount(amount=product, currency=money, rounding=Rounding.HALF_UP)
