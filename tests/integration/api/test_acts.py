"""What people do about cases, over the API as `revline serve` offers it: the same services, permissions and audit as every door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import TestClient

from revline.app.processes import api_ports
from revline.app.runtime import Runtime, open_runtime
from revline.derive.service import Derive
from revline.doors.api.app import create_app
from revline.intake.correcting import corrections
from revline.intake.values import Form, Input, WhenUnreadable
from revline.platform.access.roles import Role
from revline.platform.settings import Settings, load
from tests.harness import ADDRESSES
from tests.integration.cli.conftest import Cli
from tests.integration.derive.world import at, customer, invoice, webhook
from tests.rehearsal import write_folder


class Door:
    """The served API over a tenant with an issued invoice, an undated one and an input that can't be read."""

    def __init__(self, runtime: Runtime, client: TestClient[Any]) -> None:
        self.runtime, self.client = runtime, client
        self.keys = {role: runtime.services.access.issue(tenant_id="birch", role=role).text for role in Role}

    def get(self, path: str, role: Role = Role.FINANCE, **query: str) -> Any:
        return self.client.get(path, params=query, headers={"Authorization": f"Bearer {self.keys[role]}"})

    def post(self, path: str, body: Any, role: Role = Role.FINANCE) -> Any:
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {self.keys[role]}"})

    def derive(self) -> None:
        runtime = self.runtime
        derive = Derive(
            database=runtime.database, configurations=runtime.directory, clock=runtime.clock, owner="test", epoch=1
        )
        while derive.turn().roots:
            pass

    def cases(self, kind: str) -> list[str]:
        found = [one for one in self.get("/v1/cases").json()["items"] if one["subject_kind"] == kind]
        return [one["case_id"] for one in found]


@pytest.fixture
def door(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    monkeypatch.setenv("REVLINE_SECRET_DEMO_SIGNING_BIRCH", "whsec_acts")
    folder = tmp_path / "configuration"
    write_folder(folder=folder, addresses=ADDRESSES, tenants=("birch",))
    cli("config", "apply", folder)
    settings = load(environment=cli.environment)
    assert isinstance(settings, Settings)
    runtime = open_runtime(settings)
    assert isinstance(runtime, Runtime)
    undated = invoice(status_transitions={"finalized_at": None})
    undated["id"] = "in_2"
    broken = msgspec.json.decode(webhook("invoice.finalized", invoice(), created=at(4)))
    broken["data"]["object"] |= {"id": "in_3", "total": "many"}
    told = (
        webhook("customer.created", customer(), created=at(1)),
        webhook("invoice.finalized", invoice(), created=at(4)),
        webhook("invoice.finalized", undated, created=at(4)),
        msgspec.json.encode(broken),
    )
    channel = runtime.directory.channel(tenant_id="birch", connection="stripe")
    now = runtime.clock.now()
    runtime.intake.accept(
        channel=channel,  # type: ignore[arg-type]
        inputs=[Input(body=body, content_type="application/json", received_at=now) for body in told],
        actor="test",
        reason="test",
        form=Form.MESSAGE,
        when_unreadable=WhenUnreadable.KEEP,
    )
    with TestClient(app=create_app(api_ports(runtime))) as client:
        made = Door(runtime, client)
        made.derive()
        yield made
    runtime.services.close()


@pytest.fixture
def cli(app_dsn: str, owner_dsn: str, tmp_path: Path) -> Cli:
    return Cli({"REVLINE_DSN": app_dsn, "REVLINE_OWNER_DSN": owner_dsn, "REVLINE_DATA_FOLDER": str(tmp_path / "data")})


def test_a_case_is_shown_with_what_it_rests_on_and_how_to_mend_it(door: Door) -> None:
    assert {one["code"] for one in door.get("/v1/causes").json()["items"]} == {
        "derive.day_missing",
        "stripe.object_invalid",
    }
    shown = door.get(f"/v1/cases/{door.cases('root')[0]}").json()
    assert shown["root"]["outside_id"] == "in_2"
    assert shown["remedy"]
    assert [one["translated"]["source"]["outside_id"] for one in shown["facts"]] == ["in_2"]
    assert shown["correctable"][0]["subject_kind"] == "fact"
    kept = door.get(f"/v1/cases/{door.cases('input')[0]}").json()
    assert [one["subject_kind"] for one in kept["correctable"]] == ["input"]


def test_a_mended_copy_closes_the_case_and_its_trace_leads_to_the_journal(door: Door) -> None:
    case = door.get(f"/v1/cases/{door.cases('root')[0]}").json()
    fact = case["correctable"][0]["subject_id"]
    mended = msgspec.json.decode(webhook("invoice.finalized", invoice(), created=at(4)))
    mended["data"]["object"]["id"] = "in_2"
    proposal = {"subject_kind": "fact", "subject_id": fact, "body": mended, "reason": "the day is on the paper"}
    done = door.post("/v1/corrections", proposal)
    assert done.status_code == 200, done.text
    door.derive()
    assert door.cases("root") == []
    kinds = {one["kind"] for one in door.get("/v1/trace", value="in_2").json()["records"]}
    assert {"fact", "root", "journal", "document"} <= kinds


def test_trying_a_cause_again_says_how_many_were_set_going(door: Door) -> None:
    cause = next(one for one in door.get("/v1/causes").json()["items"] if one["code"] == "derive.day_missing")
    answer = door.post(f"/v1/causes/{cause['cause_id']}/retry", {"reason": "look again"})
    assert answer.json() == {"asked": 1, "started": 1}
    assert door.post("/v1/causes/nothing/retry", {"reason": "x"}).json()["code"] == "case.unknown"


def test_only_finance_waives_and_an_auditor_changes_nothing(door: Door) -> None:
    case = door.cases("input")[0]
    for role, path, status in (
        (Role.OPERATOR, f"/v1/cases/{case}/waive", 403),
        (Role.AUDITOR, f"/v1/cases/{case}/retry", 403),
        (Role.INGEST, f"/v1/cases/{case}/retry", 403),
        (Role.FINANCE, f"/v1/cases/{case}/waive", 200),
    ):
        assert door.post(path, {"reason": "a test of a bank"}, role=role).status_code == status, (role, path)
    assert door.get(f"/v1/cases/{case}", role=Role.AUDITOR).json()["case"]["state"] == "waived"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/cases/x/retry", {}),
        ("/v1/cases/x/retry", {"reason": ""}),
        ("/v1/cases/x/retry", {"reason": "x", "more": 1}),
        ("/v1/corrections", {"subject_kind": "other", "subject_id": "x", "body": {}, "reason": "x"}),
        ("/v1/corrections", [1]),
    ],
)
def test_wrong_input_is_a_problem_document(door: Door, path: str, body: Any) -> None:
    answer = door.post(path, body)
    assert answer.status_code in {400, 404, 422}
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_what_is_not_there_is_said(door: Door) -> None:
    assert door.get("/v1/cases/nothing").json()["code"] == "case.unknown"
    assert door.get("/v1/trace", value="nothing").json()["code"] == "trace.unknown"
    missing = door.post("/v1/deliveries/nothing/resend", {"reason": "x"}, role=Role.OPERATOR)
    assert missing.json()["code"] == "document.unknown"
    decision = door.post("/v1/corrections/nothing/decision", {"apply": True, "reason": "x"})
    assert decision.json()["code"] == "correction.unknown"


def test_a_corrected_copy_is_kept_as_it_was_written(door: Door) -> None:
    """A number that is read and written again may lose digits, and a key that is there twice would lose one of the two."""
    case = door.get(f"/v1/cases/{door.cases('root')[0]}").json()
    fact = case["correctable"][0]["subject_id"]
    mended = webhook("invoice.finalized", invoice() | {"id": "in_2"}, created=at(4))
    exact = mended[:-1] + b',"exact":0.12345678901234567890123}'

    def proposed(body: bytes) -> Any:
        text = b'{"subject_kind":"fact","subject_id":"%s","reason":"a test","body":%s}' % (fact.encode(), body)
        headers = {"Authorization": f"Bearer {door.keys[Role.FINANCE]}", "content-type": "application/json"}
        return door.client.post("/v1/corrections", content=text, headers=headers)

    assert proposed(mended[:-1] + b',"livemode":true,"livemode":false}').json()["code"] == "json.duplicate_key"
    assert proposed(b"[1]").status_code in {400, 422}
    done = proposed(exact)
    assert done.status_code == 200, done.text
    with door.runtime.database.read(tenants=["birch"]) as connection:
        (made,) = corrections(connection, tenant_id="birch")
        assert door.runtime.services.corrections.copy_of(connection, tenant_id="birch", correction=made) == exact
