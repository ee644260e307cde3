"""The one table of names: every outside id and number, and the record it names. Written in the transaction that learns the name."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text

from revline.platform.store.walls import tenant_table

NAME_LENGTH_MAX: Final = 255

name: Final[Table] = tenant_table(
    "name",
    Column("value", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("record_kind", Text, primary_key=True),
    Column("record_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    CheckConstraint(f"length(value) <= {NAME_LENGTH_MAX}", name="value"),
    Index(None, "tenant_id", "record_kind", "record_id"),
)
