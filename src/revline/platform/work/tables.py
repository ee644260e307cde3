"""Tables of lanes, the tenant ring, capacity pools and processes (control: ids, counts and times only) and lane items."""

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
    SmallInteger,
    Table,
    Text,
    text,
)

from revline.platform.store.walls import control_table, tenant_table

LIVE: Final = "(pending > 0 OR requested > read_through) AND parked_code = ''"
"""What a claim may ever take. Lanes that are idle or parked are in no index a claim reads."""

lane: Final[Table] = control_table(
    "lane",
    Column("tenant_id", Text, primary_key=True),
    Column("lane_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("pool_id", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("pending", BigInteger, nullable=False),
    Column("next_sequence", BigInteger, nullable=False),
    Column("requested", BigInteger, nullable=False),
    Column("read_through", BigInteger, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("owner", Text, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("lease_until", DateTime(timezone=True)),
    Column("attempts", Integer, nullable=False),
    Column("parked_code", Text, nullable=False),
    Column("waiting", Boolean, nullable=False),
    Column("call_id", Text, nullable=False),
    CheckConstraint("pending >= 0", name="pending"),
    CheckConstraint("requested >= read_through", name="requested"),
    CheckConstraint("priority BETWEEN 0 AND 9", name="priority"),
    Index("ix_lane_due", "kind", "pool_id", "tenant_id", "priority", "due_at", postgresql_where=text(LIVE)),
    Index("ix_lane_call", "pool_id", "lease_until", postgresql_where=text("call_id <> ''")),
    Index("ix_lane_waiting", "tenant_id", "lane_id", postgresql_where=text("waiting")),
    Index("ix_lane_parked", "kind", "parked_code", "tenant_id", postgresql_where=text("parked_code <> ''")),
    postgresql_with={
        "fillfactor": "60",
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_cost_delay": "0",
    },
)
"""One row a lane. `due_at` is also the end of a claimed lane's lease, so a dead owner's lane is due again by itself.
`fence` counts claims; `call_id` names the far-side call the head is in; `next_sequence` is the last sequence given."""

tenant_ring: Final[Table] = control_table(
    "tenant_ring",
    Column("kind", Text, primary_key=True),
    Column("pool_id", Text, primary_key=True),
    Column("tenant_id", Text, primary_key=True),
    Column("turn_at", DateTime(timezone=True), nullable=False),
    Column("idle_until", DateTime(timezone=True), nullable=False),
    Index("ix_tenant_ring_turn", "kind", "turn_at", "tenant_id"),
    postgresql_with={"fillfactor": "50"},
)
"""Whose turn it is: the tenant that waited longest goes first. `idle_until`: a claim found nothing due and looks again then;
enqueueing sets it back, and if that is missed the pause is short, so it only ever costs time."""

capacity_pool: Final[Table] = control_table(
    "capacity_pool",
    Column("pool_id", Text, primary_key=True),
    Column("slots", Integer, nullable=False),
    Column("bucket_per_second", Numeric(18, 6), nullable=False),
    Column("bucket_burst", Integer, nullable=False),
    Column("bucket_tokens", Numeric(18, 6), nullable=False),
    Column("refilled_at", DateTime(timezone=True), nullable=False),
    Column("breaker_failures", Integer, nullable=False),
    Column("breaker_until", DateTime(timezone=True)),
    Column("blocked", Boolean, nullable=False),
    CheckConstraint("slots > 0", name="slots"),
    postgresql_with={"fillfactor": "50"},
)
"""One row a far account that owns a limit. Slots in use are counted from lanes in a call with a live lease, never kept."""

process: Final[Table] = control_table(
    "process",
    Column("process_id", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("seen_at", DateTime(timezone=True), nullable=False),
    Column("version", Text, nullable=False),
)
"""Processes and when they last said they live; shown, never decided by."""

cell: Final[Table] = control_table(
    "cell",
    Column("cell_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    CheckConstraint("cell_id = 1", name="one"),
    CheckConstraint("epoch > 0", name="epoch"),
)
"""This database and the workers on it: one row. The epoch is raised after a restore; who did so is in every audit chain."""

epoch_raised: Final[Table] = tenant_table(
    "epoch_raised",
    Column("epoch", Integer, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False),
    recorded=True,
)
"""Every raise of the epoch, in each tenant's audit chain: who and why is the unit's actor and reason."""

lane_item: Final[Table] = tenant_table(
    "lane_item",
    Column("lane_id", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", Text, nullable=False),
    archivable=True,
)
"""Items of item lanes by sequence. Finished ones move to history in the transaction that finishes them, since only the
lane's owner ever touches them."""
