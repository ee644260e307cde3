"""Committed usage in columns, the rows of many tenants side by side. Knows no log and no file.

Building columns costs by the table, not by the row, so a table holds the rows of many tenants and says whose each one is; whoever
takes a tenant's rows copies them before they leave the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


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
