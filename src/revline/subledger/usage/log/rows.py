"""Committed events as an Arrow table in the layout of `columns`. Knows no file."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa

from revline.subledger.usage import columns
from revline.subledger.usage.decoding.loose import moment
from revline.subledger.usage.decoding.values import LooseEvent
from revline.subledger.usage.kinds import FieldKind, UsageField
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


def to_table(batches: Sequence[CommittedBatch]) -> pa.Table:
    """The events of one tenant's batches, in their order: the common columns, then one for each field of the types among them."""
    rows: list[dict[str, Any]] = []
    kinds: dict[str, pa.DataType] = {}
    for batch in batches:
        for offset, event in enumerate(batch.events):
            row, fields = _row(event)
            row[columns.SHARD] = batch.shard
            row[columns.SEQUENCE] = batch.first_sequence + offset
            row[columns.RECEIVED_AT] = batch.received_at
            row[columns.OCCURRED_AT] = event.time or batch.received_at
            rows.append(row)
            kinds.update(fields)
    schema = pa.schema([*common_schema(), *sorted(kinds.items())])
    return pa.Table.from_pylist(rows, schema=schema)


def _row(event: Any) -> tuple[dict[str, Any], dict[str, pa.DataType]]:
    common = {columns.SUBJECT: event.subject, columns.SOURCE: event.source, columns.ID: event.id}
    if isinstance(event, LooseEvent):
        common |= {
            columns.TYPE: event.type,
            columns.VOIDS_SOURCE: event.voids_source,
            columns.VOIDS_ID: event.voids_id,
            columns.REST: event.rest,
            columns.TYPED: event.spec is not None or event.voids_id is not None,
        }
        values: dict[str, Any] = dict(event.values)
        fields = event.spec.fields if event.spec else {}
    else:
        fields = type(event).shape.spec.fields
        common |= {columns.TYPE: type(event).__struct_config__.tag, columns.TYPED: True}
        values = {name: _value(getattr(event.data, name), field) for name, field in fields.items()}
    kinds = {columns.field_column(name, field): field_type(field) for name, field in fields.items()}
    named = {columns.field_column(name, fields[name]): value for name, value in values.items()}
    return {**common, **named}, kinds


def _value(value: Any, field: UsageField) -> Any:
    if isinstance(value, msgspec.Raw):
        text = bytes(value)
        return Decimal(text.decode()) if text else None
    if field.kind is FieldKind.TIME:
        return moment(value)
    return value
