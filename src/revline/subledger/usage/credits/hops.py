"""Lineage of credits: from a grant's facts to its movements, from a charge line to what paid it, from a movement to its
facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from revline.core.hashing import plain
from revline.core.ids import SourceObject, root_id
from revline.intake import queries as fact_log
from revline.platform.lineage.walk import HOP_MEMBERS_MAX, Described, Hop, Reference
from revline.subledger.usage.charges.accruing import ENTRY_KIND, ROOT_KIND
from revline.subledger.usage.credits import queries
from revline.subledger.usage.credits.facts import GRANT
from revline.subledger.usage.credits.queries import LedgerRow
from revline.subledger.usage.credits.values import Rule

ENTRY: Final = "credit_entry"
"""A movement of credits, by its entry id."""
OF_A_CHARGE: Final = frozenset({Rule.DRAWN, Rule.RETURNED, Rule.BREAKAGE})


class CreditHops:
    """Facts of a grant → the grant → movements of its credits → facts that state them (and on to journals)."""

    def hops(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        match reference.kind:
            case "fact":
                return self._of_fact(connection, tenant_id, reference)
            case "credit_grant":
                return self._of_grant(connection, tenant_id, reference)
            case "charge":
                found = queries.entries_of_charge(
                    connection, tenant_id=tenant_id, charge_id=reference.record_id, limit=HOP_MEMBERS_MAX
                )
                return [Hop(source=reference, derived=_of(ENTRY, one.entry_id), relation="is paid by") for one in found]
            case "credit_entry":
                return self._of_entry(connection, tenant_id, reference)
            case _:
                return ()

    def describe(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Described | None:
        if reference.kind == ENTRY:
            entry = queries.entry_by_id(connection, tenant_id=tenant_id, entry_id=reference.record_id)
            return None if entry is None else _described(reference, entry)
        if reference.kind != GRANT:
            return None
        grant = queries.grant_of_root(connection, tenant_id=tenant_id, grant_id=reference.record_id)
        if grant is None:
            return None
        title = f"{grant.amount} {grant.currency} of credits to {grant.customer} for {grant.cost}"
        return Described(reference=reference, title=title, at=grant.granted_at.isoformat(), fields=plain(grant))

    def _of_fact(self, connection: Connection, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        fact = fact_log.fact_by_id(connection, tenant_id=tenant_id, fact_id=reference.record_id)
        source = None if fact is None else fact.translated.source
        if source is None or source.kind not in {GRANT, ENTRY_KIND}:
            return ()
        if source.kind == GRANT:
            grant = _of(GRANT, root_id(tenant=tenant_id, source=source))
            return [Hop(source=reference, derived=grant, relation="tells of")]
        entry = queries.entry_by_id(connection, tenant_id=tenant_id, entry_id=source.outside_id)
        return (
            []
            if entry is None
            else [Hop(source=_of(ENTRY, entry.entry_id), derived=reference, relation="is stated as")]
        )

    def _of_grant(self, connection: Connection, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        facts = fact_log.fact_ids_of_root(
            connection, tenant_id=tenant_id, root_id=reference.record_id, limit=HOP_MEMBERS_MAX
        )
        entries = queries.entries_of_grant(
            connection, tenant_id=tenant_id, grant_id=reference.record_id, limit=HOP_MEMBERS_MAX
        )
        return [
            *(Hop(source=_of("fact", one), derived=reference, relation="tells of") for one in facts),
            *(Hop(source=reference, derived=_of(ENTRY, one.entry_id), relation=one.rule.value) for one in entries),
        ]

    def _of_entry(self, connection: Connection, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        entry = queries.entry_by_id(connection, tenant_id=tenant_id, entry_id=reference.record_id)
        if entry is None:
            return ()
        holder = queries.holders_by_id(connection, tenant_id=tenant_id, holder_ids=[entry.holder_id]).get(
            entry.holder_id
        )
        if holder is None:
            return ()

        def of(kind: str, outside_id: str) -> str:
            source = SourceObject(connection=holder.connection, kind=kind, outside_id=outside_id)
            return root_id(tenant=tenant_id, source=source)

        stated = fact_log.fact_ids_of_root(
            connection, tenant_id=tenant_id, root_id=of(ROOT_KIND, entry.entry_id), limit=HOP_MEMBERS_MAX
        )
        found = [Hop(source=_of(GRANT, of(GRANT, entry.grant)), derived=reference, relation=entry.rule.value)]
        if entry.rule in OF_A_CHARGE:
            found.append(Hop(source=_of("charge", entry.cause), derived=reference, relation="is paid by"))
        return [*found, *(Hop(source=reference, derived=_of("fact", one), relation="is stated as") for one in stated)]


def _described(reference: Reference, entry: LedgerRow) -> Described:
    return Described(
        reference=reference,
        title=f"{entry.rule.value.replace('_', ' ')}: {entry.amount} {entry.currency} of {entry.grant}, cost {entry.cost}",
        at=entry.day.isoformat(),
        fields=plain(entry),
    )


def _of(kind: str, record_id: str) -> Reference:
    return Reference(kind=kind, record_id=record_id)
