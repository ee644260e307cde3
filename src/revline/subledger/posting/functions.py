"""The closed list of named functions that rules take amounts from. Exact Decimal, pure; knows no account and no rule.

Every function says which event kinds it is for and how often it is asked: once for the event, for each invoice line, or for
each tax amount of each line. All amounts are in the event's currency, signed as the source has them, never rounded here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final, cast

import msgspec

from revline.core.canonical import InvoiceLine, TaxAmount
from revline.core.events import (
    AccountingEvent,
    EventKind,
    IssuedInvoice,
    MovedMoney,
    RefundedMoney,
    UncollectibleInvoice,
)
from revline.subledger.posting.kinds import Each


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What an amount is taken of: the event, and the line and tax it is asked for."""

    event: AccountingEvent
    line: InvoiceLine | None = None
    tax: TaxAmount | None = None


class AmountFunction(msgspec.Struct, frozen=True, kw_only=True):
    """A named amount. events: kinds it is for. each: how often it is asked. meaning: one sentence for the reference page."""

    name: str
    events: frozenset[EventKind]
    each: Each
    meaning: str
    compute: Callable[[Part], Decimal]


FUNCTIONS: Final[dict[str, AmountFunction]] = {}

INVOICES: Final = frozenset({EventKind.INVOICE_ISSUED})
UNCOLLECTIBLE: Final = frozenset({EventKind.INVOICE_MARKED_UNCOLLECTIBLE})
MONEY: Final = frozenset({EventKind.PAYMENT_RECEIVED, EventKind.PROCESSOR_FEE_CHARGED, EventKind.PAYOUT_PAID})
REFUNDS: Final = frozenset({EventKind.REFUND_PAID})


def functions_for(*, event: EventKind, each: Each) -> tuple[str, ...]:
    """Names of the functions that may stand in an entry of this kind."""
    return tuple(sorted(name for name, found in FUNCTIONS.items() if event in found.events and each is found.each))


def _invoice(part: Part) -> IssuedInvoice:
    return cast("IssuedInvoice", part.event.payload)


def _line(part: Part) -> InvoiceLine:
    if part.line is None:
        raise ValueError("asked for a line's amount without a line")
    return part.line


def _tax(part: Part) -> TaxAmount:
    if part.tax is None:
        raise ValueError("asked for a tax amount without a tax")
    return part.tax


def _money(part: Part) -> MovedMoney:
    return cast("MovedMoney", part.event.payload)


def _refund(part: Part) -> RefundedMoney:
    return cast("RefundedMoney", part.event.payload)


def _discount(part: Part) -> Decimal:
    return sum((discount.amount for discount in _line(part).discounts), Decimal(0))


def _add(name: str, events: frozenset[EventKind], each: Each, meaning: str, compute: Callable[[Part], Decimal]) -> None:
    FUNCTIONS[name] = AmountFunction(name=name, events=events, each=each, meaning=meaning, compute=compute)


_add(
    "invoice_total",
    INVOICES,
    Each.EVENT,
    "What the customer owes when the invoice is issued: net lines plus tax.",
    lambda part: _invoice(part).total,
)
_add(
    "invoice_net",
    INVOICES,
    Each.EVENT,
    "The invoice's total less its tax.",
    lambda part: _invoice(part).total - _invoice(part).tax_total,
)
_add(
    "invoice_tax",
    INVOICES,
    Each.EVENT,
    "The invoice's tax, exclusive and inclusive together.",
    lambda part: _invoice(part).tax_total,
)
_add(
    "invoice_discount",
    INVOICES,
    Each.EVENT,
    "What all discounts together took off the invoice, positive.",
    lambda part: _invoice(part).discount_total,
)
_add(
    "line_net",
    INVOICES,
    Each.LINE,
    "The line's amount less its discounts and less inclusive tax; negative on a credit line.",
    lambda part: _line(part).net,
)
_add(
    "line_before_discount",
    INVOICES,
    Each.LINE,
    "line_net plus line_discount, for books that show discounts on an account of their own.",
    lambda part: _line(part).net + _discount(part),
)
_add("line_discount", INVOICES, Each.LINE, "What discounts took off the line, positive.", _discount)
_add(
    "line_tax",
    INVOICES,
    Each.LINE,
    "All tax amounts of the line together.",
    lambda part: sum((tax.amount for tax in _line(part).taxes), Decimal(0)),
)
_add(
    "tax_amount",
    INVOICES,
    Each.TAX,
    "One tax amount of one line, as the tax engine gave it.",
    lambda part: _tax(part).amount,
)
_add(
    "uncollectible_amount",
    UNCOLLECTIBLE,
    Each.EVENT,
    "What was still owed when the invoice was given up on.",
    lambda part: cast("UncollectibleInvoice", part.event.payload).amount,
)
_add(
    "amount",
    MONEY,
    Each.EVENT,
    "What moved: the payment, the fee or the payout; negative on a payout the processor takes back.",
    lambda part: _money(part).amount,
)
_add("refund_amount", REFUNDS, Each.EVENT, "What was given back.", lambda part: _refund(part).amount)
_add(
    "refund_earned",
    REFUNDS,
    Each.EVENT,
    "The part of the refund that was recognised as revenue before it.",
    lambda part: _refund(part).earned,
)
_add(
    "refund_deferred",
    REFUNDS,
    Each.EVENT,
    "The part of the refund that was not yet recognised: refund_amount less refund_earned.",
    lambda part: _refund(part).amount - _refund(part).earned,
)
