"""The `Idempotency-Key` header: what may be in it, and how it is told apart from the keys of other routes."""

from __future__ import annotations

from typing import Final

from revline.core.problem import Mender, ProblemError, Retryable, define, problem

KEY_LENGTH_MAX: Final = 200

define(
    code="idempotency.key_invalid",
    title="Not an idempotency key",
    status=400,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy=f"Send 1 to {KEY_LENGTH_MAX} visible ASCII letters, quoted or not.",
)


def checked_key(header: str, *, of: str) -> str:
    """The key as it is kept. of: the routes it belongs to. Raises `idempotency.key_invalid`."""
    bare = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not bare.isascii() or not bare.isprintable() or not 0 < len(bare) <= KEY_LENGTH_MAX:
        raise ProblemError(
            problem("idempotency.key_invalid", "the Idempotency-Key header is empty, too long or not ASCII")
        )
    return f"{of} {bare}"
