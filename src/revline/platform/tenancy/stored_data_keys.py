"""Tenants' data keys in PostgreSQL, wrapped under a key-encryption key: made at first use, kept for ever, rotated by a person.

It is asked from many threads, one of them the usage log's committer: what was read once is answered from memory, and a newer
current key is looked for beside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
import psycopg
from sqlalchemy import Connection, select

from revline.core.clock import Clock
from revline.core.problem import Problem, problem
from revline.platform.store.engine import Database
from revline.platform.store.failures import DatabaseFailure
from revline.platform.tenancy.data_keys import KEY_BYTES, DataKey
from revline.platform.tenancy.key_encryption import KeyEncryption, RandomBytes
from revline.platform.tenancy.tables import tenant_data_key

SEED_ID: Final = 0
"""The number under which a tenant's identity seed lies among its keys; data keys begin at 1."""
FRESH_SECONDS: Final = 60.0
"""How long a current key is used before it is looked whether there is a newer one."""
KEYS_MAX: Final = 10_000


class _Held(msgspec.Struct):
    """A tenant's keys as they were read."""

    seed: int
    keys: dict[int, DataKey]
    current: int
    read_at: float


class StoredDataKeys:
    """The data keys of one database. seconds: a clock that only goes forward."""

    def __init__(
        self,
        *,
        database: Database,
        encryption: KeyEncryption,
        clock: Clock,
        random_bytes: RandomBytes,
        seconds: Callable[[], float],
    ) -> None:
        self._database, self._encryption, self._clock = database, encryption, clock
        self._random_bytes, self._seconds = random_bytes, seconds
        self._held: dict[str, _Held] = {}
        self._making = threading.Lock()
        self._anew: set[str] = set()
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="data-keys")

    def current(self, tenant_id: str) -> DataKey | Problem:
        held = self._of(tenant_id)
        if isinstance(held, Problem):
            return held
        if self._seconds() - held.read_at > FRESH_SECONDS and tenant_id not in self._anew:
            self._anew.add(tenant_id)
            self._threads.submit(self._read_anew, tenant_id)
        return held.keys[held.current]

    def by_id(self, tenant_id: str, key_id: int) -> DataKey | Problem:
        held = self._of(tenant_id)
        if not isinstance(held, Problem) and key_id not in held.keys:
            held = self._read(tenant_id)
        if isinstance(held, Problem):
            return held
        return held.keys.get(key_id) or problem("keys.unavailable", f"{tenant_id} has no data key {key_id}")

    def identity_seed(self, tenant_id: str) -> int | Problem:
        held = self._of(tenant_id)
        return held if isinstance(held, Problem) else held.seed

    def rotate(self, *, tenant_id: str, actor: str, reason: str) -> int | Problem:
        """Makes the tenant's next data key, current at once here and within a minute elsewhere; its number. Older ones stay."""
        held = self._of(tenant_id)
        if isinstance(held, Problem):
            return held
        newest = max(held.keys)
        failed = self._make(tenant_id, [newest + 1], kind="rotate_data_key", actor=actor, reason=reason)
        found = failed or self._read(tenant_id)
        return found if isinstance(found, Problem) else found.current

    def rewrap(self, *, tenant_id: str, actor: str, reason: str) -> int | Problem:
        """Wraps every key of the tenant under the present key-encryption key; how many were under another one."""
        with self._database.read(tenants=[tenant_id]) as connection:
            rows = _rows(connection, tenant_id)
        old = [row for row in rows.values() if row.wrapped_under != self._encryption.name]
        wrapped: list[tuple[int, int, bytes]] = []
        for row in old:
            secret = self._encryption.unwrap(
                row.wrapped, name=row.wrapped_under, bound_to=_bound(tenant_id, row.key_id)
            )
            if isinstance(secret, Problem):
                return secret
            again = self._encryption.wrap(secret, bound_to=_bound(tenant_id, row.key_id))
            if isinstance(again, Problem):
                return again
            wrapped.append((row.key_id, row.wrapping + 1, again))
        if wrapped:
            self._record(tenant_id, wrapped, kind="rewrap_data_keys", actor=actor, reason=reason)
        return len(wrapped)

    def close(self) -> None:
        """Lets go of the thread."""
        self._threads.shutdown(wait=True)

    def _of(self, tenant_id: str) -> _Held | Problem:
        return self._held.get(tenant_id) or self._read(tenant_id)

    def _read_anew(self, tenant_id: str) -> None:
        try:
            self._read(tenant_id)
        finally:
            self._anew.discard(tenant_id)

    def _read(self, tenant_id: str) -> _Held | Problem:
        with self._making:
            found = self._unwrapped(tenant_id)
            if isinstance(found, dict) and not found:
                reason = "first data key of the tenant"
                failed = self._make(tenant_id, [SEED_ID, 1], kind="make_data_keys", actor="worker:usage", reason=reason)
                found = failed or self._unwrapped(tenant_id)
        if isinstance(found, Problem):
            return found
        keys = {number: DataKey(key_id=number, secret=secret) for number, secret in found.items() if number != SEED_ID}
        seed = int.from_bytes(found[SEED_ID][:8], "little")
        held = _Held(seed=seed, keys=keys, current=max(keys), read_at=self._seconds())
        self._held[tenant_id] = held
        return held

    def _unwrapped(self, tenant_id: str) -> dict[int, bytes] | Problem:
        try:
            with self._database.read(tenants=[tenant_id]) as connection:
                rows = _rows(connection, tenant_id)
        except DatabaseFailure as error:
            return problem("keys.unavailable", f"the database can't be read: {type(error).__name__}")
        found: dict[int, bytes] = {}
        for number, row in rows.items():
            bound = _bound(tenant_id, number)
            secret = self._encryption.unwrap(row.wrapped, name=row.wrapped_under, bound_to=bound)
            if isinstance(secret, Problem):
                return secret
            found[number] = secret
        return found

    def _make(self, tenant_id: str, numbers: list[int], *, kind: str, actor: str, reason: str) -> Problem | None:
        wrapped: list[tuple[int, int, bytes]] = []
        for number in numbers:
            sealed = self._encryption.wrap(self._random_bytes(KEY_BYTES), bound_to=_bound(tenant_id, number))
            if isinstance(sealed, Problem):
                return sealed
            wrapped.append((number, 1, sealed))
        try:
            self._record(tenant_id, wrapped, kind=kind, actor=actor, reason=reason)
        except DatabaseFailure as error:
            return problem("keys.unavailable", f"the database can't be written: {type(error).__name__}")
        return None

    def _record(
        self, tenant_id: str, wrapped: list[tuple[int, int, bytes]], *, kind: str, actor: str, reason: str
    ) -> None:
        now = self._clock.now()
        try:
            with self._database.unit(
                tenants=[tenant_id], kind=kind, actor=actor, reason=reason, recorded_at=now
            ) as unit:
                for number, wrapping, sealed in wrapped:
                    unit.record(
                        tenant_data_key,
                        tenant_id=tenant_id,
                        key_id=number,
                        wrapping=wrapping,
                        wrapped_under=self._encryption.name,
                        wrapped=sealed,
                        made_at=now,
                    )
        except psycopg.errors.UniqueViolation:
            pass  # another process made the same ones first, and they are read like our own


class _Row(msgspec.Struct, frozen=True):
    key_id: int
    wrapping: int
    wrapped_under: str
    wrapped: bytes


def _rows(connection: Connection, tenant_id: str) -> dict[int, _Row]:
    """Each key of a tenant in its newest wrapping."""
    table = tenant_data_key
    statement = (
        select(table.c.key_id, table.c.wrapping, table.c.wrapped_under, table.c.wrapped)
        .where(table.c.tenant_id == tenant_id)
        .order_by(table.c.key_id, table.c.wrapping)
        .limit(KEYS_MAX)
    )
    found = connection.execute(statement)
    return {row.key_id: _Row(row.key_id, row.wrapping, row.wrapped_under, bytes(row.wrapped)) for row in found}


def _bound(tenant_id: str, key_id: int) -> str:
    return f"{tenant_id}/{key_id}"
