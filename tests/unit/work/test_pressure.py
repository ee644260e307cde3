"""When intake is held back and when it goes on, as a pure function."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from revline.platform.work.pressure import CELL, Backlog, BacklogLimits, held_by

NOON = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
LIMITS = BacklogLimits(tenant=1_000, cell=5_000, due_age=timedelta(hours=10))


def sample(waiting: int, *, tenant: str = "acme", hours: float = 0) -> Backlog:
    return Backlog(
        tenant_id=tenant,
        underived=waiting // 2,
        undelivered=waiting - waiting // 2,
        oldest_due_at=NOON - timedelta(hours=hours) if hours else None,
        sampled_at=NOON,
    )


def test_held_back_above_the_limit_until_four_fifths_of_it() -> None:
    held = ""
    for waiting, expected in ((1_000, False), (1_001, True), (900, True), (801, True), (800, False), (900, False)):
        held = held_by(was=held, sample=sample(waiting), limits=LIMITS, now=NOON)
        assert (held == "tenant_backlog_max") is expected, waiting


def test_old_work_holds_back_its_own_tenant_and_not_the_cell() -> None:
    assert held_by(was="", sample=sample(5, hours=11), limits=LIMITS, now=NOON) == "due_age_max_hours"
    assert held_by(was="due_age_max_hours", sample=sample(5, hours=9), limits=LIMITS, now=NOON) == "due_age_max_hours"
    assert held_by(was="due_age_max_hours", sample=sample(5, hours=8), limits=LIMITS, now=NOON) == ""
    assert held_by(was="", sample=sample(5, tenant=CELL, hours=90), limits=LIMITS, now=NOON) == ""


def test_the_cell_has_a_limit_of_its_own() -> None:
    assert held_by(was="", sample=sample(5_001, tenant=CELL), limits=LIMITS, now=NOON) == "cell_backlog_max"
    assert held_by(was="", sample=sample(5_000, tenant=CELL), limits=LIMITS, now=NOON) == ""


@given(waiting=st.integers(0, 10**9), hours=st.floats(0, 10_000))
def test_without_limits_nothing_is_held_back(waiting: int, hours: float) -> None:
    none = BacklogLimits(tenant=0, cell=0, due_age=timedelta(0))
    for tenant in ("acme", CELL):
        assert held_by(was="", sample=sample(waiting, tenant=tenant, hours=hours), limits=none, now=NOON) == ""
