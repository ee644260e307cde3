"""What the usage log hands on once it is on disk: rows in columns, many tenants side by side. Knows no log and no file.

Building columns costs by the table, not by the row, so a table holds the rows of many tenants one after the other and says where
each tenant's begin and end; whoever takes a tenant's rows takes a slice and copies it before it leaves the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class TenantRows:
    """Rows [start, stop) of a table are this tenant's, in order of their sequence."""

    tenant_id: str
    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class SharedTable:
    """Rows of one or many tenants in the columns of `columns.py`, ordered by tenant.

    Text columns are plain text, or dictionaries in a table of one tenant: a dictionary of several tenants would carry one tenant's
    words into another one's file. A table holds the field columns of its own rows; another set of columns is another table.
    """

    table: pa.Table
    ranges: tuple[TenantRows, ...]


@dataclass(frozen=True, kw_only=True)
class Committed:
    """Everything of one shard that was acknowledged since the last one. through: the last sequence it reaches, also where the last
    events of it were of tenants without rows here. Sequences run on from the one before without a gap."""

    shard: int
    through: int
    tables: tuple[SharedTable, ...]


class CommittedEvents(Protocol):
    """Decoded events of one tenant that are on disk, in order of their sequence: first_sequence and on, without a gap."""

    @property
    def tenant_id(self) -> str: ...

    @property
    def shard(self) -> int: ...

    @property
    def first_sequence(self) -> int: ...

    @property
    def received_at(self) -> datetime: ...

    @property
    def events(self) -> Sequence[Any]: ...
