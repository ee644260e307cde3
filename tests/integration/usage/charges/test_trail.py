"""The trail from a journal line to the revision of a charge, its steps and its events, and back; and a replay of all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from revline.core.hashing import canonical_bytes
from revline.derive.hops import DeriveHops
from revline.intake.hops import IntakeHops
from revline.platform.lineage.walk import Reference, walk
from revline.platform.store.engine import Database
from revline.subledger.posting.hops import PostingHops
from revline.subledger.usage.charges.hops import ChargeHops
from tests.integration.usage.charges.world import BOB, CALLS, STORAGE, TENANT, Shop, policy


def trail(shop: Shop, kind: str, record_id: str) -> dict[str, list[Any]]:
    """Everything connected to a record, described, by kind."""
    rooms = (IntakeHops(), ChargeHops(), PostingHops(), DeriveHops())
    with shop.database.read(tenants=[TENANT]) as connection:

        def hops_of(reference: Reference) -> list[Any]:
            return [hop for room in rooms for hop in room.hops(connection, tenant_id=TENANT, reference=reference)]

        found = walk(starts=[Reference(kind=kind, record_id=record_id)], hops_of=hops_of)
        described: dict[str, list[Any]] = {}
        for reference in found.records:
            one = next(
                (
                    told
                    for room in rooms
                    if (told := room.describe(connection, tenant_id=TENANT, reference=reference)) is not None
                ),
                None,
            )
            described.setdefault(reference.kind, []).append(one)
    return described


def test_a_journal_leads_to_the_revision_its_steps_and_its_events(shop: Shop) -> None:
    shop.use("2026-01-15", "50")
    shop.rate("2026-02-01", hours=1)
    shop.use("2026-01-20", "60")
    shop.rate("2026-02-02")
    first, second = (
        row[0] for row in shop.rows("SELECT journal_id FROM journal WHERE tenant_id = :tenant ORDER BY position")
    )
    for journal, revision, change, events in ((first, 1, "5.00", 1), (second, 2, "5.50", 1)):
        found = trail(shop, "journal", journal)
        (told,) = found["charge_revision"]
        assert (told.fields["revision"], told.fields["change"]["amount"]) == (revision, change)
        assert told.fields["change"]["events"] == events
        assert told.fields["steps"]["steps"]
        (counted,) = found["usage_events"]
        assert (counted.fields["events"], counted.fields["digest"]) == (revision, told.fields["digest"])
        assert counted.fields["usage_version"] == {"watermarks": [[0, revision]], "erasure_epoch": 0}


def test_a_charge_leads_to_its_journals(shop: Shop) -> None:
    shop.use("2026-01-15", "50")
    shop.rate("2026-02-01", hours=1)
    (line,) = shop.charges()
    found = trail(shop, "charge", line.charge_id)
    assert len(found["journal"]) == len(found["fact"]) == len(found["accounting_event"]) == 1


def test_a_customer_whose_computation_fails_stops_alone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.use("2026-01-02", "10")
    shop.use("2026-01-02", "10", customer=BOB)
    real = type(shop.charging)._plan

    def failing(self: Any, found: Any, state: Any, dues: Any, rated: Any) -> Any:
        if state.customer == BOB:
            raise RuntimeError("broken")
        return real(self, found, state, dues, rated)

    monkeypatch.setattr(type(shop.charging), "_plan", failing)
    shop.rate("2026-01-03")
    assert [(one.customer, one.amount) for one in shop.lines()] == [("ada", "1.00")]
    assert shop.cases() == ["internal.unexpected"]


def story(shop: Shop) -> None:
    """Usage, a late batch, a void, a close, over two months, at fixed moments."""
    wrong = shop.use("2026-01-05", "20")
    shop.use("2026-01-06", "90")
    shop.use("2026-01-06", "4", customer=BOB, meter="storage")
    shop.rate("2026-01-10")
    shop.rate("2026-02-01", hours=2)
    shop.usage.void(wrong)
    shop.rate("2026-02-02")
    shop.rate("2026-02-05")
    shop.use("2026-01-07", "30")
    shop.rate("2026-02-06")


def told(shop: Shop) -> list[bytes]:
    """Every revision, entry and journal in one canonical form; positions and received ids are no part of it."""
    revisions = shop.rows(
        "SELECT charge_id, revision, quantity, amount, events, usage_version, digest, explanation FROM charge_revision"
        " WHERE tenant_id = :tenant ORDER BY charge_id, revision"
    )
    entries = shop.rows(
        "SELECT charge_id, part, entry, day, amount, revision FROM charge_entry WHERE tenant_id = :tenant"
        " ORDER BY charge_id, part, entry"
    )
    journals = shop.rows(
        "SELECT journal_id, event_id, accounting_date, content FROM journal WHERE tenant_id = :tenant ORDER BY journal_id"
    )
    return [canonical_bytes(list(map(str, row))) for row in (*revisions, *entries, *journals)]


def test_the_same_facts_and_ticks_give_the_same_lines_and_journals_byte_for_byte(
    database: Database, tmp_path: Path, test_server: Any, database_name: str
) -> None:
    first = Shop(database, tmp_path / "first", CALLS, STORAGE, policy())
    story(first)
    before = told(first)
    first.close()
    test_server.empty(database_name)
    again = Shop(database, tmp_path / "again", CALLS, STORAGE, policy())
    story(again)
    assert told(again) == before
    assert len(before) > 10
    again.close()
