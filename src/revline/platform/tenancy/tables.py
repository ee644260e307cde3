"""The registry of tenants, a control table, so it holds no business data (titles are configuration); and tenants' data keys."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, DateTime, Integer, LargeBinary, Table, Text

from revline.platform.store.walls import control_table, tenant_table

tenant: Final[Table] = control_table(
    "tenant",
    Column("tenant_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("tenant_id ~ '^[a-z][a-z0-9-]{0,38}$'", name="tenant_id"),
    CheckConstraint("state IN ('active', 'closed')", name="state"),
    control_role="read",
)
"""Every tenant of this database, active or closed."""

tenant_data_key: Final[Table] = tenant_table(
    "tenant_data_key",
    Column("key_id", Integer, primary_key=True, autoincrement=False),
    Column("wrapping", Integer, primary_key=True, autoincrement=False),
    Column("wrapped_under", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("key_id >= 0 AND wrapping >= 1", name="numbers"),
    CheckConstraint("octet_length(wrapped) <= 1024", name="wrapped"),
    recorded=True,
)
"""Data keys of each tenant, wrapped; key 0 is its identity seed. Wrapped anew under another key-encryption key, a key gets another
row: the one with the greatest `wrapping` counts."""
