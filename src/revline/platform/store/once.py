"""Work that has its effect once for each key, whatever opens its units: what is written and the key commit together.

The key is taken by the first unit that writes anything, so a refusal takes none, and the same request may be judged anew. The
answer is known only when the work has ended; it is kept right after, for whoever sends the same again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import update

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.platform.store import tables
from revline.platform.store.engine import Database
from revline.platform.store.idempotency import LIFE, Repeated, field_digests, found_in, input_hash_of, taken_by
from revline.platform.store.unit import Unit, guarded

T = TypeVar("T")
LOOKS: Final = 20
LOOK_SECONDS: Final = 0.1
"""How often, and after how long, an answer is looked for that another request with the same key is about to keep."""

define(
    code="idempotency.answer_lost",
    title="It was done, and its answer was not kept",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Look at the record: what was asked for with this key was done once, in the unit of work the detail names.",
)


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. key: unique to it in its tenant. said: its input, by names of fields. at: when it came."""

    tenant_id: str
    key: str
    said: Mapping[str, Any]
    actor: str
    reason: str
    at: datetime


class _SaidBeforeError(Exception):
    """The key is another request's. found: what it says."""

    def __init__(self, found: Repeated | Problem) -> None:
        super().__init__("said before")
        self.found = found


class _Key:
    """The guard of one request's units. position: of the unit that took the key, None while none did."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._hash, self._digests = input_hash_of(request.said), field_digests(request.said)
        self.position: int | None = None

    def begins(self, unit: Unit, /) -> None:
        if self.position is None and self._request.tenant_id in unit.tenants:
            found = self.found(unit)
            if found is not None:
                raise _SaidBeforeError(found)

    def ends(self, unit: Unit, /) -> None:
        request = self._request
        position = unit.positions.get(request.tenant_id)
        if self.position is not None or position is None:
            return
        new = taken_by(
            unit,
            tenant_id=request.tenant_id,
            key=request.key,
            now=request.at,
            input_hash=self._hash,
            field_digests=self._digests,
            actor=request.actor,
            reason=request.reason,
            expires_at=request.at + LIFE,
            position=position,
        )
        if not new:
            found = self.found(unit)
            assert found is not None
            raise _SaidBeforeError(found)
        self.position = position

    def found(self, unit: Unit) -> Repeated | Problem | None:
        """What the key says when it is there already."""
        return found_in(
            unit.connection,
            tenant_id=self._request.tenant_id,
            key=self._request.key,
            input_hash=self._hash,
            digests=self._digests,
            now=self._request.at,
        )


def once(
    database: Database,
    *,
    request: Request,
    work: Callable[[], T],
    kept: Callable[[T], Any],
    pause: Callable[[float], None] = time.sleep,
) -> T | Repeated | Problem:
    """Do work unless its key was there before; gives its answer, or `Repeated` with the one that was kept.

    kept: the answer as plain JSON. pause: between looks for the answer of another request with the key that has just been done.
    Problems `idempotency.key_reused`, naming the fields that differ, and `idempotency.answer_lost` when whoever did it died before
    its answer was kept.
    """
    key = _Key(request)
    try:
        with guarded(key):
            answer = work()
    except _SaidBeforeError as before:
        return _answered(database, request, key, before.found, pause)
    if key.position is None:
        # Another request with the key may have done it while this one waited, so that nothing was left to do.
        found = _look(database, request, key)
        return answer if found is None else _answered(database, request, key, found, pause)
    _keep(database, request, kept(answer))
    return answer


def _answered(
    database: Database, request: Request, key: _Key, found: Repeated | Problem, pause: Callable[[float], None]
) -> Repeated | Problem:
    looks = 0
    while isinstance(found, Repeated) and found.answer is None:
        if looks == LOOKS:
            return problem("idempotency.answer_lost", f"unit {found.position} of the audit chain did it")
        looks += 1
        pause(LOOK_SECONDS)
        found = _look(database, request, key) or found
    return found


def _look(database: Database, request: Request, key: _Key) -> Repeated | Problem | None:
    with _unit(database, request) as unit:
        return key.found(unit)


def _keep(database: Database, request: Request, answer: Any) -> None:
    table = tables.idempotency
    with _unit(database, request) as unit:
        unit.connection.execute(
            update(table)
            .where(table.c.tenant_id == request.tenant_id, table.c.key == request.key)
            .values(answer=answer)
        )


def _unit(database: Database, request: Request) -> Any:
    """A unit that records nothing, so it takes no step and leaves no link in the chain."""
    return database.unit(
        tenants=[request.tenant_id],
        kind="answer",
        actor=request.actor,
        reason=request.reason,
        recorded_at=request.at,
    )
