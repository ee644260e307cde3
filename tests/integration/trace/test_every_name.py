"""From whatever name a person has in hand to the posted record in the ERP and to the source facts, and back."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from revline.connectors.simulated.launcher import SimulatedErp
from revline.core.clock import Period
from revline.delivery.hops import DeliveryHops
from revline.derive.hops import DeriveHops
from revline.doors.tracing import trace_of
from revline.intake.hops import IntakeHops
from revline.platform.cases.hops import CaseHops
from revline.platform.lineage.queries import find
from revline.platform.store.engine import Database
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from revline.subledger.posting.hops import PostingHops
from tests.harness import Harness
from tests.posted import birch_harness, open_cases, start_erp, states, take_in, work_until_idle

pytestmark = pytest.mark.slow

PROFILE = StripeProfile(
    account="trace",
    customer_prefix="Birch",
    invoices=7,
    customers=4,
    other_currency="EUR",
    other_share=Decimal("0.3"),
    families=("subscription", "hardware"),
)


class Traced:
    """A posted month and every chain of it that was asked for, once."""

    def __init__(self, harness: Harness, month: StripeMonth) -> None:
        self.harness, self.month = harness, month
        hops = (IntakeHops(), PostingHops(), DeriveHops(), DeliveryHops(), CaseHops())
        self.services: Any = SimpleNamespace(database=harness.database, hops=hops)
        self.chains: dict[object, dict[str, Any]] = {}

    def chain(self, name: str) -> dict[str, Any]:
        """A chain hangs on the records a name stands for, so names of the same records are walked from once."""
        with self.harness.database.read(tenants=["birch"]) as connection:
            starts = find(connection, tenant_id="birch", value=name) or name
        if starts not in self.chains:
            found = trace_of(self.services, tenant_id="birch", value=name)
            assert found is not None, f"nothing is known by {name}"
            assert not found["truncated"]
            self.chains[starts] = found
        return self.chains[starts]

    def ids(self, name: str, kind: str) -> set[str]:
        return {record["record_id"] for record in self.chain(name)["records"] if record["kind"] == kind}

    def column(self, statement: str) -> list[Any]:
        with self.harness.database.read(tenants=["birch"]) as connection:
            return [tuple(row) for row in connection.execute(text(statement + " WHERE tenant_id = 'birch'"))]


@pytest.fixture
def erp(tmp_path: Path) -> Iterator[SimulatedErp]:
    one = start_erp(tmp_path / "erp")
    yield one
    one.stop()


@pytest.fixture
def traced(database: Database, tmp_path: Path, erp: SimulatedErp) -> Iterator[Traced]:
    harness = birch_harness(database=database, folder=tmp_path / "configuration", erp=erp)
    month = generate(seed=21, month=Period(start=date(2026, 1, 1), end=date(2026, 2, 1)), profile=PROFILE)
    take_in(harness, "birch", "stripe", month)
    work_until_idle(harness, secrets={"REVLINE_SECRET_DEMO_SIMULATED": erp.token})
    assert open_cases(harness, "birch") == []
    assert set(states(harness, "birch")) == {"posted"}
    yield Traced(harness, month)
    harness.close()


def test_every_name_leads_to_the_erp_and_to_the_sources(traced: Traced) -> None:
    documents = traced.column("SELECT document_id, external_reference, kind, event_id, journal_id FROM document")
    records = traced.column(
        "SELECT connection || '/' || record_kind || '/' || erp_id, number, document_id FROM erp_record"
    )
    journals = traced.column("SELECT journal_id, event_id FROM journal")
    held: dict[str, set[str]] = defaultdict(set)
    for reference, _, document in records:
        held[document].add(reference)
    assert set(held) == {row[0] for row in documents}
    for document, external, kind, event, journal in documents:
        for name in filter(None, (document, external, journal)):
            assert held[document] <= traced.ids(name, "erp_record"), (kind, name)
            assert traced.ids(name, "fact"), (kind, name)
        if kind != "customer":
            assert event in traced.ids(document, "accounting_event"), kind
    for reference, number, document in records:
        for name in filter(None, (reference, number)):
            assert document in traced.ids(name, "document"), name
            assert traced.ids(name, "fact"), name
    for journal, event in journals:
        assert event in traced.ids(journal, "accounting_event")
        assert traced.ids(journal, "fact")
        assert traced.ids(journal, "erp_record"), journal
    line = f"{journals[0][0]}/1"
    assert traced.ids(line, "erp_record") == traced.ids(journals[0][0], "erp_record")


def test_every_webhook_leads_on_to_what_was_made_of_it(traced: Traced) -> None:
    made = {(event, fact) for event, fact in basis(traced)}
    by_fact: dict[str, set[str]] = defaultdict(set)
    for event, fact in made:
        by_fact[fact].add(event)
    facts = {row[0]: row[1] for row in traced.column("SELECT source_event, fact_id FROM fact")}
    for body in traced.month.webhooks:
        told = json.loads(body)
        found = traced.ids(told["id"], "fact")
        assert facts[told["id"]] in found, told["type"]
        events = by_fact[facts[told["id"]]]
        assert events <= traced.ids(told["id"], "accounting_event"), told["type"]
        if events:
            assert traced.ids(told["id"], "erp_record"), told["type"]
    for line in traced.month.balance_transactions:
        assert traced.ids(json.loads(line)["id"], "fact")


def basis(traced: Traced) -> list[tuple[str, str]]:
    """(event, fact id) of every fact an event rests on."""
    with traced.harness.database.read(tenants=["birch"]) as connection:
        rows = connection.execute(
            text(
                "SELECT event_id, fact_id FROM accounting_event_fact AS link JOIN fact ON fact.tenant_id = link.tenant_id"
                " AND fact.position = link.fact_position AND fact.ordinal = link.fact_ordinal"
                " WHERE link.tenant_id = 'birch'"
            )
        )
        return [(row[0], row[1]) for row in rows]


def test_an_invoice_number_shows_the_whole_life_of_the_invoice(traced: Traced) -> None:
    newest = {}
    for body in traced.month.webhooks:
        thing = json.loads(body)["data"]["object"]
        if thing["object"] == "invoice" and thing.get("number"):
            newest[thing["number"]] = thing
    assert len(newest) == PROFILE.invoices
    for number, invoice in newest.items():
        chain = traced.chain(number)
        titles = {record["title"].split(" ")[0] for record in chain["records"] if record["kind"] == "accounting_event"}
        assert "invoice.issued" in titles, number
        assert invoice["status"] not in {"void", "uncollectible"} or len(titles) > 1, (number, titles)
        assert traced.ids(number, "erp_record"), number
        about = [record["title"].split(" ") for record in chain["records"] if record["kind"] == "fact"]
        assert {thing for what, thing in about if what.startswith("invoice.")} == {invoice["id"]}, number


def test_every_record_of_a_chain_is_described_and_hangs_together(traced: Traced) -> None:
    sample = [json.loads(body)["id"] for body in traced.month.webhooks[::7]]
    for name in sample:
        chain = traced.chain(name)
        named = {f"{record['kind']} {record['record_id']}" for record in chain["records"]}
        for hop in chain["hops"]:
            assert {hop["from"], hop["to"]} <= named
        for record in chain["records"]:
            assert record["title"], record
        starts = {f"{record['kind']} {record['record_id']}" for record in chain["records"] if record["start"]}
        reached, size = set(starts), 0
        while len(reached) != size:
            size = len(reached)
            for hop in chain["hops"]:
                if {hop["from"], hop["to"]} & reached:
                    reached |= {hop["from"], hop["to"]}
        assert reached == named
