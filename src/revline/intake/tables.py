"""The fact log and what stands around it: raw bodies, roots, awaited names, seen messages, kept inputs, webhook addresses."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
)

from revline.platform.store.walls import control_table, tenant_table

body: Final[Table] = tenant_table(
    "body",
    Column("digest", LargeBinary, primary_key=True),
    Column("bytes", LargeBinary, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
)
"""Raw bytes as they came, by SHA-256. Apart from the facts, so that they can be erased while the log stands."""

fact: Final[Table] = tenant_table(
    "fact",
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("fact_id", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("outside_id", Text, nullable=False),
    Column("source_event", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("content_digest", LargeBinary, nullable=False),
    Column("order_key", ARRAY(Text), nullable=False),
    Column("translator", Text, nullable=False),
    Column("body_digest", LargeBinary, nullable=False),
    Column("content", Text, nullable=False),
    Index("uq_fact_fact_id", "tenant_id", "fact_id", unique=True),
    Index("uq_fact_source_event", "tenant_id", "connection", "source_event", unique=True),
    Index("ix_fact_object", "tenant_id", "connection", "object_kind", "outside_id"),
)
"""What a source said, translated. content: canonical JSON of the `TranslatedFact`; order_key: its integers as texts."""

fact_root: Final[Table] = tenant_table(
    "fact_root",
    Column("root_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    recorded=False,
)
"""Which facts touch a root: (position, ordinal) is the fact's. Follows from the fact's content, so it is no part of the chain."""

root: Final[Table] = tenant_table(
    "root",
    Column("root_id", Text, primary_key=True),
    Column("connection", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outside_id", Text, nullable=False),
)
"""The source object behind a root's id."""

awaited: Final[Table] = tenant_table(
    "awaited",
    Column("root_id", Text, primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("object_kind", Text, primary_key=True),
    Column("name_kind", Text, primary_key=True),
    Column("name_value", Text, primary_key=True),
    Column("deadline", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("seen_through", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("state IN ('waiting', 'arrived', 'overdue')", name="state"),
    Index("ix_awaited_name", "tenant_id", "name_value", "name_kind"),
    Index("ix_awaited_deadline", "tenant_id", "state", "deadline"),
)
"""Names a root refers to that no fact has brought yet. overdue ones have a case and still end when the name arrives.
seen_through: position up to which the root knew all facts when it last decided to wait; only a later fact ends the wait."""

seen_event: Final[Table] = tenant_table(
    "seen_event",
    Column("connection", Text, primary_key=True),
    Column("source_event", Text, primary_key=True),
    Column("content_digest", LargeBinary, nullable=False),
    Column("subject_id", Text, nullable=False),
)
"""Exact dedupe: one row a message of a connection, for ever. subject_id: the fact's id, or the kept input's."""

untranslated: Final[Table] = tenant_table(
    "untranslated",
    Column("untranslated_id", Text, primary_key=True),
    Column("connection", Text, nullable=False),
    Column("form", Text, nullable=False),
    Column("body_digest", LargeBinary, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("code", Text, nullable=False),
    Column("content", Text, nullable=False),
    CheckConstraint("form IN ('message', 'object')", name="form"),
    Index("ix_untranslated_connection", "tenant_id", "connection", "code"),
    recorded=True,
)
"""Inputs kept although they made no fact: verified but untranslatable, or in conflict. content: canonical JSON of the problem."""

correction: Final[Table] = tenant_table(
    "correction",
    Column("correction_id", Text, primary_key=True),
    Column("subject_kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(38, 12), nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("body_digest", LargeBinary, nullable=False),
    CheckConstraint("subject_kind IN ('fact', 'input')", name="subject_kind"),
    Index("ix_correction_subject", "tenant_id", "subject_id"),
    recorded=True,
)
"""Corrected copies of facts and kept inputs as people proposed them; the copy's bytes are a `body`."""

correction_state: Final[Table] = tenant_table(
    "correction_state",
    Column("correction_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True)),
    Column("fact_id", Text, nullable=False),
    CheckConstraint("state IN ('proposed', 'applied', 'refused')", name="state"),
)
"""Where a correction stands and what it made."""

incomplete: Final[Table] = tenant_table(
    "incomplete",
    Column("incomplete_id", Text, nullable=False),
    Column("reread_id", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("source_event", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("translator", Text, nullable=False),
    Column("body_digest", LargeBinary, nullable=False),
    Column("content", Text, nullable=False),
    Index("uq_incomplete_incomplete_id", "tenant_id", "incomplete_id", unique=True),
    Index("ix_incomplete_reread", "tenant_id", "reread_id"),
    recorded=True,
)
"""Messages that named an object without its whole content. content: canonical JSON of the `Incomplete`."""

reread: Final[Table] = tenant_table(
    "reread",
    Column("reread_id", Text, primary_key=True),
    Column("connection", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("outside_id", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("deadline", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("state IN ('asked', 'overdue', 'read', 'kept', 'gone', 'refused')", name="state"),
    Index("ix_reread_deadline", "tenant_id", "state", "deadline"),
    Index("ix_reread_object", "tenant_id", "connection", "kind", "outside_id"),
)
"""Source objects to be read again, one row an object; its lane asks for the reading. asked and overdue ones are still to be read;
kept: what was read made a kept input; refused: the source would not give it."""

source_cursor: Final[Table] = tenant_table(
    "source_cursor",
    Column("cursor_id", Text, primary_key=True),
    Column("connection", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("pages", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("taken", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("source_total", BigInteger),
    Column("totals", Text, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("started_position", BigInteger, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("last_page_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    Column("problem_code", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("purpose IN ('backfill', 'changes')", name="purpose"),
    CheckConstraint("state IN ('asked', 'running', 'finished', 'following', 'stopped')", name="state"),
    Index("ix_source_cursor_connection", "tenant_id", "connection", "purpose", "object_kind"),
)
"""How far a listing or a change stream was read. seen: inputs since started_at; taken, duplicates, refused: what became of them;
source_total: how many the source says there are; totals: canonical JSON of the listing's control totals so far;
whole: the walk began at the source's first object, so that its totals are all there is;
started_position: the tenant's position when the walk began; problem_code: why it stands still, "" when it doesn't."""

webhook_address: Final[Table] = control_table(
    "webhook_address",
    Column("address_digest", LargeBinary, primary_key=True),
    Column("tenant_id", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Index("ix_webhook_address_connection", "tenant_id", "connection"),
    control_role="read",
)
"""Unguessable paths by SHA-256: the connection a push to one belongs to."""
