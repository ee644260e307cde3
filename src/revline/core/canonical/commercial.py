"""What was promised before anything was billed: opportunities, quotes, orders and contracts with customers. Owner: CRM or CPQ."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

import msgspec

from revline.core.canonical.catalogue import OrderLine
from revline.core.ids import SourceObject
from revline.core.money import Amount


class Opportunity(msgspec.Struct, frozen=True, kw_only=True, tag="opportunity"):
    """A sale in the making. probability_percent: the seller's guess. quote: the quote it is synchronised with."""

    outside_id: str
    name: str
    customer: str
    stage: str
    currency: str
    amount: Amount | None = None
    probability_percent: Amount | None = None
    close_date: date | None = None
    won: bool = False
    closed: bool = False
    quote: str = ""
    contract: str = ""
    created_at: datetime
    lines: tuple[OrderLine, ...] = ()


class Quote(msgspec.Struct, frozen=True, kw_only=True, tag="quote"):
    """An offer. status: as the source names it. total: what the customer would owe, tax included where the source adds it."""

    outside_id: str
    number: str
    customer: str
    opportunity: str = ""
    status: str
    currency: str
    total: Amount
    tax_total: Amount
    expires_on: date | None = None
    created_at: datetime
    lines: tuple[OrderLine, ...] = ()


class OrderStatus(StrEnum):
    """Where an order stands, lowest rank first. activated: the customer is bound."""

    DRAFT = "draft"
    ACTIVATED = "activated"
    CANCELED = "canceled"


class Order(msgspec.Struct, frozen=True, kw_only=True, tag="order"):
    """What a customer ordered. total: sum of its lines. start_date, end_date: half-open days of its term, None for none.

    links: the subscription or contract in other systems that carries it out, as the source names them.
    """

    outside_id: str
    number: str
    status: OrderStatus
    customer: str
    currency: str
    total: Amount
    lines: tuple[OrderLine, ...]
    start_date: date | None = None
    end_date: date | None = None
    opportunity: str = ""
    quote: str = ""
    contract: str = ""
    purchase_order: str = ""
    created_at: datetime
    activated_at: datetime | None = None
    links: tuple[SourceObject, ...] = ()


class Contract(msgspec.Struct, frozen=True, kw_only=True, tag="contract"):
    """An agreement with a customer. status: draft, in_approval, activated or ended, in one set of words. end_date is exclusive."""

    outside_id: str
    number: str
    status: str
    customer: str
    currency: str
    start_date: date | None = None
    end_date: date | None = None
    term_months: int | None = None
    created_at: datetime
    activated_at: datetime | None = None
    lines: tuple[OrderLine, ...] = ()
    links: tuple[SourceObject, ...] = ()
