"""Whether an order can be carried out: everything that would stop it later, said at once. Pure; nothing is booked of an order.

Each finding is a reason with a stable code, the field it is about and a sentence; an order without reasons is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from revline.core.canonical import Customer, Order, OrderLine, Product
from revline.core.money import Rounding, amount_text, currency, round_amount
from revline.core.problem import Mender, Problem, Retryable, define
from revline.delivery.loading import ClosedPeriod
from revline.delivery.values import FarSide
from revline.derive.preview import Reason, period_closed, reason_of
from revline.subledger.posting.setup import BookSetup
from revline.subledger.receivables.credit import CreditStanding

ZERO: Final = Decimal(0)
REASONS_MAX: Final = 200


class OrderKnown(msgspec.Struct, frozen=True, kw_only=True):
    """What is known around an order. customer, products: newest snapshots, None or absent when never seen. credit: as of `day`.

    same: ids of other orders with its number, or its own id when it is active already. day: when it would be billed.
    needs_products: whether the source keeps products at all; where it keeps none, a product is only a name.
    """

    customer: Customer | None
    products: Mapping[str, Product]
    needs_products: bool
    books: tuple[BookSetup, ...]
    far_sides: Mapping[tuple[str, str], FarSide | Problem]
    closed: Sequence[ClosedPeriod]
    credit: CreditStanding | None
    same: tuple[str, ...]
    day: date


def order_reasons(*, order: Order, known: OrderKnown) -> tuple[Reason, ...]:
    """Every reason against an order, in order of codes; none when it is accepted."""
    found = {
        *_of_customer(order, known),
        *_of_money(order),
        *_of_lines(order, known),
        *_of_term(order),
        *_of_books(order, known),
        *_of_credit(order, known),
    }
    if known.same:
        detail = f"order {order.number} is there already: {', '.join(known.same[:5])}"
        found.add(Reason(code="order.duplicate", field="/number", detail=detail))
    return tuple(sorted(found))[:REASONS_MAX]


def _of_customer(order: Order, known: OrderKnown) -> Iterable[Reason]:
    if known.customer is None:
        detail = f"customer {order.customer} is not known"
        yield Reason(code="order.customer_unknown", field="/customer", detail=detail)
    elif known.customer.deleted:
        detail = f"customer {order.customer} was deleted by its source"
        yield Reason(code="order.customer_deleted", field="/customer", detail=detail)


def _of_money(order: Order) -> Iterable[Reason]:
    money = currency(order.currency)
    if isinstance(money, Problem):
        yield Reason(code="currency.unknown", field="/currency", detail=money.detail)
        return
    total = sum((line.total for line in order.lines), ZERO)
    if total != order.total:
        detail = f"the lines come to {amount_text(total)}, the order says {amount_text(order.total)} {order.currency}"
        yield Reason(code="order.sum_wrong", field="/total", detail=detail)
    for place, line in enumerate(order.lines):
        full = round_amount(amount=line.quantity * line.unit_price, currency=money, rounding=Rounding.HALF_UP)
        if abs(line.total) > abs(full) or (line.total and full and (line.total < ZERO) != (full < ZERO)):
            detail = f"quantity times unit price is {amount_text(full)}, the line says {amount_text(line.total)}"
            yield Reason(code="order.line_sum_wrong", field=f"/lines/{place}/total", detail=detail)


def _of_lines(order: Order, known: OrderKnown) -> Iterable[Reason]:
    if not order.lines:
        yield Reason(code="order.lines_missing", field="/lines", detail="the order has no lines")
    for place, line in enumerate(order.lines):
        pointer = f"/lines/{place}/product"
        if not line.product:
            yield Reason(code="order.product_unknown", field=pointer, detail="the line names no product")
            continue
        product = known.products.get(line.product)
        if product is None and known.needs_products:
            detail = f"product {line.product} is not known"
            yield Reason(code="order.product_unknown", field=pointer, detail=detail)
        elif product is not None and (product.deleted or not product.active):
            detail = f"product {line.product} is no longer sold"
            yield Reason(code="order.product_inactive", field=pointer, detail=detail)
        yield from _of_product(line, product, pointer, known)


def _of_product(line: OrderLine, product: Product | None, pointer: str, known: OrderKnown) -> Iterable[Reason]:
    """A Mapping that maps products maps all of them; one that maps none leaves them to the ERP's accounts."""
    keys = {line.product, line.product_family, *(() if product is None else (product.code, product.family))}
    for (connection, _), far in sorted(known.far_sides.items()):
        if isinstance(far, FarSide) and far.mapping.products and not keys & set(far.mapping.products):
            detail = f"the Mapping of {connection} lacks products.{line.product}"
            yield Reason(code="mapping.missing", field=pointer, detail=detail)


def _of_term(order: Order) -> Iterable[Reason]:
    start, end = order.start_date, order.end_date
    if start is not None and end is not None and end <= start:
        yield Reason(code="order.term_invalid", field="/end_date", detail="the term ends before it starts")
    for place, line in enumerate(order.lines):
        begins, ends = line.service_start or start, line.service_end or end
        if begins is None:
            detail = "neither the line nor the order says when its term starts"
            yield Reason(code="order.term_missing", field=f"/lines/{place}/service_start", detail=detail)
        elif ends is not None and ends <= begins:
            detail = "the line's term ends before it starts"
            yield Reason(code="order.term_invalid", field=f"/lines/{place}/service_end", detail=detail)


def _of_books(order: Order, known: OrderKnown) -> Iterable[Reason]:
    if not known.books:
        yield Reason(code="derive.configuration_missing", field="/", detail="the connection's entity has no book")
    for book in known.books:
        rate = book.rate(currency=order.currency, day=known.day)
        if isinstance(rate, Problem) and not isinstance(currency(order.currency), Problem):
            yield Reason(code=rate.code, field="/currency", detail=f"{book.name}: {rate.detail}")
        if not book.erp:
            continue
        far = known.far_sides.get((book.erp, book.entity))
        if isinstance(far, Problem):
            yield reason_of(far)
            continue
        if far is None:
            continue
        if book.receivable not in far.mapping.accounts:
            key = f"accounts.{book.receivable}"
            detail = f"the Mapping of {book.erp} for {book.entity} lacks {key}"
            yield Reason(code="mapping.missing", field=key, detail=detail)
        period = period_closed(closed=known.closed, connection=book.erp, company=far.mapping.company, day=known.day)
        if period is not None:
            detail = f"period {period.name} is closed in {book.erp}"
            yield Reason(code="erp.period_closed", field=period.name, detail=detail)


def _of_credit(order: Order, known: OrderKnown) -> Iterable[Reason]:
    if known.credit is None:
        return
    for reason in known.credit.reasons:
        yield Reason(code=reason.code, field="/customer", detail=reason.detail)
    for entry in known.credit.currencies:
        if entry.currency == order.currency and entry.available is not None and ZERO <= entry.available < order.total:
            detail = (
                f"{amount_text(entry.available)} {entry.currency} of credit is left, {amount_text(order.total)} ordered"
            )
            yield Reason(code="credit.limit_exceeded", field="/total", detail=detail)


for _code, _title, _remedy in (
    ("order.customer_unknown", "The customer is not known", "Send the customer first."),
    ("order.customer_deleted", "The customer was deleted", "Name a customer that is there."),
    ("order.product_unknown", "The product is not known", "Send the product first, or name one that is there."),
    ("order.product_inactive", "The product is no longer sold", "Name a product that is sold."),
    ("order.lines_missing", "The order has no lines", "Send at least one line."),
    ("order.sum_wrong", "The order's total is not the sum of its lines", "Correct the total or the lines."),
    ("order.line_sum_wrong", "A line costs more than quantity times price", "Correct quantity, unit price or total."),
    ("order.term_missing", "The term is missing", "Give start_date on the order, or service_start on the line."),
    ("order.term_invalid", "The term ends before it starts", "Correct the days; an end day is exclusive."),
    ("order.duplicate", "The order is there already", "Give another number, or amend the order that is there."),
):
    define(code=_code, title=_title, status=422, retryable=Retryable.NO, mender=Mender.SENDER, remedy=_remedy)
