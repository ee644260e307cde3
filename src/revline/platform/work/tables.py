"""Tables of lanes, the tenant ring, capacity pools with their budgets and processes (control: ids, counts and times only), and
lane items."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    text,
)

from revline.platform.store.hot import FEW_AND_HOT, HOT
from revline.platform.store.walls import control_table, tenant_table

LIVE: Final = "(pending > 0 OR requested > read_through) AND parked_code = ''"
"""What a claim may ever take. Lanes that are idle or parked are in no index a claim reads."""

NOT_PLAINLY_OPEN: Final = "(blocked OR breaker_until IS NOT NULL OR throttled_until IS NOT NULL)"
"""Pools that a claim may have to leave out."""

lane: Final[Table] = control_table(
    "lane",
    Column("tenant_id", Text, primary_key=True),
    Column("lane_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("kind_group", Text, nullable=False, server_default=""),
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
    CheckConstraint("priority IN (1, 5, 9)", name="priority"),
    Index(
        "ix_lane_due",
        "kind",
        "pool_id",
        "tenant_id",
        "kind_group",
        "priority",
        "due_at",
        postgresql_where=text(LIVE),
    ),
    Index("ix_lane_owned", "pool_id", "lease_until", postgresql_where=text("owner <> ''")),
    Index("ix_lane_waiting", "tenant_id", "lane_id", postgresql_where=text("waiting")),
    Index("ix_lane_parked", "kind", "parked_code", "tenant_id", postgresql_where=text("parked_code <> ''")),
    postgresql_with={"fillfactor": "60", **HOT},
)
"""One row a lane. `due_at` is also the end of a claimed lane's lease, so a dead owner's lane is due again by itself.
`fence` counts claims; `call_id` names the slot of the far-side call the head is in; `next_sequence` is the last sequence given.
`kind_group`: what the lane's items are (masters, invoices, journals ...), so that budgets can tell them apart."""

tenant_ring: Final[Table] = control_table(
    "tenant_ring",
    Column("kind", Text, primary_key=True),
    Column("pool_id", Text, primary_key=True),
    Column("tenant_id", Text, primary_key=True),
    Column("kind_group", Text, primary_key=True),
    Column("priority", SmallInteger, primary_key=True, autoincrement=False),
    Column("turn_at", DateTime(timezone=True), nullable=False),
    Column("served_at", DateTime(timezone=True), nullable=False),
    Index("ix_tenant_ring_turn", "kind", "priority", "turn_at", "tenant_id"),
    postgresql_with=FEW_AND_HOT,
)
"""Whose turn it is: what waited longest goes first. A turn is a tenant's, in one pool, for one kind group and priority, so that
nothing of a tenant stands behind its own bulk either. `turn_at`: not before then, and in this order; where a claim found nothing
due it lies ahead, at the next due time or after a pause that grows while nothing comes; new work sets it back to `served_at`.
If that is missed the pause has an end, so it only ever costs time."""

capacity_pool: Final[Table] = control_table(
    "capacity_pool",
    Column("pool_id", Text, primary_key=True),
    Column("slots", Integer, nullable=False),
    Column("bucket_per_second", Numeric(18, 6), nullable=False),
    Column("bucket_burst", Integer, nullable=False),
    Column("set_slots", Integer),
    Column("set_per_second", Numeric(18, 6)),
    Column("set_burst", Integer),
    Column("bucket_tokens", Numeric(18, 6), nullable=False),
    Column("refilled_at", DateTime(timezone=True), nullable=False),
    Column("adapted_slots", Integer),
    Column("adapted_at", DateTime(timezone=True)),
    Column("throttled_until", DateTime(timezone=True)),
    Column("throttled", BigInteger, nullable=False, server_default="0"),
    Column("calls", BigInteger, nullable=False, server_default="0"),
    Column("breaker_failures", Integer, nullable=False),
    Column("breaker_until", DateTime(timezone=True)),
    Column("probe_call", Text, nullable=False, server_default=""),
    Column("blocked", Boolean, nullable=False),
    CheckConstraint("slots > 0 AND set_slots > 0 AND adapted_slots > 0", name="slots"),
    CheckConstraint("set_per_second > 0 AND set_burst > 0", name="rate"),
    Index("ix_capacity_pool_ailing", "pool_id", postgresql_where=text(NOT_PLAINLY_OPEN)),
    postgresql_with=FEW_AND_HOT,
)
"""One row a far account that owns a limit. `slots`, `bucket_per_second` and `bucket_burst` are the manifest's; `set_...` what an
operator put in their place; `adapted_slots` fewer of them while the far side asks for less. Slots in use are counted from lanes
in a call with a live lease, never kept. `calls`: ever granted; `throttled`: how often the far side asked for less; `probe_call`:
the slot of the one call that tries again after the breaker's pause."""

capacity_budget: Final[Table] = control_table(
    "capacity_budget",
    Column("pool_id", Text, primary_key=True),
    Column("tenant_id", Text, primary_key=True),
    Column("kind_group", Text, primary_key=True),
    Column("share_percent", Integer, nullable=False),
    Column("slots_max", Integer),
    CheckConstraint("share_percent BETWEEN 0 AND 100", name="share_percent"),
    CheckConstraint("slots_max > 0", name="slots_max"),
    CheckConstraint("tenant_id <> '' OR kind_group <> ''", name="of_something"),
)
"""What a part of the work may have of a pool's slots. `tenant_id`: one, `*` for each that has no row of its own, `` for all
together; `kind_group`: one, `` for all. `share_percent`: theirs whenever they want it, lent when they don't; `slots_max`: never
more than that many."""

capacity_change: Final[Table] = control_table(
    "capacity_change",
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("pool_id", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("ix_capacity_change_pool", "pool_id", "change_id"),
    control_role="none",
    info={"append_only": True},
)
"""Who changed what of a pool, when and why; append-only."""

pool_changed: Final[Table] = tenant_table(
    "pool_changed",
    Column("pool_id", Text, nullable=False),
    Column("change_id", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    recorded=True,
)
"""Every change of a pool in the audit chain of each tenant it touches. `digest` is over the whole change as `capacity_change` has
it, so that it can be proved later without telling a tenant what concerns others of a shared pool."""

backlog_sample: Final[Table] = control_table(
    "backlog_sample",
    Column("tenant_id", Text, primary_key=True),
    Column("underived", BigInteger, nullable=False),
    Column("undelivered", BigInteger, nullable=False),
    Column("oldest_due_at", DateTime(timezone=True)),
    Column("sampled_at", DateTime(timezone=True), nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
    Column("held_by", Text, nullable=False),
    Column("held_since", DateTime(timezone=True)),
    Column("refused", BigInteger, nullable=False, server_default="0"),
    Index("ix_backlog_sample_held", "tenant_id", postgresql_where=text("held_by <> ''")),
)
"""How much waits to be derived and delivered, as last counted: of the cell (`tenant_id` ""), and of tenants with much. `held_by`:
the limit for which intake is held back, "" for none; `refused`: calls that were told to come again; `next_at`: when it is counted
again."""

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
    live_with=HOT,
)
"""Items of item lanes by sequence. Finished ones move to history in the transaction that finishes them, since only the
lane's owner ever touches them."""
