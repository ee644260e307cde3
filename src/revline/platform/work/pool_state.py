"""A capacity pool as a value: limits, bucket, breaker, and slots that adapt to what the far side can take. Pure.

State lives in rows, so every worker sees the same; this module says what a row means at a moment and what becomes of it when
calls came back. It knows no table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

BREAKER_FAILURES_MAX: Final = 5
BREAKER_PAUSE: Final = timedelta(seconds=1)
BREAKER_PAUSE_MAX: Final = timedelta(seconds=30)
BREAKER_PAUSE_LEAST: Final = 0.75
"""A pause is between this part of its length and the whole, by pool, so that pools of one far side don't try again at once."""
SLOWER_EVERY: Final = timedelta(seconds=1)
"""Refusals of one moment are one sign, not many: slots are halved once in this time."""
FASTER_EVERY: Final = timedelta(seconds=5)
"""One slot more after this long without a refusal."""
THROTTLE_MAX: Final = timedelta(hours=1)
"""The longest pause a far side may ask for; it is asked again then."""


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a far account allows. slots: calls at once. bucket_per_second, bucket_burst: calls a second, and at once."""

    pool_id: str
    slots: int
    bucket_per_second: Decimal
    bucket_burst: int


class PoolState(msgspec.Struct, frozen=True, kw_only=True):
    """A pool now.

    slots: calls at once by what is set and what the far side can take now. ceiling: without the latter. manifest: what the
    connector says. set_slots, set_per_second, set_burst: an operator's, None where nothing is set. in_use: slots with a call under
    way. free: slots that may be opened. open: neither blocked, nor its breaker's pause, nor throttled. probing: one call may try
    whether the far side is back. calls: ever granted. throttled: times the far side asked for less.
    """

    pool_id: str
    slots: int
    ceiling: int
    manifest: PoolLimits
    set_slots: int | None
    set_per_second: Decimal | None
    set_burst: int | None
    in_use: int
    tokens: Decimal
    free: int
    open: bool
    blocked: bool
    probing: bool
    breaker_failures: int
    breaker_until: datetime | None
    throttled_until: datetime | None
    throttled: int
    calls: int


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What calls that came back change of a pool."""

    failures: int = 0
    until: datetime | None = None
    adapted_slots: int | None = None
    adapted_at: datetime | None = None
    throttled_until: datetime | None = None


class CameBack(msgspec.Struct, frozen=True, kw_only=True):
    """What calls of a pool came to. answered: the far side answered one. throttled_for: the longest pause it asked for."""

    answered: bool
    throttled_for: timedelta | None = None


def pool_state(row: Mapping[str, Any], *, in_use: int, probe_lives: bool, now: datetime) -> PoolState:
    """A row as it stands now. in_use: slots with a live call. probe_lives: the row's `probe_call` is one of them."""
    ceiling = row["set_slots"] or row["slots"]
    slots = min(ceiling, row["adapted_slots"] or ceiling)
    per_second = row["set_per_second"] or row["bucket_per_second"]
    burst = row["set_burst"] or row["bucket_burst"]
    tokens = tokens_at(
        tokens=row["bucket_tokens"], refilled_at=row["refilled_at"], per_second=per_second, burst=burst, now=now
    )
    paused = any(row[name] is not None and row[name] > now for name in ("breaker_until", "throttled_until"))
    is_open = not (row["blocked"] or paused)
    probing = row["breaker_until"] is not None
    free = (0 if probe_lives else 1) if probing else max(0, slots - in_use)
    manifest = PoolLimits(
        pool_id=row["pool_id"],
        slots=row["slots"],
        bucket_per_second=row["bucket_per_second"],
        bucket_burst=row["bucket_burst"],
    )
    return PoolState(
        pool_id=row["pool_id"],
        slots=slots,
        ceiling=ceiling,
        manifest=manifest,
        set_slots=row["set_slots"],
        set_per_second=row["set_per_second"],
        set_burst=row["set_burst"],
        in_use=in_use,
        tokens=tokens,
        free=free if is_open else 0,
        open=is_open,
        blocked=row["blocked"],
        probing=probing,
        breaker_failures=row["breaker_failures"],
        breaker_until=row["breaker_until"],
        throttled_until=row["throttled_until"],
        throttled=row["throttled"],
        calls=row["calls"],
    )


def untouched(limits: PoolLimits) -> PoolState:
    """A pool nobody has called yet, as its manifest has it."""
    return PoolState(
        pool_id=limits.pool_id,
        slots=limits.slots,
        ceiling=limits.slots,
        manifest=limits,
        set_slots=None,
        set_per_second=None,
        set_burst=None,
        in_use=0,
        tokens=Decimal(limits.bucket_burst),
        free=limits.slots,
        open=True,
        blocked=False,
        probing=False,
        breaker_failures=0,
        breaker_until=None,
        throttled_until=None,
        throttled=0,
        calls=0,
    )


def after(*, pool_id: str, health: Health, came_back: CameBack, ceiling: int, now: datetime) -> Health:
    """A pool's health when calls came back.

    An answer of any kind closes the breaker, a refusal for being too fast as well: the far side is there. A failure counts, but not
    while the breaker's pause lasts: those calls began before it opened. After the pause it makes the next one twice as long. A
    refusal halves the slots, at least one is left; quiet gives one back at a time.
    """
    failures, until = health.failures, health.until
    if came_back.answered:
        failures, until = 0, None
    elif until is None or until <= now:
        failures += 1
        until = breaker_until(pool_id=pool_id, failures=failures, now=now)
    adapted, at, throttled_until = health.adapted_slots, health.adapted_at, health.throttled_until
    if came_back.throttled_for is not None:
        asked = now + max(timedelta(0), min(came_back.throttled_for, THROTTLE_MAX))
        throttled_until = max(asked, throttled_until) if throttled_until else asked
        if at is None or now - at >= SLOWER_EVERY:
            adapted, at = max(1, min(ceiling, adapted or ceiling) // 2), now
    elif came_back.answered and throttled_until is not None and throttled_until <= now:
        throttled_until = None
    if (
        came_back.throttled_for is None
        and came_back.answered
        and adapted is not None
        and (at is None or now - at >= FASTER_EVERY)
    ):
        adapted, at = (adapted + 1, now) if adapted + 1 < ceiling else (None, None)
    return Health(failures=failures, until=until, adapted_slots=adapted, adapted_at=at, throttled_until=throttled_until)


def breaker_until(*, pool_id: str, failures: int, now: datetime) -> datetime | None:
    """When an open breaker lets one call try; None while it is closed. Each pause is twice the last, up to a bound, and up to a
    quarter shorter by pool and turn."""
    beyond = failures - BREAKER_FAILURES_MAX
    if beyond < 0:
        return None
    pause: timedelta = min(BREAKER_PAUSE_MAX, BREAKER_PAUSE * 2 ** min(beyond, 10))
    digest = hashlib.sha256(f"{pool_id}:{failures}".encode()).digest()
    spread = int.from_bytes(digest[:4], "big") / 2**32
    return now + pause * (BREAKER_PAUSE_LEAST + (1 - BREAKER_PAUSE_LEAST) * spread)


def tokens_at(*, tokens: Decimal, refilled_at: datetime, per_second: Decimal, burst: int, now: datetime) -> Decimal:
    """Tokens of a bucket at a moment: refilled evenly, at most `burst`; never fewer because a clock went back."""
    passed = max(timedelta(0), now - refilled_at)
    microseconds = passed // timedelta(microseconds=1)
    return min(Decimal(burst), tokens + per_second * microseconds / 1_000_000).quantize(Decimal("0.000001"))
