"""What was promised makes no accounting event, and every fact of it says why."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from revline.core.canonical import (
    CanonicalObject,
    Contract,
    Customer,
    Opportunity,
    Order,
    OrderStatus,
    Product,
    Quote,
)
from revline.core.facts import Fact, TranslatedFact
from revline.core.ids import SourceObject
from revline.derive.commercial import CANCELED, LOST, NOT_ACTIVATED
from revline.derive.expectation import SUPERSEDED, EntityScope, RootFacts
from revline.derive.roots import rule_of

NOW = datetime(2026, 9, 1, tzinfo=UTC)
CRM = EntityScope(tenant="acme", entity="us", time_zone="UTC", native_items=True, masters=False)


def order(status: OrderStatus) -> Order:
    return Order(
        outside_id="1",
        number="1",
        status=status,
        customer="a",
        currency="USD",
        total=Decimal("1.00"),
        lines=(),
        created_at=NOW,
    )


def opportunity(*, won: bool, closed: bool) -> Opportunity:
    return Opportunity(
        outside_id="1", name="D", customer="a", stage="s", currency="USD", won=won, closed=closed, created_at=NOW
    )


def known(kind: str, *snapshots: CanonicalObject) -> RootFacts:
    root = SourceObject(connection="crm", kind=kind, outside_id="1")
    facts = tuple(
        Fact(
            fact_id=f"fact-{place}",
            position=place,
            ordinal=0,
            received_at=NOW,
            translator="test",
            body_digest="00",
            translated=TranslatedFact(
                source=root,
                source_event=str(place),
                event_type="Order",
                occurred_at=NOW,
                content_digest="00",
                order_key=(place,),
                snapshot=snapshot,
                roots=(root,),
            ),
        )
        for place, snapshot in enumerate(snapshots, start=1)
    )
    return RootFacts(root=root, facts=facts)


ZERO = Decimal("0.00")
QUOTE = Quote(
    outside_id="1",
    number="1",
    customer="a",
    status="Accepted",
    currency="USD",
    total=ZERO,
    tax_total=ZERO,
    created_at=NOW,
)
CONTRACT = Contract(outside_id="1", number="1", status="activated", customer="a", currency="USD", created_at=NOW)


@pytest.mark.parametrize(
    ("kind", "snapshot", "said"),
    [
        ("order", order(OrderStatus.DRAFT), NOT_ACTIVATED),
        ("order", order(OrderStatus.ACTIVATED), "its invoices are"),
        ("order", order(OrderStatus.CANCELED), CANCELED),
        ("opportunity", opportunity(won=False, closed=True), LOST),
        ("opportunity", opportunity(won=True, closed=True), "nothing is owed before an order"),
        ("quote", QUOTE, "an offer"),
        ("contract", CONTRACT, "booked by its invoices"),
        ("customer", Customer(outside_id="1", name="A"), "bills nobody"),
        ("product", Product(outside_id="1", name="P"), "bills nobody"),
    ],
)
def test_nothing_is_booked_and_a_rule_says_why(kind: str, snapshot: CanonicalObject, said: str) -> None:
    found = rule_of(kind).expect(known(kind, snapshot), CRM)
    ((_, rule),) = found.silent
    assert said in rule
    assert (found.events, found.master, found.awaited, found.blocked) == ((), None, (), ())


def test_an_older_snapshot_says_that_a_newer_one_speaks() -> None:
    found = rule_of("order").expect(known("order", order(OrderStatus.DRAFT), order(OrderStatus.CANCELED)), CRM)
    assert [rule for _, rule in found.silent] == [SUPERSEDED, CANCELED]


def test_a_connection_that_bills_sends_its_customers() -> None:
    billing = EntityScope(tenant="acme", entity="us", time_zone="UTC")
    assert rule_of("customer").expect(known("customer", Customer(outside_id="1", name="A")), billing).master is not None
