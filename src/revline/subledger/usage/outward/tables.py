"""Tables of usage on its way out: lines that bill it, what comparing them came to, what was told to billing."""

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
    LargeBinary,
    Numeric,
    Table,
    Text,
)

from revline.platform.store.walls import tenant_table

usage_billed_line: Final[Table] = tenant_table(
    "usage_billed_line",
    Column("connection", Text, primary_key=True),
    Column("invoice", Text, primary_key=True),
    Column("line", Text, primary_key=True),
    Column("customer", Text, nullable=False),
    Column("customer_root", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("window_start", DateTime(timezone=True), nullable=False),
    Column("window_end", DateTime(timezone=True), nullable=False),
    Column("currency", Text, nullable=False),
    Column("quantity", Numeric(38, 12), nullable=False),
    Column("unit_price", Numeric(38, 12), nullable=False),
    Column("amount", Numeric(38, 12), nullable=False),
    Column("billed_on", Date, nullable=False),
    Column("charge", Text, nullable=False),
    Column("accrued", Text, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("ix_usage_billed_line_customer", "tenant_id", "customer_root", "window_end"),
    recorded=False,
)
"""One row a line that may bill metered use, of invoices that are finished. live: false once its invoice is void or names it no
more."""

usage_finding: Final[Table] = tenant_table(
    "usage_finding",
    Column("finding_id", Text, primary_key=True),
    Column("customer_root", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("window_start", DateTime(timezone=True), nullable=False),
    Column("window_end", DateTime(timezone=True), nullable=False),
    Column("entity", Text, nullable=False),
    Column("product_family", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("expected_quantity", Numeric(38, 12), nullable=False),
    Column("expected_amount", Numeric(38, 12), nullable=False),
    Column("billed_quantity", Numeric(38, 12), nullable=False),
    Column("billed_amount", Numeric(38, 12), nullable=False),
    Column("difference", Numeric(38, 12), nullable=False),
    Column("direction", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("tolerated", Boolean, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("first_quantity", Numeric(38, 12)),
    Column("first_amount", Numeric(38, 12)),
    Column("compared_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("direction IN ('equal', 'leakage', 'overbilled')", name="direction"),
    Index("ix_usage_finding_window", "tenant_id", "window_end", "finding_id"),
    Index("ix_usage_finding_customer", "tenant_id", "customer_root"),
    recorded=False,
)
"""What comparing a subject came to last. content: JSON of `values.Finding`. first_quantity, first_amount: what was expected when a
finished invoice was first compared; what was used and came later is late usage."""

usage_told: Final[Table] = tenant_table(
    "usage_told",
    Column("target_id", Text, primary_key=True),
    Column("connection", Text, nullable=False),
    Column("customer_root", Text, nullable=False),
    Column("price", Text, nullable=False),
    Column("window_start", DateTime(timezone=True), nullable=False),
    Column("window_end", DateTime(timezone=True), nullable=False),
    Column("told", Numeric(38, 12), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("told_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("ix_usage_told_customer", "tenant_id", "customer_root"),
    recorded=False,
)
"""What was told of one customer's use at a price over a window. told: the sum of all reports. ordinal: of the last one, from 0.
first_at, last_at: the minutes taken by reports lie between them."""
