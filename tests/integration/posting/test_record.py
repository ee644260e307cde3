"""Events and journals as they are kept: read back byte for byte, summed to the cent, undone once."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import msgspec
import pytest
from psycopg.errors import UniqueViolation

from revline.core.events import AccountingEvent, EventKind
from revline.core.hashing import canonical_bytes
from revline.core.ids import reversal_id, root_id
from revline.core.journal import JournalEntry
from revline.platform.store.engine import Database
from revline.subledger.posting import queries
from revline.subledger.posting.post import post
from revline.subledger.posting.record import write_event, write_journal
from tests.unit.posting.builders import booked, event, invoice, line, money, starter_book

ALPHA = "alpha"
RULE_PLACE = ("51-rules-money.yaml", 2)
SOLD = invoice(line("100.00", number=1, tax="20.00"), line("-30.00", number=2, tax="-6.00"))
ISSUED = event(EventKind.INVOICE_ISSUED, SOLD, day=date(2026, 1, 15))
PAID = event(EventKind.PAYMENT_RECEIVED, money("84.00"), day=date(2026, 2, 3), currency="EUR")


def write(
    database: Database, moment: datetime, *pairs: tuple[AccountingEvent, JournalEntry], tenant: str = ALPHA
) -> None:
    with database.unit(tenants=[tenant], kind="derive", actor="worker:1", reason="test", recorded_at=moment) as unit:
        for happened, entry in pairs:
            write_event(unit, tenant_id=tenant, event=happened, facts=[(3, 2), (3, 1)], configuration_version=1)
            write_journal(unit, tenant_id=tenant, entry=entry, rule_place=RULE_PLACE, configuration_version=1)


def journal_of(happened: AccountingEvent, mirrored: JournalEntry | None = None) -> JournalEntry:
    return booked(post(event=happened, book=starter_book(), mirrored=mirrored))


def test_an_event_and_its_journal_are_read_back_byte_for_byte(database: Database, first_moment: datetime) -> None:
    entry = journal_of(PAID)
    write(database, first_moment, (PAID, entry))
    with database.read(tenants=[ALPHA]) as connection:
        stored = queries.find_event(connection, tenant_id=ALPHA, event_id=PAID.event_id)
        journals = queries.journals_of_events(connection, tenant_id=ALPHA, event_ids=[PAID.event_id])
        assert queries.events_of_fact(connection, tenant_id=ALPHA, position=3, ordinal=2) == (PAID.event_id,)
        page = queries.page_of_journals(connection, tenant_id=ALPHA, limit=5)
        beyond = queries.page_of_journals(connection, tenant_id=ALPHA, after=(page[-1].position, page[-1].ordinal))
    assert stored is not None
    assert canonical_bytes(stored.event) == canonical_bytes(PAID)
    assert stored.facts == ((3, 1), (3, 2))
    (kept,) = journals[PAID.event_id]
    assert canonical_bytes(kept.entry) == canonical_bytes(entry)
    assert (kept.rule_file, kept.rule_line, kept.period) == (*RULE_PLACE, "2026-02")
    assert page == (kept,)
    assert beyond == ()


def test_a_reversal_is_found_from_both_ends_and_comes_to_zero(database: Database, first_moment: datetime) -> None:
    entry = journal_of(ISSUED)
    undo = msgspec.structs.replace(ISSUED, event_id=reversal_id(reversed_id=ISSUED.event_id), reverses=ISSUED.event_id)
    write(database, first_moment, (ISSUED, entry), (undo, journal_of(undo, entry)))
    root = root_id(tenant=ALPHA, source=ISSUED.root)
    with database.read(tenants=[ALPHA]) as connection:
        first, second = queries.events_of_root(connection, tenant_id=ALPHA, root_id=root)
        of_roots = queries.events_of_roots(connection, tenant_id=ALPHA, root_ids=[root, "another"])
        undone = queries.reversal_of_journal(connection, tenant_id=ALPHA, journal_id=entry.journal_id)
        found = queries.find_journal(connection, tenant_id=ALPHA, journal_id=undone)
        totals = queries.control_totals(connection, tenant_id=ALPHA)
    assert (first.reversed_by, second.event.reverses) == (undo.event_id, ISSUED.event_id)
    assert {key: list(events) for key, events in of_roots.items()} == {root: [ISSUED.event_id, undo.event_id]}
    assert found is not None
    assert found.entry.reverses == entry.journal_id
    assert all(total.debit == total.credit for total in totals)


def test_control_totals_are_per_entity_book_period_account_and_currency(
    database: Database, first_moment: datetime
) -> None:
    write(database, first_moment, (ISSUED, journal_of(ISSUED)), (PAID, journal_of(PAID)))
    with database.read(tenants=[ALPHA]) as connection:
        totals = queries.control_totals(connection, tenant_id=ALPHA)
        january = queries.control_totals(connection, tenant_id=ALPHA, book="us-gaap", period="2026-01")
    shown = {
        (total.period, total.account, total.currency): (total.debit, total.credit, total.functional_debit, total.lines)
        for total in totals
    }
    assert shown[("2026-01", "deferred_revenue", "USD")] == (Decimal(30), Decimal(100), Decimal(30), 2)
    assert shown[("2026-02", "processor_clearing", "EUR")] == (Decimal(84), Decimal(0), Decimal("90.72"), 1)
    assert {total.period for total in january} == {"2026-01"}
    assert sum(total.functional_debit - total.functional_credit for total in totals) == 0


def test_an_event_is_recorded_once_and_undone_once(database: Database, first_moment: datetime) -> None:
    entry = journal_of(PAID)
    write(database, first_moment, (PAID, entry))
    with pytest.raises(UniqueViolation):
        write(database, first_moment, (PAID, entry))
    undo = msgspec.structs.replace(PAID, event_id=reversal_id(reversed_id=PAID.event_id), reverses=PAID.event_id)
    write(database, first_moment, (undo, journal_of(undo, entry)))
    again = msgspec.structs.replace(undo, event_id="another")
    with pytest.raises(UniqueViolation):
        write(database, first_moment, (again, journal_of(again, entry)))


def test_a_journal_that_does_not_balance_is_never_written(database: Database, first_moment: datetime) -> None:
    entry = journal_of(PAID)
    broken = msgspec.structs.replace(entry, lines=entry.lines[:1])
    with pytest.raises(ValueError, match="functional debits exceed credits"):
        write(database, first_moment, (PAID, broken))
    with database.read(tenants=[ALPHA]) as connection:
        assert queries.find_event(connection, tenant_id=ALPHA, event_id=PAID.event_id) is None


def test_another_tenant_sees_none_of_it(database: Database, first_moment: datetime) -> None:
    write(database, first_moment, (PAID, journal_of(PAID)))
    with database.read(tenants=["beta"]) as connection:
        assert queries.find_event(connection, tenant_id=ALPHA, event_id=PAID.event_id) is None
        assert queries.control_totals(connection, tenant_id=ALPHA) == ()
