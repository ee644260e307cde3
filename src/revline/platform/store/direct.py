"""Statements of every turn, sent straight through the driver of an open transaction.

SQLAlchemy's way to a result costs two to three times the processor time of the driver's, which is most of what a turn with few
documents costs. Statements are still SQLAlchemy's texts, rendered once each. Errors are psycopg's (`is_transient` knows both).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import Connection, TextClause
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

_DIALECT: Final = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_rendered: Final[dict[TextClause, bytes]] = {}

Row = tuple[Any, ...]


def driver_of(connection: Connection) -> psycopg.Connection[Row]:
    """The driver's connection under an open transaction."""
    if not connection.in_transaction():
        raise RuntimeError("no transaction is open: what the driver wrote would be rolled back")
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def fetch(connection: Connection, statement: TextClause, parameters: Mapping[str, Any]) -> Sequence[Row]:
    """All rows of a statement, as tuples."""
    return driver_of(connection).execute(_sql_of(statement), parameters).fetchall()


def fetch_named(
    connection: Connection, statement: TextClause, parameters: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]]:
    """The same by the names of the columns."""
    with driver_of(connection).cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_sql_of(statement), parameters).fetchall()


def send(connection: Connection, statement: TextClause, parameters: Mapping[str, Any]) -> None:
    """A statement without a result."""
    driver_of(connection).execute(_sql_of(statement), parameters)


def _sql_of(statement: TextClause) -> bytes:
    """The statement with the driver's placeholders. Statements are constants of modules, so few are kept."""
    found = _rendered.get(statement)
    if found is None:
        found = _rendered[statement] = str(statement.compile(dialect=_DIALECT)).encode()
    return found
