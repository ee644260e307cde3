"""An import is held back like every other input while too much waits; it says so, or waits, and goes on where it was."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from revline.doors.cli.importing import Gate
from revline.platform.store.engine import Database
from revline.platform.work import pressure, queries
from revline.platform.work.pressure import BacklogLimits, Pressure, sample_backlog
from tests.integration.cli.conftest import Cli
from tests.integration.intake.test_import_csv import INVOICES, cli

__all__ = ["cli"]
TENANT = "acme"


def count(database: Database, *, limit: int) -> None:
    """Count what waits, whether it is time or not."""
    with database.control() as connection:
        now = queries.moment(connection)
        connection.exec_driver_sql("UPDATE backlog_sample SET next_at = sampled_at")
    limits = BacklogLimits(tenant=limit, cell=0, due_age=timedelta(0))
    assert sample_backlog(database, derive="derive", deliver="delivery", limits=limits, now=now)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Six invoices."""
    found = tmp_path / "invoices.csv"
    head, first, *_ = INVOICES.splitlines()
    rows = [first.replace("i-1,A-1", f"i-{number},A-{number}") for number in range(6)]
    found.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return found


def test_an_import_is_refused_while_it_is_held_back_and_waits_when_it_may(
    cli: Cli, database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = cli("import", file, "--connection", "books", "--json").data
    assert taken["counts"] == {"accepted": 6}
    count(database, limit=5)
    cli.refused("import", file, "--connection", "books", problem="intake.held_back")
    monkeypatch.setattr(pressure, "FRESH_SECONDS", 0.0)
    defaults = {**(Gate.__init__.__kwdefaults__ or {}), "sleep": lambda _: count(database, limit=1_000)}
    monkeypatch.setattr(Gate.__init__, "__kwdefaults__", defaults)
    waited = cli("import", file, "--connection", "books", "--wait", "5")
    assert "waiting" in waited.said
    assert cli("import", file, "--connection", "books", "--json").data["counts"] == {"duplicate": 6}


class Flow(Pressure):
    """Held back from one look to another."""

    def __init__(self, *held: bool) -> None:
        self.looks = list(held)

    def held(self, tenant_id: str) -> str:
        return "tenant_backlog_max" if self.looks and self.looks.pop(0) else ""

    def refused(self, tenant_id: str) -> object:  # type: ignore[override]
        limit = self.held(tenant_id)
        return pressure.problem("intake.held_back", "too much waits", field=limit) if limit else None


def test_patience_is_used_up_over_all_batches_together() -> None:
    slept: list[float] = []
    flow = Flow(True, True, False, False, True, True, True, True)
    gate = Gate(pressure=flow, tenant_id=TENANT, wait=timedelta(seconds=6), seconds=lambda: 0.0, sleep=slept.append)
    assert gate.refused() is None
    assert len(slept) == 2
    assert gate.refused() is not None
    assert (len(slept), gate.why) == (3, "tenant_backlog_max")


def test_without_patience_it_is_refused_at_once() -> None:
    gate = Gate(pressure=Flow(True), tenant_id=TENANT, wait=timedelta(0), sleep=lambda _: pytest.fail("it waits"))
    assert gate.refused() is not None
