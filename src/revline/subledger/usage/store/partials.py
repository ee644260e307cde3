"""Partial aggregates: events, sums, extremes and the latest value by subject, group and bucket of time, made while a segment is
written, so that most of a window need not be read event by event. Whole numbers all the way: what they add up to is what the
events add up to. Knows no file and no database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from revline.subledger.usage import columns
from revline.subledger.usage.store.layout import MOMENT, column_type
from revline.subledger.usage.store.values import GROUPS_MAX, Condition, PartialFilter, PartialSpec

MINUTE_MICROSECONDS: Final = 60_000_000
KEYS_MAX: Final = 2**62
WHOLE_MAX: Final = 2**63
COMPARED: Final = pa.decimal256(76, 38)
SUM_TYPE: Final = pa.decimal128(38, 0)
GROUPS: Final = tuple(f"group_{number}" for number in range(1, GROUPS_MAX + 1))
SCHEMA: Final = pa.schema(
    [
        ("spec", pa.string()),
        ("minutes", pa.int16()),
        ("bucket", MOMENT),
        ("subject", pa.string()),
        *((name, pa.string()) for name in GROUPS),
        ("events", pa.int64()),
        ("sequences", SUM_TYPE),
        ("with_value", pa.int64()),
        ("total", SUM_TYPE),
        ("smallest", SUM_TYPE),
        ("largest", SUM_TYPE),
        ("latest_at", MOMENT),
        ("latest", SUM_TYPE),
    ]
)
"""A row is one bucket: spec is a `PartialSpec.spec_id`, minutes its length, bucket its start in UTC.

group_1 to group_4: values of the spec's groups in order, "" for a missing one, null for those it doesn't have. events: how many
passed the filters. sequences: the sum of their receipt sequences. with_value: those that have the value. The rest is of them, as
whole numbers at the value column's scale, and null where there is none: total, smallest, largest, and latest: the value at the time
latest_at, of several the greatest.
"""

Whole = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Groups:
    """Rows in order of their bucket, subject and groups. starts: where each bucket's rows begin in the order."""

    order: Whole
    starts: Whole
    firsts: Whole


class _Rows:
    """One tenant's rows as arrays, each made when first asked for."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        self.sequences = _whole(table[columns.SEQUENCE])
        self.times = _whole(table[columns.OCCURRED_AT].cast(pa.int64()))
        self.codes = cache(self._codes)
        self.values = cache(self._values)
        self.grouped = cache(self._grouped)

    def _codes(self, column: str) -> tuple[Whole, pa.Array]:
        """Each row's word by number, and the words; a missing one is the empty word."""
        found = _one_chunk(self.table[column])
        if not pa.types.is_string(found.type):
            found = found.cast(pa.string())
        encoded = pc.fill_null(found, "").dictionary_encode() if found.null_count else found.dictionary_encode()
        return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary

    def _values(self, column: str) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Unscaled values, and which rows have one (None: all)."""
        found = _one_chunk(self.table[column])
        present = None if not found.null_count else found.is_valid().to_numpy(zero_copy_only=False)
        if pa.types.is_decimal64(found.type):
            whole = pa.Array.from_buffers(pa.int64(), len(found), [None, found.buffers()[1]], offset=found.offset)
            values = whole.to_numpy()
            return (values if present is None else np.where(present, values, 0)), present
        scale = found.type.scale
        exact = [0 if one is None else int(one.scaleb(scale)) for one in found.to_pylist()]
        return np.array(exact, dtype=object), present

    def _grouped(self, spec: PartialSpec, minutes: int) -> _Groups | None:
        """spec: without its value, so that several values share what is the same for them."""
        rows = self._chosen(spec)
        if not len(rows):
            return None
        buckets = self.times[rows] // (minutes * MINUTE_MICROSECONDS)
        key, span = buckets - buckets.min(), int(buckets.max() - buckets.min()) + 1
        for column in (columns.SUBJECT, *spec.groups):
            codes, words = self.codes(column)
            key, span = _joined_keys(key, span, codes[rows], len(words))
        order = np.argsort(key)
        inner = key[order]
        starts = np.concatenate([[0], np.flatnonzero(inner[1:] != inner[:-1]) + 1])
        sorted_rows = rows[order]
        return _Groups(order=sorted_rows, starts=starts, firsts=sorted_rows[starts])

    def _chosen(self, spec: PartialSpec) -> Whole:
        table = self.table
        codes, words = self.codes(columns.TYPE)
        number = words.index(spec.event_type).as_py()
        wanted = codes == number
        typed = table[columns.TYPED]
        mask = None if pc.all(typed).as_py() else typed
        for one in spec.filters:
            passed = _passed(table[one.column], one)
            mask = passed if mask is None else pc.and_(mask, passed)
        if mask is not None:
            wanted &= _one_chunk(mask).to_numpy(zero_copy_only=False)
        return np.flatnonzero(wanted)


def _passed(column: pa.ChunkedArray, one: PartialFilter) -> pa.ChunkedArray:
    """Which rows pass a filter."""
    if one.condition in {Condition.PRESENT, Condition.ABSENT}:
        return column.is_valid() if one.condition is Condition.PRESENT else column.is_null()
    if pa.types.is_decimal(column.type):
        column = column.cast(COMPARED)
        given = pa.array([Decimal(value) for value in one.values], COMPARED)
    elif pa.types.is_timestamp(column.type):
        given = pa.array([datetime.fromisoformat(value) for value in one.values], column.type)
    else:
        column, given = column.cast(pa.string()), pa.array(one.values, pa.string())
    if one.condition in {Condition.IN, Condition.NOT_IN}:
        found = pc.is_in(column, value_set=given)
        return found if one.condition is Condition.IN else pc.invert(found)
    compare = pc.greater_equal if one.condition is Condition.AT_LEAST else pc.less
    return pc.fill_null(compare(column, given[0]), False)  # noqa: FBT003 - what a missing one is


def _joined_keys(key: Whole, span: int, codes: Whole, size: int) -> tuple[Whole, int]:
    """A key of both that sorts by the first one first."""
    size = max(size, 1)
    if span * size >= KEYS_MAX:
        _, key = np.unique(key, return_inverse=True)
        span = int(key.max()) + 1
    return key * size + codes, span * size


def partials_of(table: pa.Table, *, specs: Sequence[PartialSpec], minutes: Sequence[int] = ()) -> pa.Table | None:
    """The partial aggregates of a segment's rows, by `SCHEMA`, in order of spec, bucket and subject; None when no spec meets a row.

    table: one tenant's, plain columns (`layout.plain_table`); one it lacks is null. minutes: buckets longer than the spec's own,
    made as well.
    """
    types = set(pc.unique(table[columns.TYPE]).to_pylist())
    wanted = [spec for spec in sorted(set(specs)) if spec.event_type in types]
    for name in sorted({column for spec in wanted for column in spec.columns} - set(table.column_names)):
        table = table.append_column(name, pa.nulls(len(table), column_type(name)))
    rows, found = _Rows(table), []
    for spec in wanted:
        for length in (spec.minutes, *(one for one in minutes if one > spec.minutes)):
            part = _partial(rows, spec, length)
            found += [part] if part is not None else []
    return pa.concat_tables(found) if found else None


def _partial(rows: _Rows, spec: PartialSpec, minutes: int) -> pa.Table | None:
    grouped = rows.grouped(spec.without_value(), minutes)
    if grouped is None:
        return None
    starts, firsts, order, count = grouped.starts, grouped.firsts, grouped.order, len(grouped.starts)
    length = minutes * MINUTE_MICROSECONDS
    found: dict[str, Any] = {
        "spec": pa.repeat(pa.scalar(spec.spec_id), count),
        "minutes": pa.repeat(pa.scalar(minutes, pa.int16()), count),
        "bucket": pa.array(rows.times[firsts] // length * length).view(MOMENT),
        "subject": _words(rows, columns.SUBJECT, firsts),
        "events": pa.array(np.diff(np.append(starts, len(order)))),
        "sequences": _sums(rows.sequences[order], starts),
    }
    for number, name in enumerate(GROUPS):
        has = number < len(spec.groups)
        found[name] = _words(rows, spec.groups[number], firsts) if has else pa.nulls(count, pa.string())
    found |= _of_value(rows, spec.value, grouped) if spec.value else _no_value(count)
    return pa.table({name: found[name] for name in SCHEMA.names}, schema=SCHEMA)


def _no_value(count: int) -> Mapping[str, Any]:
    names = ("total", "smallest", "largest", "latest")
    return {
        **{name: pa.nulls(count, SUM_TYPE) for name in names},
        "with_value": pa.repeat(pa.scalar(0, pa.int64()), count),
        "latest_at": pa.nulls(count, MOMENT),
    }


def _of_value(rows: _Rows, column: str, grouped: _Groups) -> Mapping[str, Any]:
    all_values, all_present = rows.values(column)
    values, times, starts = all_values[grouped.order], rows.times[grouped.order], grouped.starts
    present = np.ones(len(values), bool) if all_present is None else all_present[grouped.order]
    complete = all_present is None or bool(present.all())
    low, high = (-(10**40), 10**40) if values.dtype == object else (-WHOLE_MAX, WHOLE_MAX - 1)
    if not complete:
        times = np.where(present, times, np.iinfo(np.int64).min)
    with_value = np.add.reduceat(present.astype(np.int64), starts)
    absent = with_value == 0
    latest_at = np.maximum.reduceat(times, starts)
    lengths = np.diff(np.append(starts, len(values)))
    at_latest = (times == np.repeat(latest_at, lengths)) & present
    return {
        "with_value": pa.array(with_value),
        "total": _sums(values, starts, absent),
        "smallest": _whole_numbers(
            np.minimum.reduceat(values if complete else np.where(present, values, high), starts), absent
        ),
        "largest": _whole_numbers(
            np.maximum.reduceat(values if complete else np.where(present, values, low), starts), absent
        ),
        "latest": _whole_numbers(np.maximum.reduceat(np.where(at_latest, values, low), starts), absent),
        "latest_at": pa.array(latest_at, mask=absent).view(MOMENT),
    }


def _sums(values: NDArray[Any], starts: Whole, absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """Exact sums of runs."""
    if values.dtype == object:
        return _whole_numbers(np.add.reduceat(values, starts), absent)
    most = max(abs(int(values.max())), abs(int(values.min())))
    if most * len(values) < WHOLE_MAX:
        return _whole_numbers(np.add.reduceat(values, starts), absent)
    high, low = np.add.reduceat(values >> 32, starts), np.add.reduceat(values & 0xFFFFFFFF, starts)
    return _whole_numbers(high.astype(object) * 2**32 + low.astype(object), absent)


def _whole_numbers(values: NDArray[Any], absent: NDArray[np.bool_] | None) -> pa.Array:
    """Whole numbers as DECIMAL(38, 0), null where there is none."""
    if values.dtype != object:
        return pa.array(values, mask=absent).cast(SUM_TYPE) if absent is not None else pa.array(values).cast(SUM_TYPE)
    halves = np.empty((len(values), 2), np.uint64)
    for row, value in enumerate(values):
        halves[row] = (value & 0xFFFFFFFFFFFFFFFF, (value >> 64) & 0xFFFFFFFFFFFFFFFF)
    made = pa.Array.from_buffers(SUM_TYPE, len(values), [None, pa.py_buffer(halves.tobytes())])
    return made if absent is None or not absent.any() else pc.if_else(pa.array(absent), pa.scalar(None, SUM_TYPE), made)


def _words(rows: _Rows, column: str, firsts: Whole) -> pa.Array:
    codes, words = rows.codes(column)
    return words.take(pa.array(codes[firsts]))


def _whole(column: pa.ChunkedArray) -> Whole:
    found: Whole = _one_chunk(column).to_numpy()
    return found


def _one_chunk(column: Any) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)
