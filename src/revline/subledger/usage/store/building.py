"""Committed events to columns: the events of many commits and tenants at once, one table for each set of field columns.

What it costs is a few list passes and one Arrow array a column, however many tenants there are. Knows no file and no database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, repeat
from operator import attrgetter, sub
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from revline.subledger.usage import columns
from revline.subledger.usage.committed import CommittedEvents, SharedTable, TenantRows
from revline.subledger.usage.kinds import FieldKind, UsageField
from revline.subledger.usage.store.layout import MOMENT, column_type

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_events: Final = attrgetter("events")
_first: Final = attrgetter("first_sequence")
_received: Final = attrgetter("received_at")
_tenant: Final = attrgetter("tenant_id")
Whole = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """How the events of one class become columns: the fields of its data. fields: () for events that carry values by name."""

    fields: tuple[tuple[str, str, UsageField], ...]
    loose: bool = False


@dataclass(frozen=True, kw_only=True)
class _Flat:
    """Events of many batches in order of tenant and sequence, and of each its sequence, moment of receipt and tenant's number."""

    events: list[Any]
    sequences: Whole
    received: Whole
    tenants: Whole
    names: tuple[str, ...]


_plans: Final[WeakKeyDictionary[type, _Plan]] = WeakKeyDictionary()
_LOOSE: Final = _Plan(fields=(), loose=True)


def tables_of(batches: Sequence[CommittedEvents]) -> tuple[SharedTable, ...]:
    """The events of one shard's batches. Batches of one tenant come in order of their sequences; there is at least one event."""
    ordered = sorted(batches, key=_tenant)
    flat, shard = _flat(ordered), ordered[0].shard
    kinds = list(map(type, flat.events))
    groups: dict[tuple[tuple[str, ...], bool], list[type]] = {}
    for kind in set(kinds):
        plan = _plan_of(kind)
        groups.setdefault((tuple(column for _, column, _ in plan.fields), plan.loose), []).append(kind)
    if len(groups) == 1:
        return (_table(flat, kinds, _plan_of(kinds[0]), shard),)
    number = {kind: index for index, members in enumerate(groups.values()) for kind in members}
    numbers = np.fromiter(map(number.__getitem__, kinds), np.int64, len(kinds))
    return tuple(
        _table(*_chosen(flat, kinds, np.flatnonzero(numbers == index)), _plan_of(members[0]), shard)
        for index, members in enumerate(groups.values())
    )


def _flat(batches: Sequence[CommittedEvents]) -> _Flat:
    lengths = np.fromiter(map(len, map(_events, batches)), np.int64, len(batches))
    total, firsts = int(lengths.sum()), np.fromiter(map(_first, batches), np.int64, len(batches))
    starts = np.cumsum(lengths) - lengths
    names = tuple(dict.fromkeys(map(_tenant, batches)))
    number = {name: index for index, name in enumerate(names)}
    tenants = np.fromiter((number[one.tenant_id] for one in batches), np.int64, len(batches))
    return _Flat(
        events=list(chain.from_iterable(map(_events, batches))),
        sequences=np.repeat(firsts - starts, lengths) + np.arange(total),
        received=np.repeat(_microseconds(map(_received, batches)), lengths),
        tenants=np.repeat(tenants, lengths),
        names=names,
    )


def _chosen(flat: _Flat, kinds: list[type], rows: Whole) -> tuple[_Flat, list[type]]:
    numbers = rows.tolist()
    chosen = _Flat(
        events=[flat.events[row] for row in numbers],
        sequences=flat.sequences[rows],
        received=flat.received[rows],
        tenants=flat.tenants[rows],
        names=flat.names,
    )
    return chosen, [kinds[row] for row in numbers]


def _plan_of(kind: type) -> _Plan:
    found = _plans.get(kind)
    if found is None:
        shape = getattr(kind, "shape", None)
        fields: Mapping[str, UsageField] = shape.fields if shape is not None else {}
        named = tuple((name, columns.field_column(name, field), field) for name, field in fields.items())
        found = _plans[kind] = _LOOSE if shape is None else _Plan(fields=named)
    return found


def _table(flat: _Flat, kinds: list[type], plan: _Plan, shard: int) -> SharedTable:
    events, rows = flat.events, len(flat.events)
    arrays: dict[str, Any] = {
        columns.SHARD: pa.repeat(pa.scalar(shard, pa.int16()), rows),
        columns.SEQUENCE: pa.array(flat.sequences),
        columns.RECEIVED_AT: pa.array(flat.received).view(MOMENT),
        columns.SUBJECT: _texts([one.subject for one in events]),
        columns.SOURCE: _texts([one.source for one in events]),
        columns.ID: _texts([one.id for one in events]),
    }
    arrays |= _loose_columns(events, flat.received) if plan.loose else _plain_columns(events, kinds, plan)
    order = [*columns.COMMON, *(name for name in arrays if name not in columns.COMMON)]
    return SharedTable(table=pa.table({name: arrays[name] for name in order}), ranges=_ranges(flat))


def _ranges(flat: _Flat) -> tuple[TenantRows, ...]:
    bounds = [0, *(np.flatnonzero(np.diff(flat.tenants)) + 1).tolist(), len(flat.events)]
    numbers = flat.tenants[bounds[:-1]].tolist()
    return tuple(
        TenantRows(tenant_id=flat.names[number], start=start, stop=stop)
        for number, start, stop in zip(numbers, bounds, bounds[1:], strict=False)
    )


def _plain_columns(events: list[Any], kinds: list[type], plan: _Plan) -> dict[str, Any]:
    rows = len(events)
    tags = {kind: kind.__struct_config__.tag for kind in set(kinds)}  # type: ignore[attr-defined]
    if len(tags) == 1:
        types = pa.repeat(pa.scalar(next(iter(tags.values())), pa.string()), rows)
    else:
        types = _texts(list(map(tags.__getitem__, kinds)))
    none = pa.nulls(rows, pa.string())
    found = {
        columns.TYPE: types,
        columns.OCCURRED_AT: pa.array(_microseconds([one.time for one in events])).view(MOMENT),
        columns.VOIDS_SOURCE: none,
        columns.VOIDS_ID: none,
        columns.REST: none,
        columns.TYPED: pa.repeat(pa.scalar(True), rows),  # noqa: FBT003 - the value itself
    }
    datas = [one.data for one in events]
    for name, column, field in plan.fields:
        found[column] = _field_array(list(map(attrgetter(name), datas)), field, column_type(column))
    return found


def _field_array(values: list[Any], field: UsageField, wanted: pa.DataType) -> pa.Array:
    if field.kind is FieldKind.TEXT:
        return _texts(values)
    if field.kind is FieldKind.BOOLEAN:
        return pa.array(values, pa.bool_())
    if field.kind is FieldKind.TIME:
        return pa.array([None if one is None else datetime.fromisoformat(one) for one in values], MOMENT)
    kinds = set(map(type, values))
    if kinds <= {int, type(None)}:
        whole = pa.array(values, pa.int64())
        return pa.Array.from_buffers(wanted, len(whole), whole.buffers(), whole.null_count)
    return pc.cast(pa.array([bytes(one) or None for one in values], pa.string()), wanted)


def _loose_columns(events: list[Any], received: Whole) -> dict[str, Any]:
    specs = {id(one.spec): one.spec for one in events if one.spec is not None}
    fields = {name: field for spec in specs.values() for name, field in spec.fields.items()}
    moments = [None if one.time is None else one.time - EPOCH for one in events]
    occurred = pa.array(moments, pa.duration("us")).cast(pa.int64())
    found = {
        columns.TYPE: _texts([one.type for one in events]),
        columns.OCCURRED_AT: pc.coalesce(occurred, pa.array(received)).view(MOMENT),
        columns.VOIDS_SOURCE: _texts([one.voids_source for one in events]),
        columns.VOIDS_ID: _texts([one.voids_id for one in events]),
        columns.REST: _texts([one.rest for one in events]),
        columns.TYPED: pa.array([one.spec is not None or one.voids_id is not None for one in events], pa.bool_()),
    }
    for name in fields:
        for column, values in _by_column(name, events):
            found[column] = pa.array(values, column_type(column))
    return found


def _by_column(name: str, events: list[Any]) -> Iterable[tuple[str, list[Any]]]:
    """A field's values in the column each event's own type gives it."""
    stored = [
        columns.field_column(name, one.spec.fields[name]) if one.spec is not None and name in one.spec.fields else ""
        for one in events
    ]
    for column in sorted(set(stored) - {""}):
        yield column, [one.values.get(name) if of == column else None for one, of in zip(events, stored, strict=True)]


def _texts(values: list[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def _microseconds(moments: Iterable[datetime]) -> Whole:
    """Microseconds since 1970; by differences, which Arrow takes many times faster than moments with a zone."""
    passed = pa.array(list(map(sub, moments, repeat(EPOCH))), pa.duration("us"))
    found: Whole = passed.cast(pa.int64()).to_numpy()
    return found
