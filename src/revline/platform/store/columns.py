"""What the store knows of a table's columns: their types as SQL, what a value must be, how it travels in an array.

Pure but for reading the declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy import ARRAY, JSON, Column, Numeric, Table, Text
from sqlalchemy.dialects import postgresql

from revline.platform.store.arrays import array_literal
from revline.platform.store.walls import is_recorded

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]
_QUOTE: Final = _DIALECT.identifier_preparer

Check = Callable[[Any], Any]
PLAIN_TYPES: Final = frozenset({int, bool, bytes, date})
"""Of these types any value is stored as it is; a text may hold a null character, a moment may have no zone."""


class Shape:
    """A table's columns, prepared for writing many rows at once."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.quoted_table = _QUOTE.format_table(table)
        self.recorded = is_recorded(table)
        self.texts = frozenset(column.name for column in table.columns if isinstance(column.type, Text))
        self.kept_types: Final[dict[str, frozenset[type]]] = {
            column.name: _kept_types_of(column) for column in table.columns
        }
        """By column: types whose every value is stored as it is, so that none of the checks below is needed."""
        self.checks: Final[dict[str, Check]] = {column.name: _check_of(column, exact=False) for column in table.columns}
        """By column: the value as it is stored; TypeError or ValueError when PostgreSQL would store something else."""
        self.exact_checks: Final[dict[str, Check]] = {
            column.name: _check_of(column, exact=True) for column in table.columns
        }
        """The same, and refusing a number beyond the column's scale, which would be rounded."""
        self.has_position = "position" in table.c
        self._columns = {column.name: column for column in table.columns}
        self._sql_types = {name: column.type.compile(_DIALECT) for name, column in self._columns.items()}
        self._nested = {
            name: column.type for name, column in self._columns.items() if isinstance(column.type, JSON | ARRAY)
        }
        self.filled_by_database = [
            column.name
            for column in table.columns
            if (column.server_default is not None or column.computed is not None) and column.name != "archived"
        ]

    def quoted(self, name: str) -> str:
        """The column's name as SQL."""
        return _QUOTE.quote(name)

    def carrier(self, name: str) -> str:
        """The type of the array's elements: arrays themselves travel as text, since an array of arrays would be flattened."""
        return "text" if isinstance(self._columns[name].type, ARRAY) else self._sql_types[name]

    def recast(self, name: str) -> str:
        """The cast from the carrier to the column's type."""
        return f"::{self._sql_types[name]}" if isinstance(self._columns[name].type, ARRAY) else ""

    def adapted(self, name: str, values: Sequence[Any]) -> Sequence[Any]:
        """Checked values of one column as psycopg takes them for the carrier."""
        kind = self._nested.get(name)
        if kind is None:
            return values
        if isinstance(kind, JSON):
            return [None if value is None else Jsonb(value) for value in values]
        return [None if value is None else array_literal(value) for value in values]


_shapes: dict[Table, Shape] = {}


def shape_of(table: Table) -> Shape:
    """The shape of a table, made once."""
    if table not in _shapes:
        _shapes[table] = Shape(table)
    return _shapes[table]


def _kept_types_of(column: Column[Any]) -> frozenset[type]:
    absent = type(None)
    if isinstance(column.type, JSON | ARRAY | Numeric) or column.type.python_type not in PLAIN_TYPES:
        return frozenset({absent})
    return frozenset({absent, column.type.python_type})


def _check_of(column: Column[Any], *, exact: bool) -> Check:
    """How a value of this column is checked; null is checked by PostgreSQL."""
    kind = column.type
    if isinstance(kind, JSON):
        return _plain
    if isinstance(kind, ARRAY):
        return lambda value: _checked_texts(column.name, _plain(value))
    if isinstance(kind, Numeric):
        return _number_check(column.name, kind.scale if exact else None)
    if kind.python_type is datetime:
        return _moment_check(column.name)
    expected = kind.python_type
    return lambda value: _checked_value(column.name, expected, _plain(value))


def _number_check(name: str, scale: int | None) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, Decimal) and _fits(value, scale):
            return value
        return _checked_number(name, scale, _plain(value))

    return check


def _moment_check(name: str) -> Check:
    def check(value: Any) -> Any:
        if type(value) is datetime and value.tzinfo is not None:
            return value
        return _checked_value(name, datetime, _plain(value))

    return check


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _checked_texts(name: str, value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{name} takes a list of texts")
    return list(value)


def _checked_value(name: str, expected: type, value: Any) -> Any:
    if value is None:
        return None
    if type(value) is str and expected is str and "\x00" not in value:
        return value
    if isinstance(value, memoryview | bytearray):
        value = bytes(value)
    wrong_kind = not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool)
    if wrong_kind or (expected is date and isinstance(value, datetime)):
        raise TypeError(f"{name} takes {expected.__name__}, not {type(value).__name__}")
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{name} takes a time with a zone")
    if isinstance(value, str) and "\x00" in value:
        raise ValueError(f"{name} holds a null character")
    return str(value) if isinstance(value, UUID) and expected is str else value


def _checked_number(name: str, scale: int | None, value: Any) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise TypeError(f"{name} takes Decimal, not {type(value).__name__}")
    number = value if type(value) is Decimal else Decimal(value)
    if not number.is_finite():
        raise ValueError(f"{name} takes finite numbers")
    if not _fits(number, scale):
        raise ValueError(f"{name} keeps {scale} decimals; {number} has more")
    return number


@lru_cache(maxsize=8192)
def _fits(number: Decimal, scale: int | None) -> bool:
    """Whether a number is finite and has no digit beyond the scale, if there is one. Few amounts are new."""
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        return False
    return scale is None or -exponent <= scale or not any(digits[exponent + scale :])
