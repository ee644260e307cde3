"""Lineage of delivery: events, journals and customers to documents, documents to what far systems hold, and to cases."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from revline.delivery import queries
from revline.platform.lineage.walk import HOP_MEMBERS_MAX, Described, Hop, Reference


class DeliveryHops:
    """Accounting events and journals ⇄ documents ⇄ far-side records."""

    def hops(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        match reference.kind:
            case "accounting_event":
                found = queries.documents_of(connection, tenant_id=tenant_id, event_ids=[reference.record_id])
                return [_sent(reference, document) for document, _, journal in found if not journal]
            case "journal":
                found = queries.documents_of(connection, tenant_id=tenant_id, journal_ids=[reference.record_id])
                return [_sent(reference, document) for document, _, _ in found]
            case "document":
                return self._of_document(connection, tenant_id, reference)
            case "erp_record":
                record = queries.record_of(connection, tenant_id=tenant_id, reference=reference.record_id)
                owner = "" if record is None else str(record["document_id"] or "")
                return [Hop(source=_document(owner), derived=reference, relation="is held as")] if owner else ()
        return ()

    def describe(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Described | None:
        if reference.kind == "document":
            delivery = queries.find_delivery(connection, tenant_id=tenant_id, document_id=reference.record_id)
            if delivery is None:
                return None
            account = queries.account_of(connection, tenant_id=tenant_id, delivery=delivery)
            waits = queries.waits_of(connection, tenant_id=tenant_id, document_id=reference.record_id)
            fields = {
                "state": delivery.state,
                "external_reference": delivery.external_reference,
                "connection": delivery.connection,
                "amount": delivery.amount,
                "currency": delivery.currency,
                "attempts": delivery.attempts,
                "waits_for": list(waits),
                "problem": delivery.problem_detail,
                "account": list(account),
            }
            title = f"{delivery.kind} for {delivery.connection}"
            return Described(reference=reference, title=title, at=delivery.changed_at.isoformat(), fields=fields)
        if reference.kind == "erp_record":
            record = queries.record_of(connection, tenant_id=tenant_id, reference=reference.record_id)
            if record is None:
                return None
            title = f"{record['record_kind']} {record['number'] or record['erp_id']} in {record['connection']}"
            fields = {name: record[name] for name in ("state", "version", "external_reference", "amount", "currency")}
            return Described(reference=reference, title=title, at=record["seen_at"].isoformat(), fields=fields)
        return None

    def _of_document(self, connection: Connection, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        delivery = queries.find_delivery(connection, tenant_id=tenant_id, document_id=reference.record_id)
        if delivery is None:
            return ()
        before = queries.predecessors_of(connection, tenant_id=tenant_id, document_id=reference.record_id)
        held = queries.records_of(connection, tenant_id=tenant_id, document_id=reference.record_id)
        found: list[Hop] = []
        if delivery.journal_id:
            journal = Reference(kind="journal", record_id=delivery.journal_id)
            found.append(_sent(journal, delivery.document_id))
        elif delivery.event_id:
            event = Reference(kind="accounting_event", record_id=delivery.event_id)
            found.append(_sent(event, delivery.document_id))
        found += [
            Hop(source=_document(other), derived=reference, relation="comes before")
            for other in before[:HOP_MEMBERS_MAX]
        ]
        found += [
            Hop(
                source=reference,
                derived=Reference(
                    kind="erp_record", record_id=f"{record['connection']}/{record['record_kind']}/{record['erp_id']}"
                ),
                relation="is held as",
            )
            for record in held
        ]
        return found


def _document(document_id: str) -> Reference:
    return Reference(kind="document", record_id=document_id)


def _sent(source: Reference, document_id: str) -> Hop:
    return Hop(source=source, derived=_document(document_id), relation="is sent as")
