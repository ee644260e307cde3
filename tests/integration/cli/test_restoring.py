"""After a restore by command: the epoch is raised with a reason, and far systems are listed."""

from __future__ import annotations

from pathlib import Path

from revline.platform.store.engine import Database
from tests.integration.cli.conftest import Cli


def test_the_epoch_is_shown_and_raised_with_a_reason(cli: Cli, starter: Path, database: Database) -> None:
    assert cli("epoch", "show").said.startswith("epoch 1")
    cli("config", "apply", starter, "--reason", "first")
    once = ("epoch", "raise", "--from", "1", "--reason", "restored from the night")
    raised = cli(*once, "--json").data
    assert raised["epoch"] == 2
    cli.refused(*once, problem="epoch.changed")
    shown = cli("epoch", "show", "--json").data
    assert (shown["epoch"], shown["reason"], shown["began_at"]) == (2, "restored from the night", raised["began_at"])
    with database.control() as connection:
        tenants = connection.exec_driver_sql("SELECT tenant_id FROM tenant").scalars().all()
    assert tenants
    for tenant in tenants:
        with database.read(tenants=[tenant]) as connection:
            told = connection.exec_driver_sql("SELECT reason FROM unit WHERE kind = 'epoch'").scalars().all()
        assert told == ["restored from the night"], tenant


def test_a_raise_without_a_reason_is_refused(cli: Cli) -> None:
    cli("epoch", "raise", code=2)
    assert cli("epoch", "show", "--json").data["epoch"] == 1


def test_what_an_erp_holds_is_listed_when_asked_for(cli: Cli, starter: Path) -> None:
    cli("config", "apply", starter, "--reason", "first")
    cli.refused("deliveries", "enumerate", "--connection", "nowhere", problem="connection.unknown")
    report = cli("deliveries", "enumerate", "--connection", "nowhere", "--report", "--json").data
    assert report == []
