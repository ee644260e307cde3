"""Acts by command: on one document, on many, and what housekeeping watches."""

from __future__ import annotations

from pathlib import Path

from revline.connectors.simulated.launcher import SimulatedErp
from tests.integration.cli.conftest import Cli
from tests.integration.cli.test_way_through import erp, files, folder, take_in
from tests.rehearsal import add_missing_mapping

__all__ = ["erp", "files", "folder"]


def test_what_a_missing_account_holds_is_acted_on_one_by_one_and_all_at_once(
    cli: Cli, folder: Path, files: tuple[Path, Path], erp: SimulatedErp
) -> None:
    take_in(cli, folder, files)
    cli("worker", "--until-idle")
    (cause,) = cli("cases", "list", "--json").data
    rejected = cli("deliveries", "list", "--state", "rejected", "--json").data
    first = rejected[0]["document_id"]

    assert cli("deliveries", "skip", first, "--reason", "its lane shall go on", "--json").data["state"] == "rejected"
    cli.refused("deliveries", "resend", first, problem="document.set_aside")
    cli.refused("deliveries", "replay", rejected[1]["document_id"], problem="document.not_set_aside")
    put_back = cli("deliveries", "replay", first, "--at-end", "--json").data
    assert (put_back["state"], put_back["at_end"]) == ("ready", True)
    assert cli("deliveries", "resend", rejected[1]["document_id"], "--known-absent", "--json").data["state"] == "ready"

    posted = cli("deliveries", "list", "--state", "posted", "--limit", "1000", "--json").data
    same = next(one for one in posted if one["kind"] == rejected[2]["kind"])
    (record,) = cli("deliveries", "show", same["document_id"]).data["records"]
    named = ("--kind", record["record_kind"], "--reason", "found there")
    other = ("deliveries", "name-record", rejected[2]["document_id"], *named)
    cli.refused(*other, "--id", record["erp_id"], problem="document.record_taken")
    cli.refused(*other, "--id", "nothing", problem="erp.record_missing")
    again = ("deliveries", "name-record", same["document_id"], *named, "--json")
    assert cli(*again, "--id", record["erp_id"]).data["state"] == "posted"
    cli.refused("deliveries", "name-record", same["document_id"], *named, "--id", "x", problem="document.finished")

    shown = cli("acts", "preview", "resend", "--filter", "state=rejected", "--json").data
    assert shown["records"] == len(rejected) - 2
    assert "records" in cli("acts", "preview", "resend", "--filter", "state=rejected").said
    cli.refused("acts", "preview", "resend", "--filter", "colour", problem="bulk.filter_unknown")
    cli.refused("acts", "start", "resend", "--reason", "x", "--expected", "99999", problem="bulk.changed")
    cli.refused("acts", "start", "resend", "--reason", "x", "--expected", "0", problem="bulk.changed")
    cli.refused("acts", "items", "nothing", problem="bulk.unknown")
    add_missing_mapping(folder=folder)
    cli("config", "apply", folder, "--reason", "the account is there")
    made = cli(
        "acts", "start", "retry", "--filter", f"cause={cause['cause_id']}", "--reason", "the account is there", "--json"
    ).data
    act = made["act_id"]
    assert cli("acts", "pause", act, "--json").data["state"] == "paused"
    assert cli("acts", "resume", act, "--json").data["state"] == "running"
    cli("worker", "--until-idle")
    ended = cli("acts", "show", act, "--json").data
    assert (ended["state"], ended["failed"]) == ("done", 0)
    assert ended["done"] + ended["refused"] == ended["records"]
    assert f"act {act} (retry) is done" in cli("acts", "show", act).said
    assert len(cli("acts", "items", act, "--outcome", "done", "--limit", "1000", "--json").data) == ended["done"]
    assert [one["act_id"] for one in cli("acts", "list", "--state", "done", "--json").data] == [act]
    assert cli("cases", "list", "--json").data == []
    for command in ("abort", "pause", "resume", "decide"):
        reason = ("--reason", "late")
        problem = "bulk.same_person" if command == "decide" else "bulk.ended"
        cli.refused("acts", command, act, *reason, problem=problem)
        cli.refused("acts", command, "nothing", *reason, problem="bulk.unknown")
    assert "reprocess" in cli("deliveries", "--help").out
    assert cli("db", "transactions", "--minutes", "60", "--json").data == []
    assert "Nothing holds back cleaning" in (said := cli("db", "transactions", "--minutes", "60")).out + said.said
