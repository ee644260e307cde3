"""Capacity pools: how many far-side calls may start now. State is in rows, so every worker sees the same limits.

Slots in use are counted from lanes in a call whose lease is live, never kept in a counter: a dead worker frees its slots by
its leases' end. The breaker opens after failures in a row and lets one call through when its pause is over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

BREAKER_FAILURES_MAX: Final = 5
BREAKER_PAUSE: Final = timedelta(seconds=1)
BREAKER_PAUSE_MAX: Final = timedelta(seconds=30)


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a far account allows. slots: calls at once. bucket_per_second, bucket_burst: calls a second, and at once."""

    pool_id: str
    slots: int
    bucket_per_second: Decimal
    bucket_burst: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker wants of a pool. slots: to be opened beside those it holds. calls: to be made on both."""

    slots: int
    calls: int


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What it gets."""

    slots: int
    calls: int


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """A pool now. free: slots that may be opened (one while a breaker tries again). in_use: slots with a call under way.
    open: neither blocked by a person nor by its breaker."""

    pool_id: str
    slots: int
    in_use: int
    tokens: Decimal
    free: int
    open: bool
    blocked: bool
    breaker_failures: int
    breaker_until: datetime | None


_ENSURE: Final = text(
    """
    INSERT INTO capacity_pool (pool_id, slots, bucket_per_second, bucket_burst, bucket_tokens, refilled_at,
                               breaker_failures, blocked)
    SELECT given.pool_id, given.slots, given.per_second, given.burst, given.burst, :now, 0, false
    FROM unnest(CAST(:pools AS text[]), CAST(:slots AS integer[]), CAST(:per_second AS numeric[]),
                CAST(:burst AS integer[])) AS given(pool_id, slots, per_second, burst)
    ON CONFLICT (pool_id) DO UPDATE SET slots = excluded.slots, bucket_per_second = excluded.bucket_per_second,
                                        bucket_burst = excluded.bucket_burst
    WHERE (capacity_pool.slots, capacity_pool.bucket_per_second, capacity_pool.bucket_burst)
          IS DISTINCT FROM (excluded.slots, excluded.bucket_per_second, excluded.bucket_burst)
    """
)

_STATE: Final = """
    SELECT pool.pool_id, pool.slots, pool.bucket_per_second, pool.bucket_burst, pool.bucket_tokens, pool.refilled_at,
           pool.breaker_failures, pool.breaker_until, pool.blocked,
           (SELECT count(DISTINCT lane.call_id) FROM lane
            WHERE lane.pool_id = pool.pool_id AND lane.call_id <> '' AND lane.lease_until > :now) AS in_use
    FROM capacity_pool AS pool WHERE pool.pool_id = ANY(CAST(:pools AS text[])) ORDER BY pool.pool_id
"""
_READ: Final = text(_STATE)
_LOCK: Final = text(
    "SELECT pool_id FROM capacity_pool WHERE pool_id = ANY(CAST(:pools AS text[])) ORDER BY pool_id FOR UPDATE"
)

_TAKE: Final = text(
    """
    UPDATE capacity_pool SET bucket_tokens = given.tokens, refilled_at = :now
    FROM unnest(CAST(:pools AS text[]), CAST(:tokens AS numeric[])) AS given(pool_id, tokens)
    WHERE capacity_pool.pool_id = given.pool_id
    """
)

_HEALTH: Final = text(
    """
    UPDATE capacity_pool SET breaker_failures = given.failures, breaker_until = given.until
    FROM unnest(CAST(:pools AS text[]), CAST(:failures AS integer[]), CAST(:until AS timestamptz[]))
         AS given(pool_id, failures, until)
    WHERE capacity_pool.pool_id = given.pool_id
      AND (capacity_pool.breaker_failures, capacity_pool.breaker_until) IS DISTINCT FROM (given.failures, given.until)
    """
)

_BLOCK: Final = text("UPDATE capacity_pool SET blocked = :blocked WHERE pool_id = :pool")


def ensure_pools(connection: Connection, *, limits: Sequence[PoolLimits], now: datetime) -> None:
    """Make pools exist with these limits; a changed limit is taken over, tokens and breaker stay."""
    ordered = sorted(limits, key=lambda pool: pool.pool_id)
    parameters = {
        "pools": [pool.pool_id for pool in ordered],
        "slots": [pool.slots for pool in ordered],
        "per_second": [pool.bucket_per_second for pool in ordered],
        "burst": [pool.bucket_burst for pool in ordered],
        "now": now,
    }
    connection.execute(_ENSURE, parameters)


def states(connection: Connection, *, pools: Sequence[str], now: datetime) -> Mapping[str, PoolState]:
    """Pools as they are now."""
    rows = connection.execute(_READ, {"pools": sorted(set(pools)), "now": now}).mappings()
    return {row["pool_id"]: _state({str(key): value for key, value in row.items()}, now) for row in rows}


def take(connection: Connection, *, wanted: Mapping[str, Wanted], now: datetime) -> Mapping[str, Granted]:
    """Lock the pools and give what may start in each, at most what is wanted; a token is spent for each call.

    The caller marks its lanes with their slot (`lanes.called`) before it commits: the lock keeps two workers from counting the
    same free slot. A pool that is blocked or whose breaker is open gives nothing.
    """
    pools = sorted(wanted)
    if not pools:
        return {}
    connection.execute(_LOCK, {"pools": pools})
    found = states(connection, pools=pools, now=now)
    granted = {pool: _grant(wanted[pool], found.get(pool)) for pool in pools}
    parameters = {
        "pools": list(found),
        "tokens": [found[pool].tokens - granted[pool].calls for pool in found],
        "now": now,
    }
    connection.execute(_TAKE, parameters)
    return granted


def _grant(wanted: Wanted, state: PoolState | None) -> Granted:
    if state is None or not state.open:
        return Granted(slots=0, calls=0)
    return Granted(slots=min(wanted.slots, state.free), calls=min(wanted.calls, int(state.tokens)))


def report(connection: Connection, *, answered: Sequence[str], failed: Sequence[str], now: datetime) -> None:
    """Tell the breakers which pools answered and which couldn't be reached. An answer of any kind closes a breaker."""
    pools = sorted({*answered, *failed})
    if not pools:
        return
    connection.execute(_LOCK, {"pools": pools})
    found = states(connection, pools=pools, now=now)
    failures = {pool: 0 if pool in answered else found[pool].breaker_failures + 1 for pool in pools if pool in found}
    parameters = {
        "pools": list(failures),
        "failures": list(failures.values()),
        "until": [breaker_until(failures=count, now=now) for count in failures.values()],
    }
    connection.execute(_HEALTH, parameters)


def block(connection: Connection, *, pool_id: str, blocked: bool) -> None:
    """Stop or allow every call of a pool. The command that does so is audited by its caller."""
    connection.execute(_BLOCK, {"pool": pool_id, "blocked": blocked})


def breaker_until(*, failures: int, now: datetime) -> datetime | None:
    """When an open breaker lets a call through; None while it is closed. Pure."""
    beyond = failures - BREAKER_FAILURES_MAX
    if beyond < 0:
        return None
    pause: timedelta = min(BREAKER_PAUSE_MAX, BREAKER_PAUSE * 2 ** min(beyond, 10))
    return now + pause


def tokens_at(*, tokens: Decimal, refilled_at: datetime, per_second: Decimal, burst: int, now: datetime) -> Decimal:
    """Tokens of a bucket at a moment: refilled evenly, at most `burst`; never fewer because a clock went back. Pure."""
    passed = max(timedelta(0), now - refilled_at)
    microseconds = passed // timedelta(microseconds=1)
    return min(Decimal(burst), tokens + per_second * microseconds / 1_000_000).quantize(Decimal("0.000001"))


def _state(row: Mapping[str, Any], now: datetime) -> PoolState:
    tokens = tokens_at(
        tokens=row["bucket_tokens"],
        refilled_at=row["refilled_at"],
        per_second=row["bucket_per_second"],
        burst=row["bucket_burst"],
        now=now,
    )
    opened = row["breaker_until"] is not None and row["breaker_until"] > now
    slots = 1 if row["breaker_until"] is not None else row["slots"]
    closed = row["blocked"] or opened
    return PoolState(
        pool_id=row["pool_id"],
        slots=row["slots"],
        in_use=row["in_use"],
        tokens=tokens,
        free=0 if closed else max(0, slots - row["in_use"]),
        open=not closed,
        blocked=row["blocked"],
        breaker_failures=row["breaker_failures"],
        breaker_until=row["breaker_until"],
    )
