"""Money that moved: payments, refunds, disputes, payouts and movements on a processor's balance."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec

from revline.core.money import Amount


class PaymentStatus(StrEnum):
    """pending: on its way; failed: no money moved; succeeded: the customer's money is with the processor."""

    PENDING = "pending"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


class Payment(msgspec.Struct, frozen=True, kw_only=True, tag="payment"):
    """Money a customer paid through a processor (Stripe: a charge). Owner: gateway.

    amount: what was captured, in the currency the customer paid. created_at: when the processor took it. method: card,
    bank transfer and so on, as the processor names it.
    """

    outside_id: str
    status: PaymentStatus
    customer: str = ""
    currency: str
    amount: Amount
    created_at: datetime
    payment_intent: str = ""
    invoice: str = ""
    balance_transaction: str = ""
    method: str = ""
    description: str = ""
    failure_code: str = ""


class PaymentIntent(msgspec.Struct, frozen=True, kw_only=True, tag="payment_intent"):
    """An attempt to collect. It moves no money; it links an intent to the payment that succeeded. Owner: gateway."""

    outside_id: str
    status: str
    customer: str = ""
    currency: str
    amount: Amount
    payment: str = ""


class Refund(msgspec.Struct, frozen=True, kw_only=True, tag="refund"):
    """Money given back on a payment. Owner: gateway.

    status: pending, requires_action, succeeded, failed or canceled. created_at: when the money left; failed_at: when the
    source said it came back, None when the source gave no time. earned: the part of the amount that was recognised as
    revenue before the refund (0.00 until revenue schedules exist). credit_memo: outside id of the credit memo it pays out, when
    the source names it on the refund; then the memo took the revenue back.
    """

    outside_id: str
    payment: str
    status: str
    currency: str
    amount: Amount
    earned: Amount
    created_at: datetime
    failed_at: datetime | None = None
    reason: str = ""
    credit_memo: str = ""
    balance_transaction: str = ""


class DisputeStatus(StrEnum):
    """inquiry: a question, no money moved; open: the money was taken; won, lost: decided; prevented: refunded before a dispute."""

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"
    LOST = "lost"
    PREVENTED = "prevented"


class DisputeMovement(msgspec.Struct, frozen=True, kw_only=True):
    """What a dispute moved on the processor's balance. amount, fee: signed as the processor has them (taken: negative amount,
    positive fee; given back: positive amount, negative fee)."""

    outside_id: str
    currency: str
    amount: Amount
    fee: Amount
    created_at: datetime


class Dispute(msgspec.Struct, frozen=True, kw_only=True, tag="dispute"):
    """A customer's bank took a payment back. Owner: gateway.

    movements: money taken and given back, oldest first. earned: the part of the amount recognised as revenue before it (0.00 until
    revenue schedules exist). closed_at: when it was decided, None when the source gave no time.
    """

    outside_id: str
    payment: str
    status: DisputeStatus
    currency: str
    amount: Amount
    earned: Amount
    created_at: datetime
    closed_at: datetime | None = None
    reason: str = ""
    movements: tuple[DisputeMovement, ...] = ()


class Payout(msgspec.Struct, frozen=True, kw_only=True, tag="payout"):
    """Money a processor sends to the bank. Owner: gateway.

    status: pending, in_transit, paid, failed or canceled. amount: negative when the processor takes money from the bank.
    arrival_date: the day the bank books it, as the source names it.
    """

    outside_id: str
    status: str
    currency: str
    amount: Amount
    arrival_date: date
    created_at: datetime
    failed_at: datetime | None = None
    destination: str = ""
    balance_transaction: str = ""
    failure_code: str = ""


class BalanceTransaction(msgspec.Struct, frozen=True, kw_only=True, tag="balance_transaction"):
    """A movement on the processor's balance. Owner: gateway.

    transaction_type: charge, payment, refund, payout, stripe_fee and so on. amount: signed gross in `currency`, the currency
    of the balance; fee: positive; net: amount less fee. source: outside id of what moved it. exchange_rate: present when the
    source was in another currency.
    """

    outside_id: str
    transaction_type: str
    source: str
    currency: str
    amount: Amount
    fee: Amount
    net: Amount
    created_at: datetime
    exchange_rate: Amount | None = None
    reporting_category: str = ""
