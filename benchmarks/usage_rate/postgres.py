"""The same month in PostgreSQL alone: COPY into a table, one SQL group-by. What a team would otherwise do."""

from __future__ import annotations

import time

import psycopg
import pyarrow.parquet as pq

from benchmarks.common import durable_server, interleaved, progress
from benchmarks.usage_rate.month import COLUMN, MONTH
from benchmarks.usage_rate.rating import Room

TABLE = (
    "CREATE TABLE usage (type text NOT NULL, subject text NOT NULL, occurred_at timestamptz NOT NULL,"
    " source text NOT NULL, id text NOT NULL, amount numeric(18, 6) NOT NULL, PRIMARY KEY (source, id))"
)
ARRIVING = "CREATE TEMPORARY TABLE arriving (LIKE usage) ON COMMIT DELETE ROWS"
TAKE = "INSERT INTO usage SELECT * FROM arriving ON CONFLICT (source, id) DO NOTHING"
RATE = (
    "SELECT type, subject, sum(amount), count(*) FROM usage WHERE occurred_at >= %s AND occurred_at < %s"
    " GROUP BY type, subject"
)
COPIED = ("type", "subject", "occurred_at", "source", "id", COLUMN)


def compare(room: Room, *, rounds: int) -> dict[str, float]:
    """Wall seconds of both, PostgreSQL's being a process of its own."""
    with durable_server() as server, psycopg.connect(server.dsn("revline_owner"), autocommit=True) as connection:
        connection.execute(TABLE)
        connection.execute(ARRIVING)
        progress(f"loading {room.made.events:,} events into PostgreSQL")
        started = time.perf_counter()
        _load(room, connection)
        loaded = time.perf_counter() - started
        connection.execute("VACUUM ANALYZE usage")
        taken = interleaved(
            {
                "rate": lambda: room.rate(partials=False),
                "postgres_rate": lambda: connection.execute(RATE, (MONTH.start, MONTH.end)).fetchall(),
            },
            rounds=rounds,
        )
    return {
        "postgres_load_wall_seconds": loaded,
        **{f"{name}_wall_seconds": each.wall_seconds for name, each in taken.items()},
    }


def _load(room: Room, connection: psycopg.Connection[tuple[object, ...]]) -> None:
    for file in room.made.files():
        for batch in pq.ParquetFile(file.path).iter_batches(batch_size=100_000, columns=list(COPIED)):
            with connection.transaction(), connection.cursor() as cursor:
                with cursor.copy("COPY arriving FROM STDIN") as copy:
                    for row in zip(*(batch.column(name).to_pylist() for name in COPIED), strict=True):
                        copy.write_row(row)
                cursor.execute(TAKE)
