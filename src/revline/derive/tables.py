"""What derive keeps: what became of each fact under each root, and that it ran."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ARRAY, BigInteger, CheckConstraint, Column, Index, Integer, Table, Text

from revline.platform.store.walls import tenant_table

disposition: Final[Table] = tenant_table(
    "disposition",
    Column("root_id", Text, primary_key=True),
    Column("fact_position", BigInteger, primary_key=True),
    Column("fact_ordinal", Integer, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("effects", ARRAY(Text), nullable=False),
    Column("rule", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("verdict IN ('effects', 'none', 'awaited', 'case')", name="verdict"),
    Index(None, "tenant_id", "verdict"),
)
"""Current disposition of a fact under one root: its effects (event or document ids), or none with the rule that says so."""

reprocess_request: Final[Table] = tenant_table(
    "reprocess_request",
    Column("root_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    CheckConstraint("state IN ('asked', 'done', 'refused')", name="state"),
)
"""A person's wish that a root's booked events be evaluated again under the present configuration, and what became of it."""

derive_run: Final[Table] = tenant_table(
    "derive_run",
    Column("root_id", Text, nullable=False),
    Column("read_through", BigInteger, nullable=False),
    Column("configuration_version", Integer, nullable=False),
    Column("booked", Integer, nullable=False),
    Column("reversed", Integer, nullable=False),
    Index(None, "tenant_id", "root_id"),
    recorded=True,
)
"""A run is a fact of our own: which root, through which position it read, under which configuration."""
