"""What the usage log hands on once it is on disk: decoded events, and the same in columns, many tenants side by side.

Building columns costs by the table, not by the row, so a table holds the rows of many tenants and says whose each one is; whoever
takes a tenant's rows copies them before they leave the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


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


@dataclass(frozen=True, kw_only=True)
class SharedTable:
    """Rows of one shard in the columns of `columns.py`, in order of their sequences. tenants: whose they are; owners: of each row,
    the place of its tenant in `tenants`.

    Text columns are plain text: a dictionary of several tenants would carry one tenant's words into another one's file. A table
    holds the field columns of its own rows; another set of columns is another table.
    """

    shard: int
    table: pa.Table
    tenants: tuple[str, ...]
    owners: NDArray[np.int64]
