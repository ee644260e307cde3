"""The door to PostgreSQL: a pool of connections, reads, control transactions and units of work.

Synchronous; safe to use from several threads, each with a transaction of its own. It knows roles and walls, no package's tables.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from revline.platform.store.arrays import ListDumper
from revline.platform.store.direct import fetch
from revline.platform.store.unit import Unit, no_other_transaction, run_unit
from revline.platform.store.walls import NAME_TENANTS, tenants_setting

POOL_WAIT_SECONDS: Final = 30
STATEMENT_LIMIT_SECONDS: Final = 120
LOCK_LIMIT_SECONDS: Final = 30
IDLE_LIMIT_SECONDS: Final = 120
RANDOM_PAGE_COST: Final = 1.1
"""What is read by key is in memory or on a disk without arms. PostgreSQL's own 4 makes it read whole tables of some thousand rows
where a few hundred keys are asked for."""
PREPARE_AFTER: Final = 1
"""How often a statement is run on a connection before the server keeps it parsed. What comes once is not kept."""
ASK_AFTER_SECONDS: Final = 1.0
"""How long a connection may lie unused before it is asked whether it lives."""
TRANSIENT: Final = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.AdminShutdown,
    psycopg.errors.CrashShutdown,
    psycopg.errors.CannotConnectNow,
    psycopg.errors.TooManyConnections,
)
"""What the same unit of work may survive when it is run again."""


class Database:
    """One database as one role (`revline_app` for servers and the CLI, `revline_control` for metrics and pages of operators).

    dsn: a connection URL, `postgresql://role:password@host:port/database`. pool_size: the most connections it opens; whoever
    asks for one more waits up to 30 seconds. repeats: for a worker, which runs the same few statements on arrays of keys again and
    again: each is planned once, not once for each array; their plans differ in nothing but what planning costs.
    """

    def __init__(self, *, dsn: str, pool_size: int = 8, repeats: bool = False) -> None:
        self._engine = create_engine(
            make_url(dsn).set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_WAIT_SECONDS,
            hide_parameters=True,
            connect_args={
                "application_name": "revline",
                "prepare_threshold": PREPARE_AFTER,
                "options": (
                    f"-c timezone=UTC -c jit=off -c random_page_cost={RANDOM_PAGE_COST}"
                    f" -c statement_timeout={STATEMENT_LIMIT_SECONDS}s"
                    f" -c lock_timeout={LOCK_LIMIT_SECONDS}s"
                    f" -c idle_in_transaction_session_timeout={IDLE_LIMIT_SECONDS}s"
                    + (" -c plan_cache_mode=force_generic_plan" if repeats else "")
                ),
            },
        )

        event.listen(self._engine, "connect", _adapt)
        event.listen(self._engine, "checkin", _put_back)
        event.listen(self._engine, "checkout", _taken)

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for the store's own tools and tests. Everything else uses the transactions below."""
        return self._engine

    @contextmanager
    def read(self, *, tenants: Sequence[str]) -> Iterator[Connection]:
        """A read-only transaction that sees the named tenants as of one moment; naming none shows no tenant's rows.

        Raises ValueError for a name that is no tenant id or more tenants than MAXIMUM_TENANTS_PER_UNIT.
        """
        setting = tenants_setting(tenants)
        with no_other_transaction(), self._engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                fetch(connection, NAME_TENANTS, {"tenants": setting})
                yield connection

    @contextmanager
    def control(self) -> Iterator[Connection]:
        """A transaction that names no tenant: it reads and writes control tables only. Commits at the end of the block."""
        with no_other_transaction(), self._engine.begin() as connection:
            yield connection

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
        """A unit of work: one transaction that takes one step of each tenant it writes rows for, and commits at the block's end.

        kind: what was done, a word such as `accept`. actor: who, as `person:…`, `key:…` or `worker:…`. reason: why, for the
        audit chain. recorded_at: an aware time from the caller's clock. dry_run: all the same, then rolled back.
        An error in the block rolls everything back. Raises UnitError inside another transaction of this thread; the final
        writes raise psycopg's errors, statements in the block SQLAlchemy's (`is_transient` knows both).
        """
        setting = tenants_setting(tenants)
        with no_other_transaction(), self._engine.connect() as connection:
            yield from run_unit(
                connection,
                setting=setting,
                kind=kind,
                actor=actor,
                reason=reason,
                recorded_at=recorded_at,
                dry_run=dry_run,
            )

    def dispose(self) -> None:
        """Closes the pool's connections; transactions under way keep theirs until they end."""
        self._engine.dispose()


def _adapt(driver: psycopg.Connection[object], _record: object) -> None:
    driver.adapters.register_dumper(list, ListDumper)


def is_transient(failure: BaseException) -> bool:
    """True when running the same unit of work again may succeed: the server was away, a deadlock, a lock not had in time.

    A lost connection leaves open whether the commit took effect; what runs again must find out by its own keys.
    """
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    if isinstance(cause, (PoolTimeoutError, *TRANSIENT)):
        return True
    return isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None


def _put_back(driver: psycopg.Connection[Any] | None, record: ConnectionPoolEntry) -> None:
    """Remembers when a connection was used last."""
    record.info["used_at"] = time.monotonic()


def _taken(driver: psycopg.Connection[Any], record: ConnectionPoolEntry, _: object) -> None:
    """Asks a connection of the pool whether it lives, when it may not: it was long unused, or the server said something unasked
    (that it ends). Asking each time is a round trip for each transaction. The pool then takes or makes another.
    """
    unused = time.monotonic() - record.info.get("used_at", time.monotonic())
    if driver.closed:
        raise DisconnectionError("the connection was lost")
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    if unused < ASK_AFTER_SECONDS and not poll.poll(0):
        return
    try:
        driver.autocommit = True
        driver.execute("")
        driver.autocommit = False
    except psycopg.Error as failure:
        raise DisconnectionError("the connection no longer answers") from failure
