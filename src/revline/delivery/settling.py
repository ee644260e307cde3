"""Writes what came of steps and look-ups, for many documents and tenants in one unit of work.

Order of locks: the lanes that are still ours, then the documents, then cases and pools, then (at the unit's end) counters. What
belongs to a lane that was taken over is not written: its new owner finds the document `sending` and finds out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import text

from revline.core.clock import period_name
from revline.core.documents import FINISHED_STATES, DocumentState
from revline.core.facts import Name
from revline.core.farside import ErpEntry, ErpRecord
from revline.core.hashing import canonical_bytes
from revline.core.problem import Problem
from revline.delivery import waiting
from revline.delivery.loading import DocumentKey, Present, present_of
from revline.delivery.ports import Told, nobody
from revline.delivery.record import lock_present, record_evidence, record_transition
from revline.delivery.settlements import Settlement
from revline.delivery.tables import document_state, erp_entry, erp_record
from revline.delivery.values import SUBJECT_KIND, Standing
from revline.platform.cases.record import NewCase, open_cases, resolve_cases_of
from revline.platform.lineage.record import add_names
from revline.platform.store.direct import send
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work import capacity
from revline.platform.work import record as work_record
from revline.platform.work.lanes import LaneChange, LaneKey, retried
from revline.platform.work.pool_state import CameBack

PROBLEM_LENGTH_MAX: Final = 1_000

_ATTEMPTS: Final = text(
    """
    UPDATE attempt SET state = coalesce(nullif(given.state, ''), attempt.state), settled_at = :now,
                       problem_code = given.problem_code,
                       evidence = concat_ws(E'\\n', nullif(attempt.evidence, ''), nullif(given.evidence, '')),
                       request = coalesce(nullif(given.request, ''), attempt.request)
    FROM (SELECT unnest(CAST(:tenants AS text[])) AS tenant_id, unnest(CAST(:documents AS text[])) AS document_id,
                 unnest(CAST(:attempts AS integer[])) AS attempt, unnest(CAST(:states AS text[])) AS state,
                 unnest(CAST(:problems AS text[])) AS problem_code, unnest(CAST(:evidence AS text[])) AS evidence,
                 unnest(CAST(:requests AS text[])) AS request) AS given
    WHERE attempt.tenant_id = given.tenant_id AND attempt.document_id = given.document_id
      AND attempt.attempt = given.attempt
    """
)

_GONE: Final = text("DELETE FROM erp_record WHERE tenant_id = :tenant AND document_id = :document AND state = 'draft'")


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """finished: documents that need no more work. waited_for: those of them that others wait for; those can be woken. lost:
    lanes that were not ours."""

    finished: tuple[DocumentKey, ...]
    waited_for: tuple[DocumentKey, ...]
    lost: tuple[LaneKey, ...]
    posted: int
    refused: int


def write(
    database: Database,
    *,
    owner: str,
    epoch: int,
    settlements: Sequence[Settlement],
    now: datetime,
    recorded_at: datetime,
    told: Told = nobody,
) -> Settled:
    """Write settlements of at most as many tenants as one unit may name. told: hears of them last, in the same unit."""
    tenants = sorted({one.head.loaded.lane.tenant_id for one in settlements})
    with database.unit(
        tenants=tenants, kind="deliver", actor=owner, reason="what came of it", recorded_at=recorded_at
    ) as unit:
        held = work_record.hold(unit.connection, owner=owner, lanes=[one.head.loaded.lane for one in settlements])
        ours = [one for one in settlements if one.head.loaded.lane.key in held]
        states = lock_present(unit.connection, keys=[_key(one) for one in ours])
        kept: list[Settlement] = []
        changed: list[Settlement] = []
        for one in ours:
            (kept if _still_stands(one, states[_key(one)]) else changed).append(one)
        for one in kept:
            _write_one(unit, one, states[_key(one)].state, epoch)
        _write_cases(unit, kept)
        _write_attempts(unit, kept, now)
        _write_lanes(unit, kept, changed, owner, now)
        _tell_pools(unit, kept, now)
        # Whoever parks reads these documents' states under a share lock: from here on only after this commit.
        finished = tuple(_key(one) for one in kept if one.done)
        waited_for = waiting.waited_for(unit.connection, finished=finished)
        for tenant in tenants:
            settled = [one.head.loaded for one in kept if one.head.loaded.standing.tenant_id == tenant]
            told(unit, tenant_id=tenant, documents=[one.document for one in settled])
    return Settled(
        finished=finished,
        waited_for=waited_for,
        lost=tuple(one.head.loaded.lane.key for one in settlements if one.head.loaded.lane.key not in held),
        posted=sum(one.state is DocumentState.POSTED and not _was_finished(one) for one in kept),
        refused=sum(one.state is DocumentState.REJECTED for one in kept),
    )


def _write_one(unit: Unit, one: Settlement, from_state: DocumentState, epoch: int) -> None:
    if _was_finished(one):
        return
    standing, why = one.head.loaded.standing, one.problem
    if one.gone and standing.document_id in one.head.loaded.records:
        unit.connection.execute(_GONE, {"tenant": standing.tenant_id, "document": standing.document_id})
    failures = standing.failures + 1 if one.failed else 0
    unit.change(
        document_state,
        key=("document_id",),
        tenant_id=standing.tenant_id,
        document_id=standing.document_id,
        state=one.state,
        step=one.step,
        failures=failures,
        uncertain_since=one.uncertain_since,
        due_at=one.due_at,
        handle=one.handle,
        problem_code=why.code if why else "",
        problem_field=why.field[:PROBLEM_LENGTH_MAX] if why else "",
        problem_detail=why.detail[:PROBLEM_LENGTH_MAX] if why else "",
        changed_at=unit.recorded_at,
        **({"epoch": epoch} if one.looked else {}),
    )
    if one.proof is not None:
        record_evidence(
            unit,
            tenant_id=standing.tenant_id,
            document_id=standing.document_id,
            attempt=one.attempt or standing.attempts,
            evidence=one.proof,
        )
    if from_state is not one.state or one.record is not None:
        record_transition(
            unit,
            standing=standing,
            from_state=from_state,
            to_state=one.state,
            attempt=one.attempt,
            step=one.step,
            why=why,
        )
    if one.record is not None:
        write_record(
            unit,
            standing=one.head.loaded.standing,
            company=one.head.far.mapping.company,
            found=one.record,
            entries=one.entries,
        )


def write_record(
    unit: Unit, *, standing: Standing, company: str, found: ErpRecord, entries: Sequence[ErpEntry]
) -> None:
    """Keep what the far side holds of a document: its record, the lines it made of it, and the names it is found by."""
    store_record(
        unit,
        tenant_id=standing.tenant_id,
        connection=standing.connection,
        found=found,
        document_id=standing.document_id,
        company=company,
    )
    for entry in entries:
        unit.record(
            erp_entry,
            tenant_id=standing.tenant_id,
            document_id=standing.document_id,
            line=entry.line,
            connection=standing.connection,
            company=company,
            entity=standing.entity,
            book=standing.book,
            account=entry.account,
            debit=entry.debit,
            credit=entry.credit,
            currency=entry.currency,
            currency_amount=entry.currency_amount,
            day=entry.day,
            period=period_name(day=entry.day),
            party_reference=entry.party_reference,
        )
    names = [Name(kind="erp_number", value=found.number), Name(kind="erp_id", value=found.erp_id)]
    add_names(
        unit,
        tenant_id=standing.tenant_id,
        names=names,
        record_kind=SUBJECT_KIND,
        record_id=standing.document_id,
    )


def store_record(
    unit: Unit,
    *,
    tenant_id: str,
    connection: str,
    found: ErpRecord,
    document_id: str | None = None,
    company: str = "",
    listed_in: int = 0,
) -> None:
    """Keep what a far system holds as last seen. document_id None: Revline did not make it, or it isn't known here.

    company: of the far side. listed_in: the pass of a listing that shows it, 0 when none does.
    """
    values: dict[str, object] = {} if document_id is None else {"document_id": document_id}
    if listed_in:
        values["listed_in"] = listed_in
    if company:
        values["company"] = company
    unit.project(
        erp_record,
        key=("connection", "record_kind", "erp_id"),
        tenant_id=tenant_id,
        connection=connection,
        record_kind=found.record_kind,
        erp_id=found.erp_id,
        number=found.number,
        state=found.state,
        version=found.version,
        external_reference=found.external_reference,
        currency=found.currency,
        amount=found.amount,
        accounting_date=found.accounting_date,
        content=canonical_bytes(found.content).decode(),
        seen_at=unit.recorded_at,
        **values,
    )


def _write_cases(unit: Unit, kept: Sequence[Settlement]) -> None:
    """Closes what no longer holds, then opens what does; a case that holds still stays open."""
    cases = [_case(one, why) for one in kept for why in _problems(one)]
    still = open_cases(unit, cases=cases)
    went_on = [
        (_key(one).tenant_id, _key(one).document_id)
        for one in kept
        if not _was_finished(one) and (one.state in {DocumentState.POSTED, DocumentState.PLACED} or one.opens_case)
    ]
    reason = "the document went on"
    resolve_cases_of(unit, subject_kind=SUBJECT_KIND, subjects=went_on, reason=reason, keep=still)


def _problems(one: Settlement) -> list[Problem]:
    found = [one.problem] if one.problem is not None and one.opens_case else []
    return [*found, one.extra] if one.extra is not None else found


def _case(one: Settlement, why: Problem) -> NewCase:
    standing, document = one.head.loaded.standing, one.head.loaded.document
    return NewCase(
        tenant_id=standing.tenant_id,
        subject_kind=SUBJECT_KIND,
        subject_id=standing.document_id,
        problem=why,
        connection=standing.connection,
        currency=document.currency,
        amount=document.amount,
        case_class=one.case_class,
    )


def _write_attempts(unit: Unit, kept: Sequence[Settlement], now: datetime) -> None:
    settled = [one for one in kept if one.attempt and (one.attempt_state or one.evidence)]
    if not settled:
        return
    parameters = {
        "tenants": [one.head.loaded.standing.tenant_id for one in settled],
        "documents": [one.head.loaded.standing.document_id for one in settled],
        "attempts": [one.attempt for one in settled],
        "states": [one.attempt_state for one in settled],
        "problems": [one.problem.code if one.problem else "" for one in settled],
        "evidence": [one.evidence for one in settled],
        "requests": [one.request for one in settled],
        "now": now,
    }
    send(unit.connection, _ATTEMPTS, parameters)


def _still_stands(one: Settlement, present: Present) -> bool:
    """Whether the document is as it was when this was decided: a person may have acted on it while it was looked up."""
    if one.attempt_state and one.head.loaded.standing.state is not DocumentState.ACCEPTED:
        return present.state is DocumentState.SENDING and present.attempts == one.attempt
    return present == present_of(one.head.loaded.standing)


def _write_lanes(
    unit: Unit, kept: Sequence[Settlement], changed: Sequence[Settlement], owner: str, now: datetime
) -> None:
    """changed: documents that changed meanwhile; their lanes are due at once and they are decided anew."""
    finished = [(one.head.loaded.lane.key, one.head.loaded.sequence) for one in kept if one.done]
    work_record.finish_items(unit.connection, items=finished)
    changes = [
        LaneChange(
            lane=one.head.loaded.lane,
            done=1 if one.done else 0,
            due_at=one.due_at,
            failed=one.failed,
            succeeded=not one.failed,
            parked_code=(one.problem.code if one.problem else "document.refused") if one.parked else "",
        )
        for one in kept
    ]
    changes += [retried(lane=one.head.loaded.lane, due_at=now, failed=False) for one in changed]
    work_record.change(unit.connection, owner=owner, changes=changes, now=now)


def _tell_pools(unit: Unit, kept: Sequence[Settlement], now: datetime) -> None:
    told: dict[str, CameBack] = {}
    for one in kept:
        if one.reached is not None:
            before = told.get(one.head.far.pool_id, CameBack(answered=False))
            pauses = [pause for pause in (before.throttled_for, one.throttled_for) if pause is not None]
            told[one.head.far.pool_id] = CameBack(
                answered=before.answered or one.reached, throttled_for=max(pauses, default=None)
            )
    capacity.report(unit.connection, came_back=told, now=now)


def _was_finished(one: Settlement) -> bool:
    return one.head.loaded.standing.state in FINISHED_STATES


def _key(one: Settlement) -> DocumentKey:
    standing = one.head.loaded.standing
    return DocumentKey(standing.tenant_id, standing.document_id)
