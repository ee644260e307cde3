"""What the Stripe source can do and what surprises in it, as data for docs and console."""

from __future__ import annotations

from typing import Final

from revline.connectors.sdk.source import SourceManifest
from revline.connectors.stripe.translate import READERS
from revline.core.farside import Gotcha

NAME: Final = "stripe"
VERSION: Final = "1"
API_VERSION: Final = "2026-10-28.endive"

MANIFEST: Final = SourceManifest(
    connector=NAME,
    version=VERSION,
    title="Stripe: invoices, payments, refunds and payouts",
    api_version=API_VERSION,
    objects=tuple(sorted(READERS)),
    event_families=(
        "charge.",
        "customer.created",
        "customer.deleted",
        "customer.updated",
        "invoice.",
        "invoice_payment.",
        "payment_intent.",
        "payout.",
        "refund.",
    ),
    signature="Stripe-Signature: HMAC-SHA256 of the time and the raw body under any of the endpoint's secrets, at most 300 s off",
    digest_over="type, created and data of an event; the whole of an API object",
    newest_rule=(
        "status rank, then the event's created (an API object's latest known transition), then the amounts that only grow: "
        "paid on an invoice, captured and refunded on a charge, received on a payment intent. "
        "A failure whose time is known outranks one whose is not"
    ),
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
            title="A message holds at most the first lines of an invoice",
            detail="lines.has_more true is a case; import the invoice with all its lines.",
            verified="documented (list objects); refused by our contract tests",
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
