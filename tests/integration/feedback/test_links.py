"""An order that is linked to an invoice hears of it, whichever side names the other and whichever comes first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.core.documents import FeedbackContent
from revline.platform.store.engine import Database
from tests.integration.derive.world import CONNECTION, at, customer, invoice, webhook
from tests.integration.feedback.world import TENANT, World

CONFIGURATION = """
apiVersion: revline/v1
kind: Connection
metadata: {name: crm, tenant: aurora}
spec: {connector: direct, entity: aurora-us, sandbox: true}
---
apiVersion: revline/v1
kind: Feedback
metadata: {name: orders, tenant: aurora}
spec:
  connection: crm
  sourceKind: order
  about: invoice
  fields: {posting_state: State__c, number: Invoice__c}
"""
ORDER = b"""{"specversion": "1.0", "id": "o-1", "source": "//crm", "type": "revline.order.v1", "time": "2026-01-02T09:00:00Z",
 "data": {"outside_id": "801", "number": "SO-1", "status": "activated", "customer": "001", "currency": "USD", "total": "0.00",
 "lines": [], "created_at": "2026-01-02T09:00:00Z",
 "links": [{"connection": "stripe-us", "kind": "invoice", "outside_id": "in_1"}]}}"""


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    one = World(database=database, folder=tmp_path / "configuration", configuration=CONFIGURATION)
    one.routes.far_sides["crm"] = one.source
    connections = one.harness.folder / TENANT / "20-connections.yaml"
    linked = connections.read_text(encoding="utf-8").replace(
        "  entity: aurora-us\n", "  entity: aurora-us\n  links: {salesforce_order: crm/order}\n", 1
    )
    connections.write_text(linked, encoding="utf-8")
    one.harness.apply()
    yield one
    one.harness.close()


def told(world: World) -> list[tuple[str, str, dict[str, str]]]:
    found = []
    for document_id in world.source.far.order():
        content = world.source.documents[document_id].content
        assert isinstance(content, FeedbackContent)
        found.append((content.target.kind, content.target.outside_id, dict(content.fields)))
    return found


def test_an_invoice_that_names_its_order_tells_it(world: World) -> None:
    named = invoice(metadata={"salesforce_order": "801"})
    world.harness.accept(
        TENANT,
        CONNECTION,
        [
            webhook("customer.created", customer(), created=at(1)),
            webhook("invoice.finalized", named, created=at(4)),
        ],
    )
    world.run()
    assert told(world)[-1] == ("order", "801", {"State__c": "posted", "Invoice__c": "A-1"})


def test_an_order_that_names_the_invoice_later_is_told_then(world: World) -> None:
    world.harness.accept(
        TENANT,
        CONNECTION,
        [
            webhook("customer.created", customer(), created=at(1)),
            webhook("invoice.finalized", invoice(), created=at(4)),
        ],
    )
    world.run()
    assert told(world) == []
    world.harness.accept(TENANT, "crm", [ORDER])
    world.run()
    assert told(world)[-1:] == [("order", "801", {"State__c": "posted", "Invoice__c": "A-1"})]
