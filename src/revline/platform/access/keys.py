"""API keys: `rk_<key id>_<secret>`, how one is made, read and compared. Pure; randomness is passed in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import Final

import msgspec

from revline.core.problem import Mender, Retryable, define

KEY_ID_BYTES: Final = 5
SECRET_BYTES: Final = 20
KEY: Final = re.compile(r"rk_([a-z2-7]{8})_([a-z2-7]{32})\Z", re.ASCII)
HEADER_LENGTH_MAX: Final = 200


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key just made. text: the whole key, shown to a person once and stored nowhere."""

    key_id: str
    text: str
    digest: bytes

    def __repr__(self) -> str:
        return f"NewKey(key_id={self.key_id!r}, text=***)"


def _letters(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def new_key(*, random_bytes: Callable[[int], bytes]) -> NewKey:
    """A fresh key of 160 random bits."""
    key_id = _letters(random_bytes(KEY_ID_BYTES))
    text = f"rk_{key_id}_{_letters(random_bytes(SECRET_BYTES))}"
    return NewKey(key_id=key_id, text=text, digest=digest_of(text))


def digest_of(text: str) -> bytes:
    """SHA-256 of a whole key."""
    return hashlib.sha256(text.encode()).digest()


def bearer_key(header: str | None) -> str | None:
    """The key of an `Authorization: Bearer` header (RFC 6750), or None when it is not one of the form of ours."""
    if header is None or len(header) > HEADER_LENGTH_MAX:
        return None
    scheme, _, text = header.partition(" ")
    text = text.strip()
    return text if scheme.lower() == "bearer" and KEY.match(text) else None


def same(one: bytes, other: bytes) -> bool:
    """Whether two digests are equal, in time that says nothing about where they differ."""
    return hmac.compare_digest(one, other)


define(
    code="access.key_unknown",
    title="No valid API key",
    status=401,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send `Authorization: Bearer rk_...` with a key that is neither expired nor revoked.",
)
define(
    code="access.forbidden",
    title="The key's role does not allow this",
    status=403,
    retryable=Retryable.NO,
    mender=Mender.OPERATOR,
    remedy="Use a key with a role that may do this, or have one issued.",
)
define(
    code="access.tenant_closed",
    title="No such active tenant",
    status=403,
    retryable=Retryable.NO,
    mender=Mender.OPERATOR,
    remedy="Use a tenant that is registered and not closed.",
)
