"""`revline pools` and `revline close-priority`: shown and changed with a reason, refused with the next step."""

from __future__ import annotations

from sqlalchemy import text

from revline.platform.store.engine import Database
from tests.integration.cli.conftest import Cli

POOL = (
    "INSERT INTO capacity_pool (pool_id, slots, bucket_per_second, bucket_burst, bucket_tokens, refilled_at,"
    " breaker_failures, blocked) VALUES ('pool', 8, 10, 20, 20, to_timestamp(0), 0, false)"
)


def test_a_pool_is_listed_set_blocked_and_shared(cli: Cli, database: Database) -> None:
    assert "No pool yet" in cli("pools", "list").said
    with database.control() as connection:
        connection.execute(text(POOL))
    (listed,) = cli("pools", "list", "--json").data
    assert (listed["pool_id"], listed["state"], listed["slots"]) == ("pool", "idle", 8)
    cli("pools", "set", "pool", "--slots", "3", "--per-second", "2.5", "--reason", "their nightly batch")
    limits = cli("pools", "show", "pool", "--json").data["limits"]
    assert (limits["manifest"]["slots"], limits["set"]["slots"], limits["now"]["slots"]) == (8, 3, 3)
    cli("pools", "block", "pool", "--reason", "maintenance")
    shown = cli("pools", "show", "pool", "--json").data
    assert (shown["state"], shown["blocked_by"]["reason"]) == ("blocked", "maintenance")
    assert "maintenance" in cli("pools", "show", "pool").out
    cli("pools", "unblock", "pool", "--reason", "they are done")
    cli("pools", "budget", "pool", "--of", "*", "--max", "2", "--reason", "no tenant may have it all")
    cli("pools", "budget", "pool", "--kind", "journals", "--share", "30", "--reason", "month end")
    budgets = cli("pools", "show", "pool", "--json").data["budgets"]
    assert {(one["tenant"], one["kind_group"], one["share_percent"]) for one in budgets} == {
        ("", "close", 50), ("*", "", 0), ("", "journals", 30),
    }  # fmt: skip
    cli("pools", "set", "pool", "--reason", "as the connector says")
    assert cli("pools", "show", "pool", "--json").data["limits"]["now"]["slots"] == 8
    assert len(cli("pools", "show", "pool", "--json").data["changes"]) == 6


def test_what_can_not_be_is_refused_with_the_next_step(cli: Cli, database: Database) -> None:
    cli.refused("pools", "show", "nothing", problem="pool.unknown")
    cli.refused("pools", "block", "nothing", "--reason", "why not", problem="pool.unknown")
    with database.control() as connection:
        connection.execute(text(POOL))
    wrong = ("pools", "budget", "pool", "--reason", "x")
    cli.refused(*wrong, "--share", "10", problem="pool.setting_invalid")
    cli.refused(*wrong, "--kind", "nothing", "--share", "10", problem="pool.setting_invalid")
    cli.refused("pools", "set", "pool", "--per-second", "fast", "--reason", "x", problem="pool.setting_invalid")
    typo = ("pools", "budget", "pool", "--of", "acmee", "--reason", "x")
    cli.refused(*typo, "--max", "2", problem="pool.setting_invalid")
    cli(*typo)  # a budget of a tenant that is gone can be ended
    for rate in ("0.0000001", "1e-30", "-1", "1e30", "NaN"):
        cli.refused("pools", "set", "pool", "--per-second", rate, "--reason", "x", problem="pool.setting_invalid")
    assert cli("pools", "block", "pool", code=2).code == 2, "a reason is asked for"
    for reason in ("", "  ", "x" * 501):
        assert "--reason" in cli("pools", "block", "pool", "--reason", reason, code=2).said
        assert "--reason" in cli("epoch", "raise", "--reason", reason, code=2).said
