"""From an event an outside subledger sends to a posted journal, and back again when the subledger takes it back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from revline.core.documents import decode_document
from revline.intake.values import Outcome
from revline.platform.store.engine import Database
from tests.harness import Harness

TENANT = "birch"
CONNECTION = "subledger"
DIRECT = """
---
apiVersion: revline/v1
kind: Connection
metadata: {name: subledger, tenant: birch}
spec: {connector: direct, entity: birch-us}
"""
ITEMS = """  rounding: half_up
  items:
    maker: native
    accounts:
      - {when: product.family == "hardware", account: revenue_product}
      - {account: deferred_revenue}
"""


@pytest.fixture
def harness(database: Database, tmp_path: Path) -> Iterator[Harness]:
    one = Harness(database=database, folder=tmp_path / "configuration")
    change(one, "20-connections.yaml", "", DIRECT)
    one.apply()
    yield one
    one.close()


def change(harness: Harness, file: str, old: str, new: str) -> None:
    path = harness.folder / TENANT / file
    said = path.read_text(encoding="utf-8")
    path.write_text(said.replace(old, new) if old else said + new, encoding="utf-8")


def tell(harness: Harness, kind: str, data: dict[str, Any], *, sequence: int = 0) -> None:
    """One event arrives and everything due is derived."""
    event = {
        "specversion": "1.0",
        "id": f"{kind}-{data['outside_id']}-{sequence}",
        "source": "/subledger",
        "type": f"revline.{kind}.v1",
        "time": "2026-02-01T12:00:00Z",
        "sequence": str(sequence),
        "data": data,
    }
    verdicts = harness.accept(TENANT, CONNECTION, [json.dumps(event).encode()])
    assert [one.outcome for one in verdicts] == [Outcome.ACCEPTED], verdicts
    harness.derive_all()


def recognized(amount: str = "100.00", **more: Any) -> dict[str, Any]:
    return {
        "outside_id": "rr_1",
        "event": "revenue.recognized",
        "occurred_on": "2026-01-31",
        "currency": "USD",
        "payload": {"type": "recognized_revenue", "amount": amount},
        **more,
    }


def rows(harness: Harness, statement: str) -> list[tuple[Any, ...]]:
    with harness.database.read(tenants=[TENANT]) as connection:
        return [tuple(row) for row in connection.execute(text(statement), {"tenant": TENANT})]


def journals(harness: Harness) -> list[tuple[Any, ...]]:
    return rows(
        harness,
        "SELECT line.account, line.debit, line.credit, journal.reverses <> '' FROM journal"
        " JOIN journal_line AS line USING (tenant_id, journal_id) WHERE journal.tenant_id = :tenant"
        " ORDER BY journal.position, journal.ordinal, line.line",
    )


def balances(harness: Harness) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for key, (amount, _) in harness.totals(TENANT).items():
        found[key[2]] = found.get(key[2], Decimal(0)) + Decimal(amount)
    return {account: amount for account, amount in found.items() if amount}


def documents(harness: Harness, kind: str) -> list[Any]:
    found = rows(
        harness,
        "SELECT revision.content FROM document_revision AS revision JOIN document USING (tenant_id, document_id)"
        f" WHERE document.tenant_id = :tenant AND document.kind = '{kind}'"
        " ORDER BY document.position, document.ordinal, revision.revision",
    )
    return [decode_document(row[0]) for row in found]


BOOKED = [
    ("deferred_revenue", Decimal("100.00"), Decimal(0), False),
    ("revenue_subscription", Decimal(0), Decimal("100.00"), False),
]
UNDONE = [(account, credit, debit, True) for account, debit, credit, _ in BOOKED]


def test_a_stated_event_is_booked_and_sent_and_a_void_reverses_both(harness: Harness) -> None:
    tell(harness, "stated_event", recognized())
    assert journals(harness) == BOOKED
    (sent,) = documents(harness, "journal")
    tell(harness, "stated_event", recognized(voided=True), sequence=1)
    assert journals(harness) == [*BOOKED, *UNDONE]
    first, undo = documents(harness, "journal")
    assert first == sent
    assert (undo.reverses, undo.accounting_date) == (sent.document_id, sent.accounting_date)
    assert sent.document_id in undo.predecessors
    assert balances(harness) == {}


def test_a_void_that_comes_first_books_nothing_whatever_follows(harness: Harness) -> None:
    tell(harness, "stated_event", recognized(voided=True), sequence=1)
    tell(harness, "stated_event", recognized())
    assert journals(harness) == []


def test_a_corrected_amount_is_a_reversal_and_a_new_entry(harness: Harness) -> None:
    tell(harness, "stated_event", recognized())
    tell(harness, "stated_event", recognized("90.00"), sequence=1)
    assert balances(harness) == {"deferred_revenue": Decimal("90.00"), "revenue_subscription": Decimal("-90.00")}
    assert len(documents(harness, "journal")) == 3


def test_what_may_not_be_stated_is_kept_as_a_case_and_books_nothing(harness: Harness) -> None:
    event = {
        "specversion": "1.0", "id": "e", "source": "/subledger", "type": "revline.stated_event.v1",
        "time": "2026-02-01T12:00:00Z", "data": recognized(event="invoice.issued"),
    }  # fmt: skip
    (verdict,) = harness.accept(TENANT, CONNECTION, [json.dumps(event).encode()])
    assert verdict.outcome is not Outcome.ACCEPTED
    harness.derive_all()
    assert journals(harness) == []


def invoice() -> dict[str, Any]:
    line = {
        "outside_id": "il_1", "product": "prod_1", "product_family": "hardware", "quantity": "1",
        "unit_price": "100.00", "amount": "100.00", "net": "100.00",
    }  # fmt: skip
    return {
        "outside_id": "in_1", "number": "A-1", "status": "open", "customer": "cus_1", "currency": "USD",
        "subtotal": "100.00", "discount_total": "0.00", "tax_total": "0.00", "total": "100.00", "amount_paid": "0.00",
        "amount_remaining": "100.00", "lines": [line], "created_at": "2026-01-15T12:00:00Z",
        "finalized_at": "2026-01-15T12:00:00Z",
    }  # fmt: skip


def awaited(harness: Harness) -> set[tuple[Any, ...]]:
    return set(rows(harness, "SELECT object_kind, name_value, state FROM awaited WHERE tenant_id = :tenant"))


def test_a_product_becomes_a_record_that_the_invoice_waits_for_in_a_book_with_items(harness: Harness) -> None:
    change(harness, "30-book.yaml", "  rounding: half_up\n", ITEMS)
    harness.apply()
    tell(harness, "customer", {"outside_id": "cus_1", "name": "Initech"})
    tell(harness, "invoice", invoice())
    assert awaited(harness) == {("product", "prod_1", "waiting")}
    tell(harness, "product", {"outside_id": "prod_1", "name": "Router", "family": "hardware"})
    assert ("product", "prod_1", "waiting") not in awaited(harness)
    (record,) = documents(harness, "item")
    (sold,) = documents(harness, "invoice")
    assert record.content.account == "revenue_product"
    assert [line.item_document for line in sold.content.lines] == [record.document_id]
    assert record.document_id in sold.predecessors


def test_without_items_a_product_makes_nothing_and_nobody_waits_for_it(harness: Harness) -> None:
    tell(harness, "customer", {"outside_id": "cus_1", "name": "Initech"})
    tell(harness, "invoice", invoice())
    tell(harness, "product", {"outside_id": "prod_1", "name": "Router"})
    assert documents(harness, "item") == []
    assert awaited(harness) == set()
