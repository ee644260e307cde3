"""Key-encryption keys: what data keys are wrapped under, had through a port. It knows no tenant's data and no database."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from revline.core.problem import Problem, problem
from revline.core.secret import Secret
from revline.platform.tenancy.secrets import SecretResolver

KEK_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class KeyEncryption(Protocol):
    """Wraps small secrets, so that they can lie in the database, and unwraps them. A vault's transit engine is one."""

    @property
    def name(self) -> str:
        """Which key new secrets are wrapped under; kept beside each one."""
        ...

    def wrap(self, secret: bytes, *, bound_to: str) -> bytes | Problem:
        """The secret, sealed; it opens only with the same `bound_to`."""
        ...

    def unwrap(self, wrapped: bytes, *, name: str, bound_to: str) -> bytes | Problem:
        """The secret again. name: the key it was wrapped under. Problem keys.unavailable."""
        ...


class LocalKeyEncryption:
    """Wraps with AES-256-GCM under a key this process holds; older ones still unwrap. A key's name is a digest of it."""

    def __init__(self, *, key: bytes, older: Sequence[bytes] = (), random_bytes: RandomBytes) -> None:
        self._ciphers: Mapping[str, AESGCM] = {_name_of(one): AESGCM(one) for one in (*older, key)}
        self._name = _name_of(key)
        self._random_bytes = random_bytes

    @property
    def name(self) -> str:
        return self._name

    def wrap(self, secret: bytes, *, bound_to: str) -> bytes | Problem:
        nonce = self._random_bytes(_NONCE_BYTES)
        return nonce + self._ciphers[self._name].encrypt(nonce, secret, bound_to.encode())

    def unwrap(self, wrapped: bytes, *, name: str, bound_to: str) -> bytes | Problem:
        cipher = self._ciphers.get(name)
        if cipher is None:
            return problem("keys.unavailable", f"the key-encryption key {name} is not among those given", field=name)
        try:
            return cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], bound_to.encode())
        except InvalidTag:
            return problem(
                "keys.unavailable", f"a data key does not open under the key-encryption key {name}", field=name
            )


class RandomBytes(Protocol):
    """Where randomness comes from."""

    def __call__(self, count: int, /) -> bytes: ...


def resolve_keys(
    resolver: SecretResolver, *, reference: str, older: Sequence[str], random_bytes: RandomBytes
) -> LocalKeyEncryption | Problem:
    """Key encryption from `secret://` references: each names 32 bytes, written as base64 or hexadecimal."""
    found: list[bytes] = []
    for one in (*older, reference):
        secret = resolver.resolve(one)
        key = secret if isinstance(secret, Problem) else _key_of(secret, reference=one)
        if isinstance(key, Problem):
            return key
        found.append(key)
    return LocalKeyEncryption(key=found[-1], older=found[:-1], random_bytes=random_bytes)


def _key_of(secret: Secret, *, reference: str) -> bytes | Problem:
    text = secret.reveal().strip()
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEK_BYTES else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEK_BYTES:
        return problem(
            "keys.unavailable", f"{reference} is not {KEK_BYTES} bytes as base64 or hexadecimal", field=reference
        )
    return key


def _name_of(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=8, person=b"revline kek").hexdigest()
