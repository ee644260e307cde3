"""Which prices customers subscribed to, from the facts of their subscriptions: what charging asks for prices that apply by them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from revline.core.canonical import Subscription, SubscriptionStatus
from revline.core.facts import Fact
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.intake.queries import facts_by_names
from revline.intake.values import Awaited
from revline.subledger.usage.charges.ports import Setups
from revline.subledger.usage.rating.billing import Subscribed

CUSTOMERS_PER_QUESTION: Final = 50


class SubscriptionFacts:
    """Implements the port `Subscriptions` of charging. Nothing is read where no price applies by subscription."""

    def __init__(self, *, setups: Setups) -> None:
        self._setups = setups

    def __call__(
        self, connection: Connection, /, *, tenant_id: str, customers: Collection[SourceObject]
    ) -> Mapping[SourceObject, Collection[Subscribed]]:
        """By the newest snapshot of each subscription: its prices, from its start to its end."""
        setup = self._setups.charging_setup(tenant_id=tenant_id)
        if isinstance(setup, Problem) or not any(
            price.applies_to.subscription_prices for price in setup.prices.values()
        ):
            return {}
        found: dict[SourceObject, Collection[Subscribed]] = {}
        for some in _dealt(sorted(customers)):
            wanted = {
                Awaited(
                    connection=one.connection,
                    object_kind="subscription",
                    name_kind="customer",
                    name_value=one.outside_id,
                ): one
                for one in some
            }
            for asked, facts in facts_by_names(connection, tenant_id=tenant_id, wanted=list(wanted)).items():
                if facts:
                    found[wanted[asked]] = subscribed_by(facts, customer=wanted[asked])
        return found


def subscribed_by(facts: Iterable[Fact], *, customer: SourceObject) -> tuple[Subscribed, ...]:
    """The prices of a customer's subscriptions, in order. A paused one counts: what was used has a price."""
    newest: dict[SourceObject, Fact] = {}
    for fact in facts:
        known = newest.get(fact.translated.source)
        if known is None or _order(fact) > _order(known):
            newest[fact.translated.source] = fact
    found = set()
    for fact in newest.values():
        held = fact.translated.snapshot
        if not isinstance(held, Subscription) or held.customer != customer.outside_id:
            continue
        ended = held.ended_at or held.canceled_at
        if held.status is SubscriptionStatus.INCOMPLETE or (held.status is SubscriptionStatus.ENDED and ended is None):
            continue  # it was never paid for, and never ran
        end = ended if held.status is SubscriptionStatus.ENDED else None
        for item in held.items:
            name = f"{customer.connection}/{item.price}"
            found.add(Subscribed(price=name, start=held.started_at or held.created_at, end=end))
    return tuple(sorted(found, key=lambda one: (one.price, str(one.start), str(one.end))))


def _order(fact: Fact) -> tuple[tuple[int, ...], str]:
    """The connector's order; equal orders go by content, never by arrival."""
    return fact.translated.order_key, fact.translated.content_digest


def _dealt(customers: Sequence[SourceObject]) -> Iterable[list[SourceObject]]:
    waiting = iter(customers)
    while some := list(islice(waiting, CUSTOMERS_PER_QUESTION)):
        yield some
