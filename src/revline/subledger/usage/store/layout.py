"""Tables of usage in Arrow: joining tables of different columns, and rows of a version. Knows no file and no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from revline.subledger.usage import columns
from revline.subledger.usage.versions import UsageVersion

MOMENT: Final = pa.timestamp("us", "UTC")
WHOLE_DIGITS: Final = 18
"""A decimal of so many digits is kept in 64 bits."""
COMMON_TYPES: Final = {
    columns.SHARD: pa.int16(),
    columns.SEQUENCE: pa.int64(),
    columns.RECEIVED_AT: MOMENT,
    columns.OCCURRED_AT: MOMENT,
    columns.TYPE: pa.string(),
    columns.SUBJECT: pa.string(),
    columns.SOURCE: pa.string(),
    columns.ID: pa.string(),
    columns.VOIDS_SOURCE: pa.string(),
    columns.VOIDS_ID: pa.string(),
    columns.REST: pa.string(),
    columns.TYPED: pa.bool_(),
}


def field_type(column: str) -> pa.DataType:
    """How a field's column is stored, by its name: see `columns.field_column`."""
    kind = column.rpartition("__")[2]
    if kind in {"text", "personal"}:
        return pa.string()
    if kind == "boolean":
        return pa.bool_()
    if kind == "time":
        return MOMENT
    precision, _, scale = kind.removeprefix("d").partition("_")
    if int(precision) <= WHOLE_DIGITS:
        return pa.decimal64(int(precision), int(scale))
    return pa.decimal128(int(precision), int(scale))


def column_type(column: str) -> pa.DataType:
    """The type of any stored column."""
    return COMMON_TYPES.get(column) or field_type(column)


def plain_table(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables one after the other, each column plain and of its stored type, absent ones null; a field no row has is left out.
    What it holds is of these rows alone: no word and no field of another tenant that stood in the same table."""
    if len(tables) > 1 and all(each.schema == tables[0].schema for each in tables[1:]):
        tables = [pa.concat_tables(tables)]
    names = list(dict.fromkeys([*columns.COMMON, *(name for each in tables for name in each.column_names)]))
    found = {name: pa.chunked_array([_plain(each, name) for each in tables]).combine_chunks() for name in names}
    return pa.table(
        {name: array for name, array in found.items() if name in COMMON_TYPES or array.null_count < len(array)}
    )


def _plain(table: pa.Table, name: str) -> pa.Array:
    wanted = column_type(name)
    if name not in table.column_names:
        return pa.nulls(len(table), wanted)
    found = table.column(name)
    found = found.combine_chunks() if found.num_chunks != 1 else found.chunk(0)
    if isinstance(found, pa.ChunkedArray):
        found = pa.concat_arrays(found.chunks) if found.num_chunks else pa.nulls(0, wanted)
    if pa.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    return found if found.type == wanted else found.cast(wanted)


def rows_of_version(table: pa.Table, version: UsageVersion) -> pa.Table:
    """The rows of a version."""
    shards = pc.unique(table[columns.SHARD]).to_pylist()
    for shard in shards:
        within = pc.or_(
            pc.not_equal(table[columns.SHARD], shard), pc.less_equal(table[columns.SEQUENCE], version.until(shard))
        )
        table = table.filter(within)
    return table


def wide(table: pa.Table) -> pa.Table:
    """The same with every decimal in 128 bits, as every engine reads them."""
    schema = pa.schema(
        [
            pa.field(
                one.name,
                pa.decimal128(one.type.precision, one.type.scale) if pa.types.is_decimal(one.type) else one.type,
            )
            for one in table.schema
        ]
    )
    return table.cast(schema)
