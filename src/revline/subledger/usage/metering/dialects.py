"""The few places where two engines write one meaning differently: DuckDB, and ClickHouse over the same Parquet. Pure.

A query gives whole numbers and exact decimals only; whatever has to be divided or rounded is so afterwards, in `exact`. So two
engines that both count right agree to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from revline.subledger.usage import columns
from revline.subledger.usage.kinds import FieldKind

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
Bound = str | int | Decimal
NARROW_DIGITS: Final = 18
"""Decimals of so many digits can be summed in 38 without a check: it would take 10^20 of them."""


def micros(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


def quoted(name: str) -> str:
    """A column's or table's name as an identifier. Names come from checked kinds and from us; the quotes are a second wall."""
    if '"' in name or "\\" in name or "\0" in name:
        raise ValueError(f"not a column: {name!r}")
    return f'"{name}"'


def literal(text: str) -> str:
    """A path of ours as a string constant, where an engine takes no parameter."""
    if "\\" in text or "\0" in text:
        raise ValueError(f"not a path: {text!r}")
    return "'" + text.replace("'", "''") + "'"


class Dialect:
    """What DuckDB writes; `ClickHouse` says what differs. Values are bound: `bind` keeps one and gives its placeholder."""

    name = "duckdb"
    anti_join = "ANTI JOIN"
    semi_join = "SEMI JOIN"

    def __init__(self) -> None:
        self.parameters: dict[str, Bound] = {}

    def _kept(self, value: Bound) -> str:
        for name, known in self.parameters.items():
            if type(known) is type(value) and known == value and str(known) == str(value):
                return name
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return name

    def text(self, value: str) -> str:
        return f"${self._kept(value)}"

    def integer(self, value: int) -> str:
        return f"CAST(${self._kept(value)} AS BIGINT)"

    def number(self, value: Decimal, *, scale: int) -> str:
        return f"CAST(${self._kept(str(value))} AS DECIMAL(38, {scale}))"

    def boolean(self, value: bool) -> str:  # noqa: FBT001 - a value, not a switch
        return "TRUE" if value else "FALSE"

    def moment(self, value: datetime) -> str:
        return f"make_timestamptz({self.integer(micros(value))})"

    def decimal(self, expression: str, *, precision: int, scale: int) -> str:
        return f"CAST({expression} AS DECIMAL({precision}, {scale}))"

    def total(self, expression: str, *, precision: int, scale: int) -> str:
        """An exact sum of decimals; too large for 38 digits is an error, never another number."""
        del precision, scale
        return f"sum({expression})"

    def total_integer(self, expression: str) -> str:
        """An exact sum of whole numbers."""
        return f"sum({expression})"

    def times(self, level: str, span: str, *, scale: int) -> str:
        """A level times whole microseconds, exact."""
        return f"CAST({level} AS DECIMAL(22, {scale})) * CAST({span} AS DECIMAL(16, 0))"

    def since_1970(self, expression: str) -> str:
        return f"epoch_us({expression})"

    def whole_part(self, number: str, divisor: str) -> str:
        """Whole-number division of what is not negative."""
        return f"(({number}) // ({divisor}))"

    def pair(self, first: str, second: str) -> str:
        return f"row({first}, {second})"

    def part(self, pair: str, number: int) -> str:
        return f"({pair})[{number}]"

    def gathered(self, expression: str) -> str:
        """Every value that is there, sorted."""
        return f"list_sort(list({expression}) FILTER (WHERE {expression} IS NOT NULL))"

    def how_many(self, array: str) -> str:
        return f"coalesce(len({array}), 0)"

    def how_many_below_zero(self, array: str) -> str:
        return f"len(list_filter({array}, lambda each: each < 0))"

    def at(self, array: str, place: str) -> str:
        return f"{array}[{place}]"

    def whole(self, expression: str) -> str:
        return f"CAST({expression} AS BIGINT)"

    def nothing(self, column: str) -> str:
        """A column that no file has."""
        return f"CAST(NULL AS {self.stored(column)})"

    def stored(self, column: str) -> str:
        """The type a field's column has in files."""
        kind, precision, scale = stored_kind(column)
        match kind:
            case FieldKind.DECIMAL:
                return f"DECIMAL({precision}, {scale})"
            case FieldKind.TEXT:
                return "VARCHAR"
            case FieldKind.BOOLEAN:
                return "BOOLEAN"
            case FieldKind.TIME:
                return "TIMESTAMP WITH TIME ZONE"

    def as_text(self, expression: str, kind: FieldKind) -> str:
        """A group's value: a boolean as true or false, what is missing as ""."""
        if kind is FieldKind.BOOLEAN:
            return f"CASE WHEN {expression} THEN 'true' WHEN NOT {expression} THEN 'false' ELSE '' END"
        return f"coalesce({expression}, '')"

    def files(self, paths: Sequence[str], *, fields: Sequence[str], alike: bool = False) -> str:
        """A relation over Parquet files. alike: all have the same columns, so that none has to be opened to know them."""
        del fields
        named = "" if alike else ", union_by_name = true"
        return f"read_parquet([{', '.join(literal(path) for path in paths)}]{named})"


class ClickHouse(Dialect):
    """The same for ClickHouse. Its sums wrap around without a word, so everything is summed wider than it can get."""

    name = "clickhouse"
    anti_join = "LEFT ANTI JOIN"
    semi_join = "LEFT SEMI JOIN"

    def text(self, value: str) -> str:
        return f"{{{self._kept(value)}:String}}"

    def integer(self, value: int) -> str:
        return f"{{{self._kept(value)}:Int64}}"

    def number(self, value: Decimal, *, scale: int) -> str:
        return f"toDecimal128({{{self._kept(str(value))}:String}}, {scale})"

    def moment(self, value: datetime) -> str:
        return f"fromUnixTimestamp64Micro({self.integer(micros(value))}, 'UTC')"

    def decimal(self, expression: str, *, precision: int, scale: int) -> str:
        return f"CAST({expression} AS Nullable(Decimal({precision}, {scale})))"

    def total(self, expression: str, *, precision: int, scale: int) -> str:
        if precision <= NARROW_DIGITS:
            return f"sum({expression})"
        return f"sum(CAST({expression} AS Nullable(Decimal(76, {scale}))))"

    def total_integer(self, expression: str) -> str:
        return f"sum(CAST({expression} AS Nullable(Decimal(38, 0))))"

    def times(self, level: str, span: str, *, scale: int) -> str:
        return f"CAST({level} AS Nullable(Decimal(76, {scale}))) * CAST({span} AS Nullable(Int64))"

    def since_1970(self, expression: str) -> str:
        return f"toUnixTimestamp64Micro({expression})"

    def whole_part(self, number: str, divisor: str) -> str:
        return f"intDiv({number}, {divisor})"

    def pair(self, first: str, second: str) -> str:
        return f"tuple({first}, {second})"

    def part(self, pair: str, number: int) -> str:
        return f"tupleElement({pair}, {number})"

    def gathered(self, expression: str) -> str:
        return f"arraySort(groupArray({expression}))"

    def how_many(self, array: str) -> str:
        return f"CAST(length({array}) AS Int64)"

    def how_many_below_zero(self, array: str) -> str:
        return f"arrayCount(each -> each < 0, {array})"

    def at(self, array: str, place: str) -> str:
        return f"arrayElement({array}, {place})"

    def whole(self, expression: str) -> str:
        return f"CAST({expression} AS Nullable(Int64))"

    def stored(self, column: str) -> str:
        kind, precision, scale = stored_kind(column)
        match kind:
            case FieldKind.DECIMAL:
                return f"Nullable(Decimal({precision}, {scale}))"
            case FieldKind.TEXT:
                return "Nullable(String)"
            case FieldKind.BOOLEAN:
                return "Nullable(Bool)"
            case FieldKind.TIME:
                return "Nullable(DateTime64(6, 'UTC'))"

    def files(self, paths: Sequence[str], *, fields: Sequence[str], alike: bool = False) -> str:
        del alike
        structure = ", ".join(
            [
                *(f"{name} {kind}" for name, kind in _CLICKHOUSE_COMMON.items()),
                *(f"{quoted(name)} {self.stored(name)}" for name in fields),
            ]
        )
        if any(set(path) & set("{},*?") for path in paths):
            raise ValueError("a path of a segment has a character that means a pattern")
        folders: dict[str, list[str]] = {}
        for path in paths:
            folder, _, name = path.rpartition("/")
            folders.setdefault(folder, []).append(name)
        # Braces choose among names within one folder only; across folders they match nothing, and no one is told.
        found = [
            f"file({literal(f'{folder}/' + (names[0] if len(names) == 1 else '{' + ','.join(names) + '}'))},"
            f" Parquet, {literal(structure)})"
            for folder, names in folders.items()
        ]
        return found[0] if len(found) == 1 else f"({' UNION ALL '.join(f'SELECT * FROM {each}' for each in found)})"


_CLICKHOUSE_COMMON: Final = {
    columns.SHARD: "Int16",
    columns.SEQUENCE: "Int64",
    columns.RECEIVED_AT: "DateTime64(6, 'UTC')",
    columns.OCCURRED_AT: "DateTime64(6, 'UTC')",
    columns.TYPE: "String",
    columns.SUBJECT: "String",
    columns.SOURCE: "String",
    columns.ID: "String",
    columns.VOIDS_SOURCE: "Nullable(String)",
    columns.VOIDS_ID: "Nullable(String)",
    columns.REST: "Nullable(String)",
    columns.TYPED: "Bool",
}


def stored_kind(column: str) -> tuple[FieldKind, int, int]:
    """What a field's column holds, by its name: kind, and precision and scale of a decimal."""
    kind = column.rpartition("__")[2]
    if kind in {"text", "personal"}:
        return FieldKind.TEXT, 0, 0
    if kind in {"boolean", "time"}:
        return FieldKind(kind), 0, 0
    precision, _, scale = kind.removeprefix("d").partition("_")
    return FieldKind.DECIMAL, int(precision), int(scale)
