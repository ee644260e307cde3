"""From an invoice back to the account it was sold to, and from the quote forward to the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from revline.connectors.salesforce.reader import SalesforceReader
from revline.connectors.salesforce.simulator.story import Told, quote_to_order
from revline.delivery.hops import DeliveryHops
from revline.derive.hops import DeriveHops
from revline.doors.tracing import trace_of
from revline.intake.hops import IntakeHops
from revline.intake.values import Form, Outcome
from revline.platform.cases.hops import CaseHops
from revline.platform.store.engine import Database
from revline.subledger.posting.hops import PostingHops
from tests.contract.salesforce.orgs import an_org, reading, serving, whole
from tests.harness import Harness
from tests.integration.derive import world

CRM = """
---
apiVersion: revline/v1
kind: Connection
metadata: {name: crm, tenant: aurora}
spec:
  connector: salesforce
  entity: aurora-us
  sandbox: true
"""
LINKED = "  entity: aurora-us\n  sandbox: true\n"
LINKS = LINKED + "  links: {salesforce_order: crm/order, salesforce_account: crm/customer}\n"
FIXTURES = Path(__file__).parents[2] / "contract" / "stripe" / "fixtures"


@pytest.fixture
def harness(database: Database, tmp_path: Path) -> Iterator[Harness]:
    one = Harness(database=database, folder=tmp_path / "configuration")
    one.clock.moment = datetime(2026, 11, 21, tzinfo=UTC)
    path = one.folder / "aurora" / "20-connections.yaml"
    text = path.read_text(encoding="utf-8")
    assert LINKED in text
    path.write_text(text.replace(LINKED, LINKS, 1) + CRM, encoding="utf-8")
    one.apply()
    yield one
    one.close()


def sold() -> tuple[Told, list[bytes]]:
    """A sale, and every record of it as the reader gives it."""
    org, clock = an_org()
    told = quote_to_order(org=org)
    clock.pass_seconds(5)

    async def every(reader: SalesforceReader) -> list[bytes]:
        bodies: list[bytes] = []
        for kind in reader.manifest.listed:
            bodies += whole(await reader.list_page(object_kind=kind, cursor="", limit=200)).bodies
        return bodies

    with serving(org) as server:
        return told, reading(server, every)


def take_in(harness: Harness, connection: str, *bodies: bytes) -> None:
    verdicts = harness.accept(world.TENANT, connection, bodies, form=Form.OBJECT)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.ACCEPTED}, verdicts
    harness.derive_all()


def billed(told: Told) -> list[bytes]:
    """The subscription that carries the order out, which names it by its short id, and an invoice of it."""
    subscription = json.loads((FIXTURES / "subscription.json").read_text(encoding="utf-8"))
    subscription |= {"customer": "cus_1", "metadata": {"salesforce_order": told.order[:15]}, "latest_invoice": "in_1"}
    invoice = world.invoice(subscription="sub_1", parent=None)
    return [json.dumps(one).encode() for one in (world.customer(), subscription, invoice)]


def chain(harness: Harness, name: str) -> set[str]:
    """Titles of every record the walk from a name meets."""
    hops = (IntakeHops(), PostingHops(), DeriveHops(), DeliveryHops(), CaseHops())
    services: Any = SimpleNamespace(database=harness.database, hops=hops)
    found = trace_of(services, tenant_id=world.TENANT, value=name)
    assert found is not None, f"nothing is known by {name}"
    return {record["title"] for record in found["records"]}


@pytest.mark.parametrize("billed_first", [False, True])
def test_an_invoice_leads_back_to_the_account_and_a_quote_forward_to_the_journal(
    harness: Harness, *, billed_first: bool
) -> None:
    told, records = sold()
    batches = [("crm", records), (world.CONNECTION, billed(told))]
    for connection, bodies in reversed(batches) if billed_first else batches:
        take_in(harness, connection, *bodies)
    way = {
        "subscription sub_1",
        f"order {told.order}",
        f"quote {told.quote}",
        f"opportunity {told.opportunity}",
        f"contract {told.contract}",
        f"customer {told.account}",
        f"customer {told.parent_account}",
    }
    back = chain(harness, "A-1")
    assert way < back, way - back
    forward = chain(harness, told.quote[:15])
    assert {"subscription sub_1", f"order {told.order}", "invoice in_1", "journal in us-gaap"} < forward, forward


def test_what_was_promised_books_nothing_and_says_why(harness: Harness) -> None:
    told, records = sold()
    take_in(harness, "crm", *records)
    rules = dict(
        world.rows(
            harness,
            "SELECT root.kind, disposition.rule FROM disposition JOIN root ON root.tenant_id = disposition.tenant_id"
            " AND root.root_id = disposition.root_id WHERE disposition.tenant_id = :tenant",
        )
    )
    assert "billed" in rules["order"]
    assert "offer" in rules["quote"]
    assert "hope" in rules["opportunity"]
    assert "invoices" in rules["contract"]
    assert "bills nobody" in rules["customer"]
    assert "bills nobody" in rules["product"]
    assert world.rows(harness, "SELECT count(*) FROM document WHERE tenant_id = :tenant") == [(0,)]
    assert world.facts_without_disposition(harness) == 0
    assert world.open_cases(harness) == []
    assert chain(harness, "00000001") >= {f"order {told.order}"}
