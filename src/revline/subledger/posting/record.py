"""Writes accounting events and journals into an open unit of work, so that derive can put one root's results in one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from revline.core.clock import period_name
from revline.core.events import AccountingEvent
from revline.core.hashing import canonical_bytes, digest_text
from revline.core.ids import root_id
from revline.core.journal import JournalEntry, imbalance
from revline.platform.store.unit import Unit
from revline.subledger.posting.tables import accounting_event, accounting_event_fact, journal, journal_line


def write_event(
    unit: Unit,
    *,
    tenant_id: str,
    event: AccountingEvent,
    facts: Sequence[tuple[int, int]],
    configuration_version: int,
) -> None:
    """Record an event and the facts (position, ordinal) it rests on. An event id is recorded once; a second is refused."""
    unit.record(
        accounting_event,
        tenant_id=tenant_id,
        event_id=event.event_id,
        kind=event.kind.value,
        root_id=root_id(tenant=tenant_id, source=event.root),
        entity=event.entity,
        accounting_date=event.accounting_date,
        content=canonical_bytes(event).decode(),
        content_digest=digest_text(event),
        reverses=event.reverses,
        configuration_version=configuration_version,
    )
    for position, ordinal in sorted(set(facts)):
        unit.record(
            accounting_event_fact,
            tenant_id=tenant_id,
            event_id=event.event_id,
            fact_position=position,
            fact_ordinal=ordinal,
        )


def write_journal(
    unit: Unit, *, tenant_id: str, entry: JournalEntry, rule_place: tuple[str, int], configuration_version: int
) -> None:
    """Record a journal and its lines. rule_place: `PostingSetup.place_of(entry.rule)`. ValueError when it does not balance."""
    wrong = imbalance(entry)
    if wrong is not None:
        raise ValueError(f"journal {entry.journal_id}: {wrong.detail}")
    unit.record(
        journal,
        tenant_id=tenant_id,
        journal_id=entry.journal_id,
        event_id=entry.event_id,
        entity=entry.entity,
        book=entry.book,
        accounting_date=entry.accounting_date,
        period=period_name(day=entry.accounting_date),
        functional_currency=entry.functional_currency,
        rule=entry.rule,
        rule_file=rule_place[0],
        rule_line=rule_place[1],
        configuration_version=configuration_version,
        content=canonical_bytes(entry).decode(),
        reverses=entry.reverses,
    )
    _write_lines(unit, tenant_id=tenant_id, entry=entry)


def _write_lines(unit: Unit, *, tenant_id: str, entry: JournalEntry) -> None:
    shared: dict[str, Any] = {
        "tenant_id": tenant_id,
        "journal_id": entry.journal_id,
        "entity": entry.entity,
        "book": entry.book,
        "period": period_name(day=entry.accounting_date),
        "functional_currency": entry.functional_currency,
    }
    for line in entry.lines:
        unit.record(
            journal_line,
            **shared,
            line=line.line,
            account=line.account,
            debit=line.debit,
            credit=line.credit,
            currency=line.currency,
            functional_debit=line.functional_debit,
            functional_credit=line.functional_credit,
            rate=line.rate,
            rate_source=line.rate_source,
            conversion=line.conversion,
            dimensions=dict(line.dimensions),
            party_root=root_id(tenant=tenant_id, source=line.party) if line.party else "",
            source_line=line.source_line,
        )
