"""Every order of a few webhooks ends in the same books, byte for byte where nothing had to be corrected on the way."""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import pytest

from revline.subledger.posting.setup import PostingSetup
from tests.scenarios.books.any_order import (
    World,
    credit_story,
    every_order,
    lost_story,
    memo_story,
    paid_story,
    void_story,
    voided_memo_story,
    won_story,
)


@pytest.mark.parametrize(("story", "journals"), [(paid_story, 4), (void_story, 2)])
def test_every_permutation_of_a_small_month_gives_the_same_bytes(
    setup: PostingSetup, story: object, journals: int
) -> None:
    messages = story()  # type: ignore[operator]
    wanted = None
    count = 0
    for world in every_order(setup, messages):
        wanted = wanted or world.books()
        assert world.books() == wanted
        count += 1
    assert wanted is not None
    assert len(wanted[0]) == journals
    assert count == factorial(len(messages)) >= 24


@pytest.mark.parametrize(
    ("story", "accounts"),
    [
        (memo_story, {"credit_notes_contra_revenue", "processor_clearing"}),
        (voided_memo_story, {"accounts_receivable"}),
        (credit_story, {"accounts_receivable"}),
        (won_story, {"processor_clearing", "accounts_receivable"}),
        (lost_story, {"dispute_fees", "deferred_revenue"}),
    ],
)
def test_every_permutation_of_credit_and_dispute_ends_in_equal_balances(
    setup: PostingSetup, story: Callable[[], list[tuple[bytes, bool]]], accounts: set[str]
) -> None:
    """And in the same bytes, where nothing was booked before the message came that says how."""
    messages = story()
    first: World | None = None
    corrected = 0
    for world in every_order(setup, messages):
        if world.corrected():
            corrected += 1
        elif first is None:
            first = world
        else:
            assert world.books() == first.books()
        assert first is None or world.balances() == first.balances()
    assert first is not None
    assert accounts <= {key[0] for key in first.balances()}
    assert bool(corrected) == (story is memo_story), "only a refund told before its memo is booked otherwise at first"
