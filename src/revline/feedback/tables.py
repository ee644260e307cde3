"""What was told last to each target."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from revline.platform.store.walls import tenant_table

feedback_told: Final[Table] = tenant_table(
    "feedback_told",
    Column("target_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("order_key", Text, nullable=False),
    Column("content_digest", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("through", BigInteger, nullable=False),
    Column("owed", Boolean, nullable=False),
    Column("document_id", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Index("ix_feedback_told_owed", "tenant_id", "connection", postgresql_where=text("owed")),
    Index("ix_feedback_told_about", "tenant_id", "about"),
    recorded=False,
)
"""One row a source object told, or a subscription and root. about: root id. ordinal: of its last document, -1 before the first.
through: position up to which messages were made. owed: messages wait until the endpoint takes them again."""
