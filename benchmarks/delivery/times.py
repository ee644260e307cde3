"""When documents were committed and when they were posted, by the commit times that PostgreSQL itself keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from benchmarks.common import durable_server, execute_all
from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.roles import SUPERUSER


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """One document. written, posted: seconds since the epoch of the commits that made it due and posted."""

    tenant_id: str
    document_id: str
    written: float
    posted: float


@contextmanager
def timing_server() -> Iterator[EmbeddedServer]:
    """A server as `durable_server` that keeps the time of each commit."""
    with durable_server() as server:
        execute_all(server.dsn(SUPERUSER, "postgres"), ["ALTER SYSTEM SET track_commit_timestamp = on"])
        server.stop()
        server.start()
        yield server


def delivered(server: EmbeddedServer, database: str) -> list[Delivered]:
    """Every posted document of a database. A copy of a database knows no commit times of its source: 0 stands for them."""
    statement = """
        SELECT document.tenant_id, document.document_id,
               coalesce(extract(epoch FROM pg_xact_commit_timestamp(document.xmin)), 0),
               extract(epoch FROM pg_xact_commit_timestamp(posted.xmin))
        FROM document JOIN document_transition AS posted USING (tenant_id, document_id)
        WHERE posted.to_state = 'posted'
    """
    with psycopg.connect(server.dsn(SUPERUSER, database)) as connection:
        rows = connection.execute(statement).fetchall()
    return [
        Delivered(tenant_id=row[0], document_id=row[1], written=float(row[2]), posted=float(row[3])) for row in rows
    ]


def posted_of(server: EmbeddedServer, database: str, tenants: Sequence[str]) -> int:
    """How many documents of these tenants are posted by now."""
    statement = (
        "SELECT count(*) FROM document_state WHERE tenant_id = ANY(%s) AND connection = 'erp' AND state = 'posted'"
    )
    with psycopg.connect(server.dsn(SUPERUSER, database)) as connection:
        row = connection.execute(statement, (list(tenants),)).fetchone()
    return int(row[0]) if row else 0
