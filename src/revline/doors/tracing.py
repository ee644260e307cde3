"""From any id to the whole chain: finds what the id names, walks both ways, and describes every record it met. For every door."""

from __future__ import annotations

from typing import Any, Final

from revline.core.problem import Mender, Retryable, define
from revline.doors.services import Services
from revline.platform.lineage.queries import find
from revline.platform.lineage.walk import Described, Hop, Reference, walk

ORDER: Final = (
    "incomplete",
    "usage_events",
    "charge",
    "charge_revision",
    "fact",
    "root",
    "accounting_event",
    "journal",
    "document",
    "erp_record",
    "case",
)
DIRECT: Final = (
    "charge",
    "charge_revision",
    "document",
    "journal",
    "accounting_event",
    "fact",
    "root",
    "case",
    "erp_record",
)


def trace_of(services: Services, *, tenant_id: str, value: str) -> dict[str, Any] | None:
    """Records and hops as plain values, in the order of the way; None when nothing is known by the value.

    A journal line is named "journal id/line"; a far-side record "connection/kind/id".
    """
    with services.database.read(tenants=[tenant_id]) as connection:

        def describe(reference: Reference) -> Described | None:
            for room in services.hops:
                found = room.describe(connection, tenant_id=tenant_id, reference=reference)
                if found is not None:
                    return found
            return None

        def hops_of(reference: Reference) -> list[Hop]:
            return [
                hop for room in services.hops for hop in room.hops(connection, tenant_id=tenant_id, reference=reference)
            ]

        starts = list(find(connection, tenant_id=tenant_id, value=value))
        for candidate in (value, value.partition("/")[0]):
            if not starts:
                direct = [Reference(kind=kind, record_id=candidate) for kind in DIRECT]
                starts = [reference for reference in direct if describe(reference) is not None]
        if not starts:
            return None
        trace = walk(starts=starts, hops_of=hops_of)
        described = {reference: describe(reference) for reference in trace.records}
    records = [
        {
            "kind": reference.kind,
            "record_id": reference.record_id,
            "title": "" if one is None else one.title,
            "at": "" if one is None else one.at,
            "fields": {} if one is None else dict(one.fields),
            "start": reference in starts,
        }
        for reference, one in sorted(described.items(), key=_place)
    ]
    hops = [
        {
            "from": f"{hop.source.kind} {hop.source.record_id}",
            "relation": hop.relation,
            "to": f"{hop.derived.kind} {hop.derived.record_id}",
        }
        for hop in trace.hops
    ]
    return {"records": records, "hops": hops, "truncated": trace.truncated}


def _place(item: tuple[Reference, Described | None]) -> tuple[int, str, str]:
    reference, described = item
    rank = ORDER.index(reference.kind) if reference.kind in ORDER else len(ORDER)
    return rank, "" if described is None else described.at, reference.record_id


define(
    code="trace.unknown",
    title="Nothing is known by this name",
    status=404,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give any id or number exactly: a webhook's id, an invoice number, an ERP number, a journal's or document's id.",
)
