"""What charging needs of a tenant's configuration, and what follows from it: whose price counts, which periods there are. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from revline.core.ids import SourceObject
from revline.platform.config.documents import Configuration
from revline.platform.tenancy.kinds import Connection, LegalEntity
from revline.subledger.usage.charges.policy import UsagePolicy, policy_of
from revline.subledger.usage.commitments import Commitment, NamedCommitment
from revline.subledger.usage.kinds import EventType
from revline.subledger.usage.metering.kinds import Meter
from revline.subledger.usage.metering.values import CUSTOMER, MeterCatalogue, Touched
from revline.subledger.usage.rating.billing import BillingPeriod, Subscribed, charged_periods, period_at
from revline.subledger.usage.rating.kinds import Billing, UsagePrice
from revline.subledger.usage.versions import Window

MOMENT: Final = timedelta(microseconds=1)
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


def priced_periods(
    setup: ChargingSetup,
    *,
    customer: SourceObject,
    within: Window,
    until: datetime,
    subscribed: Collection[Subscribed] = (),
) -> Iterator[tuple[str, BillingPeriod]]:
    """Every billing period a customer has by the prices that count for it, in a stretch of time, that began by `until`, with the
    price's name. subscribed: prices it subscribed to, and when."""
    seller = setup.seller_of(customer)
    if seller is None:
        return
    mine = {name: price for name, price in setup.prices.items() if price.entity == seller.entity}
    stretch = Window(start=within.start, end=max(within.end, within.start + MOMENT))
    for name, period in charged_periods(
        prices=mine, customer=customer, subscribed=subscribed, time_zone=seller.time_zone, within=stretch
    ):
        if period.window.start <= until:
            yield name, period


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
    subscriptions: Mapping[SourceObject, Collection[Subscribed]],
) -> tuple[Touch, ...]:
    """Which billing periods changed usage belongs to, in order. as_of: periods that begin later are not looked at."""
    found: set[Touch] = set()
    for each in touched:
        span = Window(start=each.span.start, end=max(as_of, each.span.end)) if each.onward else each.span
        metered = msgspec.structs.replace(
            setup, prices={name: price for name, price in setup.prices.items() if price.meter == each.meter}
        )
        found.update(
            Touch(customer=each.customer, window=period.window, meter=each.meter)
            for _, period in priced_periods(
                metered,
                customer=each.customer,
                within=span,
                until=as_of,
                subscribed=subscriptions.get(each.customer, ()),
            )
        )
    return tuple(sorted(found))


def standing_periods(setup: ChargingSetup, *, since: datetime, as_of: datetime) -> tuple[Touch, ...]:
    """Periods that are charged although nothing may be used in them, from `since` to `as_of`: of prices that name their customers,
    and calendar months of customers with a commitment."""
    found: set[Touch] = set()
    span = Window(start=since, end=as_of)
    named = {who for price in setup.prices.values() for who in price.applies_to.customers}
    for known in named:
        connection, _, outside_id = known.partition("/")
        customer = SourceObject(connection=connection, kind=CUSTOMER, outside_id=outside_id)
        found.update(
            Touch(customer=customer, window=period.window, meter=setup.prices[name].meter)
            for name, period in priced_periods(setup, customer=customer, within=span, until=as_of)
            if known in setup.prices[name].applies_to.customers
        )
    for commitment in setup.commitments:
        seller = setup.seller_of(commitment.customer)
        if seller is not None:
            for moment in (since, as_of):
                window = period_at(billing=Billing(), moment=moment, time_zone=seller.time_zone)
                found.add(Touch(customer=commitment.customer, window=window, meter=EVERY_METER))
    return tuple(sorted(found))
