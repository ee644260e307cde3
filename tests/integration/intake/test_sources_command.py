"""`revline sources` over a simulated Stripe: what can be read, asking for it, and whether the totals agree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.platform.store.engine import Database
from tests.integration.cli.conftest import Cli
from tests.integration.intake.reading_world import KEY, World


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    one = World(database=database, folder=tmp_path / "configuration")
    yield one
    one.close()


@pytest.fixture
def cli(world: World, app_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    del world
    monkeypatch.setenv("REVLINE_TENANT", "birch")
    monkeypatch.setenv("REVLINE_SECRET_STRIPE_KEY", KEY)
    monkeypatch.setenv("REVLINE_SECRET_DEMO_SIGNING_BIRCH", "whsec_demo_birch")
    settings = {"REVLINE_DSN": app_dsn, "REVLINE_DATA_FOLDER": str(tmp_path / "data")}
    return Cli(settings)


def test_what_can_be_read_is_listed(cli: Cli) -> None:
    found = cli("sources", "list", "--json").data
    assert [(one["connection"], one["changes"], one["problem"]) for one in found] == [("stripe", True, "")]
    assert "invoice" in found[0]["kinds"]


def test_a_backfill_is_asked_for_read_and_shown(cli: Cli, world: World) -> None:
    world.library.customers.create({"name": "Ada"})
    asked = cli("sources", "backfill", "stripe", "--object", "customer", "--json").data
    assert [(one["object_kind"], one["state"]) for one in asked] == [("customer", "asked")]
    assert cli("status", "--json").data[0]["reading"] == 1
    world.read()
    read = cli("sources", "list", "--json").data[0]["read"]
    assert [(one["state"], one["taken"]) for one in read] == [("finished", 1)]


def test_only_what_was_made_since_a_day(cli: Cli, world: World) -> None:
    world.library.customers.create({"name": "Ada"})
    world.clock.seconds += 3 * 86_400
    world.library.customers.create({"name": "Grace"})
    cli("sources", "backfill", "stripe", "--object", "customer", "--since", "2026-02-03")
    world.read()
    assert [one.snapshot.name for one in world.facts("customer")] == ["Grace"]


def test_a_check_finds_what_the_log_lacks_and_agrees_once_it_was_read(cli: Cli, world: World) -> None:
    world.library.customers.create({"name": "Ada"})
    differing = cli("sources", "check", "stripe", "--object", "customer", "--json", code=1).data
    assert "lists 1 of kind customer, the log holds 0" in differing[0]["differences"]
    assert [code for code, _ in world.cases()] == ["source.control_total_differs"]
    cli("sources", "backfill", "stripe", "--object", "customer")
    world.read()
    assert cli("sources", "check", "stripe", "--object", "customer", "--json").data[0]["differences"] == ""
    assert world.cases() == []


def test_what_can_not_be_read_is_refused_with_the_next_step(cli: Cli) -> None:
    cli.refused("sources", "backfill", "nowhere", problem="connection.unknown")
    cli.refused("sources", "backfill", "erp", problem="source.not_readable")
    cli.refused("sources", "backfill", "stripe", "--object", "meter", problem="source.option_unknown")
    cli.refused("sources", "backfill", "stripe", "--since", "yesterday", problem="time.invalid")


def test_the_change_stream_is_followed_once_asked_for(cli: Cli, world: World) -> None:
    world.library.customers.create({"name": "Ada"})
    cli("sources", "changes", "stripe")
    world.read()
    assert [one.snapshot.name for one in world.facts("customer")] == ["Ada"]
