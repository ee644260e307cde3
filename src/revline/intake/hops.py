"""Lineage of intake: facts, the roots they touch, and the messages that asked for an object to be read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from revline.intake import queries, rereading
from revline.platform.lineage.walk import HOP_MEMBERS_MAX, Described, Hop, Reference


class IntakeHops:
    """Facts ⇄ roots; incomplete messages → what was read because of them."""

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
        if reference.kind == "incomplete":
            read = rereading.facts_read_for(
                connection, tenant_id=tenant_id, incomplete_id=reference.record_id, limit=HOP_MEMBERS_MAX
            )
            return [
                Hop(source=reference, derived=Reference(kind="fact", record_id=fact), relation="was read again as")
                for fact in read
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
        if reference.kind == "incomplete":
            found = rereading.incomplete_by_id(connection, tenant_id=tenant_id, incomplete_id=reference.record_id)
            return None if found is None else _incomplete(reference, found)
        if reference.kind == "root":
            source = queries.root_source(connection, tenant_id=tenant_id, root_id=reference.record_id)
            if source is None:
                return None
            title = f"{source.kind} {source.outside_id}"
            return Described(reference=reference, title=title, at="", fields={"connection": source.connection})
        return None


def _incomplete(reference: Reference, found: rereading.IncompleteMessage) -> Described:
    one = found.incomplete
    return Described(
        reference=reference,
        title=f"{one.event_type} {one.source.outside_id}: {one.why}",
        at=one.occurred_at.isoformat(),
        fields={
            "connection": one.source.connection,
            "source_event": one.source_event,
            "received_at": found.received_at,
            "read_again": found.state,
            "read_until": found.deadline,
            "translator": found.translator,
            "body_digest": found.body_digest,
        },
    )


def _root(root_id: str) -> Reference:
    return Reference(kind="root", record_id=root_id)
