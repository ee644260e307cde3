"""What credits keep: who has some, the newest snapshot of each grant and refund, and the ledger."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, CheckConstraint, Column, Date, DateTime, Index, Integer, Numeric, Table, Text

from revline.platform.store.walls import tenant_table

credit_holder: Final[Table] = tenant_table(
    "credit_holder",
    Column("holder_id", Text, primary_key=True),
    Column("connection", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("look_at", DateTime(timezone=True)),
    Column("settled_at", DateTime(timezone=True)),
    Index(None, "tenant_id", "look_at"),
    Index(None, "tenant_id", "connection", "customer"),
)
"""A customer that has or had credits; holder_id is also its lane's. look_at: when credits expire next or a window ends that
draws; None when time alone changes nothing. settled_at: of the last statement the ledger was brought to."""

credit_grant: Final[Table] = tenant_table(
    "credit_grant",
    Column("grant_id", Text, primary_key=True),
    Column("holder_id", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("outside_id", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("granted_at", DateTime(timezone=True), nullable=False),
    Column("voided", Boolean, nullable=False),
    Column("content", Text, nullable=False),
    Index(None, "tenant_id", "holder_id"),
    Index(None, "tenant_id", "granted_at", "grant_id"),
)
"""The newest snapshot of each grant; grant_id is the id its object has as a root. content: the canonical object."""

credit_refund: Final[Table] = tenant_table(
    "credit_refund",
    Column("refund_id", Text, primary_key=True),
    Column("holder_id", Text, nullable=False),
    Column("content", Text, nullable=False),
    Index(None, "tenant_id", "holder_id"),
)
"""The newest snapshot of each refund of credits."""

credit_posting: Final[Table] = tenant_table(
    "credit_posting",
    Column("entry_id", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("holder_id", Text, nullable=False),
    Column("grant", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("product_family", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("moved_at", DateTime(timezone=True), nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Numeric(38, 12), nullable=False),
    Column("cost", Numeric(38, 12), nullable=False),
    CheckConstraint("account IN ('granted', 'held', 'drawn', 'expired', 'taken_back')", name="account"),
    CheckConstraint(
        "rule IN ('granted', 'drawn', 'returned', 'expired', 'breakage', 'taken_back')",
        name="rule",
    ),
    Index(None, "tenant_id", "holder_id", "grant"),
    Index(None, "tenant_id", "cause"),
    recorded=True,
)
"""The ledger, append-only: both sides of every movement; the rows of one entry sum to zero, in credits and in cost. cause: the
charge line, refund or roll-over that made it. number: of differences posted at one place, the first is 1."""
