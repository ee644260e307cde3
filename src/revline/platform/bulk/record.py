"""Writes of acts on many records that take an open unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import select, text

from revline.core.hashing import canonical_bytes
from revline.platform.bulk.tables import bulk_act, bulk_state, bulk_transition
from revline.platform.bulk.values import BulkState, Chosen, Money, Outcome, Preview, Subject, digest_of
from revline.platform.store.unit import Unit

ITEMS_PER_STATEMENT: Final = 5_000

_FREEZE: Final = text(
    """
    INSERT INTO bulk_item (tenant_id, act_id, number, subject_kind, subject_id, currency, amount, outcome,
                           problem_code, problem_detail)
    SELECT :tenant, :act, given.number, given.kind, given.identity, given.currency, given.amount, 'none', '', ''
    FROM unnest(CAST(:numbers AS integer[]), CAST(:kinds AS text[]), CAST(:identities AS text[]),
                CAST(:currencies AS text[]), CAST(:amounts AS numeric[]))
         AS given(number, kind, identity, currency, amount)
    """
)
_OUTCOMES: Final = text(
    """
    UPDATE bulk_item SET outcome = given.outcome, problem_code = given.code, problem_detail = given.detail, at = :at
    FROM unnest(CAST(:numbers AS integer[]), CAST(:outcomes AS text[]), CAST(:codes AS text[]), CAST(:details AS text[]))
         AS given(number, outcome, code, detail)
    WHERE bulk_item.tenant_id = :tenant AND bulk_item.act_id = :act AND bulk_item.number = given.number
      AND bulk_item.outcome = 'none'
    """
)
DETAIL_LENGTH_MAX: Final = 1_000


class Treated(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one record of a set."""

    number: int
    subject: Subject
    outcome: Outcome
    problem_code: str = ""
    problem_detail: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An act's row, locked."""

    state: BulkState
    done: int
    refused: int
    failed: int

    @property
    def treated(self) -> int:
        """Records that have an outcome: they are gone through in order, so this is also the number of the last of them."""
        return self.done + self.refused + self.failed


def freeze(unit: Unit, *, tenant_id: str, act_id: str, preview: Preview, chosen: Sequence[Chosen]) -> None:
    """Write an act with its set. It is running, or proposed when a second person must start it."""
    given = canonical_bytes(dict(preview.filter)).decode()
    unit.record(
        bulk_act,
        tenant_id=tenant_id,
        act_id=act_id,
        kind=preview.kind,
        filter=given,
        records=len(chosen),
        money=money_text(preview.money),
        digest=digest_of(chosen),
        second_person=preview.second_person,
        author=unit.actor,
        reason=unit.reason,
        frozen_at=unit.recorded_at,
    )
    state = BulkState.PROPOSED if preview.second_person else BulkState.RUNNING
    write_state(unit, tenant_id=tenant_id, act_id=act_id, state=state, kind=preview.kind, filter=given)
    for start in range(0, len(chosen), ITEMS_PER_STATEMENT):
        part = chosen[start : start + ITEMS_PER_STATEMENT]
        parameters = {
            "tenant": tenant_id,
            "act": act_id,
            "numbers": list(range(start + 1, start + 1 + len(part))),
            "kinds": [one.subject.kind for one in part],
            "identities": [one.subject.identity for one in part],
            "currencies": [one.currency for one in part],
            "amounts": [one.amount for one in part],
        }
        unit.connection.execute(_FREEZE, parameters)


def money_text(money: Sequence[Money]) -> str:
    """As it is kept: canonical JSON, amounts as text."""
    return canonical_bytes(list(money)).decode()


def lock(unit: Unit, *, tenant_id: str, act_id: str) -> Standing | None:
    """Where an act stands; nobody else changes it until the unit ends. Its lane is locked before."""
    table = bulk_state
    statement = select(*(table.c[name] for name in Standing.__struct_fields__)).where(
        table.c.tenant_id == tenant_id, table.c.act_id == act_id
    )
    row = unit.connection.execute(statement.with_for_update()).mappings().one_or_none()
    if row is None:
        return None
    values = {str(name): value for name, value in row.items()}
    return Standing(**{**values, "state": BulkState(values["state"])})


def write_state(
    unit: Unit,
    *,
    tenant_id: str,
    act_id: str,
    state: BulkState,
    before: Standing | None = None,
    told: bool = True,
    **more: Any,
) -> None:
    """Write where an act stands. before: None for a new one. told: it is a change of state, which the audit chain keeps."""
    counts = {
        name: more.pop(name, getattr(before, name) if before is not None else 0)
        for name in ("done", "refused", "failed")
    }
    write = unit.project if before is None else unit.change
    first = {"decided_by": "", "note": ""} if before is None else {}
    write(
        bulk_state,
        key=("act_id",),
        tenant_id=tenant_id,
        act_id=act_id,
        state=state,
        changed_at=unit.recorded_at,
        **counts,
        **{**first, **more},
    )
    if told:
        unit.record(bulk_transition, tenant_id=tenant_id, act_id=act_id, state=state, at=unit.recorded_at, **counts)


def write_outcomes(unit: Unit, *, tenant_id: str, act_id: str, treated: Sequence[Treated]) -> Mapping[Outcome, int]:
    """Write what came of records; gives how many of each outcome. Raises ValueError when one of them had an outcome already."""
    parameters = {
        "tenant": tenant_id,
        "act": act_id,
        "numbers": [one.number for one in treated],
        "outcomes": [one.outcome.value for one in treated],
        "codes": [one.problem_code for one in treated],
        "details": [one.problem_detail[:DETAIL_LENGTH_MAX] for one in treated],
        "at": unit.recorded_at,
    }
    written = unit.connection.execute(_OUTCOMES, parameters).rowcount
    if written != len(treated):
        raise ValueError(f"{len(treated)} outcomes were to be written, {written} records had none")
    return {outcome: sum(one.outcome is outcome for one in treated) for outcome in Outcome}
