"""Cases of what really stands still while others wait: one each, whatever waits behind it. Pure.

A document that was refused has its own case from when it was refused; these are for what nothing else tells of.
"""

from __future__ import annotations

from typing import Final

from revline.core.documents import DocumentKind, DocumentState
from revline.core.problem import Mender, Retryable, define, problem
from revline.delivery.values import SUBJECT_KIND
from revline.platform.cases.record import NewCase

MISSING: Final = "document.predecessor_missing"
RECORD: Final = "document.waived_ahead"
OVERDUE: Final = "document.overdue"
OF_BLOCKERS: Final = frozenset({MISSING, RECORD, OVERDUE})
"""Codes of cases that are there for what waits behind them, and close when nothing does."""


def missing_case(*, tenant_id: str, document_id: str, connection: str, role: str) -> NewCase:
    """Of a document others wait for that was never written. role: what it is to them, such as customer."""
    detail = f"the {role} document {document_id} was never written, and others wait for it"
    return NewCase(
        tenant_id=tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_id=document_id,
        problem=problem(MISSING, detail),
        connection=connection,
    )


def record_case(*, tenant_id: str, document_id: str, connection: str, role: str) -> NewCase:
    """Of a waived or superseded document whose record others must name."""
    detail = f"the {role} document {document_id} has no record in {connection}, and others must name it"
    return NewCase(
        tenant_id=tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_id=document_id,
        problem=problem(RECORD, detail),
        connection=connection,
    )


def overdue_case(
    *, tenant_id: str, document_id: str, connection: str, kind: DocumentKind, state: DocumentState
) -> NewCase:
    """Of a document that is neither finished nor refused while others have waited for it too long."""
    detail = f"this {kind.replace('_', ' ')} is still {state}, and others have waited for it too long"
    return NewCase(
        tenant_id=tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_id=document_id,
        problem=problem(OVERDUE, detail, field=str(kind)),
        connection=connection,
    )


define(
    code=MISSING,
    title="Documents wait for another that does not exist",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Mend what keeps it from being made (its own case, or a book that sends none); what waits then goes on by itself.",
)
define(
    code=RECORD,
    title="Documents must name the record of one that was waived",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.FINANCE,
    remedy="If the ERP holds it, name its record: `revline deliveries name-record`. If not, waive what waits behind it, too.",
)
define(
    code=OVERDUE,
    title="A document that others wait for does not go on",
    status=409,
    retryable=Retryable.YES,
    mender=Mender.ERP_ADMINISTRATOR,
    remedy="See its attempts and the connection's capacity; the case closes when it goes on or nothing waits for it any more.",
)
