"""What the Stripe source can do and what surprises in it, as data for docs and console."""

from __future__ import annotations

from typing import Final

from revline.connectors.sdk.source import SourceManifest
from revline.connectors.stripe.translate import READERS
from revline.core.farside import Gotcha

NAME: Final = "stripe"
VERSION: Final = "2"
API_VERSION: Final = "2026-10-28.endive"

MANIFEST: Final = SourceManifest(
    connector=NAME,
    version=VERSION,
    title="Stripe: billing, payments, disputes and payouts",
    api_version=API_VERSION,
    objects=tuple(sorted(READERS)),
    event_families=(
        "cash_balance.",
        "charge.",
        "credit_note.",
        "customer.created",
        "customer.deleted",
        "customer.subscription.",
        "customer.updated",
        "customer_cash_balance_transaction.",
        "invoice.",
        "invoice_payment.",
        "payment_intent.",
        "payout.",
        "price.",
        "product.",
        "refund.",
        "subscription_schedule.",
        "tax_rate.",
        "test_helpers.test_clock.",
    ),
    signature="Stripe-Signature: HMAC-SHA256 of the time and the raw body under any of the endpoint's secrets, at most 300 s off",
    digest_over="type, created and data of an event; the whole of an API object",
    newest_rule=(
        "status rank, then the event's created (an API object's latest known transition), then the amounts that only grow: "
        "paid on an invoice, captured and refunded on a charge, received on a payment intent. "
        "A failure whose time is known outranks one whose is not. A dispute goes inquiry, open, lost or prevented, appealed, "
        "won; a credit note issued, void, then by the refunds it names; deleted and ended objects outrank all others"
    ),
    simulated_time=True,
    gotchas=(
        Gotcha(
            title="Fees are not in webhooks",
            detail=(
                "A charge names its balance transaction; the fee is on that object. Import balance transactions, or "
                "the charges with it expanded."
            ),
            verified="documented (API reference of charges and balance transactions); event bodies are not expanded",
        ),
        Gotcha(
            title="A message holds at most the first ten lines or items",
            detail=(
                "An invoice, credit note or subscription whose list goes on (has_more true) is not taken as it is: it is read "
                "again whole. An imported object must hold the whole list."
            ),
            verified="documented (list objects); tested",
        ),
        Gotcha(
            title="No event tells of a movement on a customer's balance",
            detail=(
                "customer.updated says that the balance is another; the customer's balance transactions are then read. An "
                "amount is negative there when the customer gets credit."
            ),
            verified="event types of the official library 16.1.0 list none; signs documented (customer balance transactions)",
        ),
        Gotcha(
            title="Cash a customer sent ahead is no payment yet",
            detail=(
                "Bank transfers wait on the customer's cash balance until a payment takes them; the charge of that payment is "
                "what is booked. Their own messages are kept and make nothing."
            ),
            verified="documented (customer cash balance); tested",
        ),
        Gotcha(
            title="A credit note takes revenue back, its refund only pays it out",
            detail=(
                "The credit note names its refunds, a refund does not name its note. A refund booked before the note is told is "
                "booked again as the note's."
            ),
            verified="field lists of the official library 16.1.0; tested in every order",
        ),
        Gotcha(
            title="A dispute has no time of its end, and its money comes on another message than its word",
            detail=(
                "Only charge.dispute.closed tells when; money taken and given back stands in balance_transactions of "
                "funds_withdrawn and funds_reinstated. Inquiries (warning_*) and prevented disputes move none. An appeal "
                "of a loss stays lost until it is won."
            ),
            verified="field list of the official library 16.1.0; tested in every order",
        ),
        Gotcha(
            title="Paid out of band is a person's word",
            detail=(
                "An invoice marked as paid outside of Stripe has no money, no day and no bank behind it here. It is a case: "
                "book it where the money arrived, or send it as a payment."
            ),
            verified="documented (invoice pay, payment records); tested",
        ),
        Gotcha(
            title="Links to other systems stand in metadata",
            detail=(
                "Connection.links says which key names what, such as salesforce_order: crm/order. An invoice has its own "
                "metadata before its subscription's, which Stripe copies when it is finalised."
            ),
            verified="documented (metadata, invoice parent); tested",
        ),
        Gotcha(
            title="Events of a test clock carry the clock's time",
            detail=(
                "Order is by that time. On a sandbox connection it may be up to ten years ahead of this machine's; on a live "
                "one a message more than a day ahead is refused."
            ),
            verified="documented (test clocks); tested",
        ),
        Gotcha(
            title="A failed refund or payout has no time of failure on the object",
            detail=(
                "Only the events refund.failed and payout.failed give it; an imported object has failed_at null. "
                "charge.refund.updated tells of it without being taken as its time."
            ),
            verified="field list of the official library 16.1.0",
        ),
        Gotcha(
            title="An invoice no longer names its charge",
            detail="The link is invoice_payment -> payment intent -> charge. Subscribe to invoice_payment.paid.",
            verified="field list of the official library 16.1.0",
        ),
        Gotcha(
            title="Amounts are not always hundredths",
            detail=(
                "15 currencies count whole units, five count thousandths, ISK and UGX count hundredths that must be "
                "00; MGA counts whole units although ISO 4217 gives it two digits. IQD and LYD are not offered and "
                "refused."
            ),
            verified="documented (currencies); tested for every ISO 4217 currency",
        ),
        Gotcha(
            title="A payout's arrival date is a UTC midnight",
            detail=(
                "It stands for a day at the bank. Read in the entity's zone it would be the day before in America; so "
                "it is read in UTC."
            ),
            verified="documented (API reference of payouts); tested",
        ),
        Gotcha(
            title="Shipping, billing credits and older invoice-wide discounts have no line",
            detail=(
                "An invoice whose lines and taxes don't add up to its total is a case, since no journal could balance."
            ),
            verified="field list of the official library 16.1.0",
        ),
        Gotcha(
            title="One-second grain, no version",
            detail=(
                "Two snapshots of one second and status may tie; what can't be told apart by growing amounts should "
                "be read again."
            ),
            verified="field list of the official library 16.1.0: created is in seconds, no object has a version",
        ),
    ),
)
