"""Stripe charges, payment intents, refunds, payouts and balance transactions as canonical snapshots. Pure.

Source: docs.stripe.com/api/charges, /api/payment_intents, /api/refunds, /api/payouts, /api/balance_transactions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from revline.connectors.stripe.fields import Fields
from revline.connectors.stripe.reading import Message, Reading, expanded, names
from revline.core.canonical import BalanceTransaction, Payment, PaymentIntent, PaymentStatus, Payout, Refund
from revline.core.ids import SourceObject
from revline.core.money import amount_text

PAYMENT_RANKS: Final = {PaymentStatus.PENDING: 0, PaymentStatus.FAILED: 1, PaymentStatus.SUCCEEDED: 1}
INTENT_RANKS: Final = {
    "requires_payment_method": 0,
    "requires_confirmation": 1,
    "requires_action": 2,
    "processing": 3,
    "requires_capture": 4,
    "canceled": 5,
    "succeeded": 5,
}
REFUND_RANKS: Final = {"pending": 0, "requires_action": 0, "succeeded": 1, "canceled": 2, "failed": 2}
PAYOUT_RANKS: Final = {"pending": 0, "in_transit": 1, "paid": 2, "canceled": 3, "failed": 3}
FAILED_WITH_TIME: Final = 1
"""Added to the rank of a failure whose time is known, so that a later snapshot without one can't take the time away."""
PAYMENT_TRANSACTIONS: Final = frozenset({"charge", "payment"})
PAYOUT_TRANSACTIONS: Final = frozenset({"payout", "payout_cancel", "payout_failure"})
EXCHANGE_RATE_DIGITS_MAX: Final = 12


def read_charge(*, fields: Fields, message: Message) -> Reading:
    """A charge as a payment. An authorised and not captured one is pending: no money has moved."""
    currency = fields.currency()
    status = _payment_status(fields)
    captured = fields.optional_amount("amount_captured", currency=currency)
    took = captured is not None and status is PaymentStatus.SUCCEEDED
    snapshot = Payment(
        outside_id=fields.required_identifier("id"),
        status=status,
        customer=fields.identifier("customer"),
        currency=currency.code,
        amount=captured if took and captured is not None else fields.amount("amount", currency=currency),
        created_at=fields.moment("created"),
        payment_intent=fields.identifier("payment_intent"),
        invoice=fields.identifier("invoice"),
        balance_transaction=fields.identifier("balance_transaction"),
        method=fields.child("payment_method_details").text("type"),
        description=fields.text("description"),
        failure_code=fields.text("failure_code"),
    )
    root = message.source("payment", snapshot.outside_id)
    grown = tuple(fields.integer(name) if fields.has(name) else 0 for name in ("amount_captured", "amount_refunded"))
    refunds = tuple(refund for refund in fields.children("refunds") if refund.text("object") == "refund")
    return Reading(
        source=root,
        snapshot=snapshot,
        roots=(root,),
        rank=PAYMENT_RANKS[status],
        latest=snapshot.created_at,
        growing=grown,
        names=names(payment_intent=snapshot.payment_intent, balance_transaction=snapshot.balance_transaction),
        nested=expanded(fields, "balance_transaction") + refunds,
    )


def read_payment_intent(*, fields: Fields, message: Message) -> Reading:
    """An intent, on the root of its latest charge; on a root of its own while it has none."""
    currency = fields.currency()
    status = fields.text("status")
    if status not in INTENT_RANKS:
        raise fields.refuse("status", "a payment intent's status")
    charge = fields.identifier("latest_charge")
    snapshot = PaymentIntent(
        outside_id=fields.required_identifier("id"),
        status=status,
        customer=fields.identifier("customer"),
        currency=currency.code,
        amount=fields.amount("amount", currency=currency),
        payment=charge,
    )
    own = message.source("payment_intent", snapshot.outside_id)
    return Reading(
        source=own,
        snapshot=snapshot,
        roots=(message.source("payment", charge) if charge else own,),
        rank=INTENT_RANKS[status],
        latest=fields.moment("created"),
        growing=(fields.integer("amount_received") if fields.has("amount_received") else 0,),
        names=names(charge=charge),
        nested=expanded(fields, "latest_charge"),
    )


def read_refund(*, fields: Fields, message: Message) -> Reading:
    """A refund, on the root of its charge; on a root of its own when Stripe names no charge.

    failed_at comes from the very event refund.failed and from nothing else: the object has no time of its failure.
    """
    currency = fields.currency()
    status = fields.text("status")
    if status not in REFUND_RANKS:
        raise fields.refuse("status", "a refund's status")
    failed_at = message.created if message.event_type == "refund.failed" and status == "failed" else None
    snapshot = Refund(
        outside_id=fields.required_identifier("id"),
        payment=fields.identifier("charge"),
        status=status,
        currency=currency.code,
        amount=fields.amount("amount", currency=currency),
        earned=currency.quantum * 0,
        created_at=fields.moment("created"),
        failed_at=failed_at,
        reason=fields.text("reason"),
        balance_transaction=fields.identifier("balance_transaction"),
    )
    own = message.source("refund", snapshot.outside_id)
    return Reading(
        source=own,
        snapshot=snapshot,
        roots=(message.source("payment", snapshot.payment) if snapshot.payment else own,),
        rank=_failure_rank(REFUND_RANKS[status], failed_at),
        latest=snapshot.created_at,
        names=names(balance_transaction=snapshot.balance_transaction),
        nested=expanded(fields, "charge") + expanded(fields, "balance_transaction"),
    )


def read_payout(*, fields: Fields, message: Message) -> Reading:
    """A payout. arrival_date is a UTC midnight that stands for a day at the bank, so its day is taken in UTC whatever the entity.

    failed_at comes from the very event payout.failed and from nothing else.
    """
    currency = fields.currency()
    status = fields.text("status")
    if status not in PAYOUT_RANKS:
        raise fields.refuse("status", "a payout's status")
    failed_at = message.created if message.event_type == "payout.failed" and status == "failed" else None
    snapshot = Payout(
        outside_id=fields.required_identifier("id"),
        status=status,
        currency=currency.code,
        amount=fields.amount("amount", currency=currency),
        arrival_date=fields.moment("arrival_date").astimezone(UTC).date(),
        created_at=fields.moment("created"),
        failed_at=failed_at,
        destination=fields.identifier("destination"),
        balance_transaction=fields.identifier("balance_transaction"),
        failure_code=fields.text("failure_code"),
    )
    root = message.source("payout", snapshot.outside_id)
    return Reading(
        source=root,
        snapshot=snapshot,
        roots=(root,),
        rank=_failure_rank(PAYOUT_RANKS[status], failed_at),
        latest=snapshot.created_at,
        names=names(balance_transaction=snapshot.balance_transaction),
        nested=expanded(fields, "balance_transaction"),
    )


def read_balance_transaction(*, fields: Fields, message: Message) -> Reading:
    """A movement on the balance, on the root of the charge or payout that made it, else on a root of its own."""
    currency = fields.currency()
    rate = fields.decimal("exchange_rate")
    if rate is not None and len(amount_text(rate).partition(".")[2]) > EXCHANGE_RATE_DIGITS_MAX:
        rate = round(rate, EXCHANGE_RATE_DIGITS_MAX)
    snapshot = BalanceTransaction(
        outside_id=fields.required_identifier("id"),
        transaction_type=fields.text("type"),
        source=fields.identifier("source"),
        currency=currency.code,
        amount=fields.amount("amount", currency=currency),
        fee=fields.amount("fee", currency=currency),
        net=fields.amount("net", currency=currency),
        created_at=fields.moment("created"),
        exchange_rate=rate,
        reporting_category=fields.text("reporting_category"),
    )
    if snapshot.amount - snapshot.fee != snapshot.net:
        raise fields.refuse("net", "the amount less the fee")
    own = message.source("balance_transaction", snapshot.outside_id)
    return Reading(
        source=own,
        snapshot=snapshot,
        roots=(_transaction_root(snapshot=snapshot, own=own, message=message),),
        rank=1 if fields.text("status") == "available" else 0,
        latest=snapshot.created_at,
        nested=expanded(fields, "source"),
    )


def _transaction_root(*, snapshot: BalanceTransaction, own: SourceObject, message: Message) -> SourceObject:
    if not snapshot.source:
        return own
    if snapshot.transaction_type in PAYMENT_TRANSACTIONS:
        return message.source("payment", snapshot.source)
    return message.source("payout", snapshot.source) if snapshot.transaction_type in PAYOUT_TRANSACTIONS else own


def _payment_status(fields: Fields) -> PaymentStatus:
    try:
        status = PaymentStatus(fields.text("status"))
    except ValueError:
        raise fields.refuse("status", "pending, failed or succeeded") from None
    held = status is PaymentStatus.SUCCEEDED and not fields.flag("captured", default=True)
    return PaymentStatus.PENDING if held else status


def _failure_rank(rank: int, failed_at: datetime | None) -> int:
    return rank if failed_at is None else rank + FAILED_WITH_TIME
