"""Stripe invoices and invoice payments as canonical snapshots. Pure: the fields, the entity's time zone and nothing else.

Shapes: the API version 2026-10-28.endive (lines with `pricing`, `parent`, `taxes`) and the older one with `price` or `plan`,
`tax_amounts` and `type` on the line. Source: docs.stripe.com/api/invoices, /api/invoice-line-item, /api/invoice-payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Final

import msgspec

from revline.connectors.stripe.amounts import shown_price
from revline.connectors.stripe.fields import Fields, refused
from revline.connectors.stripe.reading import Message, Reading, link_names, links, names
from revline.connectors.stripe.taxes import read_taxes
from revline.core.canonical import DiscountAmount, Invoice, InvoiceLine, InvoicePayment, InvoiceStatus
from revline.core.clock import local_date
from revline.core.money import PRECISION, Currency, amount_text
from revline.core.problem import Mender, Retryable, define

STATUS_RANKS: Final = {
    InvoiceStatus.DRAFT: 0,
    InvoiceStatus.OPEN: 1,
    InvoiceStatus.UNCOLLECTIBLE: 2,
    InvoiceStatus.PAID: 3,
    InvoiceStatus.VOID: 3,
}
PAYMENT_RANKS: Final = {"open": 0, "paid": 1, "canceled": 1}
PURCHASE_ORDER_FIELDS: Final = frozenset({"po", "po number", "purchase order", "purchase order number"})
ZERO: Final = Decimal(0)
CHARGE: Final = "revline_charge"
"""The metadata of a line that names the charge it bills."""


def read_invoice(*, fields: Fields, message: Message) -> Reading:
    """An invoice with all its lines.

    links: of the invoice's own metadata before the subscription's, as copied when it was finalised. Problems:
    stripe.list_incomplete when the list of lines goes on; stripe.invoice_inconsistent when, out of draft, the lines and their
    taxes don't add up to the total (shipping, billing credits and invoice-wide amounts have no line).
    """
    outside_id = fields.required_identifier("id")
    lines = _lines(fields=fields, time_zone=message.context.time_zone)
    holders = (fields, fields.child("parent").child("subscription_details"), fields.child("subscription_details"))
    linked = links(message=message, holders=holders)
    invoice = msgspec.structs.replace(_invoice(fields=fields, lines=lines), links=linked)
    if invoice.status is not InvoiceStatus.DRAFT:
        _refuse_unless_consistent(invoice=invoice, fields=fields)
    root = message.source("invoice", outside_id)
    times = (
        invoice.created_at,
        invoice.finalized_at,
        invoice.paid_at,
        invoice.voided_at,
        invoice.marked_uncollectible_at,
    )
    return Reading(
        source=root,
        snapshot=invoice,
        roots=(root,),
        rank=STATUS_RANKS[invoice.status],
        latest=max(moment for moment in times if moment is not None),
        growing=(fields.integer("amount_paid") if fields.has("amount_paid") else 0,),
        names=names(invoice_number=invoice.number) + link_names(linked),
        nested=tuple(payment for payment in fields.children("payments") if payment.text("object") == "invoice_payment"),
    )


def read_invoice_payment(*, fields: Fields, message: Message) -> Reading:
    """A payment applied to an invoice, on the invoice's root."""
    currency = fields.currency()
    status = fields.text("status")
    if status not in PAYMENT_RANKS:
        raise fields.refuse("status", "open, paid or canceled")
    asked = fields.amount("amount_requested", currency=currency)
    paid = fields.optional_amount("amount_paid", currency=currency)
    payment, transitions = fields.child("payment"), fields.child("status_transitions")
    created = fields.moment("created")
    snapshot = InvoicePayment(
        outside_id=fields.required_identifier("id"),
        invoice=fields.required_identifier("invoice"),
        payment=payment.identifier("charge"),
        payment_intent=payment.identifier("payment_intent"),
        currency=currency.code,
        amount=asked if paid is None else paid,
        status=status,
        paid_at=transitions.optional_moment("paid_at"),
    )
    times = (created, snapshot.paid_at, transitions.optional_moment("canceled_at"))
    return Reading(
        source=message.source("invoice_payment", snapshot.outside_id),
        snapshot=snapshot,
        roots=(message.source("invoice", snapshot.invoice),),
        rank=PAYMENT_RANKS[status],
        latest=max(moment for moment in times if moment is not None),
        names=names(payment_intent=snapshot.payment_intent),
    )


def _invoice(*, fields: Fields, lines: tuple[InvoiceLine, ...]) -> Invoice:
    currency = fields.currency()
    transitions = fields.child("status_transitions")
    total = fields.amount("total", currency=currency)
    paid = fields.optional_amount("amount_paid", currency=currency)
    remaining = fields.optional_amount("amount_remaining", currency=currency)
    zero = currency.quantum * 0
    return Invoice(
        outside_id=fields.required_identifier("id"),
        number=fields.identifier("number"),
        status=_status(fields),
        customer=fields.required_identifier("customer"),
        currency=currency.code,
        subtotal=sum((line.amount for line in lines), zero),
        discount_total=sum((discount.amount for line in lines for discount in line.discounts), zero),
        tax_total=sum((tax.amount for line in lines for tax in line.taxes), zero),
        total=total,
        amount_paid=zero if paid is None else paid,
        amount_remaining=total if remaining is None else remaining,
        amount_paid_elsewhere=_paid_elsewhere(fields, currency, paid),
        lines=lines,
        created_at=fields.moment("created" if fields.has("created") else "date"),
        finalized_at=transitions.optional_moment("finalized_at"),
        due_at=fields.optional_moment("due_date"),
        paid_at=transitions.optional_moment("paid_at"),
        voided_at=transitions.optional_moment("voided_at"),
        marked_uncollectible_at=transitions.optional_moment("marked_uncollectible_at"),
        billing_reason=fields.text("billing_reason"),
        collection_method=fields.text("collection_method"),
        purchase_order=_purchase_order(fields),
        subscription=fields.child("parent").child("subscription_details").identifier("subscription")
        or fields.identifier("subscription"),
        memo=fields.text("description"),
    )


def _paid_elsewhere(fields: Fields, currency: Currency, paid: Decimal | None) -> Decimal:
    """What was paid outside of Stripe: its own count, or in the older shape all that was paid when the flag says so."""
    told = fields.optional_amount("amount_paid_off_stripe", currency=currency)
    if told is None:
        told = paid if fields.flag("paid_out_of_band") else None
    return currency.quantum * 0 if told is None else told


def _status(fields: Fields) -> InvoiceStatus:
    try:
        return InvoiceStatus(fields.text("status"))
    except ValueError:
        raise fields.refuse("status", "draft, open, uncollectible, paid or void") from None


def _purchase_order(fields: Fields) -> str:
    named = (entry for entry in fields.children("custom_fields") if entry.text("name").lower() in PURCHASE_ORDER_FIELDS)
    return next((entry.text("value") for entry in named), "")


def _lines(*, fields: Fields, time_zone: str) -> tuple[InvoiceLine, ...]:
    currency = fields.currency()
    holders = (fields, *fields.children("lines"))
    wholes = [rate for one in holders for name in ("default_tax_rates", "tax_rates") for rate in one.children(name)]
    rates = {rate.text("id"): rate for rate in wholes}
    lines = tuple(
        _line(fields=line, currency=currency, time_zone=time_zone, rates=rates) for line in fields.whole_list("lines")
    )
    return lines if any(line.taxes for line in lines) else _with_invoice_wide_taxes(lines, fields, currency, rates)


def _with_invoice_wide_taxes(
    lines: tuple[InvoiceLine, ...], fields: Fields, currency: Currency, rates: Mapping[str, Fields]
) -> tuple[InvoiceLine, ...]:
    """Taxes that stand on the invoice and on no line (older invoices): on the line with the largest amount, the first of equals."""
    net = sum((line.net for line in lines), ZERO)
    taxes = read_taxes(
        fields=fields, currency=currency, base=net, rates=rates, present="total_taxes", older="total_tax_amounts"
    )
    if not taxes or not lines:
        return lines
    largest = max(lines, key=lambda line: line.net)
    inside = sum((tax.amount for tax in taxes if tax.inclusive), ZERO)
    taxed = msgspec.structs.replace(largest, taxes=taxes, net=largest.net - inside)
    return tuple(taxed if line is largest else line for line in lines)


def _line(*, fields: Fields, currency: Currency, time_zone: str, rates: Mapping[str, Fields]) -> InvoiceLine:
    if fields.has("currency") and fields.currency() != currency:
        raise fields.refuse("currency", "the invoice's currency")
    amount = fields.amount("amount", currency=currency)
    discounts = _discounts(fields=fields, currency=currency)
    after_discounts = amount - sum((entry.amount for entry in discounts), ZERO)
    taxes = read_taxes(fields=fields, currency=currency, base=after_discounts, rates=rates)
    start, end = _service_days(period=fields.child("period"), time_zone=time_zone)
    origin, details = _origin(fields), fields.child("pricing").child("price_details")
    price, product = _price(fields), _product(fields)
    quantity = _quantity(fields)
    used = fields.child("period") if _may_be_metered(price, origin) else Fields(values={})
    return InvoiceLine(
        outside_id=fields.required_identifier("id"),
        description=fields.text("description"),
        product=details.identifier("product") or price.identifier("product"),
        product_name=product.text("name"),
        product_family=_product_family(fields, price, product),
        price=details.identifier("price") or price.identifier("id"),
        subscription=origin.identifier("subscription") or fields.identifier("subscription"),
        subscription_item=origin.identifier("subscription_item") or fields.identifier("subscription_item"),
        quantity=quantity,
        unit_price=_unit_price(fields=fields, price=price, currency=currency, amount=amount, quantity=quantity),
        amount=amount,
        net=after_discounts - sum((tax.amount for tax in taxes if tax.inclusive), ZERO),
        service_start=start,
        service_end=end,
        usage_window_start=used.optional_moment("start"),
        usage_window_end=used.optional_moment("end"),
        proration=origin.flag("proration") or fields.flag("proration"),
        credited_line=_credited_line(origin),
        discounts=discounts,
        taxes=taxes,
        charge=fields.child("metadata").text(CHARGE),
    )


def _origin(fields: Fields) -> Fields:
    """Where a line comes from: the details of its subscription item or of its invoice item."""
    parent = fields.child("parent")
    name = "subscription_item_details" if parent.has("subscription_item_details") else "invoice_item_details"
    return parent.child(name)


def _credited_line(origin: Fields) -> str:
    """The line that a proration credits, "" when none or when it credits several."""
    items = origin.child("proration_details").child("credited_items").values.get("invoice_line_items")
    return items[0] if isinstance(items, list) and len(items) == 1 and isinstance(items[0], str) else ""


def _price(fields: Fields) -> Fields:
    """The expanded price, or the older shape's price or plan; empty when the line has an id only."""
    expanded = fields.child("pricing").child("price_details").child("price")
    older = fields.child("price") if fields.has("price") else fields.child("plan")
    return expanded if expanded.values else older


def _product(fields: Fields) -> Fields:
    expanded = fields.child("pricing").child("price_details").child("product")
    return expanded if expanded.values else _price(fields).child("product")


def _may_be_metered(price: Fields, origin: Fields) -> bool:
    """What the price says; where a line of a subscription item only names it, it may be."""
    told = (price.child("recurring").text("usage_type"), price.text("usage_type"))
    return "metered" in told if price.values else bool(origin.identifier("subscription_item"))


def _product_family(*holders: Fields) -> str:
    """`product_family` of the first metadata that has one: the line's own before its price's before its product's."""
    found = (holder.child("metadata").text("product_family") for holder in holders)
    return next((family for family in found if family), "")


def _quantity(fields: Fields) -> Decimal:
    """How many; 1 where Stripe gives none (a proration, a sum of usage)."""
    whole = fields.decimal("quantity")
    exact = fields.decimal("quantity_decimal") if whole is None else whole
    return Decimal(1) if exact is None else exact


def _unit_price(*, fields: Fields, price: Fields, currency: Currency, amount: Decimal, quantity: Decimal) -> Decimal:
    """The published unit price, else the line's amount by its quantity (tiers have no unit price), to 12 digits half up."""
    for holder, name in (
        (fields.child("pricing"), "unit_amount_decimal"),
        (price, "unit_amount_decimal"),
        (price, "unit_amount"),
        (price, "amount_decimal"),
        (price, "amount"),
    ):
        published = holder.unit_price(name, currency=currency)
        if published is not None:
            return published
    with localcontext() as context:
        context.prec = PRECISION
        return shown_price(price=amount / quantity if quantity else amount, currency=currency)


def _discounts(*, fields: Fields, currency: Currency) -> tuple[DiscountAmount, ...]:
    found = []
    for entry in fields.children("discount_amounts"):
        expanded = entry.child("discount")
        coupon = expanded.child("source").identifier("coupon") or expanded.identifier("coupon")
        amount = entry.amount("amount", currency=currency)
        found.append(DiscountAmount(amount=amount, discount=entry.identifier("discount"), coupon=coupon))
    return tuple(found)


def _service_days(*, period: Fields, time_zone: str) -> tuple[date | None, date | None]:
    """The half-open local days of a period; none when it is a moment; at least one day when it is shorter than one."""
    start, end = period.optional_moment("start"), period.optional_moment("end")
    if start is None or end is None or end <= start:
        return None, None
    first, last = local_date(moment=start, time_zone=time_zone), local_date(moment=end, time_zone=time_zone)
    return first, max(last, first + timedelta(days=1))


def _refuse_unless_consistent(*, invoice: Invoice, fields: Fields) -> None:
    total = sum((line.net for line in invoice.lines), ZERO) + invoice.tax_total
    if total == invoice.total:
        return
    reason = "shipping_cost" if fields.has("shipping_cost") else "total"
    if any(
        entry.text("type") == "credit_balance_transaction" for entry in fields.children("total_pretax_credit_amounts")
    ):
        reason = "total_pretax_credit_amounts"
    raise refused(
        code="stripe.invoice_inconsistent",
        pointer=f"/{reason}",
        detail=f"leaves {amount_text(invoice.total - total)} {invoice.currency} of the total on no line",
    )


define(
    code="stripe.invoice_inconsistent",
    title="The invoice's lines do not add up to its total",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="See which amount has no line (shipping, billing credits, older discounts) and have it invoiced as a line.",
)
