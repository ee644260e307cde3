"""A worker that is killed again and again, with calls in flight, leaves the same books as one that is not.

Twenty kills in all; the simulated ERP's append-only file says which of them struck a call in flight, and is with its trial
balance the judge of what was posted.
"""

from __future__ import annotations

import pytest

from revline.connectors.simulated.records import Mode
from revline.platform.store.engine import Database
from revline.sim.stripe_profile import StripeMonth
from tests.chaos.judging import EndState
from tests.chaos.running import LATE_SECONDS, month_of
from tests.chaos.story import VARIANTS, Stand, Variant, tell, undisturbed
from tests.databases import TestServer

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.xdist_group("chaos")]

MONTH_SEED = 11
KILLS_PER_STORY = 10
IN_FLIGHT_MIN = 6
"""Of each story's ten: at least twelve of the twenty."""


@pytest.fixture(scope="module")
def month() -> StripeMonth:
    return month_of(seed=MONTH_SEED)


@pytest.fixture(scope="module")
def stand(
    app_database: Database, test_server: TestServer, database_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Stand:
    return Stand(
        database=app_database,
        dsn=test_server.server.dsn("revline_app", database_name),
        folder=tmp_path_factory.mktemp("chaos"),
        empty=lambda: test_server.empty(database_name),
    )


@pytest.fixture(scope="module")
def calm(stand: Stand, month: StripeMonth) -> EndState:
    """The end state of a run in which nothing dies."""
    return undisturbed(stand, month=month)


@pytest.mark.parametrize(
    ("variant", "seed"), [pytest.param(one, number, id=one.name) for number, one in enumerate(VARIANTS[:2], start=1)]
)
def test_killed_workers_leave_the_books_of_an_undisturbed_run(
    stand: Stand, month: StripeMonth, calm: EndState, variant: Variant, seed: int
) -> None:
    told = tell(stand, month=month, variant=variant, seed=seed, kills=KILLS_PER_STORY)
    assert len(told.kills) == KILLS_PER_STORY
    assert told.in_flight >= IN_FLIGHT_MIN
    late = told.kills[-1].late_seconds
    # A reference that must be unique refuses what comes late; where it need not be, the next worker waits for it.
    assert late > LATE_SECONDS / 2 if variant.mode is Mode.LOOKUP else told.kills[-1].unanswered
    assert told.verdict.good, told.verdict
    assert told.same_books
    assert told.all_posted
    assert told.documents > 150
    assert told.state == calm
