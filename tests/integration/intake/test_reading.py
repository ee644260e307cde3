"""What is not pushed is read: objects a message held in part, whole kinds, and the change stream, on a simulated Stripe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from revline.core.canonical import Invoice
from revline.intake.hops import IntakeHops
from revline.intake.values import Outcome
from revline.platform.cases import queries as cases
from revline.platform.lineage.queries import find
from revline.platform.lineage.walk import Reference
from revline.platform.store.engine import Database
from tests.integration.intake.reading_world import CONNECTION, TENANT, World


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    one = World(database=database, folder=tmp_path / "configuration")
    yield one
    one.close()


def long_invoice(world: World, *, lines: int = 23) -> str:
    """A finalized invoice with more lines than Stripe embeds."""
    library = world.library
    customer = library.customers.create({"name": "Ada"})
    for number in range(lines):
        library.invoice_items.create(
            {"customer": customer.id, "currency": "usd", "amount": 100 + number, "description": f"Seat {number}"}
        )
    invoice = library.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    library.invoices.finalize_invoice(invoice.id)
    return invoice.id


class TestRereading:
    def test_an_invoice_whose_message_holds_ten_lines_is_read_whole(self, world: World) -> None:
        invoice = long_invoice(world)
        body = world.event_body("invoice.finalized", invoice)
        assert len(json.loads(body)["data"]["object"]["lines"]["data"]) == 10

        verdict = world.harness.accept(TENANT, CONNECTION, [body])[0]
        assert (verdict.outcome, verdict.fact_ids) == (Outcome.ACCEPTED, ())
        assert world.facts("invoice") == []
        world.read()

        read = world.facts("invoice")[0].snapshot
        assert isinstance(read, Invoice)
        assert (len(read.lines), str(read.total)) == (23, "25.53")
        assert world.cases() == []

    def test_the_same_message_again_asks_for_nothing_and_another_content_is_a_conflict(self, world: World) -> None:
        invoice = long_invoice(world)
        body = world.event_body("invoice.finalized", invoice)
        other = json.loads(body)
        other["data"]["object"]["description"] = "changed on the way"
        verdicts = world.harness.accept(TENANT, CONNECTION, [body, body, json.dumps(other).encode()])
        assert [one.outcome for one in verdicts] == [Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.CONFLICT]

    def test_the_trace_of_the_message_leads_to_what_was_read(self, world: World) -> None:
        invoice = long_invoice(world)
        body = world.event_body("invoice.finalized", invoice)
        world.harness.accept(TENANT, CONNECTION, [body])
        world.read()
        with world.database.read(tenants=[TENANT]) as connection:
            found = find(connection, tenant_id=TENANT, value=json.loads(body)["id"])
            message = next(one for one in found if one.kind == "incomplete")
            described = IntakeHops().describe(connection, tenant_id=TENANT, reference=message)
            hops = IntakeHops().hops(connection, tenant_id=TENANT, reference=message)
        assert described is not None
        assert described.fields["read_again"] == "read"
        assert [hop.derived.kind for hop in hops] == ["fact"]
        assert isinstance(hops[0].source, Reference)

    def test_no_deadline_passes_in_silence_and_the_case_closes_when_the_object_is_read(self, world: World) -> None:
        world.harness.accept(TENANT, CONNECTION, [world.event_body("invoice.finalized", long_invoice(world))])
        world.harness.clock.moment += timedelta(hours=2)
        readings = world.loop()._readings
        assert readings.sweep(tenant_id=TENANT) == 1
        assert [code for code, _ in world.cases()] == ["intake.reread_overdue"]
        world.read()
        assert world.cases() == []

    def test_an_object_that_is_gone_is_a_case_where_the_kind_has_no_removed_state(self, world: World) -> None:
        invoice = long_invoice(world)
        body = world.event_body("invoice.finalized", invoice)
        world.running.do(lambda stripe: stripe.account.objects["invoice"].pop(invoice))
        world.harness.accept(TENANT, CONNECTION, [body])
        world.read()
        assert [code for code, _ in world.cases()] == ["intake.reread_gone"]

    def test_a_busy_source_is_asked_again_and_a_refused_key_waits_for_a_person(self, world: World) -> None:
        invoice = long_invoice(world)
        world.harness.accept(TENANT, CONNECTION, [world.event_body("invoice.finalized", invoice)])
        world.running.do(lambda stripe: stripe.add_fault("throttle", times=3))
        world.read()
        assert len(world.facts("invoice")) == 1

        second = long_invoice(world)
        world.harness.accept(TENANT, CONNECTION, [world.event_body("invoice.finalized", second)])
        world.running.do(lambda stripe: stripe.add_fault("refuse_key", path="/v1/invoices"))
        world.read()
        assert [code for code, _ in world.cases()] == ["source.credentials_refused"]
        with world.database.read(tenants=[TENANT]) as connection:
            subjects = [one.subject_id for one in cases.cases(connection, tenant_id=TENANT)]
        world.harness.intake.reread(tenant_id=TENANT, subject_ids=subjects, actor="test", reason="key renewed")
        world.read()
        assert world.cases() == []
        assert len(world.facts("invoice")) == 2

    def test_the_movements_of_a_credit_balance_are_read_with_the_customer(self, world: World) -> None:
        customer = world.library.customers.create({"name": "Ada"})
        world.library.customers.balance_transactions.create(customer.id, {"amount": -500, "currency": "usd"})
        world.harness.accept(TENANT, CONNECTION, [world.event_body("customer.updated")])
        world.read()
        assert [str(one.snapshot.amount) for one in world.facts("credit_movement")] == ["5.00"]


class TestBackfill:
    def test_every_page_is_taken_and_the_totals_are_equal(self, world: World) -> None:
        for number in range(230):
            world.library.customers.create({"name": f"Customer {number}"})
        world.ask_backfill("customer")
        world.read()
        cursor = world.cursors()["customer"]
        assert (cursor.state, cursor.pages, cursor.seen, cursor.taken) == ("finished", 3, 230, 230)
        assert world.cases() == []

    def test_a_second_one_goes_on_from_the_newest_and_takes_only_what_is_new(self, world: World) -> None:
        world.library.customers.create({"name": "Ada"})
        world.ask_backfill("customer")
        world.read()
        world.clock.seconds += 60
        world.library.customers.create({"name": "Grace"})
        world.ask_backfill("customer")
        world.read()
        cursor = world.cursors()["customer"]
        assert (cursor.taken, cursor.duplicates, len(world.facts("customer"))) == (1, 1, 2)

    def test_what_the_log_lacks_is_a_case_that_names_kind_and_count(self, world: World) -> None:
        for amount in (1_000, 2_500):
            world.library.payment_intents.create(
                {"amount": amount, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
            )
        world.ask_backfill("charge")
        world.read()
        assert world.cases() == []
        world.library.payment_intents.create(
            {"amount": 700, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
        )
        world.running.do(lambda stripe: stripe.account.all("charge")[0].update(status="unheard of"))
        world.ask_backfill("charge", cursor="")
        world.read()
        found = dict(world.cases())
        assert set(found) == {"stripe.object_invalid", "source.control_total_differs"}
        assert "lists 3 of kind payment, the log holds 2" in found["source.control_total_differs"]

    def test_inactive_prices_and_canceled_subscriptions_are_listed_too(self, world: World) -> None:
        library = world.library
        product = library.products.create({"name": "Pro"})
        price = library.prices.create(
            {"product": product.id, "currency": "usd", "unit_amount": 500, "recurring": {"interval": "month"}}
        )
        customer = library.customers.create({"name": "Ada"})
        subscription = library.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
        library.subscriptions.cancel(subscription.id)
        library.prices.update(price.id, {"active": False})
        world.ask_backfill("price", "subscription")
        world.read()
        assert [one.snapshot.active for one in world.facts("price")] == [False]
        assert [str(one.snapshot.status) for one in world.facts("subscription")] == ["ended"]

    def test_two_workers_take_each_page_once(self, world: World) -> None:
        for number in range(120):
            world.library.customers.create({"name": f"Customer {number}"})
        for number in range(120):
            world.library.products.create({"name": f"Product {number}"})
        world.ask_backfill("customer", "product")
        world.read(owners=("reader-1", "reader-2"))
        assert [(one.pages, one.taken) for one in world.cursors().values()] == [(2, 120), (2, 120)]


class TestChanges:
    def test_events_are_taken_oldest_first_and_then_only_what_is_new(self, world: World) -> None:
        for number in range(105):
            world.library.customers.create({"name": f"Customer {number}"})
        world.ask_changes()
        world.read()
        seen = world.facts("customer")
        assert len(seen) == 105
        assert [one.snapshot.name for one in seen] == [f"Customer {number}" for number in range(105)]
        assert world.cursors()[""].state == "following"

        world.library.customers.create({"name": "Late"})
        world.ask_changes()
        world.read()
        assert [one.snapshot.name for one in world.facts("customer")][-1] == "Late"
        assert world.cursors()[""].taken == 106

    def test_a_forgotten_cursor_lists_every_kind_again(self, world: World) -> None:
        world.library.customers.create({"name": "Ada"})
        world.ask_changes()
        world.read()
        world.clock.seconds += 40 * 86_400
        world.harness.clock.moment += timedelta(days=60)
        world.library.customers.create({"name": "Grace"})
        world.ask_changes()
        world.read()
        assert {one.snapshot.name for one in world.facts("customer")} == {"Ada", "Grace"}
        assert world.cursors()["customer"].state == "finished"
        assert world.cases() == []


class TestRemoved:
    def test_a_customer_the_source_has_no_more_is_removed_here_too(self, world: World) -> None:
        customer = world.library.customers.create({"name": "Ada"})
        world.library.customers.balance_transactions.create(customer.id, {"amount": -500, "currency": "usd"})
        created, moved = world.event_body("customer.created"), world.event_body("customer.updated")
        world.harness.accept(TENANT, CONNECTION, [created, moved])
        world.running.do(lambda stripe: stripe.account.objects["customer"].pop(customer.id))
        world.read()
        newest = max(world.facts("customer"), key=lambda one: one.order_key)
        assert (newest.event_type, newest.snapshot.deleted, newest.snapshot.name) == ("customer.gone", True, "Ada")
        assert world.cases() == []
