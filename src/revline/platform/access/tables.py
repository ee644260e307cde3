"""API keys by digest: a control table, so that a request's tenant is known before any tenant is named. No key is stored."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, DateTime, Index, LargeBinary, Table, Text

from revline.platform.store.walls import control_table

api_key: Final[Table] = control_table(
    "api_key",
    Column("key_digest", LargeBinary, primary_key=True),
    Column("key_id", Text, nullable=False, unique=True),
    Column("tenant_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("role IN ('ingest', 'operator', 'auditor')", name="role"),
    CheckConstraint("octet_length(key_digest) = 32", name="key_digest"),
    Index("ix_api_key_tenant", "tenant_id", "key_id"),
    control_role="read",
)
"""One row a key, live or not. A key has 160 random bits, so a plain SHA-256 of it can't be searched."""
