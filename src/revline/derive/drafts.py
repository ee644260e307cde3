"""An invoice from what is ordered, with exact totals: what billing would demand, not a demand. Pure.

Every line is quantity times unit price, rounded half-up to the currency's scale, less its discount; totals are sums of lines, so
they never differ from them. Tax is taken as given: Revline computes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.canonical import (
    DiscountAmount,
    Invoice,
    InvoiceLine,
    InvoiceStatus,
    Order,
    Price,
    Subscription,
    TaxAmount,
)
from revline.core.ids import SourceObject
from revline.core.money import Amount, Rounding, amount_text, currency, in_scale, round_amount
from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem

LINES_MAX: Final = 1_000
ZERO: Final = Decimal(0)
DRAFT_ID: Final = "preview"

define(
    code="preview.draft_invalid",
    title="Not enough to make an invoice of",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Correct the lines the errors name; amounts are strings in the currency's scale.",
)


class DraftLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line to bill. unit_price: in the draft's currency, may have more digits than its scale. discount: positive. taxes: as
    the tax engine gave them. service_start, service_end: half-open days."""

    product: str = ""
    product_name: str = ""
    product_family: str = ""
    description: str = ""
    price: str = ""
    subscription: str = ""
    quantity: Amount
    unit_price: Amount
    discount: Amount = Amount(0)
    taxes: tuple[TaxAmount, ...] = ()
    service_start: date | None = None
    service_end: date | None = None
    dimensions: tuple[tuple[str, str], ...] = ()


class InvoiceDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What to bill. customer: outside id. issued_at: when it would be issued. rounding: of quantity times unit price."""

    customer: str
    currency: str
    issued_at: datetime
    lines: tuple[DraftLine, ...]
    due_at: datetime | None = None
    number: str = "PREVIEW"
    purchase_order: str = ""
    rounding: Rounding = Rounding.HALF_UP
    subscription: str = ""
    contract: str = ""
    links: tuple[SourceObject, ...] = ()


class RoundedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line whose exact amount had more digits than the currency. residue: exact less rounded."""

    line: str
    exact: Amount
    rounded: Amount
    residue: Amount


class DraftedInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """The invoice, and what rounding did to it, line by line. rounding: the rule."""

    invoice: Invoice
    rounding: Rounding
    rounded: tuple[RoundedLine, ...]
    residue: Amount


def draft_invoice(*, draft: InvoiceDraft, discount_name: str = "") -> DraftedInvoice | Problem:
    """The open invoice of a draft; `preview.draft_invalid` with every wrong place, `currency.unknown`."""
    known = currency(draft.currency)
    if isinstance(known, Problem):
        return known
    if not 0 < len(draft.lines) <= LINES_MAX:
        return problem("preview.draft_invalid", f"an invoice has 1 to {LINES_MAX} lines", field="/lines")
    errors = [error for place, line in enumerate(draft.lines) for error in _errors(place, line, draft.currency)]
    if errors:
        return problem("preview.draft_invalid", errors[0].detail, field=errors[0].pointer, errors=tuple(errors[:20]))
    lines: list[InvoiceLine] = []
    rounded: list[RoundedLine] = []
    for place, line in enumerate(draft.lines, start=1):
        exact = line.quantity * line.unit_price
        amount = round_amount(amount=exact, currency=known, rounding=draft.rounding)
        name = f"{DRAFT_ID}-{place}"
        if exact != amount:
            rounded.append(RoundedLine(line=name, exact=exact, rounded=amount, residue=exact - amount))
        lines.append(_line(name, line, amount, discount_name))
    invoice = _invoice(draft, tuple(lines))
    residue = sum((one.residue for one in rounded), ZERO)
    return DraftedInvoice(invoice=invoice, rounding=draft.rounding, rounded=tuple(rounded), residue=residue)


def draft_of_order(*, order: Order, issued_at: datetime) -> InvoiceDraft:
    """The draft that bills a whole order at once; what a line costs less than quantity times price is its discount."""
    known = currency(order.currency)
    lines = []
    for line in order.lines:
        exact = line.quantity * line.unit_price
        full = (
            exact
            if isinstance(known, Problem)
            else round_amount(amount=exact, currency=known, rounding=Rounding.HALF_UP)
        )
        lines.append(
            DraftLine(
                product=line.product,
                product_name=line.product_name,
                product_family=line.product_family,
                description=line.description,
                price=line.price,
                quantity=line.quantity,
                unit_price=line.unit_price,
                discount=full - line.total,
                service_start=line.service_start or order.start_date,
                service_end=line.service_end or order.end_date,
            )
        )
    return InvoiceDraft(
        customer=order.customer,
        currency=order.currency,
        issued_at=issued_at,
        lines=tuple(lines),
        purchase_order=order.purchase_order,
        contract=order.contract,
        links=order.links,
    )


def draft_of_subscription(
    *, subscription: Subscription, prices: Mapping[str, Price], issued_at: datetime
) -> InvoiceDraft | Problem:
    """The draft that bills one period of a subscription. prices: by outside id. Metered and tiered prices need usage, and are
    refused by name: `preview.draft_invalid`."""
    lines: list[DraftLine] = []
    errors: list[FieldError] = []
    for place, item in enumerate(subscription.items):
        price = prices.get(item.price)
        if price is None or price.unit_amount is None or item.quantity is None or price.usage == "metered":
            why = "is not known" if price is None else "is metered or tiered: it needs usage"
            errors.append(FieldError(pointer=f"/subscription/items/{place}/price", detail=f"{item.price[:60]} {why}"))
            continue
        lines.append(
            DraftLine(
                product=item.product or price.product,
                price=item.price,
                subscription=subscription.outside_id,
                quantity=item.quantity,
                unit_price=price.unit_amount,
                service_start=None if item.period_start is None else item.period_start.date(),
                service_end=None if item.period_end is None else item.period_end.date(),
            )
        )
    if errors:
        return problem("preview.draft_invalid", errors[0].detail, field=errors[0].pointer, errors=tuple(errors[:20]))
    return InvoiceDraft(
        customer=subscription.customer,
        currency=subscription.currency,
        issued_at=issued_at,
        lines=tuple(lines),
        subscription=subscription.outside_id,
        links=subscription.links,
    )


def _errors(place: int, line: DraftLine, code: str) -> Sequence[FieldError]:
    known = currency(code)
    assert not isinstance(known, Problem)
    amounts = {"discount": line.discount, **{f"taxes/{n}/amount": tax.amount for n, tax in enumerate(line.taxes)}}
    found = [
        FieldError(pointer=f"/lines/{place}/{name}", detail=f"{amount_text(amount)} has more digits than {code} has")
        for name, amount in amounts.items()
        if isinstance(in_scale(amount=amount, currency=known), Problem)
    ]
    if line.discount < ZERO:
        found.append(FieldError(pointer=f"/lines/{place}/discount", detail="a discount is positive"))
    if line.service_start and line.service_end and line.service_end <= line.service_start:
        found.append(FieldError(pointer=f"/lines/{place}/service_end", detail="the service ends before it starts"))
    return found


def _line(name: str, line: DraftLine, amount: Decimal, discount_name: str) -> InvoiceLine:
    inclusive = sum((tax.amount for tax in line.taxes if tax.inclusive), ZERO)
    discounts = (DiscountAmount(amount=line.discount, discount=discount_name),) if line.discount else ()
    return InvoiceLine(
        outside_id=name,
        description=line.description,
        product=line.product,
        product_name=line.product_name,
        product_family=line.product_family,
        price=line.price,
        subscription=line.subscription,
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=amount,
        net=amount - line.discount - inclusive,
        service_start=line.service_start,
        service_end=line.service_end,
        discounts=discounts,
        taxes=line.taxes,
        dimensions=line.dimensions,
    )


def _invoice(draft: InvoiceDraft, lines: tuple[InvoiceLine, ...]) -> Invoice:
    tax_total = sum((tax.amount for line in lines for tax in line.taxes), ZERO)
    total = sum((line.net for line in lines), ZERO) + tax_total
    return Invoice(
        outside_id=DRAFT_ID,
        number=draft.number,
        status=InvoiceStatus.OPEN,
        customer=draft.customer,
        currency=draft.currency,
        subtotal=sum((line.amount for line in lines), ZERO),
        discount_total=sum((one.amount for line in lines for one in line.discounts), ZERO),
        tax_total=tax_total,
        total=total,
        amount_paid=ZERO,
        amount_remaining=total,
        lines=lines,
        created_at=draft.issued_at,
        finalized_at=draft.issued_at,
        due_at=draft.due_at,
        purchase_order=draft.purchase_order,
        subscription=draft.subscription,
        contract=draft.contract,
        links=draft.links,
    )
