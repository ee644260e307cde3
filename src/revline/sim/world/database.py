"""The real database as one simulated process sees it: its transactions are boundaries, and its time is the world's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, make_url

from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.platform.work.queries import SIMULATED_TIME
from revline.sim.world.process import Process

STATEMENT_LIMIT_SECONDS: Final = 60
LOCK_LIMIT_SECONDS: Final = 5
"""Transactions of a world never overlap; one that waits for a lock is a defect."""


def world_engine(*, dsn: str) -> Engine:
    """The connections of every process of every world: no checks before use, since the server is the world's own."""
    return create_engine(
        make_url(dsn).set(drivername="postgresql+psycopg"),
        pool_size=4,
        max_overflow=0,
        connect_args={
            "options": f"-c timezone=UTC -c jit=off -c statement_timeout={STATEMENT_LIMIT_SECONDS}s"
            f" -c lock_timeout={LOCK_LIMIT_SECONDS}s -c synchronous_commit=off"
        },
    )


class WorldDatabase(Database):
    """`Database` for one process of a world."""

    def __init__(self, *, engine: Engine, process: Process) -> None:
        self._engine = engine
        self._process = process

    @contextmanager
    def read(self, *, tenants: Sequence[str]) -> Iterator[Connection]:
        with self._process.transaction("read"), super().read(tenants=tenants) as connection:
            self._tell_time(connection)
            yield connection

    @contextmanager
    def control(self) -> Iterator[Connection]:
        with self._process.transaction("control") as commits, super().control() as connection:
            self._tell_time(connection)
            yield connection
            commits()

    @contextmanager
    def unit(
        self,
        *,
        tenants: Sequence[str],
        kind: str,
        actor: str,
        reason: str,
        recorded_at: datetime,
        dry_run: bool = False,
    ) -> Iterator[Unit]:
        with (
            self._process.transaction(kind) as commits,
            super().unit(
                tenants=tenants, kind=kind, actor=actor, reason=reason, recorded_at=recorded_at, dry_run=dry_run
            ) as unit,
        ):
            self._tell_time(unit.connection)
            yield unit
            commits()

    def _tell_time(self, connection: Connection) -> None:
        """Database time is the world's own, whatever the clock of the process says."""
        connection.info[SIMULATED_TIME] = self._process.time.now
