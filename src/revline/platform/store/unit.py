"""The unit of work: one transaction, one step of each tenant it writes for, one row of the audit chain each.

Rows are buffered and written at the end, because their position is known only once the tenant's counter is locked, and it is
locked last so that it is held only for the final writes and the commit. It knows no package's tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Table, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not

from revline.platform.store import tables
from revline.platform.store.buffer import THIS_POSITION, Buffer, UnitError, write
from revline.platform.store.chain import GENESIS_HASH, canonical_row_bytes, unit_hash
from revline.platform.store.direct import driver_of, fetch
from revline.platform.store.walls import NAME_TENANTS, is_archivable

_guard: ContextVar[Guard | None] = ContextVar("revline_unit_guard", default=None)
_open: ContextVar[bool] = ContextVar("revline_transaction_open", default=False)

_LOCK_COUNTERS: Final = text(
    "SELECT tenant_id, position, hash FROM counter WHERE tenant_id = ANY(CAST(:tenants AS text[]))"
    " ORDER BY tenant_id FOR UPDATE"
)
_STEP_COUNTERS: Final = (
    "UPDATE counter SET position = step.position, hash = step.hash"
    " FROM unnest(%s::text[], %s::bigint[], %s::bytea[]) AS step(tenant_id, position, hash)"
    " WHERE counter.tenant_id = step.tenant_id"
)
_INSERT_UNITS: Final = (
    "INSERT INTO unit (tenant_id, position, previous_hash, hash, actor, reason, kind, recorded_at, row_count)"
    " SELECT given.tenant_id, given.position, given.previous_hash, given.hash, %s, %s, %s, %s, given.row_count"
    " FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::bytea[], %s::integer[])"
    " AS given(tenant_id, position, previous_hash, hash, row_count)"
)


@contextmanager
def no_other_transaction() -> Iterator[None]:
    """Refuses a transaction inside another one of the same thread: two connections held at once can wait for each other."""
    if _open.get():
        raise UnitError("a transaction is already open here; use its connection")
    token = _open.set(True)
    try:
        yield
    finally:
        _open.reset(token)


class Guard(Protocol):
    """Stands over the units of one piece of work; what it raises rolls the unit back."""

    def begins(self, unit: Unit, /) -> None:
        """A unit was opened."""
        ...

    def ends(self, unit: Unit, /) -> None:
        """A unit has written, and commits next."""
        ...


@contextmanager
def guarded(guard: Guard) -> Iterator[None]:
    """Every unit this thread opens in the block is put to the guard, but for dry runs."""
    token = _guard.set(guard)
    try:
        yield
    finally:
        _guard.reset(token)


class Unit:
    """An open unit of work. Statements run on `connection` at once; recorded and projected rows are written at the end."""

    def __init__(
        self,
        *,
        connection: Connection,
        tenants: frozenset[str],
        kind: str,
        actor: str,
        reason: str,
        recorded_at: datetime,
        dry_run: bool,
    ) -> None:
        self.connection = connection
        self.tenants = tenants
        self.kind = kind
        self.actor = actor
        self.reason = reason
        self.recorded_at = recorded_at
        self.dry_run = dry_run
        self.positions: Mapping[str, int] = {}
        """Position of each tenant the unit wrote for; filled once the block has ended (in a dry run: what it would be)."""
        self.row_counts: Mapping[str, int] = {}
        """Recorded rows of each of them."""
        self._buffer = Buffer(tenants)

    @property
    def this_position(self) -> object:
        """Stands for the position this unit will get, as a value of a recorded or projected row."""
        return THIS_POSITION

    def position_before(self, *, tenant_id: str) -> int:
        """The tenant's last committed position, without a lock: later statements see all up to it."""
        return position_now(self.connection, tenant_id=tenant_id)

    def record(self, table: Table, /, *, tenant_id: str, **values: Any) -> int:
        """Buffers an append-only row of the audit chain; gives its ordinal within the unit (from 1, per tenant).

        `position` and `ordinal` are filled in; every other column without a value is null. Raises UnitError for an unnamed
        tenant, unknown columns, a value PostgreSQL would store otherwise (type or scale), or too many rows.
        """
        values["tenant_id"] = tenant_id
        return self._buffer.record(table, values)

    def project(self, table: Table, /, *, key: Sequence[str], **values: Any) -> None:
        """Buffers the present state of something: inserted, or all given columns updated where `key` is there already.

        key: columns of a unique key (`tenant_id`, and `archived` where a table has it, are added). Give every column that may
        not be null. A second call with the same key adds to the first. `position` is stamped where the table has it.
        The value of a column named `key` itself is given as `key_`.
        """
        self._buffer.project(table, key, _named(table, values))

    def change(self, table: Table, /, *, key: Sequence[str], **values: Any) -> None:
        """Buffers an update, by key, of a row that must exist at the end of the unit; otherwise as `project`.

        Setting `archived` moves the row to history. Raises UnitError at the end if any row isn't there.
        """
        self._buffer.change(table, key, _named(table, values))

    def archive(self, table: Table, /, *, tenant_id: str, **where: Any) -> int:
        """Moves finished rows of earlier units to history, at once: those whose columns equal `where`. Gives how many.

        Recorded rows may be moved too: where a row is kept is no part of its hash. A column named `key` is given as `key_`.
        """
        if not is_archivable(table):
            raise UnitError(f"{table.name} has no history")
        conditions = [table.c[name] == value for name, value in _named(table, where).items()]
        statement = update(table).where(table.c.tenant_id == tenant_id, ~table.c.archived, *conditions)
        return self.connection.execute(statement.values(archived=True)).rowcount

    def finish(self) -> None:
        """Takes the steps and sends every buffered row, without commit. Called once, at the end of the block."""
        driver = driver_of(self.connection)
        tenants = self._buffer.tenants_written()
        if tenants:
            heads = self._lock_counters(tenants)
            positions = {tenant: heads[tenant][0] + 1 for tenant in tenants}
            self._buffer.place(positions)
            hashes = {tenant: self._hash(tenant, heads[tenant][1], positions[tenant]) for tenant in tenants}
            counts = {tenant: self._buffer.row_count(tenant) for tenant in tenants}
            with driver.pipeline():
                write(driver, self._buffer)
                numbers = [positions[tenant] for tenant in tenants]
                heads_now = [hashes[tenant] for tenant in tenants]
                driver.execute(_STEP_COUNTERS, (tenants, numbers, heads_now))
                driver.execute(
                    _INSERT_UNITS,
                    (
                        self.actor, self.reason, self.kind, self.recorded_at,
                        tenants, numbers, [heads[tenant][1] for tenant in tenants], heads_now,
                        [counts[tenant] for tenant in tenants],
                    ),
                )  # fmt: skip
            self._buffer.check_changes()
            self.positions, self.row_counts = positions, counts

    def _lock_counters(self, tenants: Sequence[str]) -> Mapping[str, tuple[int, bytes]]:
        rows = fetch(self.connection, _LOCK_COUNTERS, {"tenants": list(tenants)})
        found = {tenant: (position, bytes(head)) for tenant, position, head in rows}
        missing = [tenant for tenant in tenants if tenant not in found]
        if missing:
            raise UnitError(
                f"no counter for {', '.join(missing)}: open_counter() is called when a tenant is registered"
            )
        return found

    def _hash(self, tenant: str, previous: bytes, position: int) -> bytes:
        rows = [canonical_row_bytes(table.name, values) for table, values in self._buffer.recorded_rows(tenant)]
        return unit_hash(
            previous_hash=previous,
            tenant_id=tenant,
            position=position,
            kind=self.kind,
            actor=self.actor,
            reason=self.reason,
            recorded_at=self.recorded_at,
            rows=rows,
        )


def _named(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    if "key_" in values and "key_" not in table.c:
        values["key"] = values.pop("key_")
    return values


def run_unit(
    connection: Connection, *, setting: str, kind: str, actor: str, reason: str, recorded_at: datetime, dry_run: bool
) -> Iterator[Unit]:
    """Drives one unit on a connection: names the tenants, yields it, finishes it, commits or (dry run) rolls back."""
    if not setting:
        raise UnitError("a unit of work names at least one tenant; for control tables use control()")
    if not (kind and actor and reason):
        raise UnitError("a unit of work says its kind, its actor and its reason")
    if recorded_at.tzinfo is None:
        raise UnitError("recorded_at has no time zone")
    one = Unit(
        connection=connection,
        tenants=frozenset(setting.strip(",").split(",")),
        kind=kind,
        actor=actor,
        reason=reason,
        recorded_at=recorded_at,
        dry_run=dry_run,
    )
    with connection.begin() as transaction:
        fetch(connection, NAME_TENANTS, {"tenants": setting})
        guard = None if dry_run else _guard.get()
        if guard is not None:
            guard.begins(one)
        yield one
        one.finish()
        if guard is not None and one.positions:
            guard.ends(one)
        if dry_run:
            transaction.rollback()


def position_now(connection: Connection, *, tenant_id: str) -> int:
    """The tenant's last committed position as this transaction sees it, without a lock; 0 before its first unit."""
    statement = select(tables.counter.c.position).where(tables.counter.c.tenant_id == tenant_id)
    return int(connection.execute(statement).scalar_one_or_none() or 0)


def open_counter(connection: Connection, *, tenant_id: str) -> None:
    """Gives a tenant its counter, at position 0, when it is registered; nothing happens when it has one."""
    statement = insert_or_not(tables.counter).values(tenant_id=tenant_id, position=0, hash=GENESIS_HASH)
    connection.execute(statement.on_conflict_do_nothing())
