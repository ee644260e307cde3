"""Acts on many records over the API: preview, start, watch, stop; who may do which; what a cause of many cases becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from revline.app import directory
from revline.platform.access.roles import Role
from revline.platform.bulk.runner import BulkRunner
from revline.platform.cases import service as case_service
from tests.integration.api.test_acts import Door, cli, door
from tests.integration.cli.conftest import Cli

__all__ = ["cli", "door"]
POLICY = """\
apiVersion: revline/v1
kind: CorrectionPolicy
metadata: {name: corrections, tenant: birch}
spec: {secondPersonAbove: {USD: "0.00"}}
"""
ACT: dict[str, Any] = {"kind": "retry", "filter": {}, "reason": "the account is there"}


def run(door: Door) -> None:
    services = door.runtime.services
    runner = BulkRunner(database=services.database, handlers=services.bulk.handlers, clock=services.clock, owner="test")
    while runner.turn():
        pass


def test_an_act_is_previewed_started_watched_and_ends(door: Door) -> None:
    shown = door.post("/v1/acts/preview", {"kind": "retry", "filter": {}}).json()
    assert shown["records"] > 0
    assert len(shown["sample"]) == shown["records"]
    made = door.post("/v1/acts", {**ACT, "expected": shown["records"]})
    assert made.status_code == 200, made.text
    act = made.json()
    assert (act["state"], act["records"], act["done"]) == ("running", shown["records"], 0)
    run(door)
    ended = door.get(f"/v1/acts/{act['act_id']}", Role.AUDITOR).json()
    assert ended["state"] == "done"
    assert ended["done"] + ended["refused"] == shown["records"]
    page = door.get(f"/v1/acts/{act['act_id']}/items", Role.AUDITOR, limit="1").json()
    assert (len(page["items"]), page["after"]) == (1, 1)
    listed = door.get("/v1/acts", Role.AUDITOR).json()["items"]
    assert [one["act_id"] for one in listed] == [act["act_id"]]


def test_an_act_is_stopped_between_batches(door: Door) -> None:
    act = door.post("/v1/acts", ACT).json()["act_id"]
    assert door.post(f"/v1/acts/{act}/pause", {"reason": "wait"}).json()["state"] == "paused"
    run(door)
    assert door.post(f"/v1/acts/{act}/resume", {"reason": "go on"}).json()["state"] == "running"
    aborted = door.post(f"/v1/acts/{act}/abort", {"reason": "no"}).json()
    assert (aborted["state"], aborted["done"]) == ("aborted", 0)
    again = door.post(f"/v1/acts/{act}/resume", {"reason": "go on"})
    assert (again.status_code, again.json()["code"]) == (409, "bulk.ended")
    assert door.post(f"/v1/acts/{act}/decision", {"apply": True, "reason": "x"}).json()["code"] == "bulk.same_person"


@pytest.mark.parametrize(
    ("kind", "may", "may_not"),
    [
        ("retry", (Role.OPERATOR, Role.FINANCE, Role.ADMINISTRATOR), (Role.AUDITOR, Role.INGEST)),
        ("waive", (Role.FINANCE,), (Role.OPERATOR, Role.ADMINISTRATOR, Role.AUDITOR, Role.INGEST)),
        ("resend", (Role.OPERATOR, Role.ADMINISTRATOR), (Role.FINANCE, Role.AUDITOR, Role.INGEST)),
        ("reprocess", (Role.OPERATOR, Role.ADMINISTRATOR), (Role.FINANCE, Role.AUDITOR, Role.INGEST)),
        ("skip", (Role.OPERATOR, Role.ADMINISTRATOR), (Role.FINANCE, Role.AUDITOR, Role.INGEST)),
        ("replay", (Role.OPERATOR, Role.ADMINISTRATOR), (Role.FINANCE, Role.AUDITOR, Role.INGEST)),
    ],
)
def test_an_act_on_many_takes_what_the_act_on_one_takes(
    door: Door, kind: str, may: tuple[Role, ...], may_not: tuple[Role, ...]
) -> None:
    meant = {"kind": kind, "filter": {}}
    for role in may:
        assert door.post("/v1/acts/preview", meant, role).status_code == 200, role
    for role in may_not:
        assert door.post("/v1/acts/preview", meant, role).status_code == 403, role
        assert door.post("/v1/acts", {**meant, "reason": "x"}, role).status_code == 403, role


def test_an_act_is_stopped_by_whom_it_is_open_to(door: Door) -> None:
    made = door.post("/v1/acts", {"kind": "reprocess", "filter": {}, "reason": "new rules"}, Role.OPERATOR)
    assert made.status_code == 200, made.text
    act = made.json()["act_id"]
    assert door.post(f"/v1/acts/{act}/abort", {"reason": "no"}, Role.FINANCE).status_code == 403
    assert door.post(f"/v1/acts/{act}/abort", {"reason": "no"}, Role.OPERATOR).status_code == 200


def test_a_preview_of_deriving_again_says_what_would_be_booked(door: Door) -> None:
    shown = door.post("/v1/acts/preview", {"kind": "reprocess", "filter": {}}, Role.OPERATOR).json()
    assert shown["records"] > 0
    assert all("nothing would change" in one["detail"] for one in shown["sample"] if not one["problem_code"]) or any(
        "makes no accounting event" in one["detail"] for one in shown["sample"]
    )


def test_a_cause_of_more_than_a_page_becomes_an_act(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    cause = door.get("/v1/causes").json()["items"][0]["cause_id"]
    small = door.post(f"/v1/causes/{cause}/retry", {"reason": "go"}).json()
    assert set(small) == {"asked", "started"}
    monkeypatch.setattr(case_service, "RETRY_PAGE", 0)
    large = door.post(f"/v1/causes/{cause}/retry", {"reason": "go"}).json()
    assert large["asked"] == small["asked"]
    assert door.get(f"/v1/acts/{large['act_id']}").json()["filter"] == {"cause": cause}
    assert door.post(f"/v1/causes/{cause}/retry", {"reason": "go"}).json()["code"] == "bulk.running"


def test_what_is_worth_more_than_the_policy_allows_one_person_is_started_by_another(
    door: Door, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "FRESH_SECONDS", 0)
    folder = tmp_path / "configuration"
    (folder / "birch" / "90-policy.yaml").write_text(POLICY, encoding="utf-8")
    cli("config", "apply", folder, "--reason", "two people")
    meant = {"kind": "reprocess", "filter": {"state": "ready"}}
    shown = door.post("/v1/acts/preview", meant, Role.OPERATOR).json()
    assert shown["second_person"], shown
    act = door.post("/v1/acts", {**meant, "reason": "new rules"}, Role.OPERATOR).json()
    assert act["state"] == "proposed"
    run(door)
    assert door.get(f"/v1/acts/{act['act_id']}").json()["done"] == 0
    path = f"/v1/acts/{act['act_id']}/decision"
    own = door.post(path, {"apply": True, "reason": "mine"}, Role.OPERATOR)
    assert (own.status_code, own.json()["code"]) == (403, "bulk.same_person")
    assert door.post(path, {"apply": True, "reason": "no right to it"}, Role.FINANCE).status_code == 403
    assert door.post(path, {"apply": True, "reason": "looked at"}, Role.ADMINISTRATOR).json()["state"] == "running"
    run(door)
    assert door.get(f"/v1/acts/{act['act_id']}").json()["state"] == "done"
