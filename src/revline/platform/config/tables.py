"""Versions of each tenant's configuration with their documents. Append-only: an activation is a fact with a position."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, DateTime, Integer, Table, Text

from revline.platform.store.walls import tenant_table

configuration_version: Final[Table] = tenant_table(
    "configuration_version",
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("activated_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("version >= 1", name="version"),
    recorded=True,
)
"""One row for each activation; the greatest version is the active one."""

configuration_document: Final[Table] = tenant_table(
    "configuration_document",
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("digest", Text, nullable=False),
    recorded=True,
)
"""Every document of every version in full, so that a version is read back without its folder."""
