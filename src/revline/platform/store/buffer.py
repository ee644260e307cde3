"""Rows waiting for their position, and how they are written: one statement a table and shape, arrays unnested.

Values are checked against the declared columns, so that what is read back is what was hashed. It knows no package's tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final

import psycopg
from sqlalchemy import Table

from revline.platform.store.arrays import array_literal
from revline.platform.store.columns import Check, Shape, shape_of
from revline.platform.store.walls import is_archivable, is_recorded, is_tenant_table

MAXIMUM_ROWS_PER_UNIT: Final = 100_000
ROWS_PER_STATEMENT: Final = 5_000


class UnitError(RuntimeError):
    """A unit of work was used against its rules: a programming error, never bad input."""


class _ThisPosition:
    def __repr__(self) -> str:
        return "THIS_POSITION"


THIS_POSITION: Final = _ThisPosition()

Row = dict[str, Any]


class Buffer:
    """What one unit of work will write. Rows it is given are its own from then on."""

    def __init__(self, tenants: frozenset[str]) -> None:
        self._tenants = tenants
        self._recorded: dict[str, list[tuple[Table, Row]]] = {}
        self._projected: dict[tuple[Table, tuple[str, ...]], dict[tuple[Any, ...], Row]] = {}
        self._changed: dict[tuple[Table, tuple[str, ...]], dict[tuple[Any, ...], Row]] = {}
        self._count = 0
        self._written: set[str] = set()
        self._late: list[Row] = []
        self._expected: list[tuple[Table, int, psycopg.Cursor[Any]]] = []

    def record(self, table: Table, values: Row) -> int:
        """Adds a recorded row; gives its ordinal."""
        shape = shape_of(table)
        if not shape.recorded:
            raise UnitError(f"{table.name} is not a recorded table: it has no position and ordinal")
        row = self._checked(shape, values, shape.exact_checks)
        absent = [name for name in shape.filled_by_database if name not in row]
        if absent:
            raise UnitError(f"give {table.name}.{', '.join(absent)}: what the database fills in can't be hashed before")
        rows = self._recorded.setdefault(row["tenant_id"], [])
        row["ordinal"] = len(rows) + 1
        rows.append((table, row))
        return len(rows)

    def project(self, table: Table, key: Sequence[str], values: Row) -> None:
        """Adds an upsert."""
        self._merge(self._projected, table, key, values)

    def change(self, table: Table, key: Sequence[str], values: Row) -> None:
        """Adds an update of a row that must exist."""
        self._merge(self._changed, table, key, values)

    def tenants_written(self) -> list[str]:
        """The tenants that have a row here, sorted: the order their counters are locked in."""
        return sorted(self._written)

    def row_count(self, tenant: str) -> int:
        """Recorded rows of a tenant."""
        return len(self._recorded.get(tenant, ()))

    def place(self, positions: Mapping[str, int]) -> None:
        """Fills in the positions, once they are known; before rows are read."""
        for tenant, rows in self._recorded.items():
            position = positions[tenant]
            for _, row in rows:
                row["position"] = position
        for groups in (self._projected, self._changed):
            for (table, _), kept in groups.items():
                if shape_of(table).has_position:
                    for row in kept.values():
                        row["position"] = positions[row["tenant_id"]]
        for row in self._late:
            for name, value in row.items():
                if value is THIS_POSITION:
                    row[name] = positions[row["tenant_id"]]

    def recorded_rows(self, tenant: str) -> Sequence[tuple[Table, Row]]:
        """A tenant's recorded rows by ordinal, as they will stand in the database."""
        return self._recorded.get(tenant, ())

    def groups(self) -> Iterator[tuple[str, Table, tuple[str, ...], list[Row]]]:
        """(manner, table, key, rows of equal columns), in the order to write them: tables by their references, then name."""
        inserted: dict[Table, dict[tuple[str, ...], list[Row]]] = {}
        for tenant in sorted(self._recorded):
            for table, row in self._recorded[tenant]:
                inserted.setdefault(table, {}).setdefault(names_of(row), []).append(row)
        no_key: tuple[str, ...] = ()
        pending = [("insert", table, no_key, rows) for table, shapes in inserted.items() for rows in shapes.values()]
        for manner, kept in (("upsert", self._projected), ("update", self._changed)):
            for (table, key), by_key in kept.items():
                shapes: dict[tuple[str, ...], list[Row]] = {}
                for identity in _in_order(by_key):
                    row = by_key[identity]
                    shapes.setdefault(names_of(row), []).append(row)
                pending += [(manner, table, key, rows) for rows in shapes.values()]
        order = {table: number for number, table in enumerate(_tables_in_order(one[1] for one in pending))}
        manners = {"insert": 0, "upsert": 1, "update": 2}
        pending.sort(key=lambda one: (manners[one[0]] == 2, order[one[1]], manners[one[0]]))
        yield from pending

    def expect(self, table: Table, count: int, cursor: psycopg.Cursor[Any]) -> None:
        """Remembers how many rows an update must find."""
        self._expected.append((table, count, cursor))

    def check_changes(self) -> None:
        """Raises UnitError when an update did not find its rows."""
        for table, count, cursor in self._expected:
            if cursor.rowcount != count:
                raise UnitError(f"{count} rows of {table.name} were to change, {cursor.rowcount} are there")

    def _merge(
        self,
        kept: dict[tuple[Table, tuple[str, ...]], dict[tuple[Any, ...], Row]],
        table: Table,
        key: Sequence[str],
        values: Row,
    ) -> None:
        updates = kept is self._changed
        names = _key_names(table, tuple(key), updates)
        if not updates and names[-1] == "archived":
            values = {"archived": False, **values}
        shape = shape_of(table)
        row = self._checked(shape, values, shape.checks)
        identity = tuple([row.get(name) for name in names])
        if None in identity:
            missing = [name for name in names if row.get(name) is None]
            raise UnitError(f"the key of {table.name} lacks {', '.join(missing)}")
        rows = kept.setdefault((table, names), {})
        earlier = rows.get(identity)
        if earlier is None:
            rows[identity] = row
        else:
            earlier.update(row)
            self._note_late(earlier)

    def _checked(self, shape: Shape, row: Row, checks: Mapping[str, Check]) -> Row:
        """The row, whose values are now as they are stored."""
        if self._count >= MAXIMUM_ROWS_PER_UNIT:
            raise UnitError(f"a unit of work writes at most {MAXIMUM_ROWS_PER_UNIT} rows")
        self._count += 1
        tenant = row.get("tenant_id")
        if tenant not in self._tenants:
            raise UnitError(f"the unit does not name the tenant {tenant!r}")
        texts, kept_types = shape.texts, shape.kept_types
        late = False
        try:
            for name, value in row.items():
                kind = type(value)
                if kind is str and name in texts and "\x00" not in value:
                    continue
                if kind in kept_types[name]:
                    continue
                if value is THIS_POSITION:
                    late = True
                else:
                    row[name] = checks[name](value)
        except KeyError as fault:
            raise UnitError(f"{shape.table.name}: no column {fault.args[0]}") from fault
        except (TypeError, ValueError) as fault:
            raise UnitError(f"{shape.table.name}: {fault}") from fault
        self._written.add(tenant)
        if late:
            self._late.append(row)
        return row

    def _note_late(self, row: Row) -> None:
        if any(value is THIS_POSITION for value in row.values()):
            self._late.append(row)


@cache
def _key_names(table: Table, key: tuple[str, ...], updates: bool) -> tuple[str, ...]:  # noqa: FBT001 - one flag of a cached function
    """The columns that tell rows of a table apart; a row of history is another than one that is live."""
    if not is_tenant_table(table) or is_recorded(table):
        raise UnitError(f"{table.name} takes no projection: it is a control table, or append-only")
    names = ("tenant_id", *(name for name in key if name not in {"tenant_id", "archived"}))
    return (*names, "archived") if is_archivable(table) and not updates else names


_sorted_names: dict[tuple[str, ...], tuple[str, ...]] = {}
SORTED_NAMES_MAX: Final = 4_096


def names_of(row: Row) -> tuple[str, ...]:
    """A row's columns, sorted. Rows of one kind name them in one order, so the sorting is remembered."""
    given = tuple(row)
    found = _sorted_names.get(given)
    if found is None:
        if len(_sorted_names) >= SORTED_NAMES_MAX:
            _sorted_names.clear()
        found = _sorted_names[given] = tuple(sorted(given))
    return found


def _in_order(by_key: Mapping[tuple[Any, ...], Row]) -> list[tuple[Any, ...]]:
    """Keys in one order for everyone, so that two units lock rows alike. Keys of one table are alike, and seldom not texts."""
    try:
        return sorted(by_key)
    except TypeError:
        return sorted(by_key, key=repr)


def write(driver: psycopg.Connection[Any], buffer: Buffer) -> None:
    """Sends every buffered row, within a pipeline; results are checked when it is synchronised."""
    for manner, table, key, rows in buffer.groups():
        shape = shape_of(table)
        names = names_of(rows[0])
        statement = _statement(manner, shape, key, names)
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            part = rows[start : start + ROWS_PER_STATEMENT] if len(rows) > ROWS_PER_STATEMENT else rows
            columns = zip(*map(itemgetter(*names), part), strict=True)
            literals = [array_literal(shape.adapted(name, column)) for name, column in zip(names, columns, strict=True)]
            cursor = driver.execute(statement, literals)
            if manner == "update":
                buffer.expect(table, len(part), cursor)


def _tables_in_order(tables: Iterable[Table]) -> list[Table]:
    present = set(tables)
    collections = {id(table.metadata): table.metadata for table in present}.values()
    return [table for one in collections for table in one.sorted_tables if table in present]


_statements: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], bytes] = {}


def _statement(manner: str, shape: Shape, key: tuple[str, ...], names: tuple[str, ...]) -> bytes:
    wanted = (manner, shape.table.name, key, names)
    if wanted not in _statements:
        _statements[wanted] = _rendered(manner, shape, key, names).encode()
    return _statements[wanted]


def _rendered(manner: str, shape: Shape, key: tuple[str, ...], names: tuple[str, ...]) -> str:
    table = shape.quoted_table
    quoted = {name: shape.quoted(name) for name in names}
    given = ", ".join(quoted.values())
    # Not FROM unnest(a, b, …), which stores each array as a table before the first row is made.
    source = (
        f"(SELECT {', '.join(f'unnest(%s::{shape.carrier(name)}[]) AS {quoted[name]}' for name in names)}) AS given"
    )
    values = {name: f"given.{quoted[name]}{shape.recast(name)}" for name in names}
    others = [name for name in names if name not in key]
    if manner == "update":
        changes = ", ".join(f"{quoted[name]} = {values[name]}" for name in others)
        matches = " AND ".join(f"{table}.{quoted[name]} = {values[name]}" for name in key)
        live = f" AND NOT {table}.archived" if is_archivable(shape.table) else ""
        return f"UPDATE {table} SET {changes} FROM {source} WHERE {matches}{live}"
    statement = f"INSERT INTO {table} ({given}) SELECT {', '.join(values[name] for name in names)} FROM {source}"
    if manner == "upsert":
        target = ", ".join(quoted[name] for name in key)
        changes = ", ".join(f"{quoted[name]} = excluded.{quoted[name]}" for name in others)
        statement += f" ON CONFLICT ({target}) " + (f"DO UPDATE SET {changes}" if changes else "DO NOTHING")
    return statement
