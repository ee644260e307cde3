"""Lineage of posting: roots and facts to accounting events, events to journals."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from revline.core.ids import root_id
from revline.intake import queries as fact_log
from revline.platform.lineage.walk import HOP_MEMBERS_MAX, Described, Hop, Reference
from revline.subledger.posting import queries

BASIS = "is the basis of"


class PostingHops:
    """Facts and roots ⇄ accounting events ⇄ journals; what reverses or mirrors what."""

    def hops(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        match reference.kind:
            case "fact":
                return self._of_fact(connection, tenant_id, reference)
            case "root":
                events = queries.events_of_root(connection, tenant_id=tenant_id, root_id=reference.record_id)
                return [
                    Hop(source=reference, derived=_event(one.event.event_id), relation="makes")
                    for one in events[:HOP_MEMBERS_MAX]
                ]
            case "accounting_event":
                return self._of_event(connection, tenant_id, reference)
            case "journal":
                return self._of_journal(connection, tenant_id, reference)
        return ()

    def describe(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Described | None:
        if reference.kind == "accounting_event":
            stored = queries.find_event(connection, tenant_id=tenant_id, event_id=reference.record_id)
            if stored is None:
                return None
            event = stored.event
            fields = {
                "entity": event.entity,
                "accounting_date": event.accounting_date,
                "currency": event.currency,
                "configuration_version": stored.configuration_version,
                "reverses": event.reverses,
                "reversed_by": stored.reversed_by,
            }
            title = f"{event.kind.value} {event.source.outside_id}"
            return Described(reference=reference, title=title, at=event.occurred_at.isoformat(), fields=fields)
        if reference.kind == "journal":
            found = queries.find_journal(connection, tenant_id=tenant_id, journal_id=reference.record_id)
            if found is None:
                return None
            entry = found.entry
            fields = {
                "entity": entry.entity,
                "rule": f"{entry.rule} ({found.rule_file}:{found.rule_line})" if entry.rule else "mirror",
                "configuration_version": found.configuration_version,
                "lines": [
                    f"{line.line} {line.account} {'Dr' if line.debit else 'Cr'} {line.debit or line.credit} {line.currency}"
                    for line in entry.lines
                ],
                "reverses": entry.reverses,
            }
            title = f"journal in {entry.book}"
            return Described(reference=reference, title=title, at=entry.accounting_date.isoformat(), fields=fields)
        return None

    def _of_fact(self, connection: Connection, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        fact = fact_log.fact_by_id(connection, tenant_id=tenant_id, fact_id=reference.record_id)
        if fact is None:
            return ()
        events = queries.events_of_fact(connection, tenant_id=tenant_id, position=fact.position, ordinal=fact.ordinal)
        return [Hop(source=reference, derived=_event(event), relation=BASIS) for event in events]

    def _of_event(self, connection: Connection, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        stored = queries.find_event(connection, tenant_id=tenant_id, event_id=reference.record_id)
        if stored is None:
            return ()
        facts = fact_log.fact_ids_at(connection, tenant_id=tenant_id, places=stored.facts)
        root = Reference(kind="root", record_id=root_id(tenant=tenant_id, source=stored.event.root))
        journals = queries.journals_of_events(connection, tenant_id=tenant_id, event_ids=[reference.record_id])
        found = [
            Hop(source=Reference(kind="fact", record_id=fact), derived=reference, relation=BASIS) for fact in facts
        ]
        found.append(Hop(source=root, derived=reference, relation="makes"))
        found += [
            Hop(source=reference, derived=_journal(one.entry.journal_id), relation="is booked as")
            for one in journals.get(reference.record_id, ())
        ]
        if stored.event.reverses:
            found.append(Hop(source=_event(stored.event.reverses), derived=reference, relation="is reversed by"))
        if stored.reversed_by:
            found.append(Hop(source=reference, derived=_event(stored.reversed_by), relation="is reversed by"))
        return found

    def _of_journal(self, connection: Connection, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        stored = queries.find_journal(connection, tenant_id=tenant_id, journal_id=reference.record_id)
        if stored is None:
            return ()
        found = [Hop(source=_event(stored.entry.event_id), derived=reference, relation="is booked as")]
        if stored.entry.reverses:
            found.append(Hop(source=_journal(stored.entry.reverses), derived=reference, relation="is mirrored by"))
        mirror = queries.reversal_of_journal(connection, tenant_id=tenant_id, journal_id=reference.record_id)
        if mirror:
            found.append(Hop(source=reference, derived=_journal(mirror), relation="is mirrored by"))
        return found


def _event(event_id: str) -> Reference:
    return Reference(kind="accounting_event", record_id=event_id)


def _journal(journal_id: str) -> Reference:
    return Reference(kind="journal", record_id=journal_id)
