"""What is true after the kills: Revline's end state. What the ERP says of itself is judged in `revline.sim.judging`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec
from sqlalchemy import text

from revline.platform.store.engine import Database
from revline.sim.judging import Intent


class EndState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that must not depend on how often a worker died. entries: as the ERP answered them, per document and line."""

    journals: Mapping[str, str]
    documents: Mapping[str, str]
    states: Mapping[str, tuple[object, ...]]
    entries: tuple[tuple[object, ...], ...]
    cases: int
    work_left: int
    unanswered_attempts: int


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
        left = connection.execute(text("SELECT count(*) FROM lane WHERE pending > 0 OR requested > read_through"))
        work_left = int(left.scalar_one())
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
