"""Migrations: bringing a database to the newest revision, and asking whether it is there.

Runs as `revline_owner`, the only role that may change the schema. Knows revisions, not what they contain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, make_url, text

from revline.platform.store.roles import APP, CONTROL

FOLDER: Final = Path(__file__).resolve().parent / "migrations"
ADVISORY_LOCK: Final = 0x5265766C
"""Number of the lock that keeps two upgrades of one database apart."""


class SchemaState(msgspec.Struct, frozen=True, kw_only=True):
    """Where a database stands. current: its revision, "" for an empty database. head: the newest revision there is."""

    current: str
    head: str

    @property
    def is_current(self) -> bool:
        """True when nothing is left to migrate."""
        return self.current == self.head


def upgrade(*, owner_dsn: str) -> SchemaState:
    """Runs every revision that is missing, each in its own transaction. Two at once wait for each other.

    Raises what the database raises; a revision that fails leaves nothing behind.
    """
    with _connection(owner_dsn) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": ADVISORY_LOCK})
        connection.commit()
        try:
            command.upgrade(_configuration(connection), "head")
            connection.commit()
            connection.execute(text(f"GRANT SELECT ON alembic_version TO {APP}, {CONTROL}"))
            connection.commit()
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": ADVISORY_LOCK})
            connection.commit()
        return _state(connection)


def check(*, dsn: str) -> SchemaState:
    """Where the database stands; any role may ask."""
    with _connection(dsn) as connection:
        return _state(connection)


def run_frozen_sql(name: str) -> None:
    """Called by a revision: executes its SQL file, which never changes once it is released."""
    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    driver.execute((FOLDER / name).read_bytes())


def _state(connection: Connection) -> SchemaState:
    present = connection.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar_one()
    current = MigrationContext.configure(connection).get_current_revision() if present else None
    head = ScriptDirectory.from_config(_configuration(connection)).get_current_head()
    return SchemaState(current=current or "", head=head or "")


def _configuration(connection: Connection) -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    return configuration


@contextmanager
def _connection(dsn: str) -> Iterator[Connection]:
    engine = create_engine(make_url(dsn).set(drivername="postgresql+psycopg"), poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()
