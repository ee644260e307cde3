"""How often one key may call: a token bucket a key, and the headers that say where it stands. Pure; knows no request.

Counted by each server process for itself: with several of them a key may call that many times more. The headers are those of
draft-ietf-httpapi-ratelimit-headers-10 (`RateLimit-Policy`, `RateLimit`).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

import msgspec

KEYS_MAX: Final = 10_000
"""Buckets kept; the key that called longest ago is forgotten first, which gives it a full bucket again."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a key stands after a call. remaining: whole calls left at once; full_after_seconds: until the bucket is full again."""

    allowed: bool
    remaining: int
    full_after_seconds: int
    policy: str

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What the answer says of it."""
        limit = f'"key";r={self.remaining};t={self.full_after_seconds}'
        return ((b"ratelimit-policy", self.policy.encode()), (b"ratelimit", limit.encode()))


class Rates:
    """The buckets of one process. per_second: calls that come back each second, at least 1; burst: calls at once."""

    def __init__(self, *, per_second: int, burst: int) -> None:
        if per_second < 1 or burst < 1:
            raise ValueError("a key may call at least once a second")
        self._per_second = per_second
        self._burst = burst
        self._policy = f'"key";q={burst};w={math.ceil(burst / per_second)}'
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, *, key: str, now: float) -> Standing:
        """One call of a key at `now`, in monotonic seconds. A refused call takes nothing."""
        left, since = self._buckets.pop(key, (float(self._burst), now))
        left = min(float(self._burst), left + max(0.0, now - since) * self._per_second)
        allowed = left >= 1
        left -= 1 if allowed else 0
        self._buckets[key] = (left, now)
        if len(self._buckets) > KEYS_MAX:
            self._buckets.popitem(last=False)
        return Standing(
            allowed=allowed,
            remaining=int(left),
            full_after_seconds=math.ceil((self._burst - left) / self._per_second),
            policy=self._policy,
        )
