"""The worker's timers: one tenant's failure is not the others'."""

from __future__ import annotations

import pytest
from psycopg.errors import AdminShutdown

from revline.app.worker import sweep_each


def test_a_tenant_whose_sweep_fails_keeps_no_other_from_being_swept() -> None:
    swept: list[str] = []

    def sweep(*, tenant_id: str) -> int:
        if tenant_id == "alpha":
            raise ValueError("too many facts")
        swept.append(tenant_id)
        return 1

    sweep_each(["alpha", "beta", "gamma"], sweep)
    assert swept == ["beta", "gamma"]


def test_a_database_that_is_away_ends_the_round() -> None:
    def sweep(*, tenant_id: str) -> int:
        raise AdminShutdown

    with pytest.raises(AdminShutdown):
        sweep_each(["alpha", "beta"], sweep)
