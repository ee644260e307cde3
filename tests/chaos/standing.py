"""Where stories are told: a PostgreSQL of their own with fsync on, that can be crashed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from revline.platform.store.engine import Database
from tests.chaos.running import Stand
from tests.databases import TestServer

DATABASE: Final = "chaos"


@contextmanager
def durable_stand() -> Iterator[Stand]:
    """A server of its own, fsync on; gone at the end."""
    server = TestServer(durable=True)
    try:
        with tempfile.TemporaryDirectory(prefix="revline-chaos-") as folder:
            server.new_database(DATABASE)
            dsn = server.server.dsn("revline_app", DATABASE)
            database = Database(dsn=dsn, pool_size=8)

            def crash(seconds: float) -> None:
                server.server.stop(immediately=True)
                time.sleep(seconds)
                server.server.start()
                assert server.server.dsn("revline_app", DATABASE) == dsn

            try:
                yield Stand(
                    database=database,
                    dsn=dsn,
                    folder=Path(folder),
                    empty=lambda: server.empty(DATABASE),
                    crash=crash,
                )
            finally:
                database.dispose()
    finally:
        server.close()
