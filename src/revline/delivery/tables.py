"""Tables of documents and what became of them, and of what far systems hold."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from revline.core.documents import FINISHED_STATES, DocumentState
from revline.platform.store.hot import HOT, WRITTEN_TWICE
from revline.platform.store.walls import tenant_table

_STATES: Final = ", ".join(f"'{state}'" for state in DocumentState)
FINISHED_SQL: Final = ", ".join(sorted(f"'{state}'" for state in FINISHED_STATES))

document: Final[Table] = tenant_table(
    "document",
    Column("document_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("book", Text, nullable=False),
    Column("external_reference", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("journal_id", Text, nullable=False),
    Column("lane_id", Text, nullable=False),
    Column("lane_key", Text, nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Column("reverses", Text, nullable=False),
    Index("ix_document_event", "tenant_id", "event_id"),
    Index("ix_document_journal", "tenant_id", "journal_id"),
    Index("ix_document_reference", "tenant_id", "connection", "external_reference"),
    recorded=True,
)
"""An intent: one effect wanted in one far system. Its identity and order; what it says is in its revisions."""

document_revision: Final[Table] = tenant_table(
    "document_revision",
    Column("document_id", Text, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(38, 12), nullable=False),
    Column("accounting_date", Date),
    Column("configuration_version", BigInteger, nullable=False),
    Column("content_digest", LargeBinary, nullable=False),
    Column("content", Text, nullable=False),
    recorded=True,
)
"""What a document says: canonical JSON of `core.documents.Document`. The first is 1; a later one never edits an earlier one."""

document_predecessor: Final[Table] = tenant_table(
    "document_predecessor",
    Column("document_id", Text, primary_key=True),
    Column("predecessor_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Index("ix_document_predecessor_predecessor", "tenant_id", "predecessor_id"),
)
"""Documents that must be finished before another is sent."""

document_state: Final[Table] = tenant_table(
    "document_state",
    Column("document_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("book", Text, nullable=False),
    Column("lane_id", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("rank", SmallInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(38, 12), nullable=False),
    Column("accounting_date", Date),
    Column("epoch", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("marked_at", DateTime(timezone=True)),
    Column("uncertain_since", DateTime(timezone=True)),
    Column("due_at", DateTime(timezone=True)),
    Column("handle", Text, nullable=False),
    Column("problem_code", Text, nullable=False),
    Column("problem_field", Text, nullable=False),
    Column("problem_detail", Text, nullable=False),
    Column("set_aside_at", DateTime(timezone=True)),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    CheckConstraint("set_aside_at IS NULL OR state = 'rejected'", name="set_aside"),
    Index("ix_document_state_state", "tenant_id", "connection", "state", "document_id"),
    Index(
        "ix_document_state_finished",
        "tenant_id",
        "changed_at",
        postgresql_where=text(f"state IN ({FINISHED_SQL}) AND NOT archived"),
    ),
    archivable=True,
    live_with={**WRITTEN_TWICE, **HOT},
)
"""Where a document stands. `step` is the next far-side step ("" for the first); `uncertain_since`: when the last request was
given up without an answer; `epoch`: of the cell when it was last known not to be in the far system unseen. `set_aside_at`: when
a person skipped it, so that it is on no lane although it is not finished; null for all others."""

document_transition: Final[Table] = tenant_table(
    "document_transition",
    Column("document_id", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("problem_code", Text, nullable=False),
    Column("problem_detail", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_document_transition_document", "tenant_id", "document_id"),
    recorded=True,
)
"""Every change of state, append-only; who and why is the unit's actor and reason."""

wait: Final[Table] = tenant_table(
    "wait",
    Column("document_id", Text, primary_key=True),
    Column("predecessor_id", Text, primary_key=True),
    Column("lane_id", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("for_record", Boolean, nullable=False),
    Index("ix_wait_predecessor", "tenant_id", "predecessor_id"),
    postgresql_with=HOT,
)
"""What documents at the head of a lane wait for now. for_record: the predecessor is finished without a far-side record, and its
record is what is waited for."""

attempt: Final[Table] = tenant_table(
    "attempt",
    Column("document_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("configuration_version", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("call_id", Text, nullable=False),
    Column("marked_at", DateTime(timezone=True), nullable=False),
    Column("settled_at", DateTime(timezone=True)),
    Column("problem_code", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("request", Text, nullable=False, server_default=""),
    Column("position", BigInteger),
    CheckConstraint(
        "state IN ('sending', 'posted', 'placed', 'accepted', 'rejected', 'not_sent', 'throttled', 'uncertain')",
        name="state",
    ),
    postgresql_with=WRITTEN_TWICE,
)
"""One far-side step sent once: marked with the digest of its exact bytes before the call, and what came of it.

`request` holds those bytes as text where the step did not succeed; for the rest the digest proves what was sent."""

document_evidence: Final[Table] = tenant_table(
    "document_evidence",
    Column("document_id", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("asked", Text, nullable=False),
    Column("company", Text, nullable=False),
    Column("waited_until", DateTime(timezone=True)),
    Column("found", Integer, nullable=False),
    Column("records", Text, nullable=False),
    Column("conclusion", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_document_evidence_document", "tenant_id", "document_id"),
    recorded=True,
)
"""Every question about a document nobody knew the effect of, with what came back and what followed (`delivery.evidence`).

`attempt` is the newest one when it was asked; `at` is database time; `records` is JSON of the first records that came back."""

erp_record: Final[Table] = tenant_table(
    "erp_record",
    Column("connection", Text, primary_key=True),
    Column("record_kind", Text, primary_key=True),
    Column("erp_id", Text, primary_key=True),
    Column("document_id", Text),
    Column("number", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("external_reference", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(38, 12)),
    Column("accounting_date", Date),
    Column("content", Text, nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("company", Text, nullable=False, server_default=""),
    Column("listed_in", BigInteger, nullable=False, server_default="0"),
    Column("position", BigInteger, nullable=False),
    Index("ix_erp_record_document", "tenant_id", "document_id"),
    Index("ix_erp_record_reference", "tenant_id", "connection", "external_reference"),
    Index(
        "ix_erp_record_listed",
        "tenant_id",
        "connection",
        "record_kind",
        "company",
        "listed_in",
        postgresql_where=text("listed_in > 0"),
    ),
)
"""What a far system holds, as last seen; without a document when Revline did not make it. `listed_in`: the pass of its listing that
last showed it, 0 while none has; `company`: the one it was listed in."""

erp_record_change: Final[Table] = tenant_table(
    "erp_record_change",
    Column("connection", Text, nullable=False),
    Column("record_kind", Text, nullable=False),
    Column("erp_id", Text, nullable=False),
    Column("document_id", Text),
    Column("field", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_erp_record_change_record", "tenant_id", "connection", "record_kind", "erp_id"),
    recorded=True,
)
"""A record of ours that a listing showed otherwise than before, field by field. Whether it is drift is for who reads it."""

erp_listing: Final[Table] = tenant_table(
    "erp_listing",
    Column("connection", Text, primary_key=True),
    Column("record_kind", Text, primary_key=True),
    Column("company", Text, primary_key=True),
    Column("lane_id", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("pool_id", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("mode", Text, nullable=False),
    Column("pass_number", BigInteger, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("resume", Text, nullable=False),
    Column("began_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("full_ended_at", DateTime(timezone=True)),
    Column("pages", Integer, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("ours", BigInteger, nullable=False),
    Column("resolved", Integer, nullable=False),
    Column("doubled", Integer, nullable=False),
    Column("unexpected", Integer, nullable=False),
    Column("missing", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("gap_at", DateTime(timezone=True)),
    Column("gap", Text, nullable=False),
    Column("problem_code", Text, nullable=False),
    Column("problem_detail", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("mode IN ('changes', 'full', 'since')", name="mode"),
    Index("ix_erp_listing_lane", "tenant_id", "lane_id"),
)
"""How far one kind of record of one company was listed, and what the present or last pass found. `resume`: where the next one
begins; `cursor`: the next page of the present one; `gap`: why a listing had to begin from the start; `due_at`: when its lane is
asked to run again."""

erp_entry: Final[Table] = tenant_table(
    "erp_entry",
    Column("document_id", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("connection", Text, nullable=False),
    Column("company", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("book", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("debit", Numeric(38, 12), nullable=False),
    Column("credit", Numeric(38, 12), nullable=False),
    Column("currency", Text, nullable=False),
    Column("currency_amount", Numeric(38, 12), nullable=False),
    Column("day", Date, nullable=False),
    Column("period", Text, nullable=False),
    Column("party_reference", Text, nullable=False),
    Index("ix_erp_entry_document", "tenant_id", "document_id"),
    recorded=True,
)
"""General-ledger lines a far system made of a document, read back. debit, credit: functional currency; account: its code."""

erp_period: Final[Table] = tenant_table(
    "erp_period",
    Column("connection", Text, primary_key=True),
    Column("company", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("start_day", Date, nullable=False),
    Column("end_day", Date, nullable=False),
    Column("state", Text, nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("state IN ('open', 'soft_closed', 'closed', 'unknown')", name="state"),
    CheckConstraint("end_day > start_day", name="days"),
    UniqueConstraint("tenant_id", "connection", "company", "start_day"),
)
"""Accounting periods as a far system has them; half-open days."""

closing_period: Final[Table] = tenant_table(
    "closing_period",
    Column("entity", Text, primary_key=True),
    Column("start_day", Date, primary_key=True),
    Column("end_day", Date, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("lane_id", Text, nullable=False),
    Column("treated", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("end_day > start_day", name="days"),
    Index("ix_closing_period_lane", "tenant_id", "lane_id"),
)
"""Periods of entities whose documents go first, because they are being closed, until a moment. `treated`: the last document whose
lane's priority was changed in the pass under way, "" between passes."""

closing_change: Final[Table] = tenant_table(
    "closing_change",
    Column("entity", Text, nullable=False),
    Column("start_day", Date, nullable=False),
    Column("end_day", Date, nullable=False),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("ended", Boolean, nullable=False),
    recorded=True,
)
"""Every act on them; who and why is the unit's actor and reason."""
