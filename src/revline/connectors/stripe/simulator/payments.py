"""Payment intents, charges, refunds, disputes and payouts of the simulated Stripe, each with its movement on the balance.

Sources: docs.stripe.com/api/payment_intents, /api/charges, /api/refunds, /api/disputes, /api/payouts, /testing (pm_card_...).
"""

from __future__ import annotations

from typing import Any, Final

from revline.connectors.stripe.simulator.account import Account, fail_unless
from revline.connectors.stripe.simulator.wire import StripeError, Wire, integer, required, with_metadata

DECLINED: Final = frozenset({"pm_card_visa_chargeDeclined", "pm_card_chargeDeclined", "pm_card_chargeCustomerFail"})
OPEN_INTENTS: Final = frozenset({"requires_payment_method", "requires_confirmation"})
DAY: Final = 86_400
CHARGE_NOTHING: Final = (
    "application",
    "application_fee_amount",
    "calculated_statement_descriptor",
    "on_behalf_of",
    "receipt_email",
    "receipt_number",
    "review",
    "shipping",
    "source_transfer",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
)
INTENT_NOTHING: Final = (
    "application",
    "application_fee_amount",
    "on_behalf_of",
    "processing",
    "receipt_email",
    "review",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
)
"""Fields that are always null here."""


def create_intent(account: Account, given: Wire) -> Wire:
    """POST /v1/payment_intents."""
    customer = given.get("customer")
    if customer:
        account.get("customer", str(customer), param="customer")
    one = new_intent(
        account,
        amount=integer(given, "amount"),
        currency=required(given, "currency").lower(),
        customer=customer,
        description=given.get("description"),
        metadata=given.get("metadata"),
    )
    return confirm(account, one, given) if given.get("confirm") == "true" else one


def new_intent(
    account: Account, *, amount: int, currency: str, customer: Any, description: Any = None, metadata: Any = None
) -> Wire:
    """A payment intent that waits for its confirmation."""
    now = account.now_of(str(customer or ""))
    values: Wire = {
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": 0,
        **dict.fromkeys(INTENT_NOTHING),
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "currency": currency,
        "customer": customer,
        "description": description,
        "last_payment_error": None,
        "latest_charge": None,
        "next_action": None,
        "payment_method": None,
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
    }
    one = account.add("payment_intent", values, now=now, metadata=metadata)
    one["client_secret"] = f"{one['id']}_client"
    account.emit("payment_intent.created", one, now=now)
    return one


def confirm(account: Account, one: Wire, given: Wire) -> Wire:
    """POST /v1/payment_intents/{id}/confirm. A method that Stripe's test cards decline makes a failed charge and an error."""
    fail_unless(
        one["status"] in OPEN_INTENTS, "You cannot confirm this PaymentIntent.", code="payment_intent_unexpected_state"
    )
    declined = given.get("payment_method") in DECLINED
    charge = _charge(account, one, declined=declined)
    if declined:
        raise StripeError("Your card was declined.", status=402, kind="card_error", code="card_declined")
    del charge
    return one


def cancel(account: Account, one: Wire) -> Wire:
    """POST /v1/payment_intents/{id}/cancel."""
    fail_unless(
        one["status"] in OPEN_INTENTS, "You cannot cancel this PaymentIntent.", code="payment_intent_unexpected_state"
    )
    now = account.now_of(str(one["customer"] or ""))
    changes = {"status": "canceled", "canceled_at": now}
    return account.update(one, changes, event="payment_intent.canceled", now=now)


def _charge(account: Account, intent: Wire, *, declined: bool) -> Wire:
    now, amount = account.now_of(str(intent["customer"] or "")), intent["amount"]
    address = dict.fromkeys(("address", "email", "name", "phone", "tax_id"))
    values: Wire = {
        "amount": amount,
        "amount_captured": 0 if declined else amount,
        "amount_refunded": 0,
        "application_fee": None,
        "balance_transaction": None,
        **dict.fromkeys(CHARGE_NOTHING),
        "billing_details": address,
        "captured": not declined,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": "card_declined" if declined else None,
        "failure_message": "Your card was declined." if declined else None,
        "paid": not declined,
        "payment_intent": intent["id"],
        "payment_method_details": {"card": {"brand": "visa", "country": "US", "last4": "4242"}, "type": "card"},
        "refunded": False,
        "status": "failed" if declined else "succeeded",
    }
    charge = account.add("charge", values, now=now)
    intent["latest_charge"] = charge["id"]
    if declined:
        intent["last_payment_error"] = {"code": "card_declined", "type": "card_error", "charge": charge["id"]}
        account.emit("charge.failed", charge, now=now)
        account.emit("payment_intent.payment_failed", intent, now=now)
        return charge
    fee = (amount * account.rules.fee_basis_points + 5_000) // 10_000 + account.rules.fee_fixed
    moved = account.transaction(
        kind="charge", source=charge["id"], amount=amount, fee=fee, currency=intent["currency"], now=now
    )
    charge["balance_transaction"] = moved["id"]
    intent |= {"status": "succeeded", "amount_received": amount}
    account.emit("charge.succeeded", charge, now=now)
    account.emit("payment_intent.succeeded", intent, now=now)
    return charge


def create_refund(account: Account, given: Wire) -> Wire:
    """POST /v1/refunds of a charge or of an intent's charge."""
    name = str(given.get("charge") or "")
    if not name:
        intent = account.get("payment_intent", required(given, "payment_intent"), param="payment_intent")
        name = str(intent["latest_charge"] or "")
    charge = account.get("charge", name, param="charge")
    left = charge["amount_captured"] - charge["amount_refunded"]
    amount = integer(given, "amount", left)
    fail_unless(left > 0, f"Charge {name} has already been refunded.", code="charge_already_refunded")
    fail_unless(0 < amount <= left, "Refund amount is greater than unrefunded amount on charge", param="amount")
    now = account.now_of(str(charge["customer"] or ""))
    values: Wire = {
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "currency": charge["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "payment_intent": charge["payment_intent"],
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }
    one = account.add("refund", values, now=now, metadata=given.get("metadata"))
    moved = account.transaction(
        kind="refund", source=one["id"], amount=-amount, fee=0, currency=charge["currency"], now=now
    )
    one["balance_transaction"] = moved["id"]
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    account.emit("refund.created", one, now=now)
    account.emit("charge.refunded", charge, now=now)
    return one


def open_dispute(account: Account, charge: Wire, given: Wire) -> Wire:
    """Test help: the customer's bank takes a charge back, and its fee with it."""
    fail_unless(not charge["disputed"] and charge["paid"], "This charge can't be disputed.", param="charge")
    now = account.now_of(str(charge["customer"] or ""))
    amount = integer(given, "amount", charge["amount"])
    values: Wire = {
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {"due_by": now + 7 * DAY, "has_evidence": False, "past_due": False, "submission_count": 0},
        "is_charge_refundable": False,
        "payment_intent": charge["payment_intent"],
        "reason": given.get("reason", "fraudulent"),
        "status": "needs_response",
    }
    one = account.add("dispute", values, now=now)
    charge["disputed"] = True
    account.emit("charge.dispute.created", one, now=now)
    _move_dispute(account, one, amount=-amount, fee=account.rules.dispute_fee, now=now, category="dispute")
    account.emit("charge.dispute.funds_withdrawn", one, now=now)
    return one


def close_dispute(account: Account, one: Wire, *, won: bool) -> Wire:
    """Test help: the bank decides. Won gives the money and the fee back."""
    fail_unless(one["status"] in {"needs_response", "under_review"}, "This dispute is already closed.")
    charge = account.get("charge", one["charge"])
    now = account.now_of(str(charge["customer"] or ""))
    one["status"] = "won" if won else "lost"
    if won:
        fee = account.rules.dispute_fee
        _move_dispute(account, one, amount=one["amount"], fee=-fee, now=now, category="dispute_reversal")
        account.emit("charge.dispute.funds_reinstated", one, now=now)
    account.emit("charge.dispute.closed", one, now=now)
    return one


def _move_dispute(account: Account, one: Wire, *, amount: int, fee: int, now: int, category: str) -> None:
    moved = account.transaction(
        kind="adjustment",
        source=one["id"],
        amount=amount,
        fee=fee,
        currency=one["currency"],
        now=now,
        category=category,
    )
    one["balance_transactions"].append(dict(moved))


def update_metadata(account: Account, one: Wire, given: Wire, *, event: str) -> Wire:
    """POST of metadata (and a description) to an object that takes little else."""
    changes: Wire = {"metadata": with_metadata(one["metadata"], given["metadata"])} if "metadata" in given else {}
    changes |= {"description": given["description"]} if "description" in given and "description" in one else {}
    now = account.now_of(str(one.get("customer") or ""))
    return account.update(one, changes, event=event, now=now)


def create_payout(account: Account, given: Wire) -> Wire:
    """Test help: pay out everything on the balance that no payout holds yet, as Stripe does by itself every day.

    POST /v1/payouts names an amount of its own and has no members.
    """
    currency, now = str(given.get("currency", "usd")).lower(), account.clock()
    free = [
        one
        for one in account.objects["balance_transaction"].values()
        if one["id"] not in account.members and one["currency"] == currency and one["type"] != "payout"
    ]
    automatic = "amount" not in given
    amount = sum(one["net"] for one in free) if automatic else integer(given, "amount")
    fail_unless(amount > 0, "You have insufficient funds in your Stripe account.", code="balance_insufficient")
    arrival = (now // DAY + account.rules.payout_days) * DAY
    nothing = ("failure_balance_transaction", "failure_code", "failure_message", "original_payout", "reversed_by")
    values: Wire = {
        "amount": amount,
        "arrival_date": arrival,
        "automatic": automatic,
        "balance_transaction": None,
        "currency": currency,
        "description": "STRIPE PAYOUT" if automatic else given.get("description"),
        "destination": "ba_sim0000000001",
        "method": "standard",
        "reconciliation_status": "completed" if automatic else "not_applicable",
        "source_type": "card",
        "statement_descriptor": None,
        "status": "in_transit",
        "type": "bank_account",
        **dict.fromkeys(nothing),
    }
    one = account.add("payout", values, now=now, metadata=given.get("metadata"))
    moved = account.transaction(kind="payout", source=one["id"], amount=-amount, fee=0, currency=currency, now=now)
    one["balance_transaction"] = moved["id"]
    if automatic:
        account.members |= {member["id"]: one["id"] for member in [*free, moved]}
    account.emit("payout.created", one, now=now)
    if automatic:
        account.emit("payout.reconciliation_completed", one, now=now)
    return one


def finish_payout(account: Account, one: Wire, *, paid: bool) -> Wire:
    """Test help: the payout arrives, or the bank sends it back."""
    fail_unless(one["status"] in {"in_transit", "pending"}, "This payout is already done.")
    now = account.clock()
    if paid:
        return account.update(one, {"status": "paid"}, event="payout.paid", now=now)
    moved = account.transaction(
        kind="payout_failure", source=one["id"], amount=one["amount"], fee=0, currency=one["currency"], now=now
    )
    one |= {
        "status": "failed",
        "failure_code": "account_closed",
        "failure_message": "The bank account has been closed.",
        "failure_balance_transaction": moved["id"],
    }
    account.emit("payout.failed", one, now=now)
    return one
