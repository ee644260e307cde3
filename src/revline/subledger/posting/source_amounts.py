"""Amounts of events that follow from source objects: invoices, credit memos, refunds and disputes. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, cast

from revline.core.canonical import InvoiceLine, TaxAmount
from revline.core.events import (
    DisputedMoney,
    EventKind,
    IssuedCreditMemo,
    IssuedInvoice,
    RefundedMoney,
    UncollectibleInvoice,
)
from revline.core.money import Currency, allocate, currency
from revline.subledger.posting.amounts import AmountFunction, Part, amount_of
from revline.subledger.posting.kinds import Each

INVOICES: Final = frozenset({EventKind.INVOICE_ISSUED})
CREDIT_MEMOS: Final = frozenset({EventKind.CREDIT_MEMO_ISSUED})
LINED: Final = INVOICES | CREDIT_MEMOS
UNCOLLECTIBLE: Final = frozenset({EventKind.INVOICE_MARKED_UNCOLLECTIBLE})
REFUNDS: Final = frozenset({EventKind.REFUND_PAID})
DISPUTES: Final = frozenset({EventKind.DISPUTE_OPENED, EventKind.DISPUTE_WON, EventKind.DISPUTE_LOST})
ZERO: Final = Decimal(0)


def _invoice(part: Part) -> IssuedInvoice:
    return cast("IssuedInvoice", part.event.payload)


def _memo(part: Part) -> IssuedCreditMemo:
    return cast("IssuedCreditMemo", part.event.payload)


def _refund(part: Part) -> RefundedMoney:
    return cast("RefundedMoney", part.event.payload)


def _dispute(part: Part) -> DisputedMoney:
    return cast("DisputedMoney", part.event.payload)


def _line(part: Part) -> InvoiceLine:
    if part.line is None:
        raise ValueError("asked for a line's amount without a line")
    return part.line


def _tax(part: Part) -> TaxAmount:
    if part.tax is None:
        raise ValueError("asked for a tax amount without a tax")
    return part.tax


def _discount(part: Part) -> Decimal:
    return sum((discount.amount for discount in _line(part).discounts), ZERO)


def _line_earned(part: Part) -> Decimal:
    """The line's share of what was earned, in proportion to the positive net amounts, by largest remainder."""
    memo, money = _memo(part), currency(part.event.currency)
    weights = [max(line.net, ZERO) for line in memo.lines]
    if not memo.earned or not isinstance(money, Currency) or not any(weights):
        return memo.earned if memo.earned and part.line is memo.lines[0] else ZERO
    shares = allocate(total=memo.earned, weights=weights, currency=money)
    return next(share for line, share in zip(memo.lines, shares, strict=True) if line is part.line)


BILLING: Final[tuple[AmountFunction, ...]] = (
    amount_of(
        "invoice_total",
        INVOICES,
        Each.EVENT,
        "What the customer owes when the invoice is issued: net lines plus tax.",
        lambda part: _invoice(part).total,
    ),
    amount_of(
        "invoice_net",
        INVOICES,
        Each.EVENT,
        "The invoice's total less its tax.",
        lambda part: _invoice(part).total - _invoice(part).tax_total,
    ),
    amount_of(
        "invoice_tax",
        INVOICES,
        Each.EVENT,
        "The invoice's tax, exclusive and inclusive together.",
        lambda part: _invoice(part).tax_total,
    ),
    amount_of(
        "invoice_discount",
        INVOICES,
        Each.EVENT,
        "What all discounts together took off the invoice, positive.",
        lambda part: _invoice(part).discount_total,
    ),
    amount_of(
        "credit_memo_total",
        CREDIT_MEMOS,
        Each.EVENT,
        "What the credit memo takes back: net lines plus tax, positive.",
        lambda part: _memo(part).total,
    ),
    amount_of(
        "credit_memo_net",
        CREDIT_MEMOS,
        Each.EVENT,
        "The credit memo's total less its tax.",
        lambda part: _memo(part).total - _memo(part).tax_total,
    ),
    amount_of(
        "credit_memo_tax",
        CREDIT_MEMOS,
        Each.EVENT,
        "The credit memo's tax, exclusive and inclusive together.",
        lambda part: _memo(part).tax_total,
    ),
    amount_of(
        "credit_memo_earned",
        CREDIT_MEMOS,
        Each.EVENT,
        "The part of credit_memo_net that was recognised as revenue before the memo.",
        lambda part: _memo(part).earned,
    ),
    amount_of(
        "credit_memo_deferred",
        CREDIT_MEMOS,
        Each.EVENT,
        "The part of credit_memo_net that was not yet recognised: credit_memo_net less credit_memo_earned.",
        lambda part: _memo(part).total - _memo(part).tax_total - _memo(part).earned,
    ),
    amount_of(
        "uncollectible_amount",
        UNCOLLECTIBLE,
        Each.EVENT,
        "What was still owed when the invoice was given up on.",
        lambda part: cast("UncollectibleInvoice", part.event.payload).amount,
    ),
)

LINES: Final[tuple[AmountFunction, ...]] = (
    amount_of(
        "line_net",
        LINED,
        Each.LINE,
        "The line's amount less its discounts and less inclusive tax; negative on an invoice's credit line.",
        lambda part: _line(part).net,
    ),
    amount_of(
        "line_before_discount",
        LINED,
        Each.LINE,
        "line_net plus line_discount, for books that show discounts on an account of their own.",
        lambda part: _line(part).net + _discount(part),
    ),
    amount_of("line_discount", LINED, Each.LINE, "What discounts took off the line, positive.", _discount),
    amount_of(
        "line_tax",
        LINED,
        Each.LINE,
        "All tax amounts of the line together.",
        lambda part: sum((tax.amount for tax in _line(part).taxes), ZERO),
    ),
    amount_of(
        "line_earned",
        CREDIT_MEMOS,
        Each.LINE,
        "The line's share of credit_memo_earned, in proportion to line_net by largest remainder.",
        _line_earned,
    ),
    amount_of(
        "line_deferred",
        CREDIT_MEMOS,
        Each.LINE,
        "line_net less line_earned.",
        lambda part: _line(part).net - _line_earned(part),
    ),
    amount_of(
        "tax_amount",
        LINED,
        Each.TAX,
        "One tax amount of one line, as the tax engine gave it.",
        lambda part: _tax(part).amount,
    ),
)

MONEY_BACK: Final[tuple[AmountFunction, ...]] = (
    amount_of("refund_amount", REFUNDS, Each.EVENT, "What was given back.", lambda part: _refund(part).amount),
    amount_of(
        "refund_earned",
        REFUNDS,
        Each.EVENT,
        "The part of the refund that was recognised as revenue before it.",
        lambda part: _refund(part).earned,
    ),
    amount_of(
        "refund_deferred",
        REFUNDS,
        Each.EVENT,
        "The part of the refund that was not yet recognised: refund_amount less refund_earned.",
        lambda part: _refund(part).amount - _refund(part).earned,
    ),
    amount_of(
        "dispute_amount",
        DISPUTES,
        Each.EVENT,
        "What the bank took, gave back, or on a loss what stays away; without the fee.",
        lambda part: _dispute(part).amount,
    ),
    amount_of(
        "dispute_fee",
        DISPUTES,
        Each.EVENT,
        "What the processor took or gave back for the dispute; zero on a loss.",
        lambda part: _dispute(part).fee,
    ),
    amount_of(
        "dispute_total",
        DISPUTES,
        Each.EVENT,
        "dispute_amount plus dispute_fee: what moved on the processor's balance.",
        lambda part: _dispute(part).amount + _dispute(part).fee,
    ),
    amount_of(
        "dispute_earned",
        DISPUTES,
        Each.EVENT,
        "The part of dispute_amount that was recognised as revenue before it.",
        lambda part: _dispute(part).earned,
    ),
    amount_of(
        "dispute_deferred",
        DISPUTES,
        Each.EVENT,
        "The part of dispute_amount that was not yet recognised: dispute_amount less dispute_earned.",
        lambda part: _dispute(part).amount - _dispute(part).earned,
    ),
)

SOURCE_AMOUNTS: Final = (*BILLING, *LINES, *MONEY_BACK)
