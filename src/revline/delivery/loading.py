"""Reads what a decision needs for the heads of claimed lanes: document, state, predecessors, far-side records, periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, text

from revline.core.documents import (
    Document,
    DocumentKind,
    DocumentState,
    JournalContent,
    Rank,
    decode_document,
)
from revline.core.farside import ErpRecord
from revline.core.journal import JournalLine
from revline.delivery.needs import referenced
from revline.delivery.ports import Journals
from revline.delivery.values import Loaded, Standing
from revline.platform.store.direct import fetch, fetch_named
from revline.platform.work import queries as work_queries
from revline.platform.work.lanes import ClaimedLane

_GIVEN: Final = "unnest(CAST(:tenants AS text[]), CAST(:documents AS text[])) AS given(tenant_id, document_id)"

_DOCUMENTS: Final = text(
    f"""
    SELECT {", ".join(f"state.{name}" for name in Standing.__struct_fields__)}, revision.content
    FROM {_GIVEN}
    JOIN document_state AS state USING (tenant_id, document_id)
    JOIN document_revision AS revision
      ON revision.tenant_id = state.tenant_id AND revision.document_id = state.document_id
     AND revision.revision = state.revision
    """
)

_PREDECESSORS: Final = text(
    f"""
    SELECT before.tenant_id, before.document_id, before.predecessor_id, state.state
    FROM {_GIVEN}
    JOIN document_predecessor AS before USING (tenant_id, document_id)
    LEFT JOIN document_state AS state
      ON state.tenant_id = before.tenant_id AND state.document_id = before.predecessor_id
    """
)

_RECORDS: Final = text(
    f"""
    SELECT record.* FROM {_GIVEN}
    JOIN erp_record AS record USING (tenant_id, document_id)
    ORDER BY record.tenant_id, record.document_id, record.position
    """
)

_CLOSED: Final = text(
    """
    SELECT period.tenant_id, period.connection, period.company, period.name, period.start_day, period.end_day
    FROM erp_period AS period
    WHERE period.tenant_id = ANY(CAST(:tenants AS text[])) AND period.state = 'closed'
    """
)


class DocumentKey(NamedTuple):
    """A document's name. Rows of documents are locked in this order."""

    tenant_id: str
    document_id: str


class Present(NamedTuple):
    """As much of where a document stands as tells whether anything became of it: every write moves its position, but a mark,
    which counts an attempt."""

    state: DocumentState
    revision: int
    attempts: int
    position: int


class ClosedPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A closed period of one company in one far system: half-open days."""

    tenant_id: str
    connection: str
    company: str
    name: str
    start_day: date
    end_day: date


class LoadedHeads(msgspec.Struct, frozen=True, kw_only=True):
    """Heads that could be read, closed periods of their tenants, and lanes whose head has no document (a programming error)."""

    heads: tuple[Loaded, ...]
    closed: tuple[ClosedPeriod, ...]
    strays: tuple[ClaimedLane, ...]


def load(connection: Connection, *, lanes: Sequence[ClaimedLane], journals: Journals) -> LoadedHeads:
    """The heads of these lanes. The connection names their tenants and sees one moment."""
    items = work_queries.heads(connection, lanes=lanes, depth=1)
    wanted = {lane.key: (lane, items[lane.key][0]) for lane in lanes if lane.key in items}
    keys = [DocumentKey(lane.tenant_id, item.subject) for lane, item in wanted.values()]
    standings: dict[DocumentKey, Standing] = {}
    documents: dict[DocumentKey, Document] = {}
    for *values, content in fetch(connection, _DOCUMENTS, key_arrays(keys)) if keys else ():
        standing = _standing(values)
        key = DocumentKey(standing.tenant_id, standing.document_id)
        standings[key], documents[key] = standing, decode_document(content)
    predecessors: dict[DocumentKey, dict[str, DocumentState | None]] = {}
    for tenant, document, before, state in fetch(connection, _PREDECESSORS, key_arrays(keys)) if keys else ():
        states = predecessors.setdefault(DocumentKey(tenant, document), {})
        states[before] = _STATES[state] if state is not None else None
    records = records_of(connection, documents, predecessors)
    lines = _expected(connection, documents, journals)
    heads = tuple(
        Loaded(
            lane=lane,
            sequence=item.sequence,
            standing=standings[key],
            document=documents[key],
            predecessors=predecessors.get(key, {}),
            records={
                name: records[key.tenant_id, name]
                for name in {key.document_id, *predecessors.get(key, {}), *referenced(documents[key])}
                if (key.tenant_id, name) in records
            },
            expected=lines.get(key, ()),
            closed="",
        )
        for lane, item in wanted.values()
        if (key := DocumentKey(lane.tenant_id, item.subject)) in standings
    )
    found = {head.lane.key for head in heads}
    return LoadedHeads(
        heads=heads,
        closed=closed_periods(connection, tenants=sorted({lane.tenant_id for lane in lanes})),
        strays=tuple(lane for lane in lanes if lane.key not in found),
    )


def standing_of(row: Mapping[str, Any]) -> Standing:
    """A row of document_state as a value."""
    return _standing([row[name] for name in Standing.__struct_fields__])


def _standing(row: Sequence[Any]) -> Standing:
    values = dict(zip(Standing.__struct_fields__, row, strict=True))
    values["state"] = _STATES[values["state"]]
    values["kind"] = _KINDS[values["kind"]]
    values["rank"] = _RANKS[values["rank"]]
    return Standing(**values)


_STATES: Final = {str(state): state for state in DocumentState}
_KINDS: Final = {str(kind): kind for kind in DocumentKind}
_RANKS: Final = {int(rank): rank for rank in Rank}


def present_as(state: str, revision: int, attempts: int, position: int) -> Present:
    """The same of a row's values."""
    return Present(_STATES[state], revision, attempts, position)


def present_of(standing: Standing) -> Present:
    """Where the document stood when it was read."""
    return Present(standing.state, standing.revision, standing.attempts, standing.position)


def record_of(row: Mapping[str, Any]) -> ErpRecord:
    """A row of erp_record as a value."""
    return ErpRecord(
        record_kind=row["record_kind"],
        erp_id=row["erp_id"],
        number=row["number"],
        state=row["state"],
        version=row["version"],
        external_reference=row["external_reference"],
        currency=row["currency"],
        amount=row["amount"],
        accounting_date=row["accounting_date"],
        content=msgspec.json.decode(row["content"], type=tuple[tuple[str, str], ...]),
    )


def closed_periods(connection: Connection, *, tenants: Sequence[str]) -> tuple[ClosedPeriod, ...]:
    """Closed periods of these tenants, as last read."""
    rows = fetch_named(connection, _CLOSED, {"tenants": list(tenants)})
    return tuple(ClosedPeriod(**row) for row in rows)


def records_of(
    connection: Connection,
    documents: Mapping[DocumentKey, Document],
    predecessors: Mapping[DocumentKey, Mapping[str, object]],
) -> Mapping[tuple[str, str], ErpRecord]:
    """What far systems hold of these documents, of what they wait for and of what they name; by (tenant, document id)."""
    wanted = {
        DocumentKey(key.tenant_id, name)
        for key, document in documents.items()
        for name in (key.document_id, *predecessors.get(key, {}), *referenced(document))
    }
    rows = fetch_named(connection, _RECORDS, key_arrays(sorted(wanted))) if wanted else ()
    return {(row["tenant_id"], row["document_id"]): record_of(row) for row in rows}


def _expected(
    connection: Connection, documents: Mapping[DocumentKey, Document], journals: Journals
) -> Mapping[DocumentKey, tuple[JournalLine, ...]]:
    lines: dict[DocumentKey, tuple[JournalLine, ...]] = {}
    asked: dict[str, dict[str, DocumentKey]] = {}
    for key, document in documents.items():
        if isinstance(document.content, JournalContent):
            lines[key] = document.content.lines
        elif document.journal_id:
            asked.setdefault(key.tenant_id, {})[document.journal_id] = key
    for tenant_id, keys in sorted(asked.items()):
        for journal_id, entry in journals(connection, tenant_id=tenant_id, journal_ids=sorted(keys)).items():
            lines[keys[journal_id]] = entry.lines
    return lines


def key_arrays(keys: Sequence[DocumentKey]) -> dict[str, list[str]]:
    """Documents as a statement takes them: their tenants and their ids, side by side."""
    return {
        "tenants": [key.tenant_id for key in keys],
        "documents": [key.document_id for key in keys],
    }
