"""Lists as PostgreSQL array literals, built a column at a time: whole batches travel as a few long parameters.

The driver's own way looks at every element with a regular expression, which costs more than the rest of a batch. Flat lists
only; the statement's cast gives the element type. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from psycopg.adapt import Buffer, Dumper
from psycopg.types.json import Jsonb

_NULL: Final = "NULL"


def array_literal(values: Sequence[Any]) -> str:
    """A flat list as PostgreSQL reads an array: texts, numbers, truth values, moments, days, bytes, JSON, nulls.

    Raises TypeError for any other element, lists within the list and floats among them.
    """
    if not values:
        return "{}"
    first = values[0]
    if isinstance(first, str):
        try:
            joined = '","'.join(values)
        except TypeError:
            return _of_each(values)
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return f'{{"{joined}"}}'
    return _of_each(values)


def _of_each(values: Sequence[Any]) -> str:
    writers = {kind: _WRITERS.get(kind) or _writer_of(kind) for kind in set(map(type, values))}
    if len(writers) == 1:
        (writer,) = writers.values()
        return "{" + ",".join(map(writer, values)) + "}"
    return "{" + ",".join([writers[type(value)](value) for value in values]) + "}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _writer_of(kind: type) -> Callable[[Any], str]:
    """The writer of a subclass, such as an enumeration's; kept for the next one."""
    for known, writer in tuple(_WRITERS.items()):
        if issubclass(kind, known):
            _WRITERS[kind] = writer
            return writer
    raise TypeError(f"{kind.__name__} has no place in an array")


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    type(None): lambda _: _NULL,
    str: _quoted,
    bool: lambda value: "t" if value else "f",
    int: int.__repr__,
    Decimal: str,
    datetime: datetime.isoformat,
    date: date.isoformat,
    bytes: lambda value: f'"\\\\x{value.hex()}"',
    memoryview: lambda value: f'"\\\\x{value.hex()}"',
    UUID: str,
    Jsonb: lambda value: _quoted((value.dumps or json.dumps)(value.obj)),
}


class ListDumper(Dumper):
    """Gives psycopg lists as literals of no type of their own."""

    def dump(self, obj: Any) -> Buffer:
        """The literal's bytes."""
        return array_literal(obj).encode()
