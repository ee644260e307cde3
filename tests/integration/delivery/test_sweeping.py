"""A wake-up that a crash lost is found: at once by a process that begins, soon by one that runs, and in the end by any."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from revline.core.documents import DocumentState, Rank
from revline.delivery import sweeping, waiting
from revline.delivery.sweeping import Sweeper
from revline.platform.store.engine import Database
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.integration.delivery.world import World, journal

CHAINS = 5


@pytest.fixture
def asleep(database: Database, monkeypatch: pytest.MonkeyPatch) -> World:
    """Five documents wait for finished ones, because nobody woke them; one waits for a document that stands still."""
    world = World(database, FakeConnector(FarSystem()))
    with monkeypatch.context() as patched:
        patched.setattr(waiting, "wake", lambda *_, **__: frozenset())
        for number in range(CHAINS):
            world.write(journal(f"after{number}", rank=Rank.PAYMENT, after=[f"before{number}"]))
        world.deliver()
        for number in range(CHAINS):
            world.write(journal(f"before{number}", rank=Rank.INVOICE))
        world.write(
            journal("refused", rank=Rank.INVOICE, credit_account="unmapped"),
            journal("behind", rank=Rank.PAYMENT, after=["refused"]),
        )
        world.deliver()
    assert asleep_still(world) == CHAINS
    return world


def asleep_still(world: World) -> int:
    return sum(world.state(f"after{number}") is DocumentState.READY for number in range(CHAINS))


def sweeps(world: World, *, began: bool) -> Callable[[], int]:
    """The sweeps of a process that begins now, or of one that began before anything waited."""
    sweeper = Sweeper(database=world.database, actor="worker:test")
    sweeper._began = began
    return lambda: sweeper.sweep(recorded_at=world.clock.now())


def test_a_process_that_begins_looks_through_everything(asleep: World) -> None:
    asleep.clock.moment += timedelta(days=1)
    assert sweeps(asleep, began=False)() == CHAINS
    asleep.deliver()
    assert asleep_still(asleep) == 0
    assert asleep.state("behind") is DocumentState.READY, "what it waits for stands still"


def test_what_finished_lately_is_found_by_the_next_sweep(asleep: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = sweeps(asleep, began=True)
    monkeypatch.setattr(Sweeper, "_next_page", lambda *_: 0)
    assert sweep() == CHAINS
    assert sweep() == 0


def test_what_finished_long_ago_is_found_a_page_at_a_time(asleep: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "ROWS_A_PAGE", 2)
    asleep.clock.moment += timedelta(days=1)
    sweep = sweeps(asleep, began=True)
    woken = [sweep() for _ in range(8)]
    assert sum(woken) == CHAINS
    assert max(woken) <= 2
    asleep.deliver()
    assert asleep_still(asleep) == 0
