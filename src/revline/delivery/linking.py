"""A person names the record of the far system that a document already is: it is read there, compared, and taken as posted.

For a document whose effect nobody could find out, or that somebody entered by hand. The reading is a call, so it stands between two
transactions: what the document was when it was compared must be what it is when it is linked. Where nothing can be read, or the
record is no posting, `naming` takes a person's word instead, and the document is waived.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from revline.core.differences import FieldDifference, differences_text
from revline.core.documents import Document, DocumentState
from revline.core.farside import ErpRecord, Posted, PrepareContext
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.delivery import queries, waiting
from revline.delivery.loading import DocumentKey, records_of
from revline.delivery.naming import owner_of
from revline.delivery.permitted import Act, refusal
from revline.delivery.record import lock_with_lane, record_transition
from revline.delivery.settling import write_record
from revline.delivery.tables import document_state
from revline.delivery.values import SUBJECT_KIND, FarSide, Standing
from revline.platform.cases.record import resolve_cases
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.lanes import LaneKey

RECORDS_POSTED = frozenset({"posted", "paid"})


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it stands, with what comparing it needs. changed_at: when it last changed."""

    document: Document
    state: DocumentState
    revision: int
    attempts: int
    changed_at: datetime
    records: Mapping[str, ErpRecord]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What the far system shows under the name given. differs: fields in which it is not what the document says."""

    posted: Posted
    differs: tuple[FieldDifference, ...]


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """A document that is posted now. differs: what the person accepted as it is there."""

    document_id: str
    state: DocumentState
    record_kind: str
    erp_id: str
    number: str
    differs: tuple[FieldDifference, ...]


def intent_of(connection: Connection, *, tenant_id: str, document_id: str) -> Intent | Problem:
    """The document, when it is open to this. Problems as `acts.waive`."""
    shown = queries.show(connection, tenant_id=tenant_id, document_id=document_id)
    if shown is None:
        return problem("document.unknown", f"there is no document {document_id[:60]}")
    one = shown.delivery
    state = DocumentState(one.state)
    refused = refusal(act=Act.WAIVE, state=state, set_aside=one.set_aside_at is not None)
    if refused is not None:
        return refused
    key = DocumentKey(tenant_id, document_id)
    records = records_of(connection, {key: shown.document}, {key: dict.fromkeys(shown.predecessors)})
    return Intent(
        document=shown.document,
        state=state,
        revision=one.revision,
        attempts=one.attempts,
        changed_at=one.changed_at,
        records={name: record for (_, name), record in records.items()},
    )


async def compare(*, far: FarSide, intent: Intent, record_kind: str, erp_id: str) -> Compared | Problem:
    """Read the record named and compare it with the document. Problems of the far side, and `document.record_draft`."""
    document = intent.document
    named = ErpRecord(
        record_kind=record_kind, erp_id=erp_id, state="posted", external_reference=document.external_reference
    )
    context = PrepareContext(mapping=far.mapping, functional_currency=far.functional_currency, records=intent.records)
    try:
        read = await far.connector.read(record=named)
        if isinstance(read, Problem):
            return read
        if not isinstance(read, Posted) or read.record.state not in RECORDS_POSTED:
            return problem("document.record_draft", f"{record_kind} {erp_id} is {read.record.state} there")
        differs = far.connector.difference(document=document, record=read.record, context=context)
    except Exception as error:  # noqa: BLE001 - a name the connector can't use must not end the process
        log().error("delivery.connector_failed", connector=far.connector.manifest.connector, exc_info=error)
        return problem(
            "erp.record_missing", f"{record_kind[:60]} {erp_id[:60]} could not be read", field=record_kind[:60]
        )
    return Compared(posted=read, differs=differs)


def link(
    database: Database,
    *,
    tenant_id: str,
    intent: Intent,
    far: FarSide,
    compared: Compared,
    actor: str,
    reason: str,
    recorded_at: datetime,
    despite_difference: bool = False,
) -> Linked | Problem:
    """Take the record as the document's: it is posted, its cases are resolved, its lane and who waits for it go on.

    despite_difference: the person has seen in what it differs and takes it as it is. Problems `erp.record_differs`, naming the
    fields; `document.record_taken` when it is another document's; `document.in_flight` when the document changed meanwhile.
    """
    found, document_id = compared.posted.record, intent.document.document_id
    if compared.differs and not despite_difference:
        detail = f"{found.record_kind} {found.number or found.erp_id}: {differences_text(compared.differs)}"
        return problem("erp.record_differs", detail, field=",".join(one.field for one in compared.differs))
    key = DocumentKey(tenant_id, document_id)
    with database.unit(tenants=[tenant_id], kind="link", actor=actor, reason=reason, recorded_at=recorded_at) as unit:
        standing = lock_with_lane(unit.connection, key=key)
        now_there = intent_of(unit.connection, tenant_id=tenant_id, document_id=document_id)
        if isinstance(now_there, Problem):
            return now_there
        if standing is None or _place(now_there) != _place(intent):
            return problem("document.in_flight", "the document changed while the record was read")
        other = owner_of(unit.connection, standing, found)
        if other not in {None, document_id}:
            return problem(
                "document.record_taken", f"{found.record_kind} {found.erp_id} is document {other}", field=str(other)
            )
        _write(unit, standing=standing, far=far, posted=compared.posted)
        now = work_queries.moment(unit.connection)
        work_record.unpark(unit.connection, lanes=[LaneKey(tenant_id, standing.lane_id)], now=now)
    waiting.wake(database, actor=actor, finished=[key], recorded_at=recorded_at)
    return Linked(
        document_id=document_id,
        state=DocumentState.POSTED,
        record_kind=found.record_kind,
        erp_id=found.erp_id,
        number=found.number,
        differs=compared.differs,
    )


def _write(unit: Unit, *, standing: Standing, far: FarSide, posted: Posted) -> None:
    unit.change(
        document_state,
        key=("document_id",),
        tenant_id=standing.tenant_id,
        document_id=standing.document_id,
        state=DocumentState.POSTED,
        failures=0,
        uncertain_since=None,
        due_at=None,
        handle="",
        problem_code="",
        problem_field="",
        problem_detail="",
        set_aside_at=None,
        changed_at=unit.recorded_at,
    )
    record_transition(unit, standing=standing, to_state=DocumentState.POSTED, step=standing.step)
    entries = posted.entries or ()
    write_record(unit, standing=standing, company=far.mapping.company, found=posted.record, entries=entries)
    why = f"found there by a person: {unit.reason}"
    resolve_cases(
        unit, tenant_id=standing.tenant_id, subject_kind=SUBJECT_KIND, subject_ids=[standing.document_id], reason=why
    )


def _place(intent: Intent) -> tuple[object, ...]:
    return (intent.state, intent.revision, intent.attempts, intent.changed_at)


define(
    code="document.record_draft",
    title="The record is not posted in the ERP",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Post it there, then name it again; or delete it there and resend the document.",
)
