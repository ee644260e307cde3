"""A person names the record of the far system that a document already is: it is read there, compared, and taken as posted.

For a document whose effect nobody could find out, or that somebody entered by hand. The reading is a call, so it stands between two
transactions: what the document was when it was compared must be what it is when its record is named. Where nothing can be read, a
person's word is taken instead: the document is waived, and whatever must name its record goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

import msgspec
from sqlalchemy import Connection, select

from revline.core.differences import FieldDifference, differences_text
from revline.core.documents import Document, DocumentState
from revline.core.facts import Name
from revline.core.farside import ErpRecord, Posted, PrepareContext
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.delivery import queries, waiting
from revline.delivery.acts import act_on
from revline.delivery.decide import RECORDS_POSTED
from revline.delivery.loading import DocumentKey, records_of
from revline.delivery.needs import RECORDLESS
from revline.delivery.permitted import Act, refusal
from revline.delivery.record import lock_with_lane, record_transition
from revline.delivery.settling import store_record, write_record
from revline.delivery.tables import document_state, erp_record
from revline.delivery.values import SUBJECT_KIND, FarSide, Standing
from revline.platform.cases.record import resolve_cases
from revline.platform.lineage.record import add_names
from revline.platform.logs import log
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import queries as work_queries
from revline.platform.work import record as work_record
from revline.platform.work.lanes import LaneKey

NAME_LENGTH_MAX: Final = 200
KIND_LENGTH_MAX: Final = 60


class NamedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A far-side record as a person names it.

    erp_id: its id there, as other documents must name it. record_kind: its kind there; "" for the kind that records of such
    documents have on the connection. unread: it can't be looked up there, so the person's word is taken. number: what people call
    an unread one. despite_difference: the person has seen in what a read one differs, and takes it as it is.
    """

    erp_id: str
    record_kind: str = ""
    number: str = ""
    unread: bool = False
    despite_difference: bool = False


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it stands, with what comparing it needs. changed_at: when it last changed. record: the one named, its kind
    filled in."""

    document: Document
    state: DocumentState
    revision: int
    attempts: int
    changed_at: datetime
    records: Mapping[str, ErpRecord]
    record: NamedRecord

    @property
    def place(self) -> tuple[object, ...]:
        """What must be the same when its record is taken."""
        return (self.state, self.revision, self.attempts, self.changed_at)


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What the far system shows under the name given. company: of the far side. differs: fields in which it is not what the
    document says."""

    intent: Intent
    company: str
    posted: Posted
    differs: tuple[FieldDifference, ...]


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A document whose record is named. state: posted when the record was read; else the one without a record it has now.
    differs: what the person accepted as it is there."""

    document_id: str
    state: DocumentState
    record_kind: str
    erp_id: str
    number: str
    differs: tuple[FieldDifference, ...] = ()


class RecordNaming(Protocol):
    """How a door or a worker names a record: look first, then take what was looked at."""

    def look(self, *, tenant_id: str, document_id: str, record: NamedRecord) -> Read | Intent | Named | Problem: ...

    def take(
        self, *, tenant_id: str, document_id: str, looked: Read | Intent, actor: str, reason: str
    ) -> Named | Problem: ...


def intent_of(
    connection: Connection, *, tenant_id: str, document_id: str, record: NamedRecord
) -> Intent | Named | Problem:
    """The document, when its record can be named; `Named` when it is this record already, so that asking twice does nothing more.

    Problems as `acts.waive`, `document.record_taken` when the record is another document's, `document.record_invalid` when the id
    is empty or too long.
    """
    if not 0 < len(record.erp_id.strip()) <= NAME_LENGTH_MAX or len(record.number) > NAME_LENGTH_MAX:
        return problem("document.record_invalid", f"an id has 1 to {NAME_LENGTH_MAX} characters", field="erp_id")
    if len(record.record_kind) > KIND_LENGTH_MAX:
        return problem(
            "document.record_invalid", f"a kind has {KIND_LENGTH_MAX} characters at most", field="record_kind"
        )
    shown = queries.show(connection, tenant_id=tenant_id, document_id=document_id)
    if shown is None:
        return problem("document.unknown", f"there is no document {document_id[:60]}")
    one = shown.delivery
    kind = record.record_kind.strip() or _usual_kind(connection, tenant_id, one.connection, one.kind)
    record = msgspec.structs.replace(
        record, erp_id=record.erp_id.strip(), number=record.number.strip(), record_kind=kind
    )
    state = DocumentState(one.state)
    owner = _owner_of(connection, tenant_id, one.connection, record)
    if owner is not None and owner.document_id == document_id and state in RECORDLESS | {DocumentState.POSTED}:
        return Named(document_id=document_id, state=state, record_kind=kind, erp_id=record.erp_id, number=owner.number)
    refused = (
        None if state in RECORDLESS else refusal(act=Act.WAIVE, state=state, set_aside=one.set_aside_at is not None)
    )
    if refused is not None:
        return refused
    if owner is not None and owner.document_id not in {None, document_id}:
        detail = f"{kind} {record.erp_id} is document {owner.document_id}"
        return problem("document.record_taken", detail, field="erp_id")
    key = DocumentKey(tenant_id, document_id)
    records = records_of(connection, {key: shown.document}, {key: dict.fromkeys(shown.predecessors)})
    return Intent(
        document=shown.document,
        state=state,
        revision=one.revision,
        attempts=one.attempts,
        changed_at=one.changed_at,
        records={name: record for (_, name), record in records.items()},
        record=record,
    )


async def read_named(*, far: FarSide, intent: Intent) -> Read | Problem:
    """Read the record named and compare it with the document.

    Problems of the far side; `document.record_draft`; `erp.record_differs`, naming the fields, unless the person takes it as it is.
    """
    document, record = intent.document, intent.record
    named = ErpRecord(
        record_kind=record.record_kind,
        erp_id=record.erp_id,
        state="posted",
        external_reference=document.external_reference,
    )
    context = PrepareContext(mapping=far.mapping, functional_currency=far.functional_currency, records=intent.records)
    try:
        read = await far.connector.read(record=named)
        if isinstance(read, Problem):
            return read
        if not isinstance(read, Posted) or read.record.state not in RECORDS_POSTED:
            detail = f"{record.record_kind} {record.erp_id} is {read.record.state} there"
            return problem("document.record_draft", detail)
        differs = far.connector.difference(document=document, record=read.record, context=context)
    except Exception as error:  # noqa: BLE001 - a name the connector can't use must not end the process
        log().error("delivery.connector_failed", connector=far.connector.manifest.connector, exc_info=error)
        detail = f"{record.record_kind} {record.erp_id[:60]} could not be read"
        return problem("erp.record_missing", detail, field=record.record_kind)
    if differs and not record.despite_difference:
        found = read.record
        detail = f"{found.record_kind} {found.number or found.erp_id}: {differences_text(differs)}"
        return problem("erp.record_differs", detail, field=",".join(one.field for one in differs))
    return Read(intent=intent, company=far.mapping.company, posted=read, differs=differs)


def name_record(
    database: Database,
    *,
    tenant_id: str,
    document_id: str,
    record: NamedRecord,
    read: Read | None,
    actor: str,
    reason: str,
    recorded_at: datetime,
) -> Named | Problem:
    """The far system holds this document as that record: its cases are resolved, its lane and who waits for it go on.

    read: what was found there, and the document is posted by it; None takes the person's word, and it is waived. A document that is
    finished without a record stays what it is, and has one. Problems as `intent_of`, and `document.in_flight` when the document
    changed while the record was read.
    """
    key = DocumentKey(tenant_id, document_id)
    with database.unit(
        tenants=[tenant_id], kind="name_record", actor=actor, reason=reason, recorded_at=recorded_at
    ) as unit:
        standing = lock_with_lane(unit.connection, key=key)
        intent = intent_of(unit.connection, tenant_id=tenant_id, document_id=document_id, record=record)
        if not isinstance(intent, Intent):
            return intent
        if standing is None or (read is not None and intent.place != read.intent.place):
            return problem("document.in_flight", "the document changed while the record was read")
        if standing.state in RECORDLESS:
            state = _keep(unit, standing, intent, read)
        elif read is not None:
            state = _post(unit, standing, read)
        else:
            waived = act_on(unit, tenant_id=tenant_id, act=Act.WAIVE, document_ids=[document_id])[document_id]
            if isinstance(waived, Problem):
                return waived
            state = DocumentState.WAIVED
            _write(unit, standing, _told(standing, intent))
    waiting.wake(database, actor=actor, finished=[key], recorded_at=recorded_at)
    found = _told(standing, intent) if read is None else read.posted.record
    return Named(
        document_id=document_id,
        state=state,
        record_kind=found.record_kind,
        erp_id=found.erp_id,
        number=found.number,
        differs=() if read is None else read.differs,
    )


def _keep(unit: Unit, standing: Standing, intent: Intent, read: Read | None) -> DocumentState:
    """It was finished without a record, and has one now."""
    record_transition(unit, standing=standing, to_state=standing.state, step="named")
    _resolve(unit, standing)
    _write(unit, standing, _told(standing, intent) if read is None else read.posted.record)
    return standing.state


def _post(unit: Unit, standing: Standing, read: Read) -> DocumentState:
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
    entries = read.posted.entries or ()
    write_record(unit, standing=standing, company=read.company, found=read.posted.record, entries=entries)
    _resolve(unit, standing)
    now = work_queries.moment(unit.connection)
    work_record.unpark(unit.connection, lanes=[LaneKey(standing.tenant_id, standing.lane_id)], now=now)
    return DocumentState.POSTED


def _resolve(unit: Unit, standing: Standing) -> None:
    resolve_cases(
        unit,
        tenant_id=standing.tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_ids=[standing.document_id],
        reason=f"its record is named: {unit.reason}",
    )


def _write(unit: Unit, standing: Standing, found: ErpRecord) -> None:
    tenant_id, document_id = standing.tenant_id, standing.document_id
    store_record(unit, tenant_id=tenant_id, connection=standing.connection, found=found, document_id=document_id)
    names = [Name(kind="erp_number", value=found.number), Name(kind="erp_id", value=found.erp_id)]
    add_names(
        unit,
        tenant_id=tenant_id,
        names=[name for name in names if name.value],
        record_kind=SUBJECT_KIND,
        record_id=document_id,
    )


def _told(standing: Standing, intent: Intent) -> ErpRecord:
    """The record by the person's word."""
    return ErpRecord(
        record_kind=intent.record.record_kind,
        erp_id=intent.record.erp_id,
        number=intent.record.number,
        state="posted",
        external_reference=intent.document.external_reference,
        currency=standing.currency,
        accounting_date=standing.accounting_date,
    )


def _usual_kind(connection: Connection, tenant_id: str, far_connection: str, kind: str) -> str:
    """What records of such documents are called on the connection; the document's own kind while there is none."""
    state = document_state
    statement = (
        select(erp_record.c.record_kind)
        .join(state, (state.c.tenant_id == erp_record.c.tenant_id) & (state.c.document_id == erp_record.c.document_id))
        .where(
            erp_record.c.tenant_id == tenant_id,
            state.c.tenant_id == tenant_id,
            erp_record.c.connection == far_connection,
            state.c.connection == far_connection,
            state.c.state == DocumentState.POSTED,
            state.c.kind == kind,
        )
        .limit(1)
    )
    return str(connection.execute(statement).scalar_one_or_none() or kind)


class _Owner(msgspec.Struct, frozen=True, kw_only=True):
    document_id: str | None
    number: str


def _owner_of(connection: Connection, tenant_id: str, far_connection: str, record: NamedRecord) -> _Owner | None:
    row = connection.execute(
        select(erp_record.c.document_id, erp_record.c.number).where(
            erp_record.c.tenant_id == tenant_id,
            erp_record.c.connection == far_connection,
            erp_record.c.record_kind == record.record_kind,
            erp_record.c.erp_id == record.erp_id,
        )
    ).one_or_none()
    return None if row is None else _Owner(document_id=row.document_id, number=row.number)


define(
    code="document.record_draft",
    title="The record is not posted in the ERP",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="Post it there, then name it again; or delete it there and resend the document.",
)
define(
    code="document.record_taken",
    title="The record is another document's",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Name the record that holds this document; look at the one named to see whose it is.",
)
define(
    code="document.record_invalid",
    title="This can't be the id of a record",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give the record's internal id in the ERP, as other records there refer to it.",
)
