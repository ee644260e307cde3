"""The test session's databases: one server with fsync off, a template with every table, one database a worker."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from pathlib import Path
from typing import Final

import psycopg

from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.engine import Database
from revline.platform.store.migrate import upgrade
from revline.platform.store.roles import SUPERUSER
from revline.platform.store.schema import catalogue_lines, schema_sql
from revline.platform.store.walls import metadata

SOURCES: Final = Path(__file__).resolve().parent.parent / "src"
TEMPLATE: Final = "test_template"
MIGRATED: Final = "test_migrated"
DECLARED: Final = "test_declared"


def table_modules() -> list[str]:
    """Every module of the product that declares tables."""
    found = sorted(SOURCES.glob("revline/**/tables.py"))
    return [".".join(path.relative_to(SOURCES).with_suffix("").parts) for path in found]


def import_tables() -> None:
    """Fills the shared metadata."""
    for module in table_modules():
        importlib.import_module(module)


class TestServer:
    """The session's server. The template is what the migrations make; while declared tables differ from it (work under way;
    the migration test says so), the template is what the declarations make. durable: with fsync on, for tests that crash it."""

    __test__ = False

    def __init__(self, folder: Path | None = None, *, durable: bool = False) -> None:
        self._made = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="revline-tests-"))
        if self._made:
            self.folder.chmod(0o711)
        self.server = EmbeddedServer(self.folder / "postgres", durable=durable)
        if self._made:
            self.server.start()
            self._make_template()

    def close(self) -> None:
        """Stops the server and removes its folder, if this object made it."""
        if self._made:
            self.server.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def owner_dsn(self, database: str) -> str:
        """The owner's URL."""
        return self.server.dsn("revline_owner", database)

    def new_database(self, name: str, *, template: str | None = TEMPLATE) -> None:
        """A fresh database of this name."""
        self.server.drop_database(name)
        self.server.create_database(name, template=template)

    def empty(self, name: str) -> None:
        """Empties every table that holds rows."""
        with psycopg.connect(self.owner_dsn(name), autocommit=True) as connection:
            connection.execute("SET lock_timeout = '10s'")
            filled = connection.execute(
                "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
                " AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0"
            ).fetchall()
            if filled:
                connection.execute(f"TRUNCATE {', '.join(row[0] for row in filled)} CASCADE".encode())

    def _make_template(self) -> None:
        import_tables()
        for name in (MIGRATED, DECLARED):
            self.server.create_database(name)
        upgrade(owner_dsn=self.owner_dsn(MIGRATED))
        with psycopg.connect(self.owner_dsn(DECLARED)) as connection:
            connection.execute(schema_sql(metadata).encode())
        same = self.lines(MIGRATED) == self.lines(DECLARED)
        if not same:
            self._stamp()
        self.server.create_database(TEMPLATE, template=MIGRATED if same else DECLARED)

    def _stamp(self) -> None:
        """Say of the declared schema that it is the newest, so that processes a test starts don't refuse it."""
        with psycopg.connect(self.owner_dsn(MIGRATED)) as connection:
            version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        with psycopg.connect(self.owner_dsn(DECLARED)) as connection:
            connection.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
            connection.execute("INSERT INTO alembic_version VALUES (%s)", version)
            connection.execute("GRANT SELECT ON alembic_version TO revline_app, revline_control")

    def lines(self, name: str) -> frozenset[str]:
        """What the database's schema is made of."""
        database = Database(dsn=self.server.dsn(SUPERUSER, name), pool_size=1)
        try:
            with database.control() as connection:
                return catalogue_lines(connection)
        finally:
            database.dispose()
