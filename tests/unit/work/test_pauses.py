"""Back-off, buckets and breakers as pure functions."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from revline.platform.work.lanes import full_jitter
from revline.platform.work.pool_state import (
    BREAKER_FAILURES_MAX,
    BREAKER_PAUSE_LEAST,
    BREAKER_PAUSE_MAX,
    FASTER_EVERY,
    CameBack,
    Health,
    after,
    breaker_until,
    tokens_at,
)

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


def test_a_breaker_opens_after_failures_in_a_row_and_its_pauses_double_up_to_a_bound() -> None:
    assert breaker_until(pool_id="erp", failures=4, now=NOON) is None
    for failures, length in ((5, 1), (6, 2), (7, 4), (8, 8), (10_000, BREAKER_PAUSE_MAX.seconds)):
        until = breaker_until(pool_id="erp", failures=failures, now=NOON)
        assert until is not None
        assert timedelta(seconds=length) * BREAKER_PAUSE_LEAST <= until - NOON <= timedelta(seconds=length)


def test_pools_of_one_far_side_do_not_try_again_at_once() -> None:
    assert len({breaker_until(pool_id=f"pool {number}", failures=5, now=NOON) for number in range(20)}) > 10


WELL, LOST = CameBack(answered=True), CameBack(answered=False)
BUSY = CameBack(answered=True, throttled_for=timedelta(seconds=20))


def after_all(*told: CameBack, every: timedelta = timedelta(seconds=1), ceiling: int = 16) -> Health:
    health, now = Health(), NOON
    for one in told:
        health = after(pool_id="erp", health=health, came_back=one, ceiling=ceiling, now=now)
        now += every
    return health


def test_calls_that_began_before_the_breaker_opened_do_not_make_its_pause_longer() -> None:
    opened = after_all(*[LOST] * BREAKER_FAILURES_MAX, every=timedelta(0))
    assert opened.until is not None
    late = after(pool_id="erp", health=opened, came_back=LOST, ceiling=16, now=NOON + timedelta(milliseconds=100))
    assert late.until == opened.until
    probed = after(pool_id="erp", health=opened, came_back=LOST, ceiling=16, now=opened.until)
    assert probed.until is not None
    assert probed.until - opened.until > timedelta(seconds=1), "the probe's failure doubles the pause"
    assert after(pool_id="erp", health=probed, came_back=WELL, ceiling=16, now=probed.until) == Health()


def test_a_far_side_that_asks_for_less_is_no_broken_one() -> None:
    health = after_all(*[BUSY] * 20, every=timedelta(0))
    assert (health.failures, health.until) == (0, None)
    assert health.throttled_until == NOON + timedelta(seconds=20)
    assert health.adapted_slots == 8, "refusals of one moment are one sign"


def test_slots_are_halved_at_each_refusal_and_come_back_one_by_one() -> None:
    slowed = after_all(*[BUSY] * 6)
    assert slowed.adapted_slots == 1, "one is always left"
    seen, now, health = [], NOON + timedelta(seconds=6), slowed
    for _ in range(20):
        now += FASTER_EVERY
        health = after(pool_id="erp", health=health, came_back=WELL, ceiling=4, now=now)
        seen.append(health.adapted_slots)
    assert seen[:4] == [2, 3, None, None], "None: the ceiling again"


@given(
    told=st.lists(st.sampled_from([WELL, LOST, BUSY]), max_size=60), ceiling=st.integers(1, 40), pause=st.integers(0, 9)
)
def test_slots_stay_between_one_and_the_ceiling(told: list[CameBack], ceiling: int, pause: int) -> None:
    health = after_all(*told, every=timedelta(seconds=pause), ceiling=ceiling)
    assert health.adapted_slots is None or 1 <= health.adapted_slots <= ceiling
