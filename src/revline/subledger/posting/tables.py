"""Accounting events, the facts each rests on, journals and their lines. Append-only: a correction is a reversal, never an edit.

Amounts are decimal numbers in the currency beside them; `content` is the canonical JSON that replays compare.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Date, Index, Integer, Numeric, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from revline.platform.store.walls import tenant_table

accounting_event: Final[Table] = tenant_table(
    "accounting_event",
    Column("event_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("root_id", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("accounting_date", Date, nullable=False),
    Column("content", Text, nullable=False),
    Column("content_digest", Text, nullable=False),
    Column("reverses", Text, nullable=False),
    Column("configuration_version", Integer, nullable=False),
    Index(None, "tenant_id", "root_id"),
    Index(
        "uq_accounting_event_reverses", "tenant_id", "reverses", unique=True, postgresql_where=text("reverses <> ''")
    ),
    recorded=True,
)
"""What happened to money, once each. An event whose facts were wrong is reversed at most once, by the event that names it."""

accounting_event_fact: Final[Table] = tenant_table(
    "accounting_event_fact",
    Column("event_id", Text, primary_key=True),
    Column("fact_position", BigInteger, primary_key=True, autoincrement=False),
    Column("fact_ordinal", Integer, primary_key=True, autoincrement=False),
    Index(None, "tenant_id", "fact_position", "fact_ordinal"),
    recorded=True,
)
"""The facts an event rests on, to be walked both ways."""

journal: Final[Table] = tenant_table(
    "journal",
    Column("journal_id", Text, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("entity", Text, nullable=False),
    Column("book", Text, nullable=False),
    Column("accounting_date", Date, nullable=False),
    Column("period", Text, nullable=False),
    Column("functional_currency", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("rule_file", Text, nullable=False),
    Column("rule_line", Integer, nullable=False),
    Column("configuration_version", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("reverses", Text, nullable=False),
    CheckConstraint("period ~ '^[0-9]{4}-[0-9]{2}$'", name="period"),
    Index("uq_journal_event_book", "tenant_id", "event_id", "book", unique=True),
    Index("ix_journal_reverses", "tenant_id", "reverses", postgresql_where=text("reverses <> ''")),
    Index(None, "tenant_id", "entity", "book", "period"),
    recorded=True,
)
"""What one event books in one book. rule_file, rule_line: where the rule stood in the configuration version that was active."""

journal_line: Final[Table] = tenant_table(
    "journal_line",
    Column("journal_id", Text, primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("entity", Text, nullable=False),
    Column("book", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("debit", Numeric, nullable=False),
    Column("credit", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("functional_debit", Numeric, nullable=False),
    Column("functional_credit", Numeric, nullable=False),
    Column("functional_currency", Text, nullable=False),
    Column("rate", Numeric, nullable=False),
    Column("rate_source", Text, nullable=False),
    Column("conversion", Boolean, nullable=False),
    Column("dimensions", JSONB, nullable=False),
    Column("party_root", Text, nullable=False),
    Column("source_line", Text, nullable=False),
    CheckConstraint(
        "debit >= 0 AND credit >= 0 AND (debit = 0 OR credit = 0) AND functional_debit >= 0 AND functional_credit >= 0",
        name="sides",
    ),
    Index(None, "tenant_id", "entity", "book", "period", "account"),
    recorded=True,
)
"""The lines, with what control totals and searches need beside them. party_root: root id of the customer, or ""."""
