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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from revline.subledger.usage import columns
from revline.subledger.usage.committed import CommittedEvents, SharedTable
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
    """How the events of one class become columns. number: the same for classes with the same field columns. tag: their type."""

    number: int
    tag: str
    fields: tuple[tuple[str, str, UsageField], ...]
    loose: bool


@dataclass(frozen=True, kw_only=True)
class _Flat:
    """Events of many batches as they came, and of each its class, sequence, moment of receipt and its tenant's place in names."""

    events: list[Any]
    kinds: list[type]
    sequences: Whole
    received: Whole
    owners: Whole
    names: tuple[str, ...]


PLANS_MAX: Final = 100_000
_plans: Final[dict[type, _Plan]] = {}
_numbers: Final[dict[tuple[str, ...] | None, int]] = {}


def tables_of(batches: Sequence[CommittedEvents]) -> tuple[SharedTable, ...]:
    """The events of one shard's batches, which come in order of their sequences; there is at least one event.

    Events are looked at in the order they were decoded in, which is how they lie in memory.
    """
    flat, shard = _flat(batches), batches[0].shard
    plans = {kind: _plan_of(kind) for kind in set(flat.kinds)}
    members = {plan.number: plan for plan in plans.values()}
    if len(members) == 1:
        return (_table(flat, next(iter(members.values())), plans, shard),)
    number_of = {kind: plan.number for kind, plan in plans.items()}
    numbers = np.fromiter(map(number_of.__getitem__, flat.kinds), np.int64, len(flat.kinds))
    return tuple(
        _table(_chosen(flat, np.flatnonzero(numbers == number)), plan, plans, shard)
        for number, plan in sorted(members.items())
    )


def _flat(batches: Sequence[CommittedEvents]) -> _Flat:
    lengths = np.fromiter(map(len, map(_events, batches)), np.int64, len(batches))
    firsts = np.fromiter(map(_first, batches), np.int64, len(batches))
    tenants = list(map(_tenant, batches))
    names = tuple(dict.fromkeys(tenants))
    place = {name: index for index, name in enumerate(names)}
    owners = np.fromiter(map(place.__getitem__, tenants), np.int64, len(batches))
    events = list(chain.from_iterable(map(_events, batches)))
    starts = np.cumsum(lengths) - lengths
    return _Flat(
        events=events,
        kinds=list(map(type, events)),
        sequences=np.repeat(firsts - starts, lengths) + np.arange(len(events)),
        received=np.repeat(_microseconds(list(map(_received, batches))), lengths),
        owners=np.repeat(owners, lengths),
        names=names,
    )


def _chosen(flat: _Flat, rows: Whole) -> _Flat:
    numbers = rows.tolist()
    return _Flat(
        events=list(map(flat.events.__getitem__, numbers)),
        kinds=list(map(flat.kinds.__getitem__, numbers)),
        sequences=flat.sequences[rows],
        received=flat.received[rows],
        owners=flat.owners[rows],
        names=flat.names,
    )


def _plan_of(kind: type) -> _Plan:
    found = _plans.get(kind)
    if found is None:
        if len(_plans) >= PLANS_MAX:  # classes of configurations that are no longer active
            _plans.clear()
        shape = getattr(kind, "shape", None)
        fields: Mapping[str, UsageField] = shape.fields if shape is not None else {}
        named = tuple((name, columns.field_column(name, field), field) for name, field in fields.items())
        same = None if shape is None else tuple(column for _, column, _ in named)
        tag = "" if shape is None else kind.__struct_config__.tag  # type: ignore[attr-defined]
        number = _numbers.setdefault(same, len(_numbers))
        found = _plans[kind] = _Plan(number=number, tag=tag, fields=named, loose=shape is None)
    return found


def _table(flat: _Flat, plan: _Plan, plans: Mapping[type, _Plan], shard: int) -> SharedTable:
    events, rows = flat.events, len(flat.events)
    arrays: dict[str, Any] = {
        columns.SHARD: pa.repeat(pa.scalar(shard, pa.int16()), rows),
        columns.SEQUENCE: pa.array(flat.sequences),
        columns.RECEIVED_AT: pa.array(flat.received).view(MOMENT),
        columns.SUBJECT: _texts([one.subject for one in events]),
        columns.SOURCE: _texts([one.source for one in events]),
        columns.ID: _texts([one.id for one in events]),
    }
    arrays |= _loose_columns(events, flat.received) if plan.loose else _plain_columns(flat, plan, plans)
    order = [*columns.COMMON, *(name for name in arrays if name not in columns.COMMON)]
    table = pa.table({name: arrays[name] for name in order})
    return SharedTable(shard=shard, table=table, tenants=flat.names, owners=flat.owners)


def _plain_columns(flat: _Flat, plan: _Plan, plans: Mapping[type, _Plan]) -> dict[str, Any]:
    events, rows = flat.events, len(flat.events)
    tags = {kind: one.tag for kind, one in plans.items()}
    if len(set(tags.values())) == 1:
        types = pa.repeat(pa.scalar(plan.tag, pa.string()), rows)
    else:
        types = _texts(list(map(tags.__getitem__, flat.kinds)))
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
