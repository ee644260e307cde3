"""The registry of tenants: a control table, so it holds no business data; titles are configuration."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, DateTime, Table, Text

from revline.platform.store.walls import control_table

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
