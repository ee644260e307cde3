"""Amounts of events that are about one amount, and of sales an outside subledger states. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, cast

from revline.core.canonical.stated import CompletedSale
from revline.core.events import STATED_KINDS, EventKind
from revline.subledger.posting.amounts import AmountFunction, Part, amount_of
from revline.subledger.posting.kinds import Each

SALES: Final = frozenset(kind for kind, payload in STATED_KINDS.items() if payload is CompletedSale)
SINGLE: Final = (
    frozenset(
        {
            EventKind.PAYMENT_RECEIVED,
            EventKind.PROCESSOR_FEE_CHARGED,
            EventKind.PAYOUT_PAID,
            EventKind.CUSTOMER_CREDIT_GRANTED,
            EventKind.CUSTOMER_CREDIT_APPLIED,
        }
    )
    | STATED_KINDS.keys()
) - SALES
"""Events that are about one amount."""


def _sale(part: Part) -> CompletedSale:
    return cast("CompletedSale", part.event.payload)


def _single(part: Part) -> Decimal:
    amount: Decimal = part.event.payload.amount  # type: ignore[union-attr]
    return amount


STATED_AMOUNTS: Final[tuple[AmountFunction, ...]] = (
    amount_of(
        "amount",
        SINGLE,
        Each.EVENT,
        "What the event is about: what was paid, charged, granted, recognised, accrued or remeasured. Negative where the event "
        "goes the other way: a payout or credit taken back, revenue taken back, an exchange loss, an allowance lowered.",
        _single,
    ),
    amount_of("sale_amount", SALES, Each.EVENT, "The gross price of the sale.", lambda part: _sale(part).amount),
    amount_of(
        "sale_expected_refunds",
        SALES,
        Each.EVENT,
        "The part of the price that is expected to be given back.",
        lambda part: _sale(part).expected_refunds,
    ),
    amount_of(
        "sale_revenue",
        SALES,
        Each.EVENT,
        "The price less what is expected to be given back: sale_amount less sale_expected_refunds.",
        lambda part: _sale(part).amount - _sale(part).expected_refunds,
    ),
    amount_of("sale_cost", SALES, Each.EVENT, "The cost of what was handed over.", lambda part: _sale(part).cost),
    amount_of(
        "sale_expected_returns_cost",
        SALES,
        Each.EVENT,
        "The cost of what is expected to come back.",
        lambda part: _sale(part).expected_returns_cost,
    ),
    amount_of(
        "sale_cost_kept",
        SALES,
        Each.EVENT,
        "The cost of what stays sold: sale_cost less sale_expected_returns_cost.",
        lambda part: _sale(part).cost - _sale(part).expected_returns_cost,
    ),
    amount_of(
        "sale_commission", SALES, Each.EVENT, "What the agent keeps of the price.", lambda part: _sale(part).commission
    ),
    amount_of(
        "sale_supplier_share",
        SALES,
        Each.EVENT,
        "What the supplier gets of the price: sale_amount less sale_commission.",
        lambda part: _sale(part).amount - _sale(part).commission,
    ),
)
