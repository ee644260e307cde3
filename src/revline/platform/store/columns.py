"""What the store knows of a table's columns: their types as SQL, what a value must be, how it travels in an array.

Pure but for reading the declarations.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import ARRAY, JSON, Column, Numeric, Table, Text
from sqlalchemy.dialects import postgresql

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]
_QUOTE: Final = _DIALECT.identifier_preparer


class Shape:
    """A table's columns, prepared for writing many rows at once."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.quoted_table = _QUOTE.format_table(table)
        self._columns = {column.name: column for column in table.columns}
        self._sql_types = {name: column.type.compile(_DIALECT) for name, column in self._columns.items()}
        self._texts = {name for name, column in self._columns.items() if isinstance(column.type, Text)}
        self.filled_by_database = [
            column.name
            for column in table.columns
            if (column.server_default is not None or column.computed is not None) and column.name != "archived"
        ]

    def column(self, name: str) -> Column[Any]:
        """A column by name; KeyError with a sentence when there is none."""
        try:
            return self._columns[name]
        except KeyError:
            raise KeyError(f"no column {name}") from None

    def checked(self, name: str, value: Any, *, exact: bool) -> Any:
        """As the function `checked`, by name; texts, the most usual, take a short way."""
        if type(value) is str and name in self._texts and "\x00" not in value:
            return value
        return checked(self.column(name), value, exact=exact)

    def quoted(self, name: str) -> str:
        """The column's name as SQL."""
        return _QUOTE.quote(name)

    def carrier(self, name: str) -> str:
        """The type of the array's elements: arrays themselves travel as text, since an array of arrays would be flattened."""
        return "text" if isinstance(self._columns[name].type, ARRAY) else self._sql_types[name]

    def recast(self, name: str) -> str:
        """The cast from the carrier to the column's type."""
        return f"::{self._sql_types[name]}" if isinstance(self._columns[name].type, ARRAY) else ""

    def adapted(self, name: str, value: Any) -> Any:
        """A checked value as psycopg takes it for the carrier."""
        kind = self._columns[name].type
        if value is None:
            return None
        if isinstance(kind, JSON):
            return Jsonb(value)
        if isinstance(kind, ARRAY):
            return array_literal(value)
        return value


_shapes: dict[Table, Shape] = {}


def shape_of(table: Table) -> Shape:
    """The shape of a table, made once."""
    if table not in _shapes:
        _shapes[table] = Shape(table)
    return _shapes[table]


def checked(column: Column[Any], value: Any, *, exact: bool) -> Any:
    """The value as it is hashed and stored. Raises TypeError or ValueError when PostgreSQL would store something else.

    exact: also refuse a number beyond the column's scale, which would be rounded.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None:
        return None
    kind = column.type
    if isinstance(kind, JSON):
        return value
    if isinstance(kind, ARRAY):
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise TypeError(f"{column.name} takes a list of texts")
        return list(value)
    if isinstance(kind, Numeric):
        return _checked_number(column, value, exact=exact)
    if isinstance(value, memoryview | bytearray):
        value = bytes(value)
    expected = kind.python_type
    wrong_kind = not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool)
    if wrong_kind or (expected is date and isinstance(value, datetime)):
        raise TypeError(f"{column.name} takes {expected.__name__}, not {type(value).__name__}")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{column.name} takes a time with a zone")
    if isinstance(value, str) and "\x00" in value:
        raise ValueError(f"{column.name} holds a null character")
    return str(value) if isinstance(value, UUID) and expected is str else value


def _checked_number(column: Column[Any], value: Any, *, exact: bool) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError(f"{column.name} takes Decimal, not {type(value).__name__}")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{column.name} takes finite numbers")
    scale = getattr(column.type, "scale", None)
    exponent = number.as_tuple().exponent
    if exact and scale is not None and isinstance(exponent, int) and -exponent > scale:
        beyond = number.as_tuple().digits[exponent + scale :]
        if any(beyond):
            raise ValueError(f"{column.name} keeps {scale} decimals; {number} has more")
    return number


def array_literal(items: list[str]) -> str:
    """A text array as PostgreSQL writes it."""
    quoted = (item.replace("\\", "\\\\").replace('"', '\\"') for item in items)
    return "{" + ",".join(f'"{item}"' for item in quoted) + "}"
