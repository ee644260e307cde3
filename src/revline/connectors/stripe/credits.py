"""Stripe credit notes and customer balance transactions as canonical snapshots. Pure.

Source: docs.stripe.com/api/credit_notes, /api/credit_note/line_item, /api/customer_balance_transactions and
docs.stripe.com/billing/customer/balance#types.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

import msgspec

from revline.connectors.stripe.amounts import shown_price
from revline.connectors.stripe.fields import Fields, refused
from revline.connectors.stripe.reading import Message, Reading, expanded, names
from revline.connectors.stripe.taxes import read_taxes
from revline.core.canonical import (
    CreditMemo,
    CreditMemoStatus,
    CreditMovement,
    CreditOrigin,
    DiscountAmount,
    InvoiceLine,
)
from revline.core.facts import Name
from revline.core.money import PRECISION, Currency, amount_text
from revline.core.problem import Mender, Retryable, define

ZERO: Final = Decimal(0)
ORIGINS: Final = {
    "adjustment": CreditOrigin.ADJUSTMENT,
    "applied_to_invoice": CreditOrigin.APPLIED,
    "checkout_session_subscription_payment": CreditOrigin.OVERPAYMENT,
    "checkout_session_subscription_payment_canceled": CreditOrigin.OVERPAYMENT,
    "credit_note": CreditOrigin.CREDIT_MEMO,
    "initial": CreditOrigin.ADJUSTMENT,
    "invoice_overpaid": CreditOrigin.OVERPAYMENT,
    "invoice_too_large": CreditOrigin.CARRIED,
    "invoice_too_small": CreditOrigin.CARRIED,
    "migration": CreditOrigin.ADJUSTMENT,
    "unapplied_from_invoice": CreditOrigin.UNAPPLIED,
    "unspent_receiver_credit": CreditOrigin.OVERPAYMENT,
}


def read_credit_note(*, fields: Fields, message: Message) -> Reading:
    """A credit note with all its lines, on the root of the invoice it credits.

    Its refunds are names of it, so that a refund's root finds the note whichever comes first. issued_at is effective_at when Stripe
    has one. Problems: stripe.list_incomplete, and stripe.credit_note_inconsistent when lines and taxes don't make up the total.
    """
    currency = fields.currency()
    rates = {rate.text("id"): rate for line in fields.children("lines") for rate in line.children("tax_rates")}
    lines = tuple(_line(line, currency=currency, rates=rates) for line in fields.whole_list("lines"))
    status = CreditMemoStatus.VOID if fields.text("status") == "void" else CreditMemoStatus.ISSUED
    settled = _settlement(fields, currency)
    refunds = settled.refunds
    snapshot = CreditMemo(
        outside_id=fields.required_identifier("id"),
        number=fields.identifier("number"),
        status=status,
        customer=fields.required_identifier("customer"),
        invoice=fields.identifier("invoice"),
        currency=currency.code,
        lines=lines,
        tax_total=sum((tax.amount for line in lines for tax in line.taxes), currency.quantum * 0),
        total=fields.amount("total", currency=currency),
        applied_amount=settled.applied,
        credited_amount=settled.credited,
        refunded_amount=sum((amount for _, amount in refunds), currency.quantum * 0),
        out_of_band_amount=settled.elsewhere,
        refunds=tuple(holder.identifier("refund") for holder, _ in refunds),
        refund_amounts=tuple(amount for _, amount in refunds),
        earned=currency.quantum * 0,
        issued_at=fields.optional_moment("effective_at") or fields.moment("created"),
        voided_at=fields.optional_moment("voided_at") if status is CreditMemoStatus.VOID else None,
        reason=fields.text("reason"),
        memo=fields.text("memo"),
    )
    _refuse_unless_consistent(snapshot, fields)
    own = message.source("credit_memo", snapshot.outside_id)
    nested = [one for holder, _ in refunds for one in expanded(holder, "refund")]
    return Reading(
        source=own,
        snapshot=snapshot,
        roots=(message.source("invoice", snapshot.invoice) if snapshot.invoice else own,),
        rank=int(status is CreditMemoStatus.VOID),
        latest=snapshot.voided_at or fields.moment("created"),
        # Refunds may be linked to a note after it was issued.
        growing=(len(refunds),),
        names=names(credit_memo_number=snapshot.number)
        + tuple(Name(kind="refund", value=refund) for refund in snapshot.refunds),
        nested=(*nested, *expanded(fields, "customer_balance_transaction")),
    )


class _Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a credit note's total. refunds: each holder of a refund's id with how much of the note it pays out."""

    applied: Decimal
    credited: Decimal
    elsewhere: Decimal
    refunds: tuple[tuple[Fields, Decimal], ...]


def _settlement(fields: Fields, currency: Currency) -> _Settlement:
    """In the older shape the note is of one type and names one refund without its amount, which is then what else is left."""
    applied, after = (_amount(fields, name, currency) for name in ("pre_payment_amount", "post_payment_amount"))
    elsewhere = _amount(fields, "out_of_band_amount", currency)
    older = not fields.has("pre_payment_amount") and not fields.has("post_payment_amount")
    if older:
        total = fields.amount("total", currency=currency)
        applied, after = (total * 0, total) if fields.text("type") == "post_payment" else (total, total * 0)
    paid_out = tuple((one, _amount(one, "amount_refunded", currency)) for one in fields.children("refunds"))
    refunds = tuple((one, amount) for one, amount in paid_out if one.identifier("refund"))
    # A refund of a payment record is only told of: Stripe moved none of that money.
    elsewhere += sum((amount for one, amount in paid_out if not one.identifier("refund")), currency.quantum * 0)
    balance = fields.has("customer_balance_transaction")
    credited = (
        after - elsewhere - sum((amount for _, amount in refunds), currency.quantum * 0) if balance else after * 0
    )
    if older and not fields.has("refunds") and fields.identifier("refund"):
        if balance:
            credited = ZERO - fields.child("customer_balance_transaction").amount("amount", currency=currency)
        refunds = ((fields, after - elsewhere - credited),)
    return _Settlement(applied=applied, credited=credited, elsewhere=elsewhere, refunds=refunds)


def read_customer_balance_transaction(*, fields: Fields, message: Message) -> Reading:
    """A movement on a customer's credit balance. Stripe counts what the customer owes; here credit is positive."""
    currency = fields.currency()
    origin = ORIGINS.get(fields.text("type"))
    if origin is None:
        raise fields.refuse("type", "a type of customer balance transaction")
    ending = fields.optional_amount("ending_balance", currency=currency)
    snapshot = CreditMovement(
        outside_id=fields.required_identifier("id"),
        customer=fields.required_identifier("customer"),
        origin=origin,
        currency=currency.code,
        amount=ZERO - fields.amount("amount", currency=currency),
        created_at=fields.moment("created"),
        invoice=fields.identifier("invoice"),
        credit_memo=fields.identifier("credit_note"),
        ending_balance=None if ending is None else ZERO - ending,
        description=fields.text("description"),
    )
    root = message.source("credit_movement", snapshot.outside_id)
    return Reading(source=root, snapshot=snapshot, roots=(root,), rank=0, latest=snapshot.created_at)


def _line(fields: Fields, *, currency: Currency, rates: dict[str, Fields]) -> InvoiceLine:
    amount = fields.amount("amount", currency=currency)
    discounts = tuple(
        DiscountAmount(amount=entry.amount("amount", currency=currency), discount=entry.identifier("discount"))
        for entry in fields.children("discount_amounts")
    )
    after_discounts = amount - sum((entry.amount for entry in discounts), ZERO)
    taxes = read_taxes(fields=fields, currency=currency, base=after_discounts, rates=rates)
    whole = fields.decimal("quantity")
    quantity = Decimal(1) if whole is None else whole
    return InvoiceLine(
        outside_id=fields.required_identifier("id"),
        description=fields.text("description"),
        product_family=fields.child("metadata").text("product_family"),
        quantity=quantity,
        unit_price=_unit_price(fields, currency=currency, amount=amount, quantity=quantity),
        amount=amount,
        net=after_discounts - sum((tax.amount for tax in taxes if tax.inclusive), ZERO),
        credited_line=fields.identifier("invoice_line_item"),
        discounts=discounts,
        taxes=taxes,
    )


def _unit_price(fields: Fields, *, currency: Currency, amount: Decimal, quantity: Decimal) -> Decimal:
    for name in ("unit_amount_decimal", "unit_amount"):
        published = fields.unit_price(name, currency=currency)
        if published is not None:
            return published
    with localcontext() as context:
        context.prec = PRECISION
        return shown_price(price=amount / quantity if quantity else amount, currency=currency)


def _amount(fields: Fields, name: str, currency: Currency) -> Decimal:
    found = fields.optional_amount(name, currency=currency)
    return currency.quantum * 0 if found is None else found


def _refuse_unless_consistent(memo: CreditMemo, fields: Fields) -> None:
    total = sum((line.net for line in memo.lines), ZERO) + memo.tax_total
    if total == memo.total:
        return
    reason = "shipping_cost" if fields.has("shipping_cost") else "total"
    raise refused(
        code="stripe.credit_note_inconsistent",
        pointer=f"/{reason}",
        detail=f"leaves {amount_text(memo.total - total)} {memo.currency} of the total on no line",
    )


define(
    code="stripe.credit_note_inconsistent",
    title="The credit note's lines do not add up to its total",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="See which amount has no line (shipping, billing credits) and have it credited as a line.",
)
