"""What a played month of Stripe looks like: how much of what, in which currency and zone. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

INVOICES_MAX: Final = 100_000


class StripeProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One Stripe account's month. Shares are parts of one of the invoices (or of what the field says); a share above zero gives
    at least one, so that twelve invoices show everything.

    account: short text that goes into every id, so that two connections never share one (letters and digits only).
    customer_prefix: beginning of every customer's name and email. currency: the account's own, upper case, which most customers
    pay in. time_zone: where the entity keeps its books; the whole month, its last evening included, lies inside the month there.
    customers, invoices: how many. families: values of the metadata `product_family`; "" gives a line without one.

    other_currency, other_share: a second currency that this part of the customers pays in and that has a balance and payouts of its
    own ("" and 0: none). converted: charges in the other currency that settle in the account's own at an exchange rate (for two
    currencies that Stripe counts alike).

    edge_share: invoices finalised and paid in the last four hours of the month in time_zone (in New York: the next month in UTC).
    taxed_share: invoices with tax; of those, inclusive_share with tax inside the price. discount_share: with a discount.
    proration_share: with a credit and a charge for a change in mid period. multiple_lines_max: lines of one invoice at most.

    open_share: finalised, never paid. partial_share: paid in two or three parts, every second one of them not to the end.
    void_share, uncollectible_share: as they say. declined_share: a declined charge before the one that succeeds.
    refund_share: paid invoices refunded in part; refund_full_share: in full; refund_failed_share: in part, and it comes back.

    credit_share: open invoices credited in part before they are paid; memo_void_share: credited, and the credit note voided.
    memo_refund_share: paid invoices credited in part with a refund; memo_balance_share: credited to the customer's balance, which a
    further invoice uses. dispute_won_share, dispute_lost_share: charges a bank takes back; inquiry_share: it only asks.
    account_fees: fees Stripe takes for the account itself. subscriptions: subscriptions told of, with their products and prices.
    products_told: every product that a line names is told of, at the first such line. orders: the first subscriptions, each of a
    customer of its own, carry out an order of a CRM: metadata of both name its records, and the month's `sales` list them.

    payout_days: days between payouts. payouts_failed: how many of the account's own currency the bank sends back.
    repeat_share: events delivered twice. disorder_share: events that arrive up to six hours late.
    """

    account: str
    customer_prefix: str
    currency: str = "USD"
    time_zone: str = "America/New_York"
    customers: int = 8
    invoices: int = 12
    families: tuple[str, ...] = ("subscription", "usage", "services", "")
    other_currency: str = ""
    other_share: Decimal = Decimal("0.0")
    converted: int = 0
    edge_share: Decimal = Decimal("0.08")
    taxed_share: Decimal = Decimal("0.7")
    inclusive_share: Decimal = Decimal("0.3")
    discount_share: Decimal = Decimal("0.25")
    proration_share: Decimal = Decimal("0.15")
    multiple_lines_max: int = 4
    open_share: Decimal = Decimal("0.08")
    partial_share: Decimal = Decimal("0.12")
    void_share: Decimal = Decimal("0.05")
    uncollectible_share: Decimal = Decimal("0.04")
    declined_share: Decimal = Decimal("0.08")
    refund_share: Decimal = Decimal("0.08")
    refund_full_share: Decimal = Decimal("0.04")
    refund_failed_share: Decimal = Decimal("0.03")
    credit_share: Decimal = Decimal("0.0")
    memo_void_share: Decimal = Decimal("0.0")
    memo_refund_share: Decimal = Decimal("0.0")
    memo_balance_share: Decimal = Decimal("0.0")
    dispute_won_share: Decimal = Decimal("0.0")
    dispute_lost_share: Decimal = Decimal("0.0")
    inquiry_share: Decimal = Decimal("0.0")
    account_fees: int = 0
    subscriptions: int = 0
    products_told: bool = False
    orders: int = 0
    payout_days: int = 5
    payouts_failed: int = 1
    repeat_share: Decimal = Decimal("0.1")
    disorder_share: Decimal = Decimal("0.2")

    def __post_init__(self) -> None:
        if not (self.account.isalnum() and self.account.isascii()):
            raise ValueError("account is letters and digits")
        if (
            not 1 <= self.invoices <= INVOICES_MAX
            or self.customers < 1
            or self.payout_days < 1
            or self.multiple_lines_max < 1
        ):
            raise ValueError(f"1 to {INVOICES_MAX} invoices, and at least one customer, line and day between payouts")
        if (self.converted or self.other_share) and not self.other_currency:
            raise ValueError("a second currency needs other_currency")
        if not 0 <= self.orders <= min(self.customers, self.invoices, self.subscriptions):
            raise ValueError("each order has a customer, an invoice and a subscription of its own")


class SoldItem(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an order. product, name, family: as at Stripe. unit_amount: Stripe's integer for one unit."""

    product: str
    name: str
    family: str
    quantity: int
    unit_amount: int


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a subscription carries out. order, account: record ids of 15 characters in the CRM, which metadata at Stripe
    names. started: unix seconds. invoice: the first one."""

    order: str
    account: str
    customer_name: str
    subscription: str
    invoice: str
    started: int
    items: tuple[SoldItem, ...]


class StripeMonth(msgspec.Struct, frozen=True, kw_only=True):
    """A played month. webhooks: raw event bodies in order of arrival, repeats among them. balance_transactions: one JSON object
    each, in order of creation, as the API lists them; credit_movements: customers' balance transactions, in the same way. truth:
    "currency what" -> Stripe's integer or a count, for people and tests; nothing of Revline reads it. sales: the orders that its
    subscriptions carry out."""

    webhooks: tuple[bytes, ...]
    balance_transactions: tuple[bytes, ...]
    truth: Mapping[str, int]
    credit_movements: tuple[bytes, ...] = ()
    sales: tuple[Sale, ...] = ()

    def listed(self) -> tuple[bytes, ...]:
        """All that no webhook tells of: balance transactions, then movements on customers' balances."""
        return self.balance_transactions + self.credit_movements

    def balance_transactions_ndjson(self) -> bytes:
        """What is `listed`, as a file for import."""
        return b"".join(line + b"\n" for line in self.listed())

    def webhooks_ndjson(self) -> bytes:
        """The webhooks in order of arrival, one event a line."""
        return b"".join(line + b"\n" for line in self.webhooks)
