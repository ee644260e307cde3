"""Keys that keep one tenant's stored data from everybody else: the port through which they are had, and keys made in memory.

A tenant has one current data key, older ones that still open what was sealed under them, and one identity seed that is never
changed. Who keeps them wrapped, and under what, is not known here.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, Protocol

from revline.core.problem import Mender, Problem, Retryable, define

KEY_BYTES: Final = 32
"""AES-256."""


class DataKey:
    """A data key: its number among its tenant's keys, from 1, and 32 secret bytes. Printing it shows the number only."""

    __slots__ = ("key_id", "secret")

    def __init__(self, *, key_id: int, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"a data key has {KEY_BYTES} bytes")
        self.key_id = key_id
        self.secret = secret

    def __repr__(self) -> str:
        return f"DataKey({self.key_id}, ***)"

    def __reduce__(self) -> str:
        raise TypeError("a data key is not pickled")


class DataKeys(Protocol):
    """Where data keys come from. What `current` answers may change while a process runs; the other answers never do."""

    def current(self, tenant_id: str) -> DataKey | Problem:
        """The key that new data of a tenant is sealed under."""
        ...

    def by_id(self, tenant_id: str, key_id: int) -> DataKey | Problem:
        """A key of a tenant by its number: the current or an older one."""
        ...

    def identity_seed(self, tenant_id: str) -> int | Problem:
        """The secret 64-bit number with which a tenant's identities are hashed; the same for the tenant's whole life."""
        ...


class MemoryDataKeys:
    """Keys computed from one secret: for tests, benchmarks and rehearsals. `rotate` makes a tenant's next key current."""

    def __init__(self, *, secret: bytes) -> None:
        self._secret = blake2b(secret, digest_size=32).digest()
        self._current: dict[str, int] = {}
        self._made: dict[tuple[str, int], DataKey] = {}

    def current(self, tenant_id: str) -> DataKey | Problem:
        return self.by_id(tenant_id, self._current.get(tenant_id, 1))

    def by_id(self, tenant_id: str, key_id: int) -> DataKey | Problem:
        found = self._made.get((tenant_id, key_id))
        if found is None:
            secret = blake2b(f"key {key_id} {tenant_id}".encode(), digest_size=KEY_BYTES, key=self._secret).digest()
            found = self._made[tenant_id, key_id] = DataKey(key_id=key_id, secret=secret)
        return found

    def identity_seed(self, tenant_id: str) -> int | Problem:
        digest = blake2b(f"seed {tenant_id}".encode(), digest_size=8, key=self._secret).digest()
        return int.from_bytes(digest, "little")

    def rotate(self, tenant_id: str) -> None:
        """Makes the tenant's next key the current one."""
        self._current[tenant_id] = self._current.get(tenant_id, 1) + 1


define(
    code="keys.unavailable",
    title="A data key can't be had",
    status=503,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Check that the key-encryption key is where the setting names it, and that the data keys were wrapped with it.",
)
