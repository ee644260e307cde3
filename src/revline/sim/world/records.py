"""What Revline's own tables say when a world has ended, as values for the judge. Reads only; decides nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from revline.core.documents import FINISHED_STATES, DocumentKind, DocumentState
from revline.intake import awaiting
from revline.platform.store.chain import verify_chain
from revline.sim.judging import Intent
from revline.sim.world.database import WorldDatabase

_DOCUMENTS: Final = """
    SELECT document_id, external_reference, document.kind, document.lane_id, sequence, state, problem_code,
           document.event_id, document.journal_id, document.connection
    FROM document JOIN document_state USING (tenant_id, document_id) WHERE tenant_id = :tenant
    ORDER BY lane_id, sequence, document_id
"""
ATTEMPTS_IN_TWO_SECONDS_MAX: Final = 10
_QUESTIONS: Final = {
    "a fact has no disposition": """
        SELECT fact.object_kind || ' ' || fact.outside_id FROM fact
        LEFT JOIN fact_root ON fact_root.tenant_id = fact.tenant_id AND fact_root.position = fact.position
                           AND fact_root.ordinal = fact.ordinal
        LEFT JOIN disposition AS found ON found.tenant_id = fact.tenant_id AND found.root_id = fact_root.root_id
                           AND found.fact_position = fact.position AND found.fact_ordinal = fact.ordinal
        WHERE fact.tenant_id = :tenant AND found.verdict IS NULL""",
    "a fact in a case has no case": """
        SELECT found.root_id FROM disposition AS found WHERE found.tenant_id = :tenant AND found.verdict = 'case'
        AND NOT EXISTS (SELECT FROM exception_case AS one WHERE one.tenant_id = found.tenant_id
                        AND one.subject_id = found.root_id)""",
    "an effect of a fact is not there": """
        SELECT effect FROM disposition AS found CROSS JOIN LATERAL unnest(found.effects) AS effect
        WHERE found.tenant_id = :tenant
        AND NOT EXISTS (SELECT FROM accounting_event AS one WHERE one.tenant_id = :tenant AND one.event_id = effect)
        AND NOT EXISTS (SELECT FROM document AS one WHERE one.tenant_id = :tenant AND one.document_id = effect)""",
    "an input was kept unread": "SELECT code FROM untranslated WHERE tenant_id = :tenant",
    "a journal does not balance": """
        SELECT journal_id FROM journal_line WHERE tenant_id = :tenant GROUP BY journal_id
        HAVING sum(functional_debit) <> sum(functional_credit)""",
    "a journal does not balance in a currency": """
        SELECT journal_id FROM journal_line WHERE tenant_id = :tenant GROUP BY journal_id, currency
        HAVING NOT bool_or(conversion) AND sum(debit) <> sum(credit)""",
    "a posted document has a new revision": """
        SELECT revised.document_id FROM document_transition AS moved
        JOIN document_revision AS revised USING (tenant_id, document_id)
        WHERE tenant_id = :tenant AND moved.to_state = 'posted' AND revised.position > moved.position""",
    "a posted document moved on": """
        SELECT document_id FROM document_transition
        WHERE tenant_id = :tenant AND from_state = 'posted' AND to_state NOT IN ('reversed')""",
    "an event rests on no fact": """
        SELECT event_id FROM accounting_event AS one WHERE tenant_id = :tenant
        AND NOT EXISTS (SELECT FROM accounting_event AS undone WHERE undone.tenant_id = one.tenant_id
                        AND undone.event_id = one.reverses)
        AND NOT EXISTS (SELECT FROM accounting_event_fact AS link JOIN fact ON fact.tenant_id = link.tenant_id
                        AND fact.position = link.fact_position AND fact.ordinal = link.fact_ordinal
                        WHERE link.tenant_id = one.tenant_id AND link.event_id = one.event_id)""",
    "a document rests on no event": """
        SELECT document_id FROM document AS one WHERE tenant_id = :tenant AND event_id <> ''
        AND NOT EXISTS (SELECT FROM accounting_event AS found WHERE found.tenant_id = one.tenant_id
                        AND found.event_id = one.event_id)""",
    "an event has no journal": """
        SELECT event_id FROM accounting_event AS one WHERE tenant_id = :tenant
        AND EXISTS (SELECT FROM document WHERE document.tenant_id = one.tenant_id AND document.event_id = one.event_id
                    AND document.journal_id <> '')
        AND NOT EXISTS (SELECT FROM journal WHERE journal.tenant_id = one.tenant_id AND journal.event_id = one.event_id)
    """,
    "an attempt is left unanswered": """
        SELECT document_id FROM attempt WHERE tenant_id = :tenant AND state = 'sending'""",
    "an attempt was made of a posted document": """
        SELECT attempt.document_id FROM attempt
        JOIN (SELECT document_id, min(at) AS posted_at FROM document_transition
              WHERE tenant_id = :tenant AND to_state = 'posted' GROUP BY document_id) AS done USING (document_id)
        WHERE attempt.tenant_id = :tenant AND attempt.marked_at > done.posted_at + interval '15 minutes'""",
    "a finished document is still waited for": """
        SELECT wait.document_id FROM wait JOIN document_state AS state ON state.tenant_id = wait.tenant_id
        AND state.document_id = wait.predecessor_id
        JOIN document_state AS own ON own.tenant_id = wait.tenant_id AND own.document_id = wait.document_id
        WHERE wait.tenant_id = :tenant AND NOT wait.for_record
          AND state.state IN ('posted', 'waived', 'superseded', 'reversed')
          AND own.state NOT IN ('posted', 'waived', 'superseded', 'reversed')""",
    "a case of our own failing": """
        SELECT subject_kind || ' ' || detail FROM exception_case JOIN cause USING (tenant_id, cause_id)
        WHERE tenant_id = :tenant AND code = 'internal.unexpected'""",
    "a document was sent again and again": f"""
        SELECT one.document_id FROM attempt AS one JOIN attempt AS other USING (tenant_id, document_id)
        WHERE one.tenant_id = :tenant AND other.marked_at >= one.marked_at
          AND other.marked_at < one.marked_at + interval '2 seconds'
        GROUP BY one.document_id, one.attempt HAVING count(*) > {ATTEMPTS_IN_TWO_SECONDS_MAX}""",
    "another tenant is seen": """
        SELECT tenant_id FROM fact WHERE tenant_id <> :tenant UNION ALL
        SELECT tenant_id FROM document WHERE tenant_id <> :tenant UNION ALL
        SELECT tenant_id FROM journal_line WHERE tenant_id <> :tenant UNION ALL
        SELECT tenant_id FROM erp_record WHERE tenant_id <> :tenant UNION ALL
        SELECT tenant_id FROM exception_case WHERE tenant_id <> :tenant UNION ALL
        SELECT tenant_id FROM unit WHERE tenant_id <> :tenant""",
}
"""What must have no answer, by what it would mean."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A document as Revline has it. erp_ids: of the records it says the ERP holds for it."""

    document_id: str
    reference: str
    kind: str
    lane_id: str
    sequence: int
    state: str
    erp_ids: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Needs no more work."""
        return DocumentState(self.state) in FINISHED_STATES

    @property
    def named(self) -> bool:
        """A person said which record it is."""
        return self.state == "waived" and bool(self.erp_ids)


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant. open_cases: subject -> codes. told: what those cases say, as "code: detail". entries:
    document id -> account -> debit less credit, functional.
    wrong: what a question above found, with an example. journals: id -> canonical bytes. inputs: messages and objects taken in."""

    tenant_id: str
    documents: tuple[Kept, ...]
    open_cases: Mapping[str, tuple[str, ...]]
    told: tuple[str, ...]
    entries: Mapping[str, Mapping[str, Decimal]]
    wrong: tuple[tuple[str, str], ...]
    journals: Mapping[str, str]
    revisions: Mapping[str, str]
    inputs: int

    @property
    def booked(self) -> tuple[Kept, ...]:
        """Documents of the ERP; the others tell the source something."""
        return tuple(one for one in self.documents if one.kind != DocumentKind.FEEDBACK)

    def intents(self, *, aside: frozenset[str]) -> tuple[Intent, ...]:
        """As the judge of effects wants them. aside: documents whose place on their lane a person gave up."""
        by_id = {one.document_id: one.reference for one in self.documents}
        return tuple(
            Intent(
                reference=one.reference,
                lane=one.document_id if one.document_id in aside else one.lane_id,
                sequence=one.sequence,
                after=tuple(by_id[name] for name in one.after if name in by_id and name not in aside),
            )
            for one in self.booked
            if one.state != "superseded"
        )


def read_records(database: WorldDatabase, *, tenant_id: str) -> Records:
    """Everything the judge needs of one tenant, as of one moment."""
    with database.read(tenants=[tenant_id]) as connection:
        rows = _rows(connection, tenant_id)
        wrong = [
            (meaning, str(found[0]))
            for meaning, question in _QUESTIONS.items()
            if (found := connection.execute(text(f"{question} LIMIT 1"), {"tenant": tenant_id}).first()) is not None
        ]
        crossed = awaiting.crossed(connection, tenant_id=tenant_id)
        if crossed:
            wrong.append(("a root waits for a name that has come", crossed[0].root_id))
        chain = verify_chain(connection, tenant_id=tenant_id)
        if not chain.holds:
            wrong.append(("the audit chain does not hold", str(chain.findings[0])))
    after: dict[str, list[str]] = defaultdict(list)
    for row in rows["before"]:
        after[row[0]].append(row[1])
    records: dict[str, list[str]] = defaultdict(list)
    for row in rows["records"]:
        records[row[0]].append(row[1])
    cases: dict[str, list[str]] = defaultdict(list)
    for row in rows["cases"]:
        cases[row[0]].append(row[1])
    entries: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for row in rows["entries"]:
        entries[row[0]][row[1]] = row[2]
    return Records(
        tenant_id=tenant_id,
        documents=tuple(
            Kept(
                document_id=row.document_id,
                reference=row.external_reference,
                kind=row.kind,
                lane_id=row.lane_id,
                sequence=row.sequence,
                state=row.state,
                erp_ids=tuple(records[row.document_id]),
                after=tuple(after[row.document_id]),
            )
            for row in rows["documents"]
        ),
        open_cases={subject: tuple(codes) for subject, codes in cases.items()},
        told=tuple(f"{row[1]}: {row[2]}" for row in rows["cases"]),
        entries=dict(entries),
        wrong=tuple(wrong),
        journals={row[0]: row[1] for row in rows["journals"]},
        revisions={row[0]: row[1] for row in rows["revisions"]},
        inputs=rows["inputs"][0][0],
    )


def _rows(connection: Connection, tenant_id: str) -> dict[str, Sequence[Any]]:
    statements = {
        "documents": _DOCUMENTS,
        "before": "SELECT document_id, predecessor_id FROM document_predecessor WHERE tenant_id = :tenant ORDER BY 1, 2",
        "records": "SELECT document_id, erp_id FROM erp_record WHERE tenant_id = :tenant AND document_id IS NOT NULL"
        " ORDER BY 1, 2",
        "cases": "SELECT subject_id, code, detail FROM exception_case JOIN cause USING (tenant_id, cause_id)"
        " WHERE tenant_id = :tenant AND state = 'open' ORDER BY 1, 2, 3",
        "entries": "SELECT document_id, account, sum(debit) - sum(credit) FROM erp_entry WHERE tenant_id = :tenant"
        " GROUP BY document_id, account ORDER BY 1, 2",
        "journals": "SELECT journal_id, content FROM journal WHERE tenant_id = :tenant ORDER BY 1",
        "revisions": "SELECT document_id || '/' || revision, content FROM document_revision WHERE tenant_id = :tenant"
        " ORDER BY 1",
        "inputs": "SELECT count(*) FROM seen_event WHERE tenant_id = :tenant",
    }
    return {
        name: connection.execute(text(statement), {"tenant": tenant_id}).all() for name, statement in statements.items()
    }
