"""Two workers on one database, struck by what happens to real processes, leave the books of one that nothing happened to.

The simulated ERP's append-only file and its trial balance judge what was posted. The long form is `python -m tests.chaos`.
"""

from __future__ import annotations

import pytest

from revline.sim.stripe_profile import StripeMonth
from tests.chaos.judging import EndState
from tests.chaos.planning import VARIANTS, Blow, Fault, Plan, plan_for
from tests.chaos.running import LATE_SECONDS, Stand, month_of
from tests.chaos.story import tell, undisturbed

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.xdist_group("chaos")]

MONTH_SEED = 11
ONE = {variant.name: variant for variant in VARIANTS}
PLANS = [
    plan_for(seed=1, variant=ONE["lookup-lag"], fault=Fault.PAUSE, kills=3, specials=1),
    plan_for(seed=2, variant=ONE["unique"], fault=Fault.RESTART, kills=4, specials=2),
]


@pytest.fixture(scope="module")
def month() -> StripeMonth:
    return month_of(seed=MONTH_SEED)


@pytest.fixture(scope="module")
def calm(stand: Stand, month: StripeMonth) -> EndState:
    """The end state of a run in which nothing happens."""
    return undisturbed(stand, month=month)


@pytest.mark.parametrize("plan", [pytest.param(one, id=f"{one.variant.name}, {one.fault}") for one in PLANS])
def test_struck_workers_leave_the_books_of_an_undisturbed_run(
    stand: Stand, month: StripeMonth, calm: EndState, plan: Plan
) -> None:
    told = tell(stand, month=month, plan=plan)
    assert len(told.struck) == len(plan.strokes), "the month was posted before all blows were struck"
    assert told.in_flight >= sum(one.blow is Blow.KILL for one in plan.strokes) // 2
    assert told.verdict.good, told.verdict
    assert told.open_ends.documents == frozenset()
    assert told.same_books
    assert told.all_posted
    assert told.documents > 150
    assert told.state == calm
    if plan.lookup_only:
        # The ERP carried the call out while its worker was stopped and another waited to look it up.
        assert told.late_seconds > LATE_SECONDS / 2
