"""DuckDB in a box: it reads below the folders it was opened for and nothing else, and keeps to a limit of memory.

The database is in memory and empty; no extension is loaded or fetched, no setting can be changed once it is open.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import duckdb
import msgspec
import pyarrow as pa

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.usage.metering.dialects import Bound, Dialect, literal

THREADS_MAX: Final = 64

define(
    code="usage.query_too_large",
    title="The usage query needs more memory than it may have",
    status=503,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Raise REVLINE_USAGE_QUERY_MEGABYTES, give the data folder more room, or ask for fewer customers at once.",
)
define(
    code="usage.number_too_large",
    title="A quantity does not fit 38 digits",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Give the field of the event type fewer digits after the point, or let the meter count in a larger unit.",
)
define(
    code="usage.unreadable",
    title="Stored usage could not be read",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Look at the segment store and its cache; a damaged file is restored from the backup.",
)


class EngineLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one query may use. threads: 0 for one a core. folder: where it may spill; "" for nowhere."""

    memory_megabytes: int = 4_096
    threads: int = 0
    folder: str = ""
    spill_megabytes: int = 65_536


class DuckBox:
    """One open box. Not for two threads at once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._given: set[str] = set()

    def dialect(self) -> Dialect:
        """DuckDB's."""
        return Dialect()

    def give(self, name: str, table: pa.Table) -> None:
        """Let queries read a table by a name."""
        self._connection.register(name, table)
        self._given.add(name)

    def ask(self, sql: str, parameters: Mapping[str, Bound]) -> pa.Table:
        """A query's answer as a table. Raises duckdb.Error; `problem_of` says what it means."""
        return self._connection.sql(sql, params=dict(parameters)).to_arrow_table()

    def clear(self) -> None:
        """Forget every table that was given."""
        for name in self._given:
            self._connection.unregister(name)
        self._given.clear()

    def close(self) -> None:
        """It is gone, and what it remembered with it."""
        self._connection.close()


class DuckBoxes:
    """Opens boxes, and keeps a few that are idle: opening one costs more than a small question, and one that stays open knows the
    files it has read (they never change). Each box reads below the folders it was opened for, one tenant's. Safe for threads."""

    def __init__(self, *, limits: EngineLimits, idle_max: int = 4) -> None:
        self._limits, self._idle_max = limits, idle_max
        self._idle: list[tuple[frozenset[str], DuckBox]] = []
        self._lock = threading.Lock()

    @contextmanager
    def __call__(self, *, paths: Iterable[str]) -> Iterator[DuckBox]:
        """A box that may read these files and their neighbours. After an error it is not used again."""
        folders = frozenset(path.rpartition("/")[0] + "/" for path in paths)
        box = self._taken(folders) or _opened(self._limits, folders)
        try:
            yield box
            box.clear()
        except BaseException:
            box.close()
            raise
        self._put_back(folders, box)

    def close(self) -> None:
        """Closes what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, box in idle:
            box.close()

    def _taken(self, folders: frozenset[str]) -> DuckBox | None:
        with self._lock:
            place = next((place for place, (own, _) in enumerate(self._idle) if own == folders), None)
            return None if place is None else self._idle.pop(place)[1]

    def _put_back(self, folders: frozenset[str], box: DuckBox) -> None:
        with self._lock:
            self._idle.append((folders, box))
            beyond = self._idle.pop(0)[1] if len(self._idle) > self._idle_max else None
        if beyond is not None:
            beyond.close()


def _opened(limits: EngineLimits, folders: frozenset[str]) -> DuckBox:
    threads = {"threads": min(limits.threads, THREADS_MAX)} if limits.threads else {}
    config: dict[str, Any] = {
        "memory_limit": f"{limits.memory_megabytes}MB",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "preserve_insertion_order": False,
        **threads,
    }
    allowed = ", ".join(literal(folder) for folder in sorted(folders))
    settings = [
        f"SET temp_directory = {literal(limits.folder)}",
        f"SET max_temp_directory_size = '{limits.spill_megabytes}MB'" if limits.folder else "",
        "SET TimeZone = 'UTC'",
        "SET python_enable_replacements = false",
        "SET parquet_metadata_cache = true",
        f"SET allowed_directories = [{allowed}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ]
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.execute("; ".join(each for each in settings if each))
    except BaseException:
        connection.close()
        raise
    return DuckBox(connection)


def problem_of(error: duckdb.Error) -> Problem:
    """What an engine's error means to whoever asked. Its own words may hold values, so they are not repeated."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return problem("usage.query_too_large", "the query ran out of its memory and its room to spill")
    if isinstance(error, duckdb.OutOfRangeException | duckdb.ConversionException):
        return problem("usage.number_too_large", "a sum or a value of this meter has more than 38 digits")
    return problem("usage.unreadable", f"the query engine could not go on ({type(error).__name__})")
