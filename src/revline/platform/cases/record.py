"""Writes of cases that take an open unit: whatever finds that a record can't go on, or can again, says so with its own rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import select, text, tuple_

from revline.core.ids import derived_id
from revline.core.problem import Problem
from revline.platform.cases.behind import UNCOUNTED, forget_behind
from revline.platform.cases.tables import case_transition, cause, exception_case
from revline.platform.cases.values import CaseClass, CaseState
from revline.platform.store.unit import Unit

DETAIL_LENGTH_MAX: Final = 1_000


class NewCase(msgspec.Struct, frozen=True, kw_only=True):
    """A record that can't go on.

    subject_kind, subject_id: the record (document, root, fact ...). connection: where the cause lies, "" when nowhere.
    currency, amount: money at risk, None when there is none or it isn't known.
    """

    tenant_id: str
    subject_kind: str
    subject_id: str
    problem: Problem
    connection: str = ""
    currency: str = ""
    amount: Decimal | None = None
    case_class: CaseClass = CaseClass.EXCEPTION


def cause_id(*, tenant_id: str, code: str, connection: str, field: str) -> str:
    """The id that groups cases: same code, connection and field or missing key."""
    return derived_id("cause", tenant_id, code, connection, field)


def case_id(*, tenant_id: str, subject_kind: str, subject_id: str, cause: str) -> str:
    """The id of the one case of a record and a cause."""
    return derived_id("case", tenant_id, subject_kind, subject_id, cause)


def open_cases(unit: Unit, *, cases: Sequence[NewCase]) -> tuple[str, ...]:
    """Open many; gives their ids in order. A waived one stays waived as long as it says the same of the same money; one that is
    open already says from now on what it is about now."""
    causes = [
        cause_id(tenant_id=one.tenant_id, code=one.problem.code, connection=one.connection, field=one.problem.field)
        for one in cases
    ]
    ids = tuple(
        case_id(tenant_id=one.tenant_id, subject_kind=one.subject_kind, subject_id=one.subject_id, cause=of)
        for one, of in zip(cases, causes, strict=True)
    )
    there = _locked(unit, {(one.tenant_id, identity) for one, identity in zip(cases, ids, strict=True)})
    done: set[tuple[str, str]] = set()
    for one, identity, of in zip(cases, ids, causes, strict=True):
        row = there.get((one.tenant_id, identity))
        if (row is not None and _stands(row, one)) or (one.tenant_id, identity) in done:
            continue
        done.add((one.tenant_id, identity))
        _write_open(unit, one, identity, of, row)
    return ids


def _stands(row: Mapping[str, Any], one: NewCase) -> bool:
    """Whether a case needs no writing: it is open over the same money, or a person decided about just this."""
    money = (row["currency"], row["amount"]) == (one.currency, one.amount)
    if row["state"] == CaseState.OPEN:
        return money
    return bool(row["state"] == CaseState.WAIVED) and money and row["detail"] == one.problem.detail[:DETAIL_LENGTH_MAX]


def resolve_cases(
    unit: Unit,
    *,
    tenant_id: str,
    subject_kind: str,
    subject_ids: Collection[str],
    reason: str = "it went on by itself",
    keep: Collection[str] = (),
) -> int:
    """Close every open case of these records because they went on; gives how many. keep: case ids that stay open."""
    subjects = [(tenant_id, identity) for identity in subject_ids]
    return resolve_cases_of(unit, subject_kind=subject_kind, subjects=subjects, reason=reason, keep=keep)


def resolve_cases_of(
    unit: Unit, *, subject_kind: str, subjects: Collection[tuple[str, str]], reason: str, keep: Collection[str] = ()
) -> int:
    """The same for records of several tenants in one statement. subjects: (tenant id, record id)."""
    return _close(unit, subject_kind, subjects, state=CaseState.RESOLVED, reason=reason, keep=frozenset(keep))


def waive_cases(unit: Unit, *, tenant_id: str, subject_kind: str, subject_ids: Collection[str], reason: str) -> int:
    """Close every open case of these records because a person decided that nothing is to be done; gives how many."""
    subjects = [(tenant_id, identity) for identity in subject_ids]
    return _close(unit, subject_kind, subjects, state=CaseState.WAIVED, reason=reason, keep=frozenset())


def withdraw_waivers(
    unit: Unit, *, tenant_id: str, subject_kind: str, subject_ids: Collection[str], reason: str
) -> int:
    """The waived cases of these records are resolved instead, because they go on after all: the same problem opens them again."""
    return _close(
        unit,
        subject_kind,
        [(tenant_id, identity) for identity in subject_ids],
        state=CaseState.RESOLVED,
        reason=reason,
        keep=frozenset(),
        present=CaseState.WAIVED,
    )


def _write_open(unit: Unit, one: NewCase, identity: str, of: str, row: Mapping[str, Any] | None) -> None:
    """row: the case as it is, None for a new one. One that is open already is not opened again, it says something else."""
    opened_at, openings = unit.recorded_at, (row["openings"] if row else 0) + 1
    if row is not None and row["state"] == CaseState.OPEN:
        opened_at, openings = row["opened_at"], row["openings"]
    detail = one.problem.detail[:DETAIL_LENGTH_MAX]
    unit.project(
        cause,
        key=("cause_id",),
        tenant_id=one.tenant_id,
        cause_id=of,
        code=one.problem.code,
        connection=one.connection,
        field=one.problem.field,
    )
    said = {
        "detail": detail,
        "currency": one.currency,
        "amount": one.amount,
        "actor": unit.actor,
        "reason": unit.reason,
    }
    unit.project(
        exception_case,
        key=("case_id",),
        tenant_id=one.tenant_id,
        case_id=identity,
        cause_id=of,
        subject_kind=one.subject_kind,
        subject_id=one.subject_id,
        state=CaseState.OPEN,
        case_class=one.case_class,
        openings=openings,
        opened_at=opened_at,
        closed_at=None,
        **said,
    )
    unit.record(
        case_transition, tenant_id=one.tenant_id, case_id=identity, state=CaseState.OPEN, at=unit.recorded_at, **said
    )


_STANDING_OF: Final = text(
    """
    SELECT found.tenant_id, found.case_id, found.detail, found.currency, found.amount, found.behind
    FROM exception_case AS found
    JOIN unnest(CAST(:tenants AS text[]), CAST(:subjects AS text[])) AS given(tenant_id, subject_id)
      ON found.tenant_id = given.tenant_id AND found.subject_id = given.subject_id
    WHERE found.subject_kind = :kind AND found.state = :present
    ORDER BY found.tenant_id, found.case_id FOR UPDATE OF found
    """
)


def _close(
    unit: Unit,
    subject_kind: str,
    subjects: Collection[tuple[str, str]],
    *,
    state: CaseState,
    reason: str,
    keep: frozenset[str],
    present: CaseState = CaseState.OPEN,
) -> int:
    if not subjects:
        return 0
    ordered = sorted(set(subjects))
    parameters = {
        "tenants": [tenant for tenant, _ in ordered],
        "subjects": [subject for _, subject in ordered],
        "kind": subject_kind,
        "present": present,
    }
    found = unit.connection.execute(_STANDING_OF, parameters).mappings()
    rows = [row for row in found if row["case_id"] not in keep]
    forget_behind(unit.connection, cases=[(row["tenant_id"], row["case_id"]) for row in rows if row["behind"]])
    for row in rows:
        said = {"case_id": row["case_id"], "state": state, "actor": unit.actor, "reason": reason}
        unit.change(
            exception_case,
            key=("case_id",),
            tenant_id=row["tenant_id"],
            closed_at=unit.recorded_at,
            **said,
            **UNCOUNTED,
        )
        unit.record(
            case_transition,
            tenant_id=row["tenant_id"],
            detail=row["detail"],
            currency=row["currency"],
            amount=row["amount"],
            at=unit.recorded_at,
            **said,
        )
    return len(rows)


def _locked(unit: Unit, keys: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    if not keys:
        return {}
    table = exception_case
    statement = (
        select(
            table.c.tenant_id,
            table.c.case_id,
            table.c.state,
            table.c.openings,
            table.c.opened_at,
            table.c.detail,
            table.c.currency,
            table.c.amount,
        )
        .where(tuple_(table.c.tenant_id, table.c.case_id).in_(sorted(keys)))
        .order_by(table.c.tenant_id, table.c.case_id)
        .with_for_update()
    )
    rows = unit.connection.execute(statement).mappings()
    return {(row["tenant_id"], row["case_id"]): {str(key): value for key, value in row.items()} for row in rows}
