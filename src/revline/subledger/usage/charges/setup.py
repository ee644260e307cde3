"""What charging needs of a tenant's configuration, and what follows from it: whose price counts, which periods there are. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from revline.core.ids import SourceObject
from revline.platform.config.documents import Configuration
from revline.platform.tenancy.kinds import Connection, LegalEntity
from revline.subledger.usage.calendar import instant_of, plus_months
from revline.subledger.usage.charges.policy import UsagePolicy, policy_of
from revline.subledger.usage.commitments import Commitment, NamedCommitment
from revline.subledger.usage.kinds import EventType
from revline.subledger.usage.metering.kinds import Meter
from revline.subledger.usage.metering.values import MeterCatalogue, Touched
from revline.subledger.usage.rating.kinds import Billing, Interval, UsagePrice
from revline.subledger.usage.versions import Window

PERIODS_MAX: Final = 1_000
"""Billing periods one stretch of touched time may reach over; what lies before the last so many is not looked at."""
MONDAY: Final = date(2024, 1, 1)
_MONTHS: Final = {Interval.MONTH: 1, Interval.YEAR: 12}
_DAYS: Final = {Interval.DAY: 1, Interval.WEEK: 7}
EVERY_METER: Final = "*"


class Seller(msgspec.Struct, frozen=True, kw_only=True):
    """The legal entity that the customers of a connection buy from, and its time zone."""

    entity: str
    time_zone: str


class ChargingSetup(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a tenant's configuration as charging reads it. sellers: by the connection of the customers."""

    tenant_id: str
    version: int
    catalogue: MeterCatalogue
    prices: Mapping[str, UsagePrice]
    policies: tuple[UsagePolicy, ...]
    commitments: tuple[NamedCommitment, ...]
    sellers: Mapping[str, Seller]

    def seller_of(self, customer: SourceObject) -> Seller | None:
        """Who sells to a customer; None where its connection is no longer configured."""
        return self.sellers.get(customer.connection)

    def policy(self, *, entity: str, product_family: str) -> UsagePolicy:
        """What holds for usage of an entity and product family."""
        return policy_of(self.policies, entity=entity, product_family=product_family)


def charging_setup(configuration: Configuration) -> ChargingSetup:
    """What charging needs of a version of the configuration."""
    entities = configuration.all(LegalEntity)
    return ChargingSetup(
        tenant_id=configuration.tenant,
        version=configuration.version,
        catalogue=MeterCatalogue(
            types={name: each.spec for name, each in configuration.all(EventType).items()},
            meters={name: each.spec for name, each in configuration.all(Meter).items()},
        ),
        prices={name: each.spec for name, each in configuration.all(UsagePrice).items()},
        policies=tuple(each.spec for each in configuration.all(UsagePolicy).values()),
        commitments=tuple(
            NamedCommitment(name=name, spec=each.spec) for name, each in configuration.all(Commitment).items()
        ),
        sellers={
            name: Seller(entity=each.spec.entity, time_zone=entities[each.spec.entity].spec.time_zone)
            for name, each in configuration.all(Connection).items()
            if each.spec.entity in entities
        },
    )


def billing_window(*, billing: Billing, at: datetime, time_zone: str) -> Window:
    """The billing period that holds a moment: from local midnight to local midnight, counted from the anchor."""
    day = at.astimezone(ZoneInfo(time_zone)).date()
    step = billing.interval_count
    if billing.interval in _MONTHS:
        months = _MONTHS[billing.interval] * step
        anchor = billing.anchor or date(MONDAY.year, 1, 1)
        number = ((day.year - anchor.year) * 12 + day.month - anchor.month) // months
        if plus_months(day=anchor, months=number * months) > day:
            number -= 1
        elif plus_months(day=anchor, months=(number + 1) * months) <= day:
            number += 1
        first = plus_months(day=anchor, months=number * months)
        after = plus_months(day=anchor, months=(number + 1) * months)
    else:
        days = _DAYS[billing.interval] * step
        anchor = billing.anchor or MONDAY
        number = (day - anchor).days // days
        first = anchor + timedelta(days=number * days)
        after = first + timedelta(days=days)
    return Window(start=instant_of(day=first, time_zone=time_zone), end=instant_of(day=after, time_zone=time_zone))


def in_force(price: UsagePrice, window: Window, time_zone: str) -> bool:
    """Whether a price is in force in a billing period: on its first day."""
    day = window.start.astimezone(ZoneInfo(time_zone)).date()
    return (price.effective_from is None or price.effective_from <= day) and (
        price.effective_to is None or day < price.effective_to
    )


def windows_in(*, price: UsagePrice, span: Window, time_zone: str, until: datetime) -> Iterator[Window]:
    """The billing periods of a price that hold a moment of `span` and began by `until`, oldest first, at most PERIODS_MAX."""
    moment = span.start
    for _ in range(PERIODS_MAX):
        window = billing_window(billing=price.billing, at=moment, time_zone=time_zone)
        if window.start > until:
            return
        if in_force(price, window, time_zone):
            yield window
        if window.end >= span.end:
            return
        moment = window.end


def prices_of(
    setup: ChargingSetup, *, customer: SourceObject, subscribed: Collection[str] = ()
) -> dict[str, UsagePrice]:
    """The prices a customer pays, by name: of one meter and product that which names the customer, else by subscription price, else
    for everyone. subscribed: prices of running subscriptions, as connection/outside id."""
    seller = setup.seller_of(customer)
    if seller is None:
        return {}
    known = f"{customer.connection}/{customer.outside_id}"
    found: dict[tuple[str, str], dict[int, list[str]]] = {}
    for name, price in setup.prices.items():
        applies = price.applies_to
        rank = (
            2
            if known in applies.customers
            else 1
            if set(applies.subscription_prices) & set(subscribed)
            else 0
            if not applies.customers and not applies.subscription_prices
            else -1
        )
        if rank >= 0 and price.entity == seller.entity:
            found.setdefault((price.meter, price.product), {}).setdefault(rank, []).append(name)
    names = [name for ranks in found.values() for name in ranks[max(ranks)]]
    return {name: setup.prices[name] for name in sorted(names)}


class Touch(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A customer's billing period in which a meter's quantity may have changed. meter: EVERY_METER for all of them."""

    customer: SourceObject
    window: Window
    meter: str


def plan_periods(
    setup: ChargingSetup,
    *,
    touched: Iterable[Touched],
    as_of: datetime,
    subscriptions: Mapping[SourceObject, Collection[str]],
) -> tuple[Touch, ...]:
    """Which billing periods changed usage belongs to, in order. as_of: periods that begin later are not looked at."""
    found: set[Touch] = set()
    known: dict[SourceObject, dict[str, UsagePrice]] = {}
    for each in touched:
        seller = setup.seller_of(each.customer)
        if seller is None:
            continue
        if each.customer not in known:
            known[each.customer] = prices_of(
                setup, customer=each.customer, subscribed=subscriptions.get(each.customer, ())
            )
        span = Window(start=each.span.start, end=max(as_of, each.span.end)) if each.onward else each.span
        for price in known[each.customer].values():
            if price.meter == each.meter:
                found.update(
                    Touch(customer=each.customer, window=window, meter=each.meter)
                    for window in windows_in(price=price, span=span, time_zone=seller.time_zone, until=as_of)
                )
    return tuple(sorted(found))


def standing_periods(setup: ChargingSetup, *, since: datetime, as_of: datetime) -> tuple[Touch, ...]:
    """Periods that are charged although nothing may be used in them, from `since` to `as_of`: of prices that name their customers,
    and calendar months of customers with a commitment."""
    found: set[Touch] = set()
    for price in setup.prices.values():
        for known in price.applies_to.customers:
            connection, _, outside_id = known.partition("/")
            customer = SourceObject(connection=connection, kind="customer", outside_id=outside_id)
            seller = setup.seller_of(customer)
            if seller is None or seller.entity != price.entity:
                continue
            span = Window(start=since, end=as_of)
            found.update(
                Touch(customer=customer, window=window, meter=price.meter)
                for window in windows_in(price=price, span=span, time_zone=seller.time_zone, until=as_of)
            )
    for commitment in setup.commitments:
        seller = setup.seller_of(commitment.customer)
        if seller is not None:
            for moment in (since, as_of):
                window = billing_window(billing=Billing(), at=moment, time_zone=seller.time_zone)
                found.add(Touch(customer=commitment.customer, window=window, meter=EVERY_METER))
    return tuple(sorted(found))
