"""The canonical revenue objects: what every source is translated to and every later room reads.

Each object is a snapshot: what its owner system said of it at one time. Amounts are in the object's currency, in that
currency's ISO 4217 scale, positive unless a field says otherwise. Moments are aware; days are calendar days where the legal
entity keeps its books. "Source" names the field of the systems that fill it; "owner" is the system that may change it.
Nothing here knows a vendor's wire format, an account or a database.
"""

from __future__ import annotations

from typing import Any

import msgspec

from revline.core.canonical.billing import (
    CreditMemo,
    CreditMemoStatus,
    CreditMovement,
    CreditOrigin,
    DiscountAmount,
    Invoice,
    InvoiceLine,
    InvoicePayment,
    InvoiceStatus,
    TaxAmount,
)
from revline.core.canonical.catalogue import (
    OrderLine,
    Price,
    PriceTier,
    Product,
    SchedulePhase,
    Subscription,
    SubscriptionItem,
    SubscriptionSchedule,
    SubscriptionStatus,
)
from revline.core.canonical.commercial import Contract, Opportunity, Order, OrderStatus, Quote
from revline.core.canonical.credits import CreditGrant, CreditRefund
from revline.core.canonical.money_movements import (
    BalanceTransaction,
    Dispute,
    DisputeMovement,
    DisputeStatus,
    Payment,
    PaymentIntent,
    PaymentStatus,
    Payout,
    Refund,
)
from revline.core.canonical.parties import Address, Customer
from revline.core.canonical.stated import StatedEvent
from revline.core.money import decode_hook

CanonicalObject = (
    Customer
    | Invoice
    | InvoicePayment
    | CreditMemo
    | CreditMovement
    | Payment
    | PaymentIntent
    | Refund
    | Dispute
    | Payout
    | BalanceTransaction
    | Product
    | Price
    | Subscription
    | SubscriptionSchedule
    | Opportunity
    | Quote
    | Order
    | Contract
    | StatedEvent
    | CreditGrant
    | CreditRefund
)

KINDS: dict[str, type[Any]] = {
    "customer": Customer,
    "invoice": Invoice,
    "invoice_payment": InvoicePayment,
    "credit_memo": CreditMemo,
    "credit_movement": CreditMovement,
    "payment": Payment,
    "payment_intent": PaymentIntent,
    "refund": Refund,
    "dispute": Dispute,
    "payout": Payout,
    "balance_transaction": BalanceTransaction,
    "product": Product,
    "price": Price,
    "subscription": Subscription,
    "subscription_schedule": SubscriptionSchedule,
    "opportunity": Opportunity,
    "quote": Quote,
    "order": Order,
    "contract": Contract,
    "stated_event": StatedEvent,
    "credit_grant": CreditGrant,
    "credit_refund": CreditRefund,
}


def decode_object(data: bytes | str) -> CanonicalObject:
    """A canonical object from its JSON. msgspec.ValidationError (with the path) when it does not fit."""
    return _DECODER.decode(data)


_DECODER: msgspec.json.Decoder[CanonicalObject] = msgspec.json.Decoder(CanonicalObject, dec_hook=decode_hook)

__all__ = [
    "KINDS",
    "Address",
    "BalanceTransaction",
    "CanonicalObject",
    "Contract",
    "CreditGrant",
    "CreditMemo",
    "CreditMemoStatus",
    "CreditMovement",
    "CreditOrigin",
    "CreditRefund",
    "Customer",
    "DiscountAmount",
    "Dispute",
    "DisputeMovement",
    "DisputeStatus",
    "Invoice",
    "InvoiceLine",
    "InvoicePayment",
    "InvoiceStatus",
    "Opportunity",
    "Order",
    "OrderLine",
    "OrderStatus",
    "Payment",
    "PaymentIntent",
    "PaymentStatus",
    "Payout",
    "Price",
    "PriceTier",
    "Product",
    "Quote",
    "Refund",
    "SchedulePhase",
    "StatedEvent",
    "Subscription",
    "SubscriptionItem",
    "SubscriptionSchedule",
    "SubscriptionStatus",
    "TaxAmount",
    "decode_object",
]
