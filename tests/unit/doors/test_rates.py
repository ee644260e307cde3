"""A key may call so often: a burst at once, so many a second after that, and every answer says where it stands."""

from __future__ import annotations

import pytest

from revline.doors.api import rates
from revline.doors.api.rates import Rates


def test_a_burst_is_let_through_and_then_one_call_for_each_that_comes_back() -> None:
    limit = Rates(per_second=2, burst=3)
    assert [limit.take(key="a", now=100.0).allowed for _ in range(4)] == [True, True, True, False]
    assert [limit.take(key="a", now=100.5).allowed for _ in range(2)] == [True, False]
    assert limit.take(key="a", now=200.0).remaining == 2


def test_a_refused_call_takes_nothing_and_keys_do_not_share() -> None:
    limit = Rates(per_second=1, burst=1)
    assert limit.take(key="a", now=0.0).allowed
    assert not any(limit.take(key="a", now=0.1 * each).allowed for each in range(9))
    assert limit.take(key="b", now=0.9).allowed
    assert limit.take(key="a", now=1.0).allowed


def test_the_headers_say_what_is_left_and_when_it_is_all_back() -> None:
    standing = Rates(per_second=2, burst=10).take(key="a", now=0.0)
    assert dict(standing.headers) == {b"ratelimit-policy": b'"key";q=10;w=5', b"ratelimit": b'"key";r=9;t=1'}


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    limit = Rates(per_second=1, burst=1)
    assert limit.take(key="a", now=10.0).allowed
    assert not limit.take(key="a", now=5.0).allowed


def test_old_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "KEYS_MAX", 2)
    limit = Rates(per_second=1, burst=1)
    for key in "abc":
        limit.take(key=key, now=0.0)
    assert limit.take(key="a", now=0.0).allowed
    assert not limit.take(key="c", now=0.0).allowed
