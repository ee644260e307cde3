"""One table of waiting rows of many tenants, with the index by which a tenant's rows are found. Knows no lock and no tail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from revline.subledger.usage import columns
from revline.subledger.usage.committed import SharedTable

Whole = NDArray[np.int64]


class TailTable:
    """Rows of one shard in order of their sequences. owners: the number of each row's tenant. live: rows that are not sealed; the
    one thing that changes, by whoever holds the tail's lock."""

    __slots__ = ("_bounds", "_order", "bytes", "counts", "live", "owners", "sequences", "shard", "table", "tenants")

    def __init__(self, *, shard: int, table: pa.Table, owners: Whole, sequences: Whole) -> None:
        self.shard, self.table, self.owners, self.sequences = shard, table, owners, sequences
        self.live, self.bytes = len(owners), table.nbytes
        self._order = np.argsort(owners, kind="stable")
        ordered = owners[self._order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        self.tenants, self.counts = ordered[starts], np.diff(starts, append=len(owners))
        self._bounds = np.append(starts, len(owners))

    @classmethod
    def of(cls, shared: SharedTable, *, owners: Whole) -> TailTable:
        """The table as it was handed over."""
        sequences = shared.table[columns.SEQUENCE].combine_chunks()
        found = sequences.chunk(0) if isinstance(sequences, pa.ChunkedArray) else sequences
        return cls(shard=shared.shard, table=shared.table, owners=owners, sequences=found.to_numpy())

    @property
    def rows(self) -> int:
        """Rows in it, sealed ones too."""
        return len(self.owners)

    @property
    def kind(self) -> tuple[Any, ...]:
        """The same for tables that may be merged."""
        return self.shard, *self.table.column_names

    def alike(self, other: TailTable) -> bool:
        """Whether both may be merged."""
        return self.kind == other.kind

    def kept(self, chosen: NDArray[np.bool_]) -> TailTable:
        """Those rows alone."""
        if chosen.all():
            return self
        return TailTable(
            shard=self.shard,
            table=self.table.filter(pa.array(chosen)),
            owners=self.owners[chosen],
            sequences=self.sequences[chosen],
        )

    def rows_of(self, tenant: int, *, after: int) -> Whole:
        """The places of a tenant's rows after a sequence, in order."""
        at = int(np.searchsorted(self.tenants, tenant))
        if at == len(self.tenants) or self.tenants[at] != tenant:
            return np.empty(0, np.int64)
        found: Whole = self._order[self._bounds[at] : self._bounds[at + 1]]
        return found[int(np.searchsorted(self.sequences[found], after, side="right")) :]

    def count(self, tenant: int, *, after: int) -> int:
        """How many rows a tenant has after a sequence."""
        return len(self.rows_of(tenant, after=after))

    def taken(self, rows: Whole) -> pa.Table:
        """Some rows; a view where they stand together."""
        if int(rows[-1]) - int(rows[0]) + 1 == len(rows):
            return self.table.slice(int(rows[0]), len(rows))
        return self.table.take(pa.array(rows))


def merged(tables: Sequence[TailTable]) -> TailTable:
    """Tables of one shard and the same columns as one, in order of the sequences."""
    ordered = sorted((one for one in tables if one.rows), key=lambda one: int(one.sequences[0]))
    if not ordered:
        return tables[0]
    return TailTable(
        shard=ordered[0].shard,
        table=pa.concat_tables([one.table for one in ordered]).combine_chunks(),
        owners=np.concatenate([one.owners for one in ordered]),
        sequences=np.concatenate([one.sequences for one in ordered]),
    )
