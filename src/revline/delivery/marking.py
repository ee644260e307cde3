"""Marks steps before they are sent: the document is `sending`, with an attempt and the digest of the exact bytes, committed
before the call. A crash leaves at most the marked ones uncertain. Capacity is taken in the same transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import compress
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from revline.core.documents import DocumentState
from revline.core.farside import PreparedStep
from revline.delivery.loading import DocumentKey, present_of
from revline.delivery.record import lock_present
from revline.delivery.values import SENDER_LOST, Head, LookUp, Send
from revline.platform.store.direct import send
from revline.platform.store.engine import Database
from revline.platform.work import capacity
from revline.platform.work import record as work_record
from revline.platform.work.budgets import CLOSE, Asked
from revline.platform.work.cell import hold_epoch
from revline.platform.work.epochs import Epoch
from revline.platform.work.lanes import PRIORITY_CLOSE, ClaimedLane


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A head that needs a call: a prepared step to send, or a look-up (`prepared` None)."""

    head: Head
    decision: Send | LookUp
    prepared: PreparedStep | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One far-side call to be made: all of one connection and operation. slot: the capacity slot it runs on."""

    pool_id: str
    slot: str
    members: tuple[Ready, ...]
    attempts: tuple[int, ...] = ()

    @property
    def asked(self) -> Asked:
        """The call as budgets see it."""
        return asked_of(self.members)


def asked_of(members: Sequence[Ready]) -> Asked:
    """A call of these heads, all of one tenant, as budgets see it: it is the close's when one of them is."""
    lanes = [ready.head.loaded.lane for ready in members]
    closing = any(lane.priority <= PRIORITY_CLOSE for lane in lanes)
    return Asked(tenant_id=lanes[0].tenant_id, kind_group=CLOSE if closing else lanes[0].kind_group, lanes=len(lanes))


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """calls: to be made now. unmarked: their lanes are still ours, capacity was short. lost: taken over or changed meanwhile.

    epoch: the cell's; when it is not the one they were decided in, nothing was marked and all of them are lost.
    """

    calls: tuple[Call, ...]
    unmarked: tuple[Ready, ...]
    lost: tuple[ClaimedLane, ...]
    epoch: Epoch


_SENDING: Final = text(
    """
    UPDATE document_state SET state = 'sending', step = given.step, attempts = given.attempt, epoch = :epoch,
                              marked_at = :now, uncertain_since = NULL, due_at = NULL
    FROM unnest(CAST(:tenants AS text[]), CAST(:documents AS text[]), CAST(:steps AS text[]),
                CAST(:attempts AS integer[])) AS given(tenant_id, document_id, step, attempt)
    WHERE document_state.tenant_id = given.tenant_id AND document_state.document_id = given.document_id
    """
)

_ATTEMPTS: Final = text(
    """
    INSERT INTO attempt (tenant_id, document_id, attempt, revision, step, operation, state, digest, idempotency_key,
                         configuration_version, epoch, call_id, marked_at, problem_code, evidence)
    SELECT given.tenant_id, given.document_id, given.attempt, given.revision, given.step, given.operation, 'sending',
           given.digest, given.idempotency_key, given.configuration_version, :epoch, given.call_id, :now, '', ''
    FROM (SELECT unnest(CAST(:tenants AS text[])) AS tenant_id, unnest(CAST(:documents AS text[])) AS document_id,
                 unnest(CAST(:attempts AS integer[])) AS attempt, unnest(CAST(:revisions AS integer[])) AS revision,
                 unnest(CAST(:steps AS text[])) AS step, unnest(CAST(:operations AS text[])) AS operation,
                 unnest(CAST(:digests AS bytea[])) AS digest, unnest(CAST(:keys AS text[])) AS idempotency_key,
                 unnest(CAST(:versions AS bigint[])) AS configuration_version,
                 unnest(CAST(:slots AS text[])) AS call_id) AS given
    """
)

_ABANDONED: Final = text(
    """
    UPDATE attempt SET state = 'uncertain', settled_at = :now, evidence = :evidence
    FROM unnest(CAST(:tenants AS text[]), CAST(:documents AS text[])) AS given(tenant_id, document_id)
    WHERE attempt.tenant_id = given.tenant_id AND attempt.document_id = given.document_id
      AND attempt.state = 'sending'
    """
)


def mark(
    database: Database,
    *,
    owner: str,
    epoch: int,
    calls: Sequence[Call],
    now: datetime,
    recorded_at: datetime,
    fresh: timedelta = timedelta(0),
) -> Marked:
    """Mark what these calls will send, as far as capacity and budgets go. Calls that may not begin now come back unmarked; lanes
    that were taken over and documents that changed come back as lost. fresh: as in `capacity.views`."""
    tenants = sorted({ready.head.loaded.lane.tenant_id for call in calls for ready in call.members})
    lanes = [ready.head.loaded.lane for call in calls for ready in call.members]
    with database.unit(
        tenants=tenants, kind="mark", actor=owner, reason="documents are due", recorded_at=recorded_at
    ) as unit:
        connection = unit.connection
        held = work_record.hold(connection, owner=owner, lanes=lanes)
        if (present := hold_epoch(connection)).number != epoch:
            return Marked(calls=(), unmarked=(), lost=tuple(lanes), epoch=present)
        states = lock_present(connection, keys=[_key(ready) for call in calls for ready in call.members])
        kept, lost = [], []
        for call in calls:
            stands = [
                ready.head.loaded.lane.key in held and states.get(_key(ready)) == present_of(ready.head.loaded.standing)
                for ready in call.members
            ]
            members = tuple(compress(call.members, stands))
            lost += [ready.head.loaded.lane for ready, ours in zip(call.members, stands, strict=True) if not ours]
            if members:
                kept.append(msgspec.structs.replace(call, members=members))
        granted, short = _with_capacity(connection, kept, owner=owner, now=now, fresh=fresh)
        numbered = [
            msgspec.structs.replace(
                call, attempts=tuple(ready.head.loaded.standing.attempts + 1 for ready in call.members)
            )
            for call in granted
        ]
        _write(connection, numbered, owner=owner, epoch=epoch, now=now)
    return Marked(
        calls=tuple(numbered),
        unmarked=tuple(ready for call in short for ready in call.members),
        lost=tuple(lost),
        epoch=present,
    )


def _with_capacity(
    connection: Connection, calls: Sequence[Call], *, owner: str, now: datetime, fresh: timedelta
) -> tuple[list[Call], list[Call]]:
    pools = {call.pool_id for call in calls}
    ledgers = capacity.lock(connection, pools=pools, owner=owner, now=now, fresh=fresh)
    granted: list[Call] = []
    short: list[Call] = []
    for call in calls:
        ledger = ledgers.get(call.pool_id)
        if ledger is not None and ledger.may(call.asked, slot=call.slot):
            ledger.take(call.asked, slot=call.slot)
            granted.append(call)
        else:
            short.append(call)
    capacity.spend(connection, ledgers=ledgers, now=now)
    return granted, short


def _write(connection: Connection, calls: Sequence[Call], *, owner: str, epoch: int, now: datetime) -> None:
    slots = [(ready.head.loaded.lane, call.slot) for call in calls for ready in call.members]
    capacity.take_slots(connection, owner=owner, lanes=slots)
    sends = [
        (call, ready, number)
        for call in calls
        for ready, number in zip(call.members, call.attempts, strict=True)
        if ready.prepared is not None
    ]
    if not sends:
        return
    shared: dict[str, Any] = {
        "tenants": [ready.head.loaded.lane.tenant_id for _, ready, _ in sends],
        "documents": [ready.head.loaded.standing.document_id for _, ready, _ in sends],
        "steps": [ready.prepared.step for _, ready, _ in sends if ready.prepared],
        "attempts": [number for _, _, number in sends],
        "epoch": epoch,
        "now": now,
    }
    abandoned = [_key(ready) for _, ready, _ in sends if ready.head.loaded.standing.state is DocumentState.SENDING]
    if abandoned:
        parameters = {
            "tenants": [key.tenant_id for key in abandoned],
            "documents": [key.document_id for key in abandoned],
            "evidence": SENDER_LOST,
            "now": now,
        }
        send(connection, _ABANDONED, parameters)
    send(connection, _SENDING, shared)
    prepared = [ready.prepared for _, ready, _ in sends if ready.prepared]
    send(
        connection,
        _ATTEMPTS,
        shared
        | {
            "revisions": [ready.head.loaded.standing.revision for _, ready, _ in sends],
            "operations": [step.operation for step in prepared],
            "digests": [hashlib.sha256(step.body).digest() for step in prepared],
            "keys": [step.idempotency_key for step in prepared],
            "versions": [ready.head.far.configuration_version for _, ready, _ in sends],
            "slots": [call.slot for call, _, _ in sends],
        },
    )


def _key(ready: Ready) -> DocumentKey:
    return DocumentKey(ready.head.loaded.lane.tenant_id, ready.head.loaded.standing.document_id)
