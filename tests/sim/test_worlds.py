"""Whole worlds: a few fixed ones keep every promise, and a seed is the same world every time, on greenlets and on threads."""

from __future__ import annotations

import pytest

from revline.connectors.simulated.faults import Fault
from revline.connectors.simulated.records import Mode
from revline.sim.world.ground import Databases
from revline.sim.world.plan import FAULTS_END_SECONDS, plan_of
from revline.sim.world.run import one_world, words
from revline.sim.world.story import story_of

pytestmark = pytest.mark.xdist_group("worlds")
SEEDS = (1, 4, 6, 8)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_world_keeps_its_promises(databases: Databases, seed: int) -> None:
    outcome = one_world(databases, seed=seed, twice=seed == SEEDS[0])
    assert [words(one) for one in outcome.violations] == []
    assert outcome.lived.seconds < 60
    assert outcome.documents > 5


def test_a_seed_is_one_plan_and_one_story() -> None:
    for seed in range(20):
        plan = plan_of(seed=seed)
        assert plan == plan_of(seed=seed)
        for tenant in plan.tenants:
            story = story_of(seed=seed, tenant=tenant)
            assert story == story_of(seed=seed, tenant=tenant)
            arrived = sum(len(one.bodies) for one in story.arrivals)
            assert arrived + story.missing >= len(story.month.webhooks) + len(story.month.listed())
            assert [body for _, body in story.happens] == list(story.month.webhooks)
            assert all(one.seconds < FAULTS_END_SECONDS + 3 for one in story.arrivals)


def test_every_kind_of_trouble_is_drawn_by_some_seed() -> None:
    plans = [plan_of(seed=seed) for seed in range(200)]
    drawn = {rule.fault for plan in plans for tenant in plan.tenants for rule in tenant.rules}
    assert drawn >= {Fault.THROTTLE, Fault.PARTIAL, Fault.SHORT_ANSWER, Fault.PERIOD_LOCK, Fault.LOOKUP_LAG, Fault.BUSY}
    for name in ("edits", "acts", "bulk", "blocks", "forgotten", "missing", "read", "tells"):
        assert any(getattr(tenant, name) for plan in plans for tenant in plan.tenants), name
    assert {tenant.mode for plan in plans for tenant in plan.tenants} == set(Mode)
    for name in ("refused", "reset", "lost", "late", "slow"):
        assert any(getattr(plan.network, name) for plan in plans), name
    for name in ("crashes_max", "stalls_max", "away_max", "drains"):
        assert any(getattr(plan.breaks, name) for plan in plans), name
    assert sum(not plan.breaks.crashes_max for plan in plans) > 20
