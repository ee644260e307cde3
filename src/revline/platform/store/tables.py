"""The store's own tables: the position counter, the audit hash chain, remembered idempotency keys.

Other packages declare theirs with `tenant_table` and `control_table`, on the same `metadata`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from revline.platform.store.hot import FEW_AND_HOT
from revline.platform.store.walls import control_table, metadata, tenant_table

counter: Final[Table] = control_table(
    "counter",
    Column("tenant_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    CheckConstraint("tenant_id ~ '^[a-z][a-z0-9-]{0,38}$'", name="tenant_id"),
    CheckConstraint("position >= 0", name="position"),
    control_role="read",
    postgresql_with=FEW_AND_HOT,
)
"""One row a tenant: the position of its last unit of work and the head of its audit chain. Locked last before commit."""

unit: Final[Table] = tenant_table(
    "unit",
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("row_count", Integer, nullable=False),
    info={"append_only": True},
)
"""The audit hash chain: one row for each tenant a unit of work wrote for."""

idempotency: Final[Table] = tenant_table(
    "idempotency",
    Column("key", Text, primary_key=True),
    Column("input_hash", LargeBinary, nullable=False),
    Column("field_digests", JSONB, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("position", BigInteger),
    Column("answer", JSONB(none_as_null=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("length(key) <= 255", name="key"),
    Index(None, "tenant_id", "expires_at"),
)
"""Keys senders gave their writes, the digest of what came with them, and what was answered, until `expires_at`."""

__all__ = ["control_table", "counter", "idempotency", "metadata", "tenant_table", "unit"]
