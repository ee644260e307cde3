"""What is true after the kills: Revline's end state. What the ERP says of itself is judged in `revline.sim.judging`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec
from sqlalchemy import text

from revline.delivery.recurring import RECURRING
from revline.platform.store.engine import Database
from revline.platform.work import queries as work
from revline.sim.judging import Intent

ENDLESS: Final = RECURRING
"""Kinds of lanes that come again and again, so that their end is not waited for."""


class EndState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that must not depend on how often a worker died. entries: as the ERP answered them, per document and line."""

    journals: Mapping[str, str]
    documents: Mapping[str, str]
    states: Mapping[str, tuple[object, ...]]
    entries: tuple[tuple[object, ...], ...]
    cases: int
    work_left: int
    unanswered_attempts: int


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """References of documents that are not finished. documents: in an open case, or behind one that is (by what it waits for, or
    by its lane). silent: neither. sent_again: asked to be made more than once, where only a person may say so (a draft that is
    there is read, and asked to be posted again while it is one)."""

    in_case: frozenset[str]
    documents: frozenset[str]
    silent: tuple[str, ...]
    sent_again: tuple[str, ...]


def end_state(database: Database, *, tenant: str) -> EndState:
    """The end state of one tenant."""
    statements = {
        "journals": "SELECT journal_id, content FROM journal WHERE tenant_id = :tenant",
        "documents": "SELECT document_id || '/' || revision, content FROM document_revision WHERE tenant_id = :tenant",
        "states": "SELECT document_id, state, revision, step, kind, lane_id, rank, currency, amount, accounting_date,"
        " problem_code, uncertain_since FROM document_state WHERE tenant_id = :tenant",
        "entries": "SELECT document_id, line, account, debit, credit, currency, currency_amount, day"
        " FROM erp_entry WHERE tenant_id = :tenant ORDER BY document_id, line",
        "cases": "SELECT count(*) FROM exception_case WHERE tenant_id = :tenant AND state = 'open'",
        "attempts": "SELECT count(*) FROM attempt WHERE tenant_id = :tenant AND state = 'sending'",
    }
    with database.read(tenants=[tenant]) as connection:
        rows = {
            name: connection.execute(text(statement), {"tenant": tenant}).all()
            for name, statement in statements.items()
        }
    with database.control() as connection:
        work_left = sum(count.lanes for count in work.counts(connection) if count.kind not in ENDLESS)
    return EndState(
        journals={row[0]: row[1] for row in rows["journals"]},
        documents={row[0]: row[1] for row in rows["documents"]},
        states={row[0]: tuple(row[1:]) for row in rows["states"]},
        entries=tuple(tuple(row) for row in rows["entries"]),
        cases=rows["cases"][0][0],
        work_left=work_left,
        unanswered_attempts=rows["attempts"][0][0],
    )


def intents(database: Database, *, tenant: str) -> tuple[Intent, ...]:
    """Every document of a tenant with its place in its lane and what it waits for."""
    with database.read(tenants=[tenant]) as connection:
        rows = connection.execute(
            text(
                "SELECT document.document_id, external_reference, document.lane_id, sequence FROM document"
                " JOIN document_state USING (tenant_id, document_id) WHERE tenant_id = :tenant"
            ),
            {"tenant": tenant},
        ).all()
        before = connection.execute(
            text("SELECT document_id, predecessor_id FROM document_predecessor WHERE tenant_id = :tenant"),
            {"tenant": tenant},
        ).all()
    references = {row[0]: row[1] for row in rows}
    after: dict[str, list[str]] = defaultdict(list)
    for document_id, predecessor_id in before:
        after[document_id].append(references[predecessor_id])
    return tuple(Intent(reference=row[1], lane=row[2], sequence=row[3], after=tuple(after[row[0]])) for row in rows)


def open_ends(database: Database, *, tenant: str, wanted: Sequence[Intent], never_twice: bool) -> Open:
    """What is left at the end. never_twice: the far side offers nothing against a second effect."""
    parameters = {"tenant": tenant}
    with database.read(tenants=[tenant]) as connection:
        unfinished = set(connection.execute(text(_UNFINISHED), parameters).scalars())
        in_case = set(connection.execute(text(_IN_CASE), parameters).scalars()) & unfinished
        again = connection.execute(text(_SENT_AGAIN), parameters).scalars().all() if never_twice else []
    after: dict[str, set[str]] = {one.reference: set(one.after) for one in wanted}
    lanes: dict[str, list[Intent]] = defaultdict(list)
    for one in wanted:
        lanes[one.lane].append(one)
    for members in lanes.values():
        for earlier, later in pairwise(sorted(members, key=lambda one: one.sequence)):
            after[later.reference].add(earlier.reference)
    behind = set(in_case)
    while more := {name for name in unfinished - behind if after[name] & behind}:
        behind |= more
    return Open(
        in_case=frozenset(in_case),
        documents=frozenset(behind),
        silent=tuple(sorted(unfinished - behind)),
        sent_again=tuple(sorted(again)),
    )


_UNFINISHED = """
    SELECT external_reference FROM document JOIN document_state USING (tenant_id, document_id)
    WHERE tenant_id = :tenant AND state <> 'posted'
    """
_IN_CASE = """
    SELECT external_reference FROM document JOIN exception_case USING (tenant_id)
    WHERE tenant_id = :tenant AND subject_kind = 'document' AND subject_id = document_id AND exception_case.state = 'open'
    """
_SENT_AGAIN = """
    SELECT external_reference FROM document JOIN attempt USING (tenant_id, document_id)
    WHERE tenant_id = :tenant AND attempt.state NOT IN ('not_sent', 'throttled') AND step = 'create'
    GROUP BY external_reference, step HAVING count(*) > 1
    """
