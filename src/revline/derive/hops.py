"""Lineage of derive: a root to its master documents, and what was promised to what was billed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from revline.core.facts import Name
from revline.derive import commercial_hops
from revline.derive.record import MASTER_NAME
from revline.platform.lineage.queries import names_of, records_named
from revline.platform.lineage.walk import HOP_MEMBERS_MAX, Described, Hop, Reference

RELATION = "is sent as"


class DeriveHops:
    """Roots ⇄ master documents; roots → facts that came of them on the way from account to invoice."""

    def hops(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        way = commercial_hops.hops_of(connection, tenant_id=tenant_id, reference=reference)
        return [*way, *self._masters(connection, tenant_id, reference)]

    def _masters(self, connection: Connection, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        if reference.kind == "root":
            name = Name(kind=MASTER_NAME, value=reference.record_id)
            found = records_named(connection, tenant_id=tenant_id, names=[name], record_kind="document")
            return [
                Hop(source=reference, derived=Reference(kind="document", record_id=document), relation=RELATION)
                for _, document in found[:HOP_MEMBERS_MAX]
            ]
        if reference.kind == "document":
            names = names_of(connection, tenant_id=tenant_id, reference=reference)
            return [
                Hop(source=Reference(kind="root", record_id=value), derived=reference, relation=RELATION)
                for kind, value in names
                if kind == MASTER_NAME
            ]
        return ()

    def describe(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Described | None:
        return None
