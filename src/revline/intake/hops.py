"""Lineage of intake: facts and the roots they touch."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from revline.intake import queries
from revline.platform.lineage.walk import HOP_MEMBERS_MAX, Described, Hop, Reference


class IntakeHops:
    """Facts ⇄ roots."""

    def hops(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        if reference.kind == "fact":
            fact = queries.fact_by_id(connection, tenant_id=tenant_id, fact_id=reference.record_id)
            if fact is None:
                return ()
            roots = queries.roots_of_fact(connection, tenant_id=tenant_id, position=fact.position, ordinal=fact.ordinal)
            return [Hop(source=reference, derived=_root(root), relation="is about") for root in roots]
        if reference.kind == "root":
            facts = queries.fact_ids_of_root(
                connection, tenant_id=tenant_id, root_id=reference.record_id, limit=HOP_MEMBERS_MAX
            )
            return [
                Hop(source=Reference(kind="fact", record_id=fact), derived=reference, relation="is about")
                for fact in facts
            ]
        return ()

    def describe(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Described | None:
        if reference.kind == "fact":
            fact = queries.fact_by_id(connection, tenant_id=tenant_id, fact_id=reference.record_id)
            if fact is None:
                return None
            translated = fact.translated
            return Described(
                reference=reference,
                title=f"{translated.event_type} {translated.source.outside_id}",
                at=translated.occurred_at.isoformat(),
                fields={
                    "connection": translated.source.connection,
                    "source_event": translated.source_event,
                    "received_at": fact.received_at,
                    "position": f"{fact.position}.{fact.ordinal}",
                    "translator": fact.translator,
                    "body_digest": fact.body_digest,
                },
            )
        if reference.kind == "root":
            source = queries.root_source(connection, tenant_id=tenant_id, root_id=reference.record_id)
            if source is None:
                return None
            title = f"{source.kind} {source.outside_id}"
            return Described(reference=reference, title=title, at="", fields={"connection": source.connection})
        return None


def _root(root_id: str) -> Reference:
    return Reference(kind="root", record_id=root_id)
