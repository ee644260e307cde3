"""Tables of acts on many records: what was asked for and frozen, how far it has come, and each record's outcome."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
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
    text,
)

from revline.platform.bulk.values import BulkState, Outcome
from revline.platform.store.walls import tenant_table

bulk_act: Final[Table] = tenant_table(
    "bulk_act",
    Column("act_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("filter", Text, nullable=False),
    Column("records", Integer, nullable=False),
    Column("money", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("second_person", Boolean, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("frozen_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("records > 0", name="records"),
    recorded=True,
)
"""An act a person asked for: filter and money as canonical JSON, and the digest of the set that was frozen."""

bulk_state: Final[Table] = tenant_table(
    "bulk_state",
    Column("act_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("filter", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint(f"state IN ({', '.join(repr(one.value) for one in BulkState)})", name="state"),
    Index(
        "ix_bulk_state_live", "tenant_id", "kind", postgresql_where=text("state IN ('proposed', 'running', 'paused')")
    ),
)
"""Where an act stands, and how many of its records came to what."""

bulk_transition: Final[Table] = tenant_table(
    "bulk_transition",
    Column("act_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_bulk_transition_act", "tenant_id", "act_id"),
    recorded=True,
)
"""Every change of an act's state, append-only, with how far it had come; who and why is the unit's actor and reason."""

bulk_item: Final[Table] = tenant_table(
    "bulk_item",
    Column("act_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("subject_kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(38, 12)),
    Column("outcome", Text, nullable=False),
    Column("problem_code", Text, nullable=False),
    Column("problem_detail", Text, nullable=False),
    Column("at", DateTime(timezone=True)),
    CheckConstraint(f"outcome IN ({', '.join(repr(one.value) for one in Outcome)})", name="outcome"),
    Index("ix_bulk_item_outcome", "tenant_id", "act_id", "outcome", "number"),
)
"""The frozen set, in the order it is gone through. A record's outcome is written in the unit that acts on it, so that it is
acted on once however often a worker dies. Rows of acts that ended are removed after their retention; what was done stays in the
records' own rows and in the audit chain."""
