"""Back-off, buckets and breakers as pure functions."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from revline.platform.work.capacity import BREAKER_PAUSE_MAX, breaker_until, tokens_at
from revline.platform.work.lanes import full_jitter

NOON = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)


@given(attempts=st.integers(0, 10_000), seed=st.integers(0, 100))
def test_a_pause_is_never_longer_than_its_cap(attempts: int, seed: int) -> None:
    cap = timedelta(minutes=2)
    pause = full_jitter(attempts=attempts, base=timedelta(seconds=1), cap=cap, uniform=random.Random(seed).uniform)
    assert timedelta(0) <= pause <= min(cap, timedelta(seconds=1) * 2 ** min(attempts, 10))


@given(passed=st.integers(-10_000, 10_000), tokens=st.integers(0, 50))
def test_a_bucket_never_overflows_and_never_loses_tokens(passed: int, tokens: int) -> None:
    now = NOON + timedelta(seconds=passed)
    found = tokens_at(tokens=Decimal(tokens), refilled_at=NOON, per_second=Decimal("2.5"), burst=50, now=now)
    assert Decimal(tokens) <= found <= 50


def test_a_breaker_opens_after_failures_in_a_row_and_its_pause_is_bounded() -> None:
    assert breaker_until(failures=4, now=NOON) is None
    assert breaker_until(failures=5, now=NOON) == NOON + timedelta(seconds=1)
    assert breaker_until(failures=7, now=NOON) == NOON + timedelta(seconds=4)
    assert breaker_until(failures=10_000, now=NOON) == NOON + BREAKER_PAUSE_MAX
