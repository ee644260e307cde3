"""Which objects a snapshot names, and which came first."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as some

from revline.core.canonical import Customer, Opportunity, Order, OrderStatus, Subscription, SubscriptionStatus
from revline.core.ids import SourceObject
from revline.core.references import WAY, came_before, references_of

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def crm(kind: str, outside_id: str) -> SourceObject:
    return SourceObject(connection="crm", kind=kind, outside_id=outside_id)


def test_an_order_names_its_account_opportunity_quote_and_contract_and_what_carries_it_out() -> None:
    subscription = SourceObject(connection="billing", kind="subscription", outside_id="sub_1")
    order = Order(
        outside_id="o",
        number="1",
        status=OrderStatus.DRAFT,
        customer="a",
        currency="USD",
        total=Decimal("0.00"),
        lines=(),
        opportunity="d",
        quote="q",
        created_at=NOW,
        links=(subscription,),
    )
    named = references_of(source=crm("order", "o"), snapshot=order)
    assert named == (crm("customer", "a"), crm("opportunity", "d"), crm("quote", "q"), subscription)
    before = [one.kind for one in named if came_before(named=one, naming=crm("order", "o"))]
    assert before == ["customer", "opportunity", "quote"]


def test_an_account_names_its_parent_and_the_same_party_elsewhere_but_not_itself() -> None:
    account = Customer(outside_id="a", name="A", parent="p", links=(crm("customer", "a"), crm("payment", "x")))
    assert references_of(source=crm("customer", "a"), snapshot=account) == (crm("customer", "p"),)


def test_a_subscription_leads_back_to_the_order_it_carries_out() -> None:
    subscription = Subscription(
        outside_id="sub_1",
        customer="cus_1",
        status=SubscriptionStatus.ACTIVE,
        currency="USD",
        items=(),
        created_at=NOW,
        links=(crm("order", "o"),),
    )
    source = SourceObject(connection="billing", kind="subscription", outside_id="sub_1")
    customer = SourceObject(connection="billing", kind="customer", outside_id="cus_1")
    assert references_of(source=source, snapshot=subscription) == (customer, crm("order", "o"))


def test_nothing_is_named_by_empty_fields() -> None:
    talk = Opportunity(outside_id="d", name="D", customer="", stage="x", currency="USD", created_at=NOW)
    assert references_of(source=crm("opportunity", "d"), snapshot=talk) == ()


@given(some.sampled_from(WAY), some.sampled_from(WAY))
def test_of_two_kinds_one_came_first(one: str, other: str) -> None:
    first, second = crm(one, "1"), crm(other, "2")
    assert came_before(named=first, naming=second) or came_before(named=second, naming=first)
