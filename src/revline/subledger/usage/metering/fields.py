"""A meter's fields as SQL: the value of a field whatever columns hold it, filters, groups. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from revline.subledger.usage import columns
from revline.subledger.usage.kinds import PRECISION_MAX, EventType, FieldKind
from revline.subledger.usage.metering.dialects import Dialect, quoted, stored_kind
from revline.subledger.usage.metering.kinds import Comparison, Filter, Meter


class FieldValue(msgspec.Struct, frozen=True, kw_only=True):
    """SQL for a field's value. columns: those it reads. precision, scale: of a decimal."""

    sql: str
    kind: FieldKind
    columns: tuple[str, ...]
    precision: int = 0
    scale: int = 0


def field_value(dialect: Dialect, *, name: str, event_type: EventType, present: Collection[str]) -> FieldValue:
    """A field's value. Where its scale was changed there are several columns; it is read from whichever has it, at the finest."""
    field = event_type.fields[name]
    found = sorted(
        column for column in present if column.rpartition("__")[0] == name and stored_kind(column)[0] is field.kind
    ) or [columns.field_column(name, field)]
    kinds = [stored_kind(column) for column in found]
    precision, scale = max(kind[1] for kind in kinds), max(kind[2] for kind in kinds)
    if len(found) == 1:
        sql = f"e.{quoted(found[0])}"
    elif field.kind is FieldKind.DECIMAL:
        precision = PRECISION_MAX
        each = (dialect.decimal(f"e.{quoted(one)}", precision=precision, scale=scale) for one in found)
        sql = f"coalesce({', '.join(each)})"
    else:
        sql = f"coalesce({', '.join(f'e.{quoted(one)}' for one in found)})"
    return FieldValue(sql=sql, kind=field.kind, columns=tuple(found), precision=precision, scale=scale)


def conditions(
    dialect: Dialect, *, meter: Meter, event_type: EventType, present: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """SQL of the meter's filters, all of which must hold, and the columns they read."""
    sqls: list[str] = []
    read: list[str] = []
    for one in meter.filters:
        value = field_value(dialect, name=one.field, event_type=event_type, present=present)
        sqls.append(_condition(dialect, one, value))
        read.extend(value.columns)
    return tuple(sqls), tuple(dict.fromkeys(read))


def groups(
    dialect: Dialect, *, meter: Meter, event_type: EventType, present: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """SQL of each group field's value as a text, and the columns they read."""
    values = [field_value(dialect, name=name, event_type=event_type, present=present) for name in meter.group_by]
    return (
        tuple(dialect.as_text(each.sql, each.kind) for each in values),
        tuple(dict.fromkeys(column for each in values for column in each.columns)),
    )


def _condition(dialect: Dialect, one: Filter, value: FieldValue) -> str:
    match one.comparison:
        case Comparison.PRESENT:
            return f"{value.sql} IS NOT NULL"
        case Comparison.ABSENT:
            return f"{value.sql} IS NULL"
        case Comparison.AT_LEAST:
            return f"{value.sql} >= {next(_values(dialect, one, value))}"
        case Comparison.BELOW:
            return f"{value.sql} < {next(_values(dialect, one, value))}"
        case Comparison.IN:
            return f"{value.sql} IN ({', '.join(_values(dialect, one, value))})"
        case Comparison.NOT_IN:
            return f"({value.sql} IS NULL OR {value.sql} NOT IN ({', '.join(_values(dialect, one, value))}))"


def _values(dialect: Dialect, one: Filter, value: FieldValue) -> Iterator[str]:
    for text in one.values:
        match value.kind:
            case FieldKind.TEXT:
                yield dialect.text(text)
            case FieldKind.BOOLEAN:
                yield dialect.boolean(text == "true")
            case FieldKind.TIME:
                yield dialect.moment(datetime.fromisoformat(text))
            case FieldKind.DECIMAL:
                yield dialect.number(Decimal(text), scale=value.scale)
