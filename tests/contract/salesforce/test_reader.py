"""Reading an org: listings, single records, change events, log-in, limits and what goes wrong."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from revline.connectors.salesforce.reader import SalesforceReader
from revline.connectors.salesforce.simulator import Org, quote_to_order
from revline.connectors.salesforce.simulator.faults import LIMIT_EXCEEDED, ROW_LOCKED, TOO_MANY, UNAVAILABLE, Fault
from revline.connectors.sdk.source import SourcePage
from revline.core.canonical import Customer, Order, OrderStatus
from revline.core.problem import Problem
from tests.contract.salesforce.orgs import (
    an_org,
    asked_of,
    connection_to,
    fact_of,
    jwt_secrets,
    jwt_settings,
    reading,
    serving,
    whole,
)


async def every_page(reader: SalesforceReader, kind: str, *, cursor: str = "", limit: int = 2) -> list[bytes]:
    """A whole listing, page by page."""
    bodies: list[bytes] = []
    for _ in range(100):
        page = whole(await reader.list_page(object_kind=kind, cursor=cursor, limit=limit))
        bodies += page.bodies
        if not page.more:
            return bodies
        assert page.next_cursor != cursor
        cursor = page.next_cursor
    raise AssertionError("a listing does not end")


def name_of(body: bytes) -> str:
    return str(json.loads(body)["Name"])


def test_a_listing_gives_every_record_once_though_many_share_a_second() -> None:
    org, clock = an_org()
    for number in range(7):
        org.create(object_name="Account", values={"Name": f"Account {number}"})
        clock.pass_seconds(number % 2)
    clock.pass_seconds(5)
    with serving(org) as server:
        bodies = reading(server, lambda reader: every_page(reader, "Account"))
        first = whole(reading(server, lambda reader: reader.list_page(object_kind="Account", cursor="", limit=3)))
    assert [name_of(body) for body in bodies] == [f"Account {number}" for number in range(7)]
    assert first.total == 7


def test_a_record_changed_during_a_listing_comes_again_at_its_end() -> None:
    org, clock = an_org()
    ids = [org.create(object_name="Account", values={"Name": f"Account {number}"}) for number in range(3)]
    clock.pass_seconds(5)

    async def work(reader: SalesforceReader) -> list[str]:
        first = whole(await reader.list_page(object_kind="Account", cursor="", limit=2))
        org.update(object_name="Account", record_id=ids[0], values={"Name": "Renamed"})
        clock.pass_seconds(5)
        rest = await every_page(reader, "Account", cursor=first.next_cursor)
        return [name_of(body) for body in (*first.bodies, *rest)]

    with serving(org) as server:
        assert reading(server, work) == ["Account 0", "Account 1", "Account 2", "Renamed"]


def test_lines_come_whole_though_salesforce_gives_them_in_pages() -> None:
    org, clock = an_org(child_batch_size=1, batch_size=1)
    told = quote_to_order(org=org)
    clock.pass_seconds(5)
    with serving(org) as server:
        body = whole(reading(server, lambda reader: reader.read(object_kind="Order", outside_id=told.order[:15])))
    order = fact_of(body).snapshot
    assert isinstance(order, Order)
    assert (len(order.lines), str(order.total), order.status) == (2, "4500.00", OrderStatus.ACTIVATED)


def test_reading_a_line_gives_the_order_it_belongs_to_even_when_the_line_is_gone() -> None:
    org, clock = an_org()
    told = quote_to_order(org=org)
    line = next(iter(org.records["OrderItem"]))
    clock.pass_seconds(5)
    before = fact_of(_read(org, "OrderItem", line))
    org.delete(object_name="OrderItem", record_id=line)
    clock.pass_seconds(5)
    after = fact_of(_read(org, "OrderItem", line))
    assert before.source == after.source
    assert before.source.outside_id == told.order
    assert after.order_key > before.order_key
    assert isinstance(after.snapshot, Order)
    assert len(after.snapshot.lines) == 1


def test_a_deleted_account_is_read_from_the_recycle_bin() -> None:
    org, clock = an_org()
    account = org.create(object_name="Account", values={"Name": "Gone"})
    clock.pass_seconds(5)
    org.delete(object_name="Account", record_id=account)
    clock.pass_seconds(5)
    snapshot = fact_of(_read(org, "Account", account)).snapshot
    assert isinstance(snapshot, Customer)
    assert (snapshot.name, snapshot.deleted) == ("Gone", True)


def test_what_never_was_reads_as_nothing() -> None:
    org, _ = an_org()
    with serving(org) as server:
        assert reading(server, lambda reader: reader.read(object_kind="Account", outside_id="001000000000999")) is None
        assert reading(server, lambda reader: reader.read(object_kind="Account", outside_id="x' OR Name != '")) is None


def test_a_record_is_taken_only_when_its_second_is_over() -> None:
    org, clock = an_org()
    account = org.create(object_name="Account", values={"Name": "First"})

    async def work(reader: SalesforceReader) -> tuple[object, SourcePage, bytes]:
        early = await reader.read(object_kind="Account", outside_id=account)
        listed = whole(await reader.list_page(object_kind="Account", cursor="", limit=10))
        org.update(object_name="Account", record_id=account, values={"Name": "Second"})
        clock.pass_seconds(2)
        return early, listed, whole(await reader.read(object_kind="Account", outside_id=account))

    with serving(org) as server:
        early, listed, late = reading(server, work)
    assert isinstance(early, Problem)
    assert early.code == "source.busy"
    assert (listed.bodies, listed.next_cursor, listed.more) == ((), "", False)
    assert name_of(late) == "Second"


def test_lines_listed_since_a_moment_give_their_orders_though_the_order_itself_did_not_change() -> None:
    org, clock = an_org()
    told = quote_to_order(org=org)
    clock.pass_seconds(60)

    async def work(reader: SalesforceReader) -> tuple[SourcePage, SourcePage]:
        marked = whole(await reader.list_page(object_kind="OrderItem", cursor="", limit=10))
        line = next(iter(org.records["OrderItem"]))
        org.update(object_name="OrderItem", record_id=line, values={"ServiceDate": "2026-09-15"})
        clock.pass_seconds(5)
        return marked, whole(await reader.list_page(object_kind="OrderItem", cursor=marked.next_cursor, limit=10))

    with serving(org) as server:
        marked, changed = reading(server, work)
    assert marked.bodies == ()
    (body,) = changed.bodies
    order = fact_of(body)
    assert order.source.outside_id == told.order
    assert order.occurred_at > order_stamp(org, told.order)


def order_stamp(org: Org, order: str) -> datetime:
    return datetime.fromisoformat(str(org.records["Order"][order]["SystemModstamp"]))


def test_a_listing_begins_where_it_is_told() -> None:
    org, clock = an_org()
    org.create(object_name="Account", values={"Name": "Old"})
    clock.pass_seconds(3600)
    since = (clock.now() - timedelta(minutes=1)).isoformat()
    org.create(object_name="Account", values={"Name": "New"})
    clock.pass_seconds(5)
    with serving(org) as server:
        bodies = reading(server, lambda reader: every_page(reader, "Account", cursor=f"since:{since}"))
    assert [name_of(body) for body in bodies] == ["New"]


def test_an_org_without_quotes_and_currencies_is_read_as_far_as_it_goes() -> None:
    org, clock = an_org(multi_currency=False)
    del org.schema["Quote"], org.schema["QuoteLineItem"]
    org.create(object_name="Account", values={"Name": "Plain"})
    clock.pass_seconds(5)
    with serving(org) as server:
        accounts = reading(server, lambda reader: every_page(reader, "Account"))
        quotes = whole(reading(server, lambda reader: reader.list_page(object_kind="Quote", cursor="", limit=5)))
    assert len(accounts) == 1
    assert (quotes.bodies, quotes.total) == ((), 0)


def test_change_events_go_on_from_a_replay_id() -> None:
    org, clock = an_org()
    told = quote_to_order(org=org)
    clock.pass_seconds(5)

    async def work(reader: SalesforceReader) -> tuple[list[bytes], list[bytes], SourcePage]:
        first = whole(await reader.changes_page(cursor="", limit=3))
        rest: list[bytes] = []
        cursor = first.next_cursor
        while True:
            page = whole(await reader.changes_page(cursor=cursor, limit=5))
            rest += page.bodies
            cursor = page.next_cursor
            if not page.more:
                break
        org.update(object_name="Account", record_id=told.account, values={"Name": "Later"})
        return list(first.bodies), rest, whole(await reader.changes_page(cursor=cursor, limit=5))

    with serving(org) as server:
        first, rest, later = reading(server, work)
        # Somebody else begins from the same place and hears the same.
        again = whole(reading(server, lambda reader: reader.changes_page(cursor="", limit=3)))
    assert len(first) == 3
    assert len(first) + len(rest) == 22
    assert [one.source.outside_id for one in asked_of(later.bodies[0])] == [told.account]
    assert list(again.bodies) == first


def test_a_server_that_forgot_its_clients_is_greeted_anew() -> None:
    org, _ = an_org()
    account = org.create(object_name="Account", values={"Name": "One"})
    with serving(org) as server:

        async def work(reader: SalesforceReader) -> SourcePage:
            first = whole(await reader.changes_page(cursor="", limit=5))
            server.api.streaming.forget_clients()
            org.update(object_name="Account", record_id=account, values={"Name": "Two"})
            return whole(await reader.changes_page(cursor=first.next_cursor, limit=5))

        assert len(reading(server, work).bodies) == 1


def test_a_replay_id_that_is_no_longer_kept_asks_for_a_new_beginning() -> None:
    org, clock = an_org()
    org.create(object_name="Account", values={"Name": "Old"})

    async def work(reader: SalesforceReader) -> tuple[object, SourcePage]:
        first = whole(await reader.changes_page(cursor="", limit=5))
        org.create(object_name="Account", values={"Name": "Missed"})
        clock.pass_seconds(73 * 3600)
        org.create(object_name="Account", values={"Name": "Kept"})
        return await reader.changes_page(cursor=first.next_cursor, limit=5), whole(
            await reader.changes_page(cursor="", limit=5)
        )

    with serving(org) as server:
        refused, fresh = reading(server, work)
    assert isinstance(refused, Problem)
    assert refused.code == "source.cursor_expired"
    assert len(fresh.bodies) == 1


def test_a_gap_names_records_and_an_overflow_names_everything() -> None:
    org, _ = an_org()
    account = org.create(object_name="Account", values={"Name": "Known"})
    org.changes.gap = "GAP"
    org.update(object_name="Account", record_id=account, values={"Name": "In a gap"})
    org.changes.gap = "OVERFLOW"
    org.update(object_name="Account", record_id=account, values={"Name": "In a flood"})
    with serving(org) as server:
        page = whole(reading(server, lambda reader: reader.changes_page(cursor="", limit=10)))
    _, gap, flood = (asked_of(body) for body in page.bodies)
    assert [(one.object_kind, one.source.outside_id) for one in gap] == [("Account", account)]
    assert [(one.object_kind, one.source.outside_id) for one in flood] == [("Account", "*")]


def test_it_logs_in_with_a_signed_assertion_and_renews_an_expired_token() -> None:
    org, clock = an_org()
    clock.moment = clock.moment.replace(year=2020)
    org.create(object_name="Account", values={"Name": "One"})
    clock.pass_seconds(5)
    with serving(org, assertions=True) as server:
        settings = {name: value for name, value in connection_to(server).settings.items() if name != "domain"}
        connection = connection_to(server, **{**settings, **jwt_settings()})

        async def work(reader: SalesforceReader) -> tuple[SourcePage, SourcePage, SourcePage]:
            first = whole(await reader.list_page(object_kind="Account", cursor="", limit=5))
            server.api.logins.expire_all()
            again = whole(await reader.list_page(object_kind="Account", cursor="", limit=5))
            server.api.logins.expire_all()
            return first, again, whole(await reader.changes_page(cursor="", limit=5))

        first, again, changes = reading(server, work, connection=connection, secrets=jwt_secrets())
    assert first == again
    assert len(changes.bodies) == 1


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (LIMIT_EXCEEDED, "source.busy"),
        (replace(ROW_LOCKED, path="describe"), "source.busy"),
        (TOO_MANY, "source.busy"),
        (UNAVAILABLE, "source.busy"),
        (Fault(path="query", lost=True), "source.unreachable"),
        (Fault(path="query", malformed=True), "source.unreachable"),
        (Fault(path="query", status=500, code="UNKNOWN_EXCEPTION"), "source.unreachable"),
        (Fault(path="query", status=403, code="INSUFFICIENT_ACCESS"), "source.refused"),
        (Fault(path="describe", status=403, code="API_DISABLED_FOR_ORG"), "source.credentials_refused"),
        (Fault(path="token", malformed=True), "source.unreachable"),
    ],
)
def test_what_goes_wrong_is_a_problem_and_then_goes_on(fault: Fault, code: str) -> None:
    org, clock = an_org()
    org.create(object_name="Account", values={"Name": "One"})
    clock.pass_seconds(5)
    with serving(org) as server:
        server.api.faults.add(fault)

        async def work(reader: SalesforceReader) -> tuple[object, SourcePage]:
            failed = await reader.list_page(object_kind="Account", cursor="", limit=5)
            return failed, whole(await reader.list_page(object_kind="Account", cursor="", limit=5))

        failed, after = reading(server, work)
    assert isinstance(failed, Problem)
    assert failed.code == code, failed
    assert len(after.bodies) == 1


def test_wrong_credentials_are_said_and_never_shown() -> None:
    org, _ = an_org()
    with serving(org) as server:
        found = reading(
            server,
            lambda reader: reader.list_page(object_kind="Account", cursor="", limit=5),
            secrets={"consumerSecret": "wrong-canary-secret"},
        )
    assert isinstance(found, Problem)
    assert found.code == "source.credentials_refused"
    assert "canary" not in found.detail


def test_a_live_connection_reads_no_sandbox() -> None:
    org, _ = an_org(sandbox=False)
    with serving(org) as server:
        found = reading(server, lambda reader: reader.list_page(object_kind="Account", cursor="", limit=5))
    assert isinstance(found, Problem)
    assert (found.code, found.field) == ("source.refused", "sandbox")


def test_the_last_calls_of_a_day_are_left_to_others() -> None:
    org, clock = an_org(api_limit=20)
    clock.pass_seconds(5)

    async def work(reader: SalesforceReader) -> tuple[int, object, object]:
        calls = 0
        while calls < 40:
            calls += 1
            page = await reader.list_page(object_kind="Account", cursor="", limit=5)
            if isinstance(page, Problem):
                break
        resting = await reader.list_page(object_kind="Account", cursor="", limit=5)
        clock.pass_seconds(61)
        return (
            calls,
            resting,
            await reader.list_page(object_kind="Account", cursor="2026-01-01T00:00:00.000Z|", limit=5),
        )

    with serving(org) as server:
        calls, resting, tried = reading(server, work)
        used = len(server.api.calls)
    assert calls > 0
    assert isinstance(resting, Problem)
    assert resting.code == "source.busy"
    assert isinstance(tried, SourcePage)
    assert used <= 21


def test_a_token_never_goes_to_a_host_that_is_not_salesforce() -> None:
    org, _ = an_org()
    with serving(org) as server:
        connection = connection_to(server)
        outside = {**connection.settings, "baseUrl": "https://collector.example"}
        with pytest.raises(ValueError, match="baseUrl"):
            reading(server, _nothing, connection=replace(connection, settings=outside))


async def _nothing(reader: SalesforceReader) -> None:
    del reader


def _read(org: Org, kind: str, outside_id: str) -> bytes:
    with serving(org) as server:
        return whole(reading(server, lambda reader: reader.read(object_kind=kind, outside_id=outside_id)))
