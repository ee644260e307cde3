"""Lineage of cases: whatever can't go on to its case."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from revline.platform.cases import queries
from revline.platform.lineage.walk import HOP_MEMBERS_MAX, Described, Hop, Reference

SUBJECTS = frozenset({"document", "root", "awaited", "input"})


class CaseHops:
    """Records ⇄ cases."""

    def hops(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        if reference.kind == "case":
            case = queries.case(connection, tenant_id=tenant_id, case_id=reference.record_id)
            if case is None:
                return ()
            subject = Reference(kind=case.subject_kind, record_id=case.subject_id)
            return [Hop(source=subject, derived=reference, relation="is held up by")]
        if reference.kind not in SUBJECTS:
            return ()
        found = queries.cases(
            connection, tenant_id=tenant_id, state="", subject_kind=reference.kind, subject_id=reference.record_id
        )
        return [
            Hop(source=reference, derived=Reference(kind="case", record_id=case.case_id), relation="is held up by")
            for case in found[:HOP_MEMBERS_MAX]
        ]

    def describe(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Described | None:
        if reference.kind != "case":
            return None
        case = queries.case(connection, tenant_id=tenant_id, case_id=reference.record_id)
        if case is None:
            return None
        fields = {"state": case.state, "code": case.code, "field": case.field, "detail": case.detail}
        title = f"case {case.code}"
        return Described(reference=reference, title=title, at=case.opened_at.isoformat(), fields=fields)
