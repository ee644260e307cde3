"""Tables of sealed usage: the manifest of segments, how far each shard is sealed, erasures, and what was published when."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from revline.platform.store.walls import control_table, tenant_table
from revline.subledger.usage.store.values import SegmentKind, SegmentState

usage_segment: Final[Table] = tenant_table(
    "usage_segment",
    Column("segment_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("body", JSONB, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint(f"kind IN ({', '.join(repr(one.value) for one in SegmentKind)})", name="kind"),
    CheckConstraint(f"state IN ({', '.join(repr(one.value) for one in SegmentState)})", name="state"),
    Index("ix_usage_segment_live", "tenant_id", "last_at", postgresql_where=text("state = 'live'")),
    Index("ix_usage_segment_replaced", "tenant_id", "changed_at", postgresql_where=text("state = 'replaced'")),
)
"""Which files hold a tenant's sealed events. body: the `Segment`. A replaced one's row goes when its objects have gone."""

usage_sealed: Final[Table] = tenant_table(
    "usage_sealed",
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("through", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)
"""Every event of the tenant up to this sequence of the shard stands in a live segment; later ones are in the log."""

usage_published: Final[Table] = tenant_table(
    "usage_published",
    Column("act", Text, nullable=False),
    Column("added", Text, nullable=False),
    Column("replaced", Text, nullable=False),
    Column("rows_added", BigInteger, nullable=False),
    Column("rows_replaced", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    CheckConstraint("act IN ('seal', 'compact', 'erase', 'retain', 'adopt', 'partials')", name="act"),
    recorded=True,
)
"""Every change of the manifest, append-only: segments that were added and replaced (ids as JSON), rows, and the digest over the
added files' digests."""

usage_erasure: Final[Table] = tenant_table(
    "usage_erasure",
    Column("erasure_id", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("proof", LargeBinary, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("done_at", DateTime(timezone=True)),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("state IN ('asked', 'done')", name="state"),
)
"""Erasures of personal fields. scope: the field, or subject. proof: a keyed digest of the value, which itself is not kept. epoch:
the tenant's erasure epoch once it is done, 0 before."""

usage_seal_request: Final[Table] = control_table(
    "usage_seal_request",
    Column("tenant_id", Text, primary_key=True),
    Column("asked", BigInteger, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("tenant_id ~ '^[a-z][a-z0-9-]{0,38}$'", name="tenant_id"),
    control_role="read",
)
"""Tenants whose waiting rows are to be sealed at once, by every process that owns a shard. asked: counts the requests."""
