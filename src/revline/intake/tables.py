"""The fact log and what stands around it: raw bodies, roots, awaited names, seen messages, kept inputs, webhook addresses."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Column, DateTime, Index, Integer, LargeBinary, Table, Text

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
