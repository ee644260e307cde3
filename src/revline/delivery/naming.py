"""A person says which far-side record a document is, made by hand or by another system; what must name it can then go on."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from revline.core.documents import DocumentState
from revline.core.facts import Name
from revline.core.farside import ErpRecord
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.delivery import waiting
from revline.delivery.acts import act_on
from revline.delivery.loading import DocumentKey
from revline.delivery.needs import RECORDLESS
from revline.delivery.permitted import Act
from revline.delivery.record import lock_with_lane, record_transition
from revline.delivery.settling import store_record
from revline.delivery.tables import document, document_state, erp_record
from revline.delivery.values import SUBJECT_KIND, Standing
from revline.platform.cases.record import resolve_cases
from revline.platform.lineage.record import add_names
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit

NAME_LENGTH_MAX: Final = 200


class NamedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A far-side record as a person names it. erp_id: its id there, as other documents must name it. number: what people call it.
    record_kind: its kind there; "" for the kind that records of such documents have on the connection."""

    erp_id: str
    number: str = ""
    record_kind: str = ""


def name_record(
    database: Database,
    *,
    tenant_id: str,
    document_id: str,
    record: NamedRecord,
    actor: str,
    reason: str,
    recorded_at: datetime,
) -> Problem | None:
    """The far system holds this document as that record: it is waived, if it isn't, and whatever needs its record is woken.

    Nothing is sent and nothing is looked up: the person has. Problems as `acts.waive`; `document.record_taken` when the record is
    another document's, `document.record_invalid` when the id is empty or too long.
    """
    if not 0 < len(record.erp_id.strip()) <= NAME_LENGTH_MAX or len(record.number) > NAME_LENGTH_MAX:
        return problem("document.record_invalid", f"an id has 1 to {NAME_LENGTH_MAX} characters", field="erp_id")
    key = DocumentKey(tenant_id, document_id)
    with database.unit(
        tenants=[tenant_id], kind="name_record", actor=actor, reason=reason, recorded_at=recorded_at
    ) as unit:
        found = lock_with_lane(unit.connection, key=key)
        if found is None:
            return problem("document.unknown", f"there is no document {document_id[:60]}")
        told = _record_of(unit.connection, found, record)
        owner = owner_of(unit.connection, found, told)
        if owner not in {None, document_id}:
            detail = f"{told.record_kind} {told.erp_id} is document {owner}"
            return problem("document.record_taken", detail, field="erp_id")
        if found.state not in RECORDLESS:
            waived = act_on(unit, tenant_id=tenant_id, act=Act.WAIVE, document_ids=[document_id])[document_id]
            if isinstance(waived, Problem):
                return waived
        _write(unit, found, told)
    waiting.wake(database, actor=actor, finished=[key], recorded_at=recorded_at)
    return None


def _write(unit: Unit, found: Standing, told: ErpRecord) -> None:
    tenant_id, document_id = found.tenant_id, found.document_id
    if found.state in RECORDLESS:
        record_transition(unit, standing=found, to_state=found.state, step="named")
        resolve_cases(
            unit,
            tenant_id=tenant_id,
            subject_kind=SUBJECT_KIND,
            subject_ids=[document_id],
            reason=f"its record is named: {unit.reason}",
        )
    store_record(unit, tenant_id=tenant_id, connection=found.connection, found=told, document_id=document_id)
    names = [Name(kind="erp_number", value=told.number), Name(kind="erp_id", value=told.erp_id)]
    add_names(
        unit,
        tenant_id=tenant_id,
        names=[name for name in names if name.value],
        record_kind=SUBJECT_KIND,
        record_id=document_id,
    )


def _record_of(connection: Connection, found: Standing, record: NamedRecord) -> ErpRecord:
    reference = connection.execute(
        select(document.c.external_reference).where(
            document.c.tenant_id == found.tenant_id, document.c.document_id == found.document_id
        )
    ).scalar_one()
    return ErpRecord(
        record_kind=record.record_kind.strip() or _usual_kind(connection, found),
        erp_id=record.erp_id.strip(),
        number=record.number.strip(),
        state="posted",
        external_reference=reference,
        currency=found.currency,
        accounting_date=found.accounting_date,
    )


def _usual_kind(connection: Connection, found: Standing) -> str:
    """What records of such documents are called on the connection; the document's own kind while there is none."""
    state = document_state
    statement = (
        select(erp_record.c.record_kind)
        .join(state, (state.c.tenant_id == erp_record.c.tenant_id) & (state.c.document_id == erp_record.c.document_id))
        .where(
            erp_record.c.tenant_id == found.tenant_id,
            state.c.tenant_id == found.tenant_id,
            erp_record.c.connection == found.connection,
            state.c.connection == found.connection,
            state.c.state == DocumentState.POSTED,
            state.c.kind == found.kind,
        )
        .limit(1)
    )
    return str(connection.execute(statement).scalar_one_or_none() or found.kind)


def owner_of(connection: Connection, found: Standing, told: ErpRecord) -> str | None:
    row = connection.execute(
        select(erp_record.c.document_id).where(
            erp_record.c.tenant_id == found.tenant_id,
            erp_record.c.connection == found.connection,
            erp_record.c.record_kind == told.record_kind,
            erp_record.c.erp_id == told.erp_id,
        )
    ).one_or_none()
    return None if row is None else row.document_id


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
