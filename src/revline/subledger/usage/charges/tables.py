"""What charging keeps: ticks, billing periods, revisions of charge lines, what was stated of them, what people decided."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
)

from revline.platform.store.walls import tenant_table

usage_tick: Final[Table] = tenant_table(
    "usage_tick",
    Column("usage_version", Text, nullable=False),
    Column("as_of", DateTime(timezone=True), nullable=False),
    Column("configuration_version", Integer, nullable=False),
    Column("read_position", BigInteger, nullable=False),
    Column("touched", Integer, nullable=False),
    recorded=True,
)
"""The points of the usage log and of time at which charges were computed. usage_version: canonical JSON. read_position: the
tenant's position up to which customers and mappings were known. touched: how many (customer, period, meter) it asked to rate."""

usage_touch: Final[Table] = tenant_table(
    "usage_touch",
    Column("lane_id", Text, primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("customer", Text, primary_key=True),
    Column("start_at", DateTime(timezone=True), primary_key=True),
    Column("end_at", DateTime(timezone=True), primary_key=True),
    Column("meter", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""What is still to be rated: a meter of a customer's period ("*" for all). position: of the newest tick that asked; a run that
read an older tick leaves the row. customer: outside id."""

usage_period: Final[Table] = tenant_table(
    "usage_period",
    Column("period_id", Text, primary_key=True),
    Column("lane_id", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("start_at", DateTime(timezone=True), nullable=False),
    Column("end_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("look_at", DateTime(timezone=True)),
    Column("usage_version", Text, nullable=False),
    Column("configuration_version", Integer, nullable=False),
    Column("closed_at", DateTime(timezone=True)),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("state IN ('open', 'closed')", name="state"),
    Index("ix_usage_period_lane", "tenant_id", "lane_id", "start_at"),
    Index("ix_usage_period_look", "tenant_id", "look_at"),
    Index("ix_usage_period_customer", "tenant_id", "connection", "customer", "start_at"),
)
"""A customer's billing periods. look_at: when one is to be looked at although no usage came. usage_version,
configuration_version: of the run that rated it last; of a closed one, of the run that closed it."""

charge_revision: Final[Table] = tenant_table(
    "charge_revision",
    Column("charge_id", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("start_at", DateTime(timezone=True), nullable=False),
    Column("end_at", DateTime(timezone=True), nullable=False),
    Column("origin_start_at", DateTime(timezone=True)),
    Column("origin_end_at", DateTime(timezone=True)),
    Column("entity", Text, nullable=False),
    Column("product_family", Text, nullable=False),
    Column("meter", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("quantity", Numeric(38, 18), nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(38, 12), nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("usage_version", Text, nullable=False),
    Column("configuration_version", Integer, nullable=False),
    Column("read_position", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("held", Boolean, nullable=False),
    Index("uq_charge_revision", "tenant_id", "charge_id", "revision", unique=True),
    recorded=True,
)
"""Every revision of every charge line. groups: JSON of (field, value) pairs; usage_version, explanation: JSON."""

charge: Final[Table] = tenant_table(
    "charge",
    Column("charge_id", Text, primary_key=True),
    Column("lane_id", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("start_at", DateTime(timezone=True), nullable=False),
    Column("end_at", DateTime(timezone=True), nullable=False),
    Column("newest", Integer, nullable=False),
    Column("standing", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("ix_charge_lane", "tenant_id", "lane_id"),
    Index("ix_charge_customer", "tenant_id", "connection", "customer", "start_at"),
    Index("ix_charge_window", "tenant_id", "start_at", "charge_id"),
)
"""Every charge line. newest: its last revision; standing: the last that is not held, 0 for none."""

charge_entry: Final[Table] = tenant_table(
    "charge_entry",
    Column("charge_id", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("entry", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("amount", Numeric(38, 12), nullable=False),
    Column("currency", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("connection", Text, nullable=False),
    Column("fact_id", Text, nullable=False),
    Index("uq_charge_entry", "tenant_id", "charge_id", "part", "entry", unique=True),
    Index("ix_charge_entry_fact", "tenant_id", "fact_id"),
    recorded=True,
)
"""The accounting events that were stated of a line, each with its fact and the revision it follows from."""

charge_billing: Final[Table] = tenant_table(
    "charge_billing",
    Column("charge_id", Text, primary_key=True),
    Column("day", Date, nullable=False),
    Column("cleared", Numeric(38, 12), nullable=False),
    Column("billed", Boolean, nullable=False),
    Column("position", BigInteger, nullable=False),
)
"""That invoices bill a line (`billed`; false when they were voided since), as whoever watches invoices says."""

usage_decision: Final[Table] = tenant_table(
    "usage_decision",
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("closed_through", Date),
    CheckConstraint("kind IN ('close_period', 'close_books', 'approve', 'refuse')", name="kind"),
    Index("ix_usage_decision_subject", "tenant_id", "kind", "subject"),
    recorded=True,
)
"""What people decided: a period (its id) is closed; the books of an entity (its name) take no accruals through a day; a held
revision of a charge (its id) counts, or never will."""
