"""Reads of cases by the records they are of, many records at once: what is open, and how it came to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec
from sqlalchemy import Connection, select, tuple_

from revline.core.money import at_least_in_scale
from revline.platform.cases.tables import case_transition, cause, exception_case

SUBJECTS_MAX: Final = 20_000
Subject = tuple[str, str]
"""(subject kind, subject id)."""


class CaseChange(msgspec.Struct, frozen=True, kw_only=True):
    """A case opened, resolved or waived. place: (position, ordinal) of the change. cause_field: what causes are grouped by."""

    case_id: str
    cause_id: str
    code: str
    connection: str
    cause_field: str
    subject: Subject
    state: str
    detail: str
    currency: str
    amount: Decimal | None
    reason: str
    at: datetime
    place: tuple[int, int]


class OpenCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case that is open now."""

    case_id: str
    code: str
    subject: Subject
    detail: str


def open_cases_of(
    connection: Connection, *, tenant_id: str, subjects: Sequence[Subject]
) -> Mapping[Subject, tuple[OpenCase, ...]]:
    """The open cases of each of these records, in order of codes; a record without one has no key."""
    table = exception_case
    statement = (
        select(table.c.case_id, table.c.subject_kind, table.c.subject_id, table.c.detail, cause.c.code)
        .join(cause, (cause.c.tenant_id == table.c.tenant_id) & (cause.c.cause_id == table.c.cause_id))
        .where(
            table.c.tenant_id == tenant_id,
            cause.c.tenant_id == tenant_id,
            table.c.state == "open",
            tuple_(table.c.subject_kind, table.c.subject_id).in_(sorted(set(subjects))),
        )
        .order_by(cause.c.code, table.c.case_id)
        .limit(SUBJECTS_MAX)
    )
    found: dict[Subject, tuple[OpenCase, ...]] = {}
    for row in connection.execute(statement) if subjects else ():
        subject = (row.subject_kind, row.subject_id)
        one = OpenCase(case_id=row.case_id, code=row.code, subject=subject, detail=row.detail)
        found[subject] = (*found.get(subject, ()), one)
    return found


def changes_of(
    connection: Connection, *, tenant_id: str, subjects: Sequence[Subject], through: int
) -> tuple[CaseChange, ...]:
    """What became of the cases of these records up to a position, oldest first; at most `SUBJECTS_MAX`."""
    table, change = exception_case, case_transition
    statement = (
        select(
            change,
            table.c.cause_id,
            table.c.subject_kind,
            table.c.subject_id,
            cause.c.code,
            cause.c.connection,
            cause.c.field.label("cause_field"),
        )
        .join(table, (table.c.tenant_id == change.c.tenant_id) & (table.c.case_id == change.c.case_id))
        .join(cause, (cause.c.tenant_id == table.c.tenant_id) & (cause.c.cause_id == table.c.cause_id))
        .where(
            change.c.tenant_id == tenant_id,
            table.c.tenant_id == tenant_id,
            cause.c.tenant_id == tenant_id,
            change.c.position <= through,
            tuple_(table.c.subject_kind, table.c.subject_id).in_(sorted(set(subjects))),
        )
        .order_by(change.c.position, change.c.ordinal)
        .limit(SUBJECTS_MAX)
    )
    return tuple(
        CaseChange(
            case_id=row.case_id,
            cause_id=row.cause_id,
            code=row.code,
            connection=row.connection,
            cause_field=row.cause_field,
            subject=(row.subject_kind, row.subject_id),
            state=row.state,
            detail=row.detail,
            currency=row.currency,
            amount=None if row.amount is None else at_least_in_scale(amount=row.amount, code=row.currency),
            reason=row.reason,
            at=row.at,
            place=(row.position, row.ordinal),
        )
        for row in (connection.execute(statement) if subjects else ())
    )
