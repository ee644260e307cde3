"""Committed events as an Arrow table in the layout of `columns`. Knows no file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate, chain, groupby
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from revline.subledger.usage import columns
from revline.subledger.usage.decoding.moments import moment
from revline.subledger.usage.decoding.plain import rows_of
from revline.subledger.usage.decoding.values import Column, LooseEvent, Rows
from revline.subledger.usage.events import VOID_TYPE
from revline.subledger.usage.kinds import FieldKind, UsageField
from revline.subledger.usage.log.reading import EPOCH
from revline.subledger.usage.log.values import CommittedBatch

_TIME: Final = pa.timestamp("us", tz="UTC")
_KINDS: Final = {
    columns.SHARD: pa.int16(),
    columns.SEQUENCE: pa.int64(),
    columns.RECEIVED_AT: _TIME,
    columns.OCCURRED_AT: _TIME,
    columns.TYPE: pa.dictionary(pa.int32(), pa.string()),
    columns.SUBJECT: pa.dictionary(pa.int32(), pa.string()),
    columns.SOURCE: pa.dictionary(pa.int32(), pa.string()),
    columns.ID: pa.string(),
    columns.VOIDS_SOURCE: pa.string(),
    columns.VOIDS_ID: pa.string(),
    columns.REST: pa.string(),
    columns.TYPED: pa.bool_(),
}


def field_type(field: UsageField) -> pa.DataType:
    """How a field is stored."""
    match field.kind:
        case FieldKind.DECIMAL:
            return pa.decimal128(field.precision, field.scale)
        case FieldKind.BOOLEAN:
            return pa.bool_()
        case FieldKind.TIME:
            return _TIME
        case FieldKind.TEXT:
            return pa.string()


def common_schema() -> pa.Schema:
    """The columns every table has, in order."""
    return pa.schema([(name, _KINDS[name]) for name in columns.COMMON])


def to_table(batches: Sequence[CommittedBatch], *, words: bool = True) -> pa.Table:
    """The events of one shard's batches, in their order: the common columns, then one for each field of the types among them.

    words: type, subject and source as dictionaries; for batches of several tenants they are plain text, since a dictionary would
    carry one tenant's words wherever another one's rows go.
    """
    parts = _parts(batches)
    every = [rows for rows, _ in parts]
    starts = list(accumulate(map(len, every), initial=0))
    loose = [(start + place, event) for start, rows in zip(starts, every, strict=False) for place, event in rows.loose]
    named = _field_columns(every, starts, loose)
    kept = _kept(parts, starts)
    received, sequences = _receipt(batches)
    common = _common(every, starts, loose, words=words)
    if kept is not None:
        common = {name: column.take(kept) for name, column in common.items()}
        named = {name: column.take(kept) for name, column in named.items()}
    common[columns.SHARD] = pa.array(np.full(len(sequences), batches[0].shard if batches else 0, np.int16))
    common[columns.SEQUENCE] = pa.array(sequences)
    common[columns.RECEIVED_AT] = received
    common[columns.OCCURRED_AT] = pc.coalesce(common[columns.OCCURRED_AT], received)
    arrays = {name: common[name] for name in columns.COMMON} | named
    return pa.table(arrays)


def _parts(batches: Sequence[CommittedBatch]) -> list[tuple[Rows, Sequence[int] | None]]:
    """The rows of the batches in their order, and the places in them that count; those of few events that follow one another are
    made columns of together."""
    parts: list[tuple[Rows, Sequence[int] | None]] = []
    for is_few, some in groupby(batches, key=lambda batch: batch.rows is None):
        if is_few:
            events = list(chain.from_iterable([batch.events for batch in some]))
            rows = rows_of(events) if events else None
            if rows is not None:
                parts.append((rows, None))
        else:
            parts.extend((batch.rows, batch.kept) for batch in some if batch.rows is not None)
    return parts


def _kept(parts: Sequence[tuple[Rows, Sequence[int] | None]], starts: Sequence[int]) -> pa.Array | None:
    if all(kept is None for _, kept in parts):
        return None
    places: list[int] = []
    for (rows, kept), start in zip(parts, starts, strict=False):
        mine = range(len(rows)) if kept is None else kept
        places.extend([start + place for place in mine])
    return pa.array(places, pa.int64())


def _receipt(batches: Sequence[CommittedBatch]) -> tuple[pa.Array, np.ndarray[Any, Any]]:
    counts = np.array([batch.count for batch in batches], np.int64)
    firsts = np.array([batch.first_sequence for batch in batches], np.int64)
    received = np.array([(batch.received_at - EPOCH) // EPOCH.resolution for batch in batches], np.int64)
    ends = np.cumsum(counts)
    sequences = np.repeat(firsts - (ends - counts), counts) + np.arange(counts.sum())
    return pa.array(np.repeat(received, counts)).cast(_TIME), sequences


def _common(
    every: Sequence[Rows], starts: Sequence[int], loose: Sequence[tuple[int, LooseEvent]], *, words: bool
) -> dict[str, pa.Array]:
    total = starts[-1]
    times = list(chain.from_iterable([rows.times for rows in every]))
    found = {
        columns.ID: pa.array(list(chain.from_iterable([rows.ids for rows in every])), pa.string()),
        columns.SOURCE: _texts([rows.sources for rows in every]),
        columns.SUBJECT: _texts([rows.subjects for rows in every]),
        columns.OCCURRED_AT: _moments(times),
        columns.TYPE: _types(every),
    }
    if words:
        found |= {name: found[name].dictionary_encode() for name in (columns.SOURCE, columns.SUBJECT)}
    else:
        found[columns.TYPE] = found[columns.TYPE].dictionary_decode()
    apart: dict[str, list[Any]] = {name: [] for name in (columns.VOIDS_SOURCE, columns.VOIDS_ID, columns.REST)}
    typed = np.ones(total, bool)
    for place, event in loose:
        typed[place] = event.spec is not None or event.type == VOID_TYPE
        for name, values in apart.items():
            values.append(getattr(event, name))
    places = [place for place, _ in loose]
    for name, values in apart.items():
        found[name] = _scattered(pa.array(values, pa.string()), places, total)
    found[columns.TYPED] = pa.array(typed)
    return found


def _texts(parts: Sequence[Sequence[str | None]]) -> pa.Array:
    return pa.array(list(chain.from_iterable(parts)), pa.string())


def _moments(times: Sequence[datetime | None]) -> pa.Array:
    """Instants in UTC as microseconds. The difference of two of the same zone is what is quickest to take."""
    spans = [None if time is None else time - EPOCH for time in times]
    return pa.array(spans, pa.duration("us")).cast(pa.int64()).cast(_TIME)


def _types(every: Sequence[Rows]) -> pa.Array:
    types = list(chain.from_iterable([rows.types for rows in every]))
    names = {name: code for code, name in enumerate(dict.fromkeys(types))}
    codes = np.fromiter(map(names.__getitem__, types), np.int32, len(types))
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(names), pa.string()))


class _Gathered:
    """The values of one column from many batches, and where they stand."""

    def __init__(self, field: UsageField) -> None:
        self.field = field
        self._parts: list[Sequence[Any]] = []
        self._places: list[np.ndarray[Any, Any]] = []
        self._single: list[Any] = []
        self._single_places: list[int] = []

    def take(self, column: Column, *, start: int, count: int) -> None:
        self._parts.append(column.values)
        places = range(count) if column.places is None else column.places
        self._places.append(np.asarray(places, np.int64) + start)

    def take_one(self, value: Any, *, place: int) -> None:
        self._single.append(value)
        self._single_places.append(place)

    def array(self, total: int) -> pa.Array:
        arrays, places = [], self._places
        if self._parts:
            arrays.append(_column(self.field, self._parts))
        if self._single:
            arrays.append(pa.array(self._single, field_type(self.field)))
            places = [*places, np.array(self._single_places, np.int64)]
        return _scattered(pa.concat_arrays(arrays) if len(arrays) > 1 else arrays[0], np.concatenate(places), total)


def _field_columns(
    every: Sequence[Rows], starts: Sequence[int], loose: Sequence[tuple[int, LooseEvent]]
) -> dict[str, pa.Array]:
    """A column for each field of the types there are. Types with the same field, stored alike, share its column."""
    gathered: dict[str, _Gathered] = {}
    for start, rows in zip(starts, every, strict=False):
        for name, column in rows.columns.items():
            if name not in gathered:
                gathered[name] = _Gathered(column.field)
            gathered[name].take(column, start=start, count=len(rows))
    for place, event in loose:
        for field_name, field in event.spec.fields.items() if event.spec else ():
            name = columns.field_column(field_name, field)
            if name not in gathered:
                gathered[name] = _Gathered(field)
            gathered[name].take_one(event.values.get(field_name), place=place)
    return {name: gathered[name].array(starts[-1]) for name in sorted(gathered)}


def _column(field: UsageField, parts: Sequence[Sequence[Any]]) -> pa.Array:
    kind = field_type(field)
    if isinstance(parts[0], bytes):
        joined = b"\n".join(parts)  # type: ignore[arg-type]
        texts = pc.split_pattern(pa.array([joined.decode()], pa.large_string()), "\n").values
        if joined.startswith(b"\n") or joined.endswith(b"\n") or b"\n\n" in joined or not joined:
            texts = pc.if_else(pc.equal(texts, ""), None, texts)
        return texts.cast(kind)
    values = list(chain.from_iterable(parts))
    if field.kind is FieldKind.TIME:
        return _moments([moment(value) for value in values])
    if field.kind is FieldKind.DECIMAL:
        return pa.array(values, pa.int64()).cast(pa.decimal128(19, 0)).cast(kind)
    return pa.array(values, kind)


def _scattered(values: pa.Array, places: Sequence[int] | np.ndarray[Any, Any], total: int) -> pa.Array:
    """An array of `total` with each value at its place and null elsewhere."""
    if len(values) == total and np.array_equal(places, np.arange(total)):
        return values
    if len(values) == 0:
        return pa.nulls(total, values.type)
    indices = np.zeros(total, np.int64)
    missing = np.ones(total, bool)
    indices[places] = np.arange(len(values))
    missing[places] = False
    return values.take(pa.array(indices, mask=missing))
