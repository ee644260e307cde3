"""Events that wait to be sent, in a SQLite file that several threads and processes share. Knows no network.

An event is out of it only when its answer came. Only the holder of the lease sends; a lease that is not renewed falls to another.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from revline_usage.events import Refused

BUSY_SECONDS: Final = 10.0
SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS event (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, body BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS refused (position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, verdict TEXT NOT NULL,
        problem TEXT NOT NULL, body BLOB NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS lease (one INTEGER PRIMARY KEY CHECK (one = 1), holder TEXT NOT NULL, until REAL NOT NULL)",
)


class OutboxFull(Exception):  # noqa: N818 - what happened, for an except clause to read well
    """As many events wait as may; the event was not taken."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An event in the outbox."""

    position: int
    id: str
    body: bytes


class Outbox:
    """One file. events_max: how many may wait. durable: an event survives a power cut, at one fsync for each call of `add`;
    without it, it survives the end of the process."""

    def __init__(self, path: str | os.PathLike[str], *, events_max: int, durable: bool) -> None:
        self._path, self._events_max, self._durable = Path(path), events_max, durable
        self._lock = threading.Lock()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = self._open()
        self._waiting = self._counted()

    def _open(self) -> sqlite3.Connection:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.close(descriptor)
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'NORMAL'}")
        for statement in SCHEMA:
            connection.execute(statement)
        return connection

    def reopen(self) -> None:
        """After a fork: the child must not use its parent's connection."""
        self._lock = threading.Lock()
        self._connection = self._open()
        self._waiting = self._counted()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def add(self, events: Sequence[tuple[str, bytes]]) -> None:
        """Keeps events (id, body); all of them or none. `OutboxFull` when there is no room."""
        with self._writing() as connection:
            if self._waiting + len(events) > self._events_max:
                # Others may have sent or added some: only the file knows.
                self._waiting = self._count(connection)
                if self._waiting + len(events) > self._events_max:
                    raise OutboxFull(f"{self._waiting} events wait to be sent; {self._events_max} is the most")
            connection.executemany("INSERT INTO event (id, body) VALUES (?, ?)", events)
            self._waiting += len(events)

    def _counted(self) -> int:
        with self._lock:
            return self._count(self._connection)

    @staticmethod
    def _count(connection: sqlite3.Connection) -> int:
        (count,) = connection.execute("SELECT count(*) FROM event").fetchone()
        return int(count)

    def waiting(self) -> int:
        """How many events wait."""
        return self._counted()

    def first(self, *, events_max: int, bytes_max: int) -> list[Kept]:
        """The oldest events, up to a number and a size; one event always fits."""
        found: list[Kept] = []
        size = 0
        with self._lock:
            rows = self._connection.execute(
                "SELECT position, id, body FROM event ORDER BY position LIMIT ?", (events_max,)
            )
            for row in rows:
                size += len(row[2]) + 1
                if found and size > bytes_max:
                    break
                found.append(Kept(*row))
        return found

    def settle(self, *, done: Sequence[int], refused: Sequence[tuple[int, Refused]], problems: Sequence[str]) -> None:
        """Takes out what was answered. problems: of the refused ones, as JSON."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO refused (id, verdict, problem, body) VALUES (?, ?, ?, ?)",
                [(one.id, one.verdict, text, one.body) for (_, one), text in zip(refused, problems, strict=True)],
            )
            gone = [(position,) for position in (*done, *(position for position, _ in refused))]
            connection.executemany("DELETE FROM event WHERE position = ?", gone)
            self._waiting = max(0, self._waiting - len(gone))

    def refused(self, *, limit: int) -> list[tuple[str, str, str, bytes]]:
        """Refused events, oldest first: id, verdict, problem as JSON, body."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, verdict, problem, body FROM refused ORDER BY position LIMIT ?", (limit,)
            )
            return rows.fetchall()

    def forget_refused(self) -> int:
        """Drops the refused events; how many there were."""
        with self._writing() as connection:
            return connection.execute("DELETE FROM refused").rowcount

    def hold(self, *, holder: str, now: float, seconds: float) -> bool:
        """Takes or renews the lease; False while another holds it."""
        with self._writing() as connection:
            row = connection.execute("SELECT holder, until FROM lease").fetchone()
            if row is not None and row[0] != holder and now < row[1] <= now + 10 * seconds:
                return False
            connection.execute(
                "INSERT OR REPLACE INTO lease (one, holder, until) VALUES (1, ?, ?)", (holder, now + seconds)
            )
            return True

    def release(self, *, holder: str) -> None:
        """Gives the lease back."""
        with self._writing() as connection:
            connection.execute("DELETE FROM lease WHERE holder = ?", (holder,))

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()
