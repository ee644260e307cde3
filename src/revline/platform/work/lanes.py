"""Lanes as values: their keys, what a claim gives, how a claimed lane is changed, and how long to back off. Pure.

A lane is the unit of order, lease and retry. A level lane (derive) is due while more was requested than was read through; an
item lane (delivery) is due while items are pending, and its head item blocks it. Nothing here knows a table or a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

LANES_PER_CLAIM_MAX: Final = 2_000
PRIORITY_CLOSE: Final = 1
PRIORITY_NORMAL: Final = 5
PRIORITY_BULK: Final = 9
NO_POOL: Final = ""
NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""A due time that only a wake-up changes."""


class LaneKey(NamedTuple):
    """A lane's name. Lanes are locked in the order of these keys."""

    tenant_id: str
    lane_id: str


class ClaimedLane(msgspec.Struct, frozen=True, kw_only=True):
    """A lane whose lease somebody holds.

    fence: number of the claim; a write that names an older one changes nothing. requested: what a level lane asks to be read
    through to. attempts: failed tries since the last success. lease_until: database time.
    """

    tenant_id: str
    lane_id: str
    kind: str
    pool_id: str
    fence: int
    requested: int
    read_through: int
    pending: int
    attempts: int
    lease_until: datetime
    priority: int = PRIORITY_NORMAL
    kind_group: str = ""

    @property
    def key(self) -> LaneKey:
        return LaneKey(self.tenant_id, self.lane_id)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What one claim took. now: database time of it, to be used for due times until the next one."""

    now: datetime
    lanes: tuple[ClaimedLane, ...]


class LaneItem(msgspec.Struct, frozen=True, kw_only=True):
    """One item of an item lane. subject: what it is about, such as a document id."""

    sequence: int
    subject: str


class NewItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item to put at the end of a lane. pool_id: capacity pool the lane belongs to, "" for none. kind_group: what it is, for
    budgets; "" for what has none. priority: 0 for that of the call that puts it there."""

    lane_id: str
    subject: str
    pool_id: str = NO_POOL
    kind_group: str = ""
    priority: int = 0


class PoolRoom(msgspec.Struct, frozen=True, kw_only=True):
    """How many lanes a claim may take of one capacity pool. closing: of those with the priority of the close, where that is
    another number."""

    pool_id: str
    lanes: int
    closing: int | None = None


class LaneChange(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a claimed lane. Made by the functions below; fenced by owner and claim number when it is written.

    done: items that are finished, from the head on. read_through: how far a level lane was read. again: it wants another run
    at `due_at` even when nothing new is requested. release: give the lease back. due_at: when it is due again (None: at once).
    failed: one more failed attempt; succeeded: the count begins anew. call_id: the far-side call the lane is in.
    """

    lane: ClaimedLane
    done: int = 0
    read_through: int = 0
    again: bool = False
    release: bool = True
    due_at: datetime | None = None
    failed: bool = False
    succeeded: bool = False
    parked_code: str = ""
    waiting: bool = False
    call_id: str = ""


def finished(*, lane: ClaimedLane, again_at: datetime | None = None) -> LaneChange:
    """A level lane was read through what was requested when it was claimed. again_at: run once more then (a deadline)."""
    return LaneChange(
        lane=lane, read_through=lane.requested, again=again_at is not None, due_at=again_at, succeeded=True
    )


def progressed(*, lane: ClaimedLane, done: int, release: bool) -> LaneChange:
    """`done` items from the head on are finished; released, the lane is due at once for what is left."""
    return LaneChange(lane=lane, done=done, release=release, succeeded=done > 0)


def retried(*, lane: ClaimedLane, due_at: datetime, failed: bool = True) -> LaneChange:
    """The head could not be finished now; the lane is due again at `due_at` and keeps its order."""
    return LaneChange(lane=lane, due_at=due_at, failed=failed)


def parked(*, lane: ClaimedLane, code: str) -> LaneChange:
    """The head can't go on until somebody mends something; only this lane stands still. A new request wakes a level lane."""
    if not code:
        raise ValueError("a parked lane says why")
    return LaneChange(lane=lane, parked_code=code)


def waits(*, lane: ClaimedLane, due_at: datetime | None) -> LaneChange:
    """The head waits for another; it is woken, or looked at again at `due_at` (None: only when woken)."""
    return LaneChange(lane=lane, waiting=True, due_at=due_at or NEVER)


def called(*, lane: ClaimedLane, call_id: str) -> LaneChange:
    """The lane's head is in a far-side call: its lease counts as one of the pool's slots until it is settled."""
    return LaneChange(lane=lane, release=False, call_id=call_id)


def full_jitter(
    *, attempts: int, base: timedelta, cap: timedelta, uniform: Callable[[float, float], float]
) -> timedelta:
    """A random pause between nothing and the cap-bounded double of the last: attempts 0 gives up to `base`.

    uniform: randomness passed in, such as `random.Random(seed).uniform`.
    """
    ceiling = min(cap, base * 2 ** min(attempts, 30))
    return timedelta(seconds=uniform(0.0, ceiling.total_seconds()))
