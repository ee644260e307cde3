"""Open items and their movements. An item's balance is the sum of its movements; none is kept."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, CheckConstraint, Column, Date, Index, Integer, Numeric, Table, Text

from revline.platform.store.walls import tenant_table

open_item: Final[Table] = tenant_table(
    "open_item",
    Column("item_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("customer_id", Text, nullable=False, server_default=""),
    Column("currency", Text, nullable=False),
    Column("number", Text, nullable=False, server_default=""),
    Column("opened_on", Date, nullable=False),
    Column("due_on", Date),
    CheckConstraint("kind IN ('invoice', 'payment', 'credit_memo', 'credit_movement', 'stated_event')", name="kind"),
    Index(None, "tenant_id", "customer_id"),
)
"""One row an invoice, a payment, or what else is owed or the customer's; item_id is the id its object has as a root."""

open_item_movement: Final[Table] = tenant_table(
    "open_item_movement",
    Column("item_id", Text, nullable=False),
    Column("event_id", Text, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("entity", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("owed", Numeric, nullable=False),
    Column("amount", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("counter_item_id", Text, nullable=False, server_default=""),
    Column("affects_receivable", Boolean, nullable=False),
    CheckConstraint(
        "kind IN ('issued', 'voided', 'credited', 'written_off', 'reinstated', 'received', 'applied', 'refunded', 'remeasured')",
        name="kind",
    ),
    Index(None, "tenant_id", "item_id"),
    recorded=True,
)
"""Append-only: one row for each change of an item, with the event that made it."""
