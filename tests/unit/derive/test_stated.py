"""What an outside subledger states is an event until it is taken back; a product is a record where a book keeps items."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import permutations

import pytest
from msgspec.structs import replace

from revline.core.canonical import CanonicalObject, InvoiceLine, Product, StatedEvent
from revline.core.canonical.stated import RecognizedRevenue, StatedMoney
from revline.core.events import EventKind
from revline.core.facts import Fact, Name, TranslatedFact
from revline.core.ids import SourceObject
from revline.derive.compare import changes
from revline.derive.expectation import EntityScope, Expectation, Findings, Need, RootFacts
from revline.derive.product import NO_ITEMS, await_products
from revline.derive.roots import rule_of
from revline.derive.stated import VOIDED

SCOPE = EntityScope(tenant="northwind", entity="northwind-us", time_zone="Pacific/Auckland")
SAID = StatedEvent(
    outside_id="rr_1",
    event="revenue.recognized",
    occurred_on=date(2026, 1, 31),
    currency="USD",
    payload=RecognizedRevenue(amount=Decimal("100.00")),
)


def fact(snapshot: CanonicalObject, kind: str, *, serial: int = 0) -> Fact:
    voided = isinstance(snapshot, StatedEvent) and snapshot.voided
    return Fact(
        fact_id=f"{kind}-{serial}",
        position=1,
        ordinal=serial,
        received_at=datetime(2026, 2, 1, tzinfo=UTC),
        translator="direct/1",
        body_digest="",
        translated=TranslatedFact(
            source=SourceObject(connection="subledger", kind=kind, outside_id=snapshot.outside_id),
            source_event=f"event-{serial}",
            event_type=f"revline.{kind}.v1",
            occurred_at=datetime(2026, 2, 1, tzinfo=UTC),
            content_digest=str(serial),
            order_key=(int(voided), serial),
            snapshot=snapshot,
            roots=(),
        ),
    )


def expected(*facts: Fact, scope: EntityScope = SCOPE) -> Expectation:
    source = facts[0].translated.source
    return rule_of(source.kind).expect(RootFacts(root=source, facts=facts), scope)


def test_a_stated_event_counts_on_the_day_it_names_wherever_the_entity_is() -> None:
    (only,) = expected(fact(SAID, "stated_event")).events
    assert only.event.kind is EventKind.REVENUE_RECOGNIZED
    assert only.event.accounting_date == only.event.document_date == date(2026, 1, 31)
    assert only.event.occurred_at == datetime(2026, 1, 30, 11, tzinfo=UTC), "where the day begins in Auckland"
    assert only.event.payload == SAID.payload


def test_in_any_order_the_newest_word_speaks_and_a_void_is_final() -> None:
    said = fact(SAID, "stated_event", serial=1)
    corrected = fact(replace(SAID, payload=RecognizedRevenue(amount=Decimal("90.00"))), "stated_event", serial=2)
    voided = fact(replace(SAID, voided=True), "stated_event", serial=0)
    for order in permutations((said, corrected)):
        assert [one.event.payload.amount for one in expected(*order).events] == [Decimal("90.00")]  # type: ignore[union-attr]
    for every in permutations((said, corrected, voided)):
        found = expected(*every)
        assert found.events == ()
        assert dict(found.silent)[voided] == VOIDED


def test_what_was_booked_before_the_void_is_reversed() -> None:
    (before,) = expected(fact(SAID, "stated_event")).events
    after = expected(fact(SAID, "stated_event"), fact(replace(SAID, voided=True), "stated_event", serial=1))
    change = changes(booked={before.event.event_id: before.event}, expected=after.events)
    assert change.bookings == ()
    assert [one.reverses for one in change.reversals] == [before.event.event_id]


@pytest.mark.parametrize("change", [{"currency": "JPY"}, {"currency": "XXQ"}])
def test_an_amount_its_currency_does_not_have_is_a_case_and_not_a_rounded_entry(change: dict[str, str]) -> None:
    wrong = replace(SAID, payload=RecognizedRevenue(amount=Decimal("-100.05")), **change)
    found = expected(fact(wrong, "stated_event"))
    assert found.events == ()
    (blocked,) = found.blocked
    assert blocked.problem.code in {"amount.invalid", "currency.unknown"}
    assert (blocked.amount, blocked.currency) == (Decimal("100.05"), change["currency"])


def test_the_customer_it_names_is_awaited_and_named_by_the_event() -> None:
    collected = replace(
        SAID, event="receivable.collected", payload=StatedMoney(amount=Decimal("5.00")), customer="cus_1"
    )
    found = expected(fact(collected, "stated_event"))
    assert found.awaited == (Need(object_kind="customer", name=Name(kind="outside_id", value="cus_1")),)
    customer = found.events[0].event.customer
    assert customer is not None
    assert (customer.kind, customer.outside_id) == ("customer", "cus_1")


ROUTER = Product(outside_id="prod_1", name="Router")


def test_a_product_is_a_record_only_where_a_book_keeps_items() -> None:
    known = fact(ROUTER, "product")
    silent = expected(known)
    assert (silent.master, silent.silent) == (None, ((known, NO_ITEMS),))
    assert expected(known, scope=replace(SCOPE, native_items=True)).master == (ROUTER, known)


def test_a_line_s_unknown_product_is_awaited_where_a_book_keeps_items() -> None:
    one = Decimal("1.00")
    line = InvoiceLine(outside_id="il_1", product="prod_1", quantity=one, unit_price=one, amount=one, net=one)
    need = Need(object_kind="product", name=Name(kind="outside_id", value="prod_1"))
    source = SourceObject(connection="subledger", kind="invoice", outside_id="in_1")
    known = RootFacts(root=source, facts=(), found={need: (fact(ROUTER, "product"),)})
    items = replace(SCOPE, native_items=True)
    cases = [(items, replace(known, found={}), {need}), (items, known, set()), (SCOPE, replace(known, found={}), set())]
    for scope, root, awaited in cases:
        findings = Findings()
        await_products((line,), root, scope, findings)
        assert findings.awaited == awaited
