"""Sealed files: a table as zstd Parquet, and what the manifest says of it. Knows no tenant and no database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from revline.subledger.usage import columns
from revline.subledger.usage.store.values import Segment, SegmentKind, SequenceRange

COMPRESSION_LEVEL: Final = 1
ROW_GROUP_ROWS: Final = 128 * 1024
SORTED_ROW_GROUP_ROWS: Final = 32 * 1024
"""Of sorted files: small, so that a query for one subject reads little."""
WORDS: Final = frozenset({columns.TYPE, columns.SUBJECT, columns.SOURCE, columns.SHARD, columns.TYPED})
"""Columns with few values: each is written once, and then its number."""
RISING: Final = (columns.SEQUENCE, columns.RECEIVED_AT, columns.OCCURRED_AT)
"""Columns whose values grow: differences are written."""
COUNTED: Final = (columns.SHARD, columns.SEQUENCE, columns.OCCURRED_AT, columns.TYPE, columns.SUBJECT)
"""Columns a query can leave row groups out by."""


class SegmentFileWriter:
    """A sealed file in the making: tables of the same columns one after the other, and what the manifest will say of them."""

    def __init__(self, *, row_group_rows: int = ROW_GROUP_ROWS) -> None:
        self._stream, self._row_group_rows = pa.BufferOutputStream(), row_group_rows
        self._writer: pq.ParquetWriter | None = None
        self._columns: tuple[str, ...] = ()
        self._sequences: dict[int, SequenceRange] = {}
        self._types: set[str] = set()
        self._moments: list[datetime] = []
        self.rows = self._voids = self._untyped = 0

    def add(self, table: pa.Table) -> None:
        """Plain rows, one or more."""
        if self._writer is None:
            self._columns, self._writer = tuple(table.column_names), _writer(self._stream, table.schema)
        self._writer.write_table(table, row_group_size=self._row_group_rows)
        self.rows += len(table)
        self._voids += len(table) - table[columns.VOIDS_ID].null_count
        self._untyped += len(table) - int(pc.sum(table[columns.TYPED]).as_py() or 0)
        self._types.update(pc.unique(table[columns.TYPE]).to_pylist())
        self._moments = [*self._moments, *moments_of(table)]
        for one in sequences_of(table):
            before = self._sequences.get(one.shard, one)
            self._sequences[one.shard] = SequenceRange(
                shard=one.shard, first=min(before.first, one.first), last=max(before.last, one.last)
            )

    def finish(self, *, segment_id: str, key: str, kind: SegmentKind, erasure_epoch: int) -> tuple[Segment, pa.Buffer]:
        """The file, and what the manifest says of it."""
        if self._writer is None:
            raise ValueError("a segment has at least one row")
        self._writer.close()
        body = self._stream.getvalue()
        segment = Segment(
            segment_id=segment_id,
            kind=kind,
            key=key,
            size_bytes=body.size,
            digest=digest_of(body),
            rows=self.rows,
            voids=self._voids,
            untyped=self._untyped,
            sequences=tuple(sorted(self._sequences.values())),
            types=tuple(sorted(self._types)),
            columns=self._columns,
            first_at=min(self._moments),
            last_at=max(self._moments),
            erasure_epoch=erasure_epoch,
        )
        return segment, body


def _writer(stream: pa.BufferOutputStream, schema: pa.Schema) -> pq.ParquetWriter:
    """zstd, decimals as whole numbers, no schema of Arrow's own."""
    return pq.ParquetWriter(
        stream,
        schema,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=[name for name in schema.names if name in WORDS or name.endswith("__text")],
        column_encoding=dict.fromkeys((name for name in RISING if name in schema.names), "DELTA_BINARY_PACKED"),
        write_statistics=[name for name in COUNTED if name in schema.names],
        store_decimal_as_integer=True,
        store_schema=False,
    )


def partials_bytes(table: pa.Table) -> pa.Buffer:
    """Partial aggregates as a Parquet file. Buckets of one length stand in row groups of their own, the longest first, so that a
    query for days reads no hours."""
    stream = pa.BufferOutputStream()
    with pq.ParquetWriter(
        stream,
        table.schema,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=["spec", "minutes", "subject", *(name for name in table.column_names if name[:6] == "group_")],
        write_statistics=["spec", "minutes", "bucket", "subject"],
        store_schema=False,
    ) as writer:
        for minutes in sorted(pc.unique(table["minutes"]).to_pylist(), reverse=True):
            writer.write_table(table.filter(pc.equal(table["minutes"], minutes)), row_group_size=ROW_GROUP_ROWS)
    return stream.getvalue()


def digest_of(body: pa.Buffer) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(memoryview(body)).hexdigest()


def sequences_of(table: pa.Table) -> tuple[SequenceRange, ...]:
    """First and last sequence of each shard in a table."""
    shards, sequences = table[columns.SHARD].to_numpy(), table[columns.SEQUENCE].to_numpy()
    found = []
    for shard in np.unique(shards).tolist():
        own = sequences[shards == shard]
        found.append(SequenceRange(shard=shard, first=int(own.min()), last=int(own.max())))
    return tuple(found)


def moments_of(table: pa.Table) -> tuple[datetime, datetime]:
    """The earliest and the latest time of a table's events."""
    found = pc.min_max(table[columns.OCCURRED_AT]).as_py()
    return found["min"], found["max"]


def parts_of(table: pa.Table, *, rows: int) -> Sequence[pa.Table]:
    """A table cut so that none has more rows."""
    return [table.slice(start, rows) for start in range(0, len(table), rows)]
