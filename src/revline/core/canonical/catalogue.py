"""What is sold and on which terms it runs: products, prices, subscriptions and their schedules. Owner: billing or CPQ."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec

from revline.core.ids import SourceObject
from revline.core.money import Amount


class Product(msgspec.Struct, frozen=True, kw_only=True, tag="product"):
    """A thing that is sold. family: what posting rules choose by, "" when the source names none."""

    outside_id: str
    name: str
    family: str = ""
    code: str = ""
    active: bool = True
    tax_code: str = ""
    description: str = ""
    deleted: bool = False
    links: tuple[SourceObject, ...] = ()


class PriceTier(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a tiered price. up_to: its last unit, None for the rest. unit_amount, flat_amount: in the price's currency."""

    up_to: Amount | None = None
    unit_amount: Amount
    flat_amount: Amount


class Price(msgspec.Struct, frozen=True, kw_only=True, tag="price"):
    """What a product costs. unit_amount: None when tiers say it. interval: day, week, month or year, "" for a one-off.

    usage: metered or licensed. tiers_mode: graduated, volume or "". package_size: the quantity is divided by it before it is
    priced, and a part of a package counts as package_rounding says (up, down); None where units are priced as they are.
    """

    outside_id: str
    product: str
    currency: str
    unit_amount: Amount | None = None
    interval: str = ""
    interval_count: int = 1
    usage: str = "licensed"
    tiers_mode: str = ""
    tiers: tuple[PriceTier, ...] = ()
    meter: str = ""
    active: bool = True
    nickname: str = ""
    package_size: Amount | None = None
    package_rounding: str = ""


class SubscriptionStatus(StrEnum):
    """Where a subscription stands, as the billing system names it, in one set of words."""

    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    PAUSED = "paused"
    UNPAID = "unpaid"
    ENDED = "ended"


class SubscriptionItem(msgspec.Struct, frozen=True, kw_only=True):
    """One priced part of a subscription. quantity: None when it is metered."""

    outside_id: str
    price: str
    product: str = ""
    quantity: Amount | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None


class Subscription(msgspec.Struct, frozen=True, kw_only=True, tag="subscription"):
    """What a customer is billed for again and again. Owner: billing. links: its order or contract in other systems."""

    outside_id: str
    customer: str
    status: SubscriptionStatus
    currency: str
    items: tuple[SubscriptionItem, ...]
    created_at: datetime
    started_at: datetime | None = None
    trial_end_at: datetime | None = None
    cancel_at: datetime | None = None
    canceled_at: datetime | None = None
    ended_at: datetime | None = None
    schedule: str = ""
    latest_invoice: str = ""
    collection_method: str = ""
    links: tuple[SourceObject, ...] = ()


class SchedulePhase(msgspec.Struct, frozen=True, kw_only=True):
    """What holds from start to end (half-open)."""

    start_at: datetime
    end_at: datetime
    items: tuple[SubscriptionItem, ...]


class SubscriptionSchedule(msgspec.Struct, frozen=True, kw_only=True, tag="subscription_schedule"):
    """What a subscription will become. status: not_started, active, completed, released or canceled."""

    outside_id: str
    customer: str
    subscription: str = ""
    status: str
    phases: tuple[SchedulePhase, ...]
    created_at: datetime
    links: tuple[SourceObject, ...] = ()


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a quote, an order or a contract. total: quantity times unit price after discounts, in the order's currency.

    service_start, service_end: half-open days. price: outside id of the price or price book entry.
    """

    outside_id: str
    product: str = ""
    product_name: str = ""
    product_family: str = ""
    price: str = ""
    description: str = ""
    quantity: Amount
    unit_price: Amount
    list_unit_price: Amount | None = None
    total: Amount
    service_start: date | None = None
    service_end: date | None = None
