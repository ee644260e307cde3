"""A slot never waits for a turn: the longer turns take beside calls, the more calls are ready on a slot, within bounds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from revline.delivery.pace import CALLS_PER_SLOT, CALLS_PER_SLOT_MAX, Pace

LEASE = timedelta(seconds=15)
PAUSE = timedelta(milliseconds=20)


def pace_of(*, turn: float, call: float, lease: timedelta = LEASE) -> Pace:
    pace = Pace(lease=lease, pause=PAUSE)
    for _ in range(50):
        pace.turned(turn=timedelta(seconds=turn), round_took=timedelta(seconds=turn))
        pace.called(pool_id="erp", took=timedelta(seconds=call))
    return pace


def test_before_anything_is_known_one_call_waits_behind_another() -> None:
    assert Pace(lease=LEASE, pause=PAUSE).depth("erp") == CALLS_PER_SLOT


@pytest.mark.parametrize(
    ("turn", "call", "depth"),
    [
        (0.02, 1.0, 2),
        (0.051, 0.02, 7),
        (0.111, 0.02, 13),
        (2.0, 0.02, CALLS_PER_SLOT_MAX),
    ],
)
def test_as_many_as_are_done_within_two_rounds(turn: float, call: float, depth: int) -> None:
    assert pace_of(turn=turn, call=call).depth("erp") == depth


def test_what_is_ready_is_done_well_within_a_lease() -> None:
    assert pace_of(turn=60.0, call=1.0, lease=timedelta(seconds=12)).depth("erp") == 4


def test_a_far_side_that_becomes_quick_is_believed_at_once_and_one_that_becomes_slow_by_and_by() -> None:
    pace = pace_of(turn=0.101, call=1.0)
    pace.called(pool_id="erp", took=timedelta(seconds=0.02))
    assert pace.depth("erp") == 12
    pace.called(pool_id="erp", took=timedelta(seconds=1.0))
    assert pace.depth("erp") == 4


def test_each_far_account_has_its_own_pace() -> None:
    pace = pace_of(turn=0.101, call=0.02)
    pace.called(pool_id="slow", took=timedelta(seconds=5))
    assert (pace.depth("erp"), pace.depth("slow")) == (12, CALLS_PER_SLOT)


@pytest.mark.parametrize(
    ("queues", "seconds"),
    [
        ([], 0.02),
        ([("erp", 16), ("erp", 1)], 0.02),
        ([("erp", 8), ("erp", 9)], 0.07),
        ([("erp", 16), ("erp", 16)], 0.1),
    ],
)
def test_the_next_turn_waits_while_what_is_ready_lasts(queues: list[tuple[str, int]], seconds: float) -> None:
    assert pace_of(turn=0.06, call=0.02).pause_seconds(queues=queues) == pytest.approx(seconds, rel=0.05)
