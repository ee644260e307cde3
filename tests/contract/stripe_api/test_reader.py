"""Revline's reader against the simulated Stripe: pages, the change stream, objects whole, and what failures mean."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

from revline.connectors.sdk.source import SourcePage
from revline.connectors.stripe.reader import CREDIT_MOVEMENTS, PAYOUT_MEMBERS, READER_MANIFEST, StripeReader, build
from revline.core.clock import SystemClock
from revline.core.problem import Problem
from revline.platform.tenancy.kinds import Connection
from tests.contract.stripe_api.conftest import JANUARY, Shop


def reading(shop: Shop, act: Callable[[StripeReader], Awaitable[Any]]) -> Any:
    """What a reader of the shop's account gives."""

    async def run() -> Any:
        connection = Connection(connector="stripe", entity="acme", settings={"baseUrl": shop.running.base_url})
        secrets = {"apiKey": shop.running.key}
        reader = build(
            connection=connection, secrets=secrets, transport=None, clock=SystemClock(), random=random.Random(1)
        )
        try:
            return await act(reader)
        finally:
            await reader.close()

    return asyncio.run(run())


def listed(shop: Shop, kind: str, *, cursor: str = "", limit: int = 100) -> tuple[list[dict[str, Any]], str, int]:
    """Everything a listing gives, the cursor at its end, and how many pages it took."""

    async def walk(reader: StripeReader) -> tuple[list[dict[str, Any]], str, int]:
        found: list[dict[str, Any]] = []
        at = cursor
        for number in range(1, 50):
            page = await reader.list_page(object_kind=kind, cursor=at, limit=limit)
            assert isinstance(page, SourcePage), page
            found += [json.loads(body) for body in page.bodies]
            at = page.next_cursor
            if not page.more:
                return found, at, number
        raise AssertionError("the listing does not end")

    result: tuple[list[dict[str, Any]], str, int] = reading(shop, walk)
    return result


def changes(shop: Shop, cursor: str = "", limit: int = 100) -> tuple[list[str], str]:
    """Ids of the events in the order they are given, and the cursor at the end."""

    async def walk(reader: StripeReader) -> tuple[list[str], str]:
        found: list[str] = []
        at = cursor
        for _ in range(200):
            page = await reader.changes_page(cursor=at, limit=limit)
            assert isinstance(page, SourcePage), page
            found += [json.loads(body)["id"] for body in page.bodies]
            at = page.next_cursor
            if not page.more:
                return found, at
        raise AssertionError("the stream does not end")

    result: tuple[list[str], str] = reading(shop, walk)
    return result


def test_every_kind_can_be_listed(shop: Shop) -> None:
    shop.paid_invoice()
    for kind in READER_MANIFEST.listed:
        listed(shop, kind)


def test_a_listing_takes_every_object_once_and_the_next_goes_on_from_the_newest(shop: Shop) -> None:
    for number in range(25):
        shop.library.customers.create({"name": f"{number}"})
    found, end, pages = listed(shop, "customer", limit=10)
    assert (len({one["id"] for one in found}), len(found), pages) == (25, 25, 3)
    shop.at += 60
    late = shop.library.customers.create({"name": "late"})
    found, _, _ = listed(shop, "customer", cursor=end)
    assert found[0]["id"] == late.id
    shop.at += 60
    assert [one["id"] for one in listed(shop, "customer", cursor="since:2026-01-01T00:00:30Z")[0]] == [late.id]


def test_an_invoice_is_read_with_every_line_listed_or_alone(shop: Shop) -> None:
    invoice = shop.paid_invoice(100, lines=215)
    alone = json.loads(reading(shop, lambda reader: reader.read(object_kind="invoice", outside_id=invoice.id)))
    among = listed(shop, "invoice")[0][0]
    for found in (alone, among):
        lines = found["lines"]
        assert (len({line["id"] for line in lines["data"]}), lines["has_more"]) == (215, False)


def test_a_payouts_members_and_a_customers_credit_are_whole_lists(shop: Shop) -> None:
    invoice = shop.paid_invoice()
    shop.library.customers.balance_transactions.create(invoice.customer, {"amount": -300, "currency": "usd"})
    shop.simulate("/v1/payouts")
    payout = shop.library.payouts.list().data[0].id
    members = json.loads(reading(shop, lambda reader: reader.read(object_kind=PAYOUT_MEMBERS, outside_id=payout)))
    moved = json.loads(
        reading(shop, lambda reader: reader.read(object_kind=CREDIT_MOVEMENTS, outside_id=invoice.customer))
    )
    assert [len(one["data"]) for one in (members, moved)] == [2, 1]
    assert [one["data"][0]["amount"] for one in listed(shop, CREDIT_MOVEMENTS)[0]] == [-300]


def test_events_come_oldest_first_from_any_page_size_and_go_on(shop: Shop) -> None:
    for number in range(23):
        shop.library.customers.create({"name": f"{number}"})
    happened = [event.id for event in shop.library.events.list({"limit": 100}).data][::-1]
    for limit in (1, 5, 23, 100):
        assert changes(shop, limit=limit)[0] == happened
    _, end = changes(shop)
    assert changes(shop, end) == ([], end)
    shop.library.customers.create({"name": "late"})
    assert len(changes(shop, end)[0]) == 1


def test_events_nobody_translates_move_the_cursor_without_a_body(shop: Shop) -> None:
    shop.library.invoice_items.create(
        {"customer": shop.library.customers.create({"name": "Ada"}).id, "currency": "usd", "amount": 1}
    )
    found, end = changes(shop)
    assert len(found) == 1
    assert changes(shop, end) == ([], end)


def test_what_is_gone_is_nothing_and_what_is_refused_says_who_can_mend_it(shop: Shop) -> None:
    def read(kind: str = "invoice", outside_id: str = "in_none") -> Any:
        return reading(shop, lambda reader: reader.read(object_kind=kind, outside_id=outside_id))

    def code(answer: Any) -> str:
        assert isinstance(answer, Problem), answer
        return answer.code

    assert read() is None
    customer = shop.library.customers.create({"name": "Ada"}).id
    shop.library.customers.delete(customer)
    assert json.loads(read("customer", customer))["deleted"] is True
    for fault, wanted in {
        "throttle": "source.busy",
        "fail": "source.busy",
        "conflict": "source.busy",
        "refuse_key": "source.credentials_refused",
    }.items():
        shop.running.do(lambda simulated, fault=fault: simulated.add_fault(fault))
        assert code(read()) == wanted
    assert code(read("meter")) == "source.refused"


def test_a_cursor_stripe_has_forgotten_is_said(shop: Shop) -> None:
    shop.library.customers.create({"name": "Ada"})
    _, end = changes(shop)
    shop.at = JANUARY + 40 * 86_400
    answer = reading(shop, lambda reader: reader.changes_page(cursor=end, limit=10))
    assert isinstance(answer, Problem)
    assert answer.code == "source.cursor_expired"


def test_a_fraction_keeps_its_digits(shop: Shop) -> None:
    invoice = shop.paid_invoice()
    charge = shop.charge_of(invoice)
    shop.running.do(lambda simulated: simulated.account.all("balance_transaction")[0].update(exchange_rate=1.08371))
    body = reading(shop, lambda reader: reader.read(object_kind="charge", outside_id=charge))
    assert b'"exchange_rate":1.08371' in body
