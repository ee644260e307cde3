"""`revline corrections` as a person uses it: copy, change, check, propose, and a second person where the policy asks for one."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from tests.harness import ADDRESSES
from tests.integration.cli.conftest import Cli
from tests.integration.derive.world import at, customer, invoice, webhook
from tests.rehearsal import write_folder

POLICY = """
apiVersion: revline/v1
kind: CorrectionPolicy
metadata: {name: corrections, tenant: birch}
spec: {secondPersonAbove: {USD: "110.00"}}
"""


def taken_in(cli: Cli, tmp_path: Path, *, policy: str = "") -> str:
    """Birch with one issued invoice; gives the invoice's fact."""
    folder = tmp_path / "configuration"
    write_folder(folder=folder, addresses=ADDRESSES, tenants=("birch",))
    (folder / "birch" / "70-corrections.yaml").write_text(policy or "", encoding="utf-8")
    if not policy:
        (folder / "birch" / "70-corrections.yaml").unlink()
    cli("config", "apply", folder)
    file = tmp_path / "webhooks.ndjson"
    told = (
        webhook("customer.created", customer(), created=at(1)),
        webhook("invoice.finalized", invoice(), created=at(4)),
    )
    file.write_bytes(b"\n".join(told) + b"\n")
    cli("import", file, "--connection", "stripe")
    trace = cli("trace", "in_1", "--json").data
    facts = [one["record_id"] for one in trace["records"] if one["kind"] == "fact" and "invoice" in one["title"]]
    return str(facts[0])


def changed(cli: Cli, fact: str, tmp_path: Path, total: int) -> Path:
    copy = json.loads(cli("corrections", "copy", fact).out)
    copy["data"]["object"] = invoice(total=total)
    file = tmp_path / "copy.json"
    file.write_bytes(msgspec.json.encode(copy))
    return file


def test_a_copy_is_checked_without_a_trace_and_then_taken(cli: Cli, tmp_path: Path) -> None:
    fact = taken_in(cli, tmp_path)
    assert cli("corrections", "list").said.startswith("No corrections")
    file = changed(cli, fact, tmp_path, 12_500)
    assert cli("corrections", "check", fact, file, "--json").data["value"] == {"currency": "USD", "amount": "125.00"}
    assert cli("corrections", "list", "--json").data == []
    cli("corrections", "propose", fact, file, "--reason", "the total was wrong")
    row = cli("corrections", "list", "--json").data[0]
    assert (row["state"], row["amount"], row["subject_id"]) == ("applied", "125.00", fact)
    found = {one["record_id"] for one in cli("trace", fact, "--json").data["records"] if one["kind"] == "fact"}
    assert row["fact_id"] in found, "the corrected fact is found by the id of the one it corrects"


def test_a_large_correction_is_not_applied_by_its_author(cli: Cli, tmp_path: Path) -> None:
    fact = taken_in(cli, tmp_path, policy=POLICY)
    file = changed(cli, fact, tmp_path, 12_500)
    made = cli("corrections", "propose", fact, file, "--reason", "the total was wrong", "--json").data
    assert made["state"] == "proposed"
    cli.refused("corrections", "apply", made["correction_id"], "--reason", "mine", problem="correction.same_person")


def test_wrong_input_is_told_with_what_to_do(cli: Cli, tmp_path: Path) -> None:
    fact = taken_in(cli, tmp_path)
    file = tmp_path / "copy.json"
    file.write_text("{", encoding="utf-8")
    cli.refused("corrections", "check", "nothing", file, problem="correction.unknown")
    assert cli("corrections", "propose", fact, file, "--reason", "x", code=1).said
    cli.refused("corrections", "refuse", "nothing", "--reason", "x", problem="correction.unknown")
