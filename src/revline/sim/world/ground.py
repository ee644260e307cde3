"""What worlds stand on: an embedded PostgreSQL of their own in a temporary folder, and the configuration of their tenants."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy import Engine

from revline.platform.config.registry import Registry
from revline.platform.store.embedded import DEFAULT_DATABASE, EmbeddedServer
from revline.platform.store.migrate import upgrade
from revline.platform.store.roles import SUPERUSER
from revline.sim.judging import expectation_of
from revline.sim.world.database import world_engine
from revline.sim.world.directory import ENTITY, TEMPLATE, Compiled
from revline.sim.world.turns import Turns
from revline.sim.world.world import Ground

HERE: Final = Path(__file__).parent
SECOND: Final = "again"
CALM: Final = (
    "autovacuum = off",
    "plan_cache_mode = force_custom_plan",
    "synchronous_commit = off",
    "full_page_writes = off",
)
"""Nothing the server does by itself may change the order in which it finds rows."""
SHARED: Final = "lane, tenant_ring, capacity_pool"
"""Control tables that processes read across tenants; what an earlier world left there must not be met by the next."""
WORLDS_UNTIL_EMPTY: Final = 150


class Databases:
    """One server with two databases: worlds live in the first, some of them once more in the second."""

    def __init__(self, *, server: EmbeddedServer, registry: Registry, folder: Path) -> None:
        self._server, self._turns = server, Turns()
        self._engines: list[Engine] = []
        self._owners: dict[str, psycopg.Connection] = {}
        self._lived = 0
        write_configuration(folder)
        compiled = Compiled(folder=folder, registry=registry)
        expectation = expectation_of(folder=folder, entity=ENTITY)

        def ground(name: str) -> Ground:
            engine = world_engine(dsn=server.dsn("revline_app", name))
            self._engines.append(engine)
            self._owners[name] = psycopg.connect(server.dsn("revline_owner", name), autocommit=True)
            return Ground(engine=engine, compiled=compiled, turns=self._turns, expectation=expectation)

        self.first, self.second = ground(DEFAULT_DATABASE), ground(SECOND)

    def clear(self, *, everything: bool = False) -> None:
        """Before each world: nothing that is shared is left of earlier ones; now and then, and when told, nothing at all is."""
        self._lived += 1
        for owner in self._owners.values():
            whole = everything or not self._lived % WORLDS_UNTIL_EMPTY
            names = _every_table(owner) if whole else SHARED
            owner.execute(f"TRUNCATE {names}".encode())

    def close(self) -> None:
        """Let go of connections and threads."""
        self._turns.close()
        for engine in self._engines:
            engine.dispose()
        for owner in self._owners.values():
            owner.close()


def _every_table(owner: psycopg.Connection) -> str:
    rows = owner.execute(
        "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind = 'r' AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0"
    ).fetchall()
    return ", ".join([SHARED, *(row[0] for row in rows if row[0] not in SHARED.split(", "))])


@contextmanager
def new_databases(*, registry: Registry) -> Iterator[Databases]:
    """Start a server with every table; it is gone at the end, also when the process is asked to end."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with _databases(registry) as databases:
            yield databases
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(*_: object) -> None:
    raise SystemExit(128 + signal.SIGTERM)


@contextmanager
def _databases(registry: Registry) -> Iterator[Databases]:
    with tempfile.TemporaryDirectory(prefix="revline-world-") as place, ExitStack() as stack:
        folder = Path(place)
        folder.chmod(0o711)
        server = EmbeddedServer(folder / "postgres", durable=False)
        server.start()
        stack.callback(server.stop)
        upgrade(owner_dsn=server.dsn("revline_owner"))
        with psycopg.connect(server.dsn(SUPERUSER, "postgres"), autocommit=True) as connection:
            for setting in CALM:
                connection.execute(f"ALTER SYSTEM SET {setting}".encode())
            connection.execute("SELECT pg_reload_conf()")
        server.create_database(SECOND, template=DEFAULT_DATABASE)
        configuration = folder / "configuration"
        configuration.mkdir()
        databases = Databases(server=server, registry=registry, folder=configuration)
        stack.callback(databases.close)
        yield databases


def write_configuration(folder: Path) -> None:
    """The template tenant's folder: its own documents and the starter's rules."""
    for document in sorted((HERE / "configuration").iterdir()):
        (folder / document.name).write_text(document.read_text(encoding="utf-8"), encoding="utf-8")
    for rules in (files("revline") / "examples" / "starter").iterdir():
        if "-rules-" in rules.name:
            text = rules.read_text(encoding="utf-8").replace("tenant: acme", f"tenant: {TEMPLATE}")
            (folder / rules.name).write_text(text, encoding="utf-8")
