"""Tables of causes, cases and what became of them."""

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
    Numeric,
    Table,
    Text,
    text,
)

from revline.platform.store.walls import tenant_table

cause: Final[Table] = tenant_table(
    "cause",
    Column("cause_id", Text, primary_key=True),
    Column("code", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
)
"""Why cases stand: one row a (code, connection, field). What people are told of and mend."""

exception_case: Final[Table] = tenant_table(
    "exception_case",
    Column("case_id", Text, primary_key=True),
    Column("cause_id", Text, nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("case_class", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(38, 12)),
    Column("openings", Integer, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("behind", Integer, nullable=False, server_default="0"),
    Column("behind_more", Boolean, nullable=False, server_default="false"),
    Column("behind_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('open', 'resolved', 'waived')", name="state"),
    CheckConstraint("case_class IN ('exception', 'timing')", name="case_class"),
    Index("ix_exception_case_open", "tenant_id", "cause_id", postgresql_where=text("state = 'open'")),
    Index("ix_exception_case_subject", "tenant_id", "subject_kind", "subject_id"),
    Index(
        "ix_exception_case_counted",
        "tenant_id",
        "subject_kind",
        "behind_at",
        postgresql_where=text("state = 'open'"),
    ),
    Index(
        "ix_exception_case_behind",
        "tenant_id",
        "behind",
        "case_id",
        postgresql_where=text("state = 'open' AND behind > 0"),
    ),
)
"""One business record that can't go on for one cause, as it stands now. Its id is derived from both, so there is one.

behind: other records that wait for this one, as counted at `behind_at`; behind_more: there are more than were counted."""

case_behind: Final[Table] = tenant_table(
    "case_behind",
    Column("case_id", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("amount", Numeric(38, 12), nullable=False),
    Index("ix_case_behind_amount", "tenant_id", "currency", "amount", "case_id"),
)
"""Money of the records that wait behind an open case, by currency, as last counted."""

case_transition: Final[Table] = tenant_table(
    "case_transition",
    Column("case_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(38, 12)),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_case_transition_case", "tenant_id", "case_id"),
    recorded=True,
)
"""Every opening, resolution and waiver, append-only."""
