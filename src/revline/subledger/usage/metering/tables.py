"""The table of what people said of subjects."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, DateTime, Index, Table, Text

from revline.platform.store.walls import tenant_table

usage_subject_mapping: Final[Table] = tenant_table(
    "usage_subject_mapping",
    Column("subject", Text, nullable=False),
    Column("subject_connection", Text, nullable=False),
    Column("customer_connection", Text, nullable=False),
    Column("customer_outside_id", Text, nullable=False),
    Column("starts_at", DateTime(timezone=True)),
    Column("ends_at", DateTime(timezone=True)),
    Index("ix_usage_subject_mapping_subject", "tenant_id", "subject"),
    recorded=True,
)
"""Whose events of a subject are, append-only; the later row counts where two cover one moment. customer_outside_id "": nobody's.
starts_at, ends_at: null for always."""
