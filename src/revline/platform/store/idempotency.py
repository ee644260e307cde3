"""Remembered writes: the same key with the same input gets the stored answer, with another input a conflict.

Knows keys, digests and answers, not what was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from revline.core.problem import CATALOGUE, FieldError, Mender, Problem, Retryable, define, problem
from revline.platform.store import tables
from revline.platform.store.chain import canonical_row_bytes
from revline.platform.store.unit import Unit

LIFE: Final = timedelta(days=7)
"""How long a key is remembered unless the caller says otherwise; published in the API's documentation."""
KEY_REUSED: Final = "idempotency.key_reused"
MAXIMUM_NAMED_FIELDS: Final = 10

if KEY_REUSED not in CATALOGUE:
    define(
        code=KEY_REUSED,
        title="Idempotency key used for another input",
        status=422,
        retryable=Retryable.NO,
        mender=Mender.SENDER,
        remedy="Send a new key with a new input; repeat a key only with exactly the input it came with.",
    )


class FirstTime(msgspec.Struct, frozen=True, kw_only=True):
    """The key is new: do the work, then `conclude` with the answer in the same unit."""

    tenant_id: str
    key: str


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """The key came before with the same input: give this answer and do nothing. position: of the unit that did the work."""

    answer: Any
    position: int | None


def field_digests(request: Mapping[str, Any]) -> dict[str, str]:
    """A short digest of each top-level field: enough to name what differs, without keeping the input."""
    return {
        name: hashlib.sha256(canonical_row_bytes(name, {"value": value})).hexdigest()[:16]
        for name, value in request.items()
    }


def input_hash_of(request: Mapping[str, Any]) -> bytes:
    """SHA-256 of an input's canonical bytes; an absent field and null are one. Raises TypeError for floats."""
    return hashlib.sha256(canonical_row_bytes("input", request)).digest()


def remember(
    unit: Unit,
    *,
    tenant_id: str,
    key: str,
    input_hash: bytes,
    digests: Mapping[str, str] | None = None,
    actor: str | None = None,
    reason: str | None = None,
    expires_at: datetime | None = None,
) -> FirstTime | Repeated | Problem:
    """Looks a key up, and takes it when it is new; another unit with the same key waits until this one ends.

    input_hash, digests: of the whole input and of each top-level field (`input_hash_of`, `field_digests`). actor, reason:
    the unit's unless given. expires_at: 7 days after the unit's time unless given; an expired key is new.
    Gives Problem `idempotency.key_reused`, naming the fields that differ, when the key came with another input.
    """
    values = {
        "field_digests": dict(digests or {}),
        "actor": actor or unit.actor,
        "reason": reason or unit.reason,
        "expires_at": expires_at or unit.recorded_at + LIFE,
    }
    if taken_by(unit, tenant_id=tenant_id, key=key, now=unit.recorded_at, input_hash=input_hash, **values):
        return FirstTime(tenant_id=tenant_id, key=key)
    found = found_in(unit.connection, tenant_id=tenant_id, key=key, input_hash=input_hash, digests=digests or {})
    assert found is not None
    return found


def conclude(unit: Unit, first: FirstTime, *, answer: Any) -> None:
    """Stores the answer (plain JSON) under a key that was new, with the position of the unit that did the work."""
    unit.change(tables.idempotency, key=("tenant_id", "key"), tenant_id=first.tenant_id, key_=first.key, answer=answer)


def taken_by(unit: Unit, *, tenant_id: str, key: str, now: datetime, **values: Any) -> bool:
    """Writes a key that is new or expired now; False when it is there."""
    table = tables.idempotency
    fresh = insert(table).values(tenant_id=tenant_id, key=key, created_at=now, **values)
    names = ("input_hash", "field_digests", "actor", "reason", "created_at", "expires_at", "answer", "position")
    statement = fresh.on_conflict_do_update(
        index_elements=["tenant_id", "key"],
        set_={name: fresh.excluded[name] for name in names},
        where=table.c.expires_at <= now,
    ).returning(table.c.key)
    return unit.connection.execute(statement).one_or_none() is not None


def found_in(
    connection: Connection,
    *,
    tenant_id: str,
    key: str,
    input_hash: bytes,
    digests: Mapping[str, str],
    now: datetime | None = None,
) -> Repeated | Problem | None:
    """What a key that is there says to this input; None where it isn't. now: an expired one isn't."""
    table = tables.idempotency
    row = connection.execute(select(table).where(table.c.tenant_id == tenant_id, table.c.key == key)).one_or_none()
    if row is None or (now is not None and row.expires_at <= now):
        return None
    if bytes(row.input_hash) == input_hash:
        return Repeated(answer=row.answer, position=row.position)
    return _reused(key, row.field_digests, dict(digests))


def _reused(key: str, before: Mapping[str, str], now: Mapping[str, str]) -> Problem:
    differing = sorted(name for name in {*before, *now} if before.get(name) != now.get(name)) if before and now else []
    named = differing[:MAXIMUM_NAMED_FIELDS]
    said = f"; different: {', '.join(named)}" if named else ""
    return problem(
        KEY_REUSED,
        f"the key {key[:60]!r} came before with another input{said}",
        field=named[0] if named else "",
        errors=tuple(FieldError(pointer=f"/{name}", detail="differs from the first request") for name in named),
    )
