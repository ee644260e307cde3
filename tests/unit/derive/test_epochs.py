"""Which documents an earlier epoch may have sent: by when their event and its facts happened, not by when they came in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

from revline.derive.epochs import known_before
from revline.platform.work.epochs import BEGINNING, CLOCKS_APART, FIRST, Epoch

RAISED = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = Epoch(number=2, began_at=RAISED)
LATER = RAISED + timedelta(hours=1)
EARLIER = RAISED - timedelta(hours=1)


def fact(at: datetime) -> Any:
    return SimpleNamespace(translated=SimpleNamespace(occurred_at=at))


def plan(document: str, event_at: datetime, *facts_at: datetime, masters: tuple[str, ...] = ()) -> Any:
    booking = SimpleNamespace(
        event=SimpleNamespace(occurred_at=event_at),
        facts=tuple(map(fact, facts_at)),
        documents=(SimpleNamespace(document_id=document),),
    )
    return SimpleNamespace(bookings=(booking,), masters=tuple(SimpleNamespace(document_id=one) for one in masters))


def before(one: Any, *root_facts: datetime, epoch: Epoch = EPOCH) -> frozenset[str]:
    known = cast(Any, {"root": SimpleNamespace(facts=tuple(map(fact, root_facts)))})
    return known_before(epoch=epoch, plans={"root": one}, known=known)


def test_what_happened_before_the_raise_may_have_been_posted_in_the_lost_time() -> None:
    assert before(plan("invoice", EARLIER, EARLIER), EARLIER) == {"invoice"}


def test_what_happened_after_it_cannot_have_been() -> None:
    assert before(plan("invoice", LATER, LATER), LATER) == frozenset()


def test_an_event_stated_for_later_but_told_before_counts_as_before() -> None:
    assert before(plan("payout", LATER + timedelta(days=3), EARLIER), EARLIER) == {"payout"}


def test_a_reversal_rests_on_its_events_day() -> None:
    assert before(plan("reversal", EARLIER), LATER) == {"reversal"}


def test_a_master_record_is_as_old_as_the_first_that_was_heard_of_it() -> None:
    assert before(plan("invoice", LATER, LATER, masters=("customer",)), EARLIER, LATER) == {"customer"}


def test_sources_clocks_may_be_a_little_ahead() -> None:
    assert before(plan("invoice", RAISED + CLOCKS_APART / 2, LATER), LATER) == {"invoice"}
    assert before(plan("invoice", RAISED + CLOCKS_APART, LATER), LATER) == frozenset()


def test_a_cell_that_was_never_restored_has_nothing_before() -> None:
    assert before(plan("invoice", BEGINNING), BEGINNING, epoch=FIRST) == frozenset()
