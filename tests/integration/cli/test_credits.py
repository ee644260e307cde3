"""`revline credits`: granted by a plan, shown, ended, refunded and voided, refused with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from revline.platform.store.engine import Database
from tests.integration.cli.conftest import Cli
from tests.integration.usage.credits.world import Shop

CHOSEN = ("--tenant", "birch", "--connection", "billing")


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Iterator[Shop]:
    one = Shop(database, tmp_path / "configuration")
    yield one
    one.close()


def worked(shop: Shop) -> None:
    """A worker goes through what was asked for, a moment from now."""
    shop.harness.clock.moment = datetime.now(UTC)
    shop.work()


def test_credits_are_granted_shown_refunded_and_ended(cli: Cli, shop: Shop) -> None:
    assert "No credits yet" in cli("credits", "list", "--tenant", "birch").said
    grant = ("credits", "grant", "cus_1", "--plan", "prepaid", "--id", "g", "--reason", "sold", *CHOSEN)
    made = cli(*grant, "--method", "card", "--json").data
    assert (made["amount"], made["cost"], made["currency"]) == ("1000.00", "800.00", "USD")
    worked(shop)
    assert cli(*grant, "--method", "card", "--json").data == made, "the same again is done once"
    (listed,) = cli("credits", "list", "--tenant", "birch", "--json").data
    assert (listed["grant"], listed["left"], listed["cost_left"]) == ("g", "1000.00", "800.00")
    shown = cli("credits", "show", "cus_1", *CHOSEN, "--json").data
    assert [(one["rule"], one["cost"]) for one in shown["ledger"]] == [("granted", "800.00")]
    assert shown["balances"][0]["available"] == "1000.00"
    people = cli("credits", "show", "cus_1", *CHOSEN).out
    assert "promise" in people
    assert "1000.00" in people
    cli("credits", "refund", "g", "--amount", "250.00", "--method", "card", "--reason", "agreed", *CHOSEN)
    worked(shop)
    cli("credits", "expire", "g", "--reason", "the contract ended", *CHOSEN)
    worked(shop)
    (listed,) = cli("credits", "list", "--customer", "cus_1", *CHOSEN, "--json").data
    assert (listed["taken_back"], listed["expired"], listed["left"]) == ("250.00", "750.00", "0.00")
    cli("credits", "void", "g", "--reason", "it was never sold", *CHOSEN)
    worked(shop)
    assert cli("credits", "show", "cus_1", *CHOSEN, "--json").data["balances"] == []
    assert shop.books() == {}
    (case,) = cli("cases", "list", "--tenant", "birch", "--json").data
    assert case["code"] == "credits.grant_unknown", "a refund of it was paid: somebody must look"


def test_what_can_not_be_is_refused_with_the_next_step(cli: Cli, shop: Shop) -> None:
    why = ("--reason", "sold", *CHOSEN)
    cli.refused("credits", "grant", "cus_1", "--plan", "unknown", *why, problem="credits.plan_unknown")
    cli.refused("credits", "grant", "cus_1", "--plan", "prepaid", "--amount", "1.234", *why, problem="amount.invalid")
    cli.refused(
        "credits", "grant", "cus_1", "--plan", "prepaid", "--amount", "-5", *why, problem="intake.value_invalid"
    )
    cli.refused("credits", "grant", "cus_1", "--plan", "prepaid", "--expires", "soon", *why, problem="time.invalid")
    past = ("--expires", "2020-01-01")
    cli.refused("credits", "grant", "cus_1", "--plan", "prepaid", *past, *why, problem="intake.value_invalid")
    nowhere = ("--tenant", "birch", "--connection", "nowhere", "--reason", "x")
    cli.refused("credits", "grant", "cus_1", "--plan", "prepaid", *nowhere, problem="connection.unknown")
    cli.refused("credits", "show", "cus_1", "--tenant", "birch", problem="connection.unknown")
    for act in ("refund", "expire", "void"):
        cli.refused("credits", act, "nothing", *why, problem="credits.grant_unknown")
