"""What we expect of lines that were billed: our quantity of just their window, at the price they name. Reads facts, asks meters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from revline.core.canonical import Price
from revline.core.facts import Fact
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.intake.queries import facts_of_objects
from revline.platform.store.engine import Database
from revline.subledger.usage.metering.values import CustomerWindow
from revline.subledger.usage.outward.ports import BillingConnection, Unrated
from revline.subledger.usage.outward.values import Billed, BillingSubject, Cause, Expected
from revline.subledger.usage.rating.inputs import Shape, needs_of
from revline.subledger.usage.rating.kinds import UsagePrice
from revline.subledger.usage.rating.models import Graduated, PerUnit, PriceTerms, Volume
from revline.subledger.usage.rating.rate import rate_quantities
from revline.subledger.usage.rating.source_prices import from_source_price

METERED = "metered"


class Quantities(Protocol):
    """How much each customer used of a meter in each of these windows, everything acknowledged so far included; a window without
    use is left out."""

    def __call__(
        self, *, tenant_id: str, meter: str, windows: Sequence[CustomerWindow]
    ) -> Mapping[CustomerWindow, Decimal] | Problem: ...


class UsagePrices(Protocol):
    """The UsagePrice documents of the active configuration, by name."""

    def __call__(self, *, tenant_id: str) -> Mapping[str, UsagePrice] | Problem: ...


class Rateable(msgspec.Struct, frozen=True, kw_only=True):
    """How a billed price is rated here."""

    terms: PriceTerms
    meter: str
    entity: str = ""
    product_family: str = ""


class MeteredExpectations:
    """`ports.Expectations`, from price facts, UsagePrice documents and meters."""

    def __init__(self, *, database: Database, quantities: Quantities, prices: UsagePrices) -> None:
        self._database, self._quantities, self._prices = database, quantities, prices

    def expect(
        self, *, tenant_id: str, billing: BillingConnection, billed: Sequence[Billed]
    ) -> Mapping[BillingSubject, Expected | Unrated] | Problem:
        rateable = self._rateable(tenant_id, billing, {one.subject.price for one in billed})
        if isinstance(rateable, Problem):
            return rateable
        found: dict[BillingSubject, Expected | Unrated] = {}
        by_meter: dict[str, list[Billed]] = {}
        for one in billed:
            how = rateable[one.subject.price]
            if isinstance(how, Unrated):
                found[one.subject] = how
            else:
                by_meter.setdefault(how.meter, []).append(one)
        for meter, lines in sorted(by_meter.items()):
            windows = sorted({_asked(one) for one in lines})
            used = self._quantities(tenant_id=tenant_id, meter=meter, windows=windows)
            if isinstance(used, Problem):
                return used
            for one in lines:
                how = rateable[one.subject.price]
                assert isinstance(how, Rateable)
                found[one.subject] = _expected(one, how, used.get(_asked(one), Decimal(0)))
        return found

    def _rateable(
        self, tenant_id: str, billing: BillingConnection, names: set[str]
    ) -> Mapping[str, Rateable | Unrated] | Problem:
        ours = self._prices(tenant_id=tenant_id)
        if isinstance(ours, Problem):
            return ours
        sources = {
            name: SourceObject(connection=billing.name, kind="price", outside_id=name)
            for name in names
            if billing.prices.get(name) not in ours
        }
        with self._database.read(tenants=[tenant_id]) as connection:
            facts = facts_of_objects(connection, tenant_id=tenant_id, sources=list(sources.values()))
        made: dict[str, Rateable | Unrated] = {
            name: of_price(newest_price(facts.get(source, ())), name, billing) for name, source in sources.items()
        }
        for name in names - set(sources):
            made[name] = of_usage_price(ours[billing.prices[name]], name)
        return made


def newest_price(facts: Sequence[Fact]) -> Price | None:
    """The newest snapshot of a price: by the connector's order; equal orders go by content, never by arrival."""
    found = [fact for fact in facts if isinstance(fact.translated.snapshot, Price)]
    newest = max(found, key=lambda fact: (fact.translated.order_key, fact.translated.content_digest), default=None)
    if newest is None:
        return None
    snapshot = newest.translated.snapshot
    assert isinstance(snapshot, Price)
    return snapshot


def of_usage_price(price: UsagePrice, name: str) -> Rateable | Unrated:
    """One of our prices as what a line is rated by; it needs to be a price of one quantity."""
    if needs_of(price.terms).shape is not Shape.QUANTITY:
        return Unrated(
            detail=f"the price of {name[:60]} here needs more than a quantity; its charges are compared instead"
        )
    return Rateable(terms=price.terms, meter=price.meter, entity=price.entity, product_family=price.product_family)


def of_price(price: Price | None, name: str, billing: BillingConnection) -> Rateable | Unrated:
    """A price of the billing system as what a line is rated by."""
    if price is None:
        return Unrated(detail=f"the price {name[:60]} was never read")
    if price.usage != METERED:
        return Unrated(skip=True)
    meter = billing.spec.meters.get(price.meter)
    if meter is None:
        return Unrated(detail=f"no meter of ours counts what the meter {price.meter[:60] or '(none)'} does")
    terms = from_source_price(price)
    if isinstance(terms, Problem):
        return Unrated(cause=Cause.UNKNOWN_METER, detail=terms.detail)
    return Rateable(terms=terms, meter=meter, entity=billing.entity)


def unit_prices(terms: PriceTerms) -> tuple[Decimal, ...]:
    """Every price of one unit a price has."""
    model = terms.model.one()
    match model:
        case PerUnit():
            found: Sequence[Decimal] = [model.unit_amount]
        case Graduated() | Volume():
            found = [tier.unit_amount for tier in model.tiers]
        case _:
            found = []
    return tuple(sorted({Decimal(each) for each in found}))


def _expected(billed: Billed, how: Rateable, quantity: Decimal) -> Expected | Unrated:
    rated = rate_quantities(terms=how.terms, quantities=[quantity, max(billed.quantity, Decimal(0))])
    if isinstance(rated, Problem):
        return Unrated(detail=rated.detail)
    amount, theirs = rated.amounts()
    return Expected(
        subject=billed.subject,
        entity=how.entity,
        product_family=how.product_family,
        meter=how.meter,
        unit=how.terms.unit,
        currency=how.terms.currency,
        quantity=quantity,
        amount=amount,
        at_billed_quantity=theirs,
        unit_prices=unit_prices(how.terms),
    )


def _asked(one: Billed) -> CustomerWindow:
    return CustomerWindow(customer=one.subject.customer, window=one.subject.window)
