"""Sealed files: a table as zstd Parquet, and what the manifest says of it. Knows no tenant and no database."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from revline.subledger.usage import columns
from revline.subledger.usage.store.values import Segment, SegmentKind, SequenceRange

COMPRESSION_LEVEL: Final = 1
ROW_GROUP_ROWS: Final = 128 * 1024
WORDS: Final = frozenset({columns.TYPE, columns.SUBJECT, columns.SOURCE, columns.SHARD, columns.TYPED})
"""Columns with few values: each is written once, and then its number."""
RISING: Final = (columns.SEQUENCE, columns.RECEIVED_AT, columns.OCCURRED_AT)
"""Columns whose values grow: differences are written."""
COUNTED: Final = (columns.SHARD, columns.SEQUENCE, columns.OCCURRED_AT, columns.TYPE, columns.SUBJECT)
"""Columns a query can leave row groups out by."""


def parquet_bytes(table: pa.Table, *, row_group_rows: int = ROW_GROUP_ROWS) -> pa.Buffer:
    """A table of stored columns as a Parquet file; decimals as whole numbers, no schema of Arrow's own."""
    words = [name for name in table.column_names if name in WORDS or name.endswith("__text")]
    stream = pa.BufferOutputStream()
    pq.write_table(
        table,
        stream,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        row_group_size=row_group_rows,
        use_dictionary=words,
        column_encoding=dict.fromkeys((name for name in RISING if name in table.column_names), "DELTA_BINARY_PACKED"),
        write_statistics=[name for name in COUNTED if name in table.column_names],
        store_decimal_as_integer=True,
        store_schema=False,
    )
    return stream.getvalue()


def partials_bytes(table: pa.Table) -> pa.Buffer:
    """Partial aggregates as a Parquet file."""
    stream = pa.BufferOutputStream()
    pq.write_table(
        table,
        stream,
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        row_group_size=ROW_GROUP_ROWS,
        use_dictionary=["spec", "minutes", "subject", *(name for name in table.column_names if name[:6] == "group_")],
        write_statistics=["spec", "minutes", "bucket", "subject"],
        store_schema=False,
    )
    return stream.getvalue()


def digest_of(body: pa.Buffer) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(memoryview(body)).hexdigest()


def sequences_of(table: pa.Table) -> tuple[SequenceRange, ...]:
    """First and last sequence of each shard in a table."""
    grouped = table.group_by(columns.SHARD).aggregate([(columns.SEQUENCE, "min"), (columns.SEQUENCE, "max")])
    found = zip(*(grouped[name].to_pylist() for name in (columns.SHARD, "sequence_min", "sequence_max")), strict=True)
    return tuple(sorted(SequenceRange(shard=shard, first=first, last=last) for shard, first, last in found))


def described(
    table: pa.Table, *, segment_id: str, key: str, kind: SegmentKind, body: pa.Buffer, erasure_epoch: int
) -> Segment:
    """What the manifest says of a file of these rows, of which there is at least one."""
    first_at, last_at = moments_of(table)
    return Segment(
        segment_id=segment_id,
        kind=kind,
        key=key,
        size_bytes=body.size,
        digest=digest_of(body),
        rows=len(table),
        voids=len(table) - table[columns.VOIDS_ID].null_count,
        untyped=len(table) - int(pc.sum(table[columns.TYPED]).as_py() or 0),
        sequences=sequences_of(table),
        types=tuple(sorted(pc.unique(table[columns.TYPE]).to_pylist())),
        columns=tuple(table.column_names),
        first_at=first_at,
        last_at=last_at,
        erasure_epoch=erasure_epoch,
    )


def moments_of(table: pa.Table) -> tuple[datetime, datetime]:
    """The earliest and the latest time of a table's events."""
    found = pc.min_max(table[columns.OCCURRED_AT]).as_py()
    return found["min"], found["max"]


def parts_of(table: pa.Table, *, rows: int) -> Sequence[pa.Table]:
    """A table cut so that none has more rows."""
    return [table.slice(start, rows) for start in range(0, len(table), rows)]
