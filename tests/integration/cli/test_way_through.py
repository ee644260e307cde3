"""A month through the commands alone: taken in, worked, looked at, mended, traced, checked, shown to others."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from revline.connectors.simulated.launcher import SimulatedErp
from revline.core.clock import Period
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeMonth, StripeProfile
from tests.harness import ADDRESSES
from tests.integration.cli.conftest import Cli
from tests.posted import EURO_RATES, start_erp
from tests.rehearsal import add_missing_mapping, write_folder

pytestmark = pytest.mark.slow

PROFILE = StripeProfile(
    account="cli",
    customer_prefix="Birch",
    invoices=8,
    customers=4,
    other_currency="EUR",
    other_share=Decimal("0.5"),
    families=("subscription", "hardware"),
    payouts_failed=0,
)
JANUARY = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))


@pytest.fixture
def erp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedErp]:
    one = start_erp(tmp_path / "erp")
    monkeypatch.setenv("REVLINE_SECRET_DEMO_SIMULATED", one.token)
    monkeypatch.setenv("REVLINE_SECRET_DEMO_SIGNING_BIRCH", "whsec_cli")
    yield one
    one.stop()


@pytest.fixture
def folder(tmp_path: Path, erp: SimulatedErp) -> Path:
    """Birch's configuration, without the account of hardware."""
    place = tmp_path / "configuration"
    write_folder(folder=place, addresses={**ADDRESSES, "simulated_base_url": erp.base_url}, tenants=("birch",))
    (place / "birch" / "60-rates.yaml").write_text(EURO_RATES, encoding="utf-8")
    return place


def month() -> StripeMonth:
    return generate(seed=4, month=JANUARY, profile=PROFILE)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Webhooks and balance transactions as files."""
    played = month()
    webhooks, movements = tmp_path / "webhooks.ndjson", tmp_path / "movements.ndjson"
    webhooks.write_bytes(played.webhooks_ndjson())
    movements.write_bytes(played.balance_transactions_ndjson())
    return webhooks, movements


def take_in(cli: Cli, folder: Path, files: tuple[Path, Path]) -> None:
    cli("config", "apply", folder)
    for file in files:
        cli("import", file, "--connection", "stripe")


def test_a_file_is_taken_in_once_and_what_is_refused_can_be_mended(
    cli: Cli, folder: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    cli("config", "apply", folder)
    webhooks, _ = files
    first = cli("import", webhooks, "--connection", "stripe", "--json").data
    assert (first["rejected"], first["lines"]) == (0, len(month().webhooks))
    again = cli("import", webhooks, "--connection", "stripe", "--json").data
    assert (again["facts"], again["counts"]) == (0, {"duplicate": first["lines"]})
    assert cli("status", "--json").data[0]["facts"] == first["facts"]
    bad = tmp_path / "bad.ndjson"
    bad.write_bytes(b'{"id": 1}\nnot json\n\xff\xfe\n' + files[1].read_bytes())
    mixed = cli("import", bad, "--connection", "stripe", "--rejects", tmp_path / "refused", "--json", code=1).data
    assert mixed["rejected"] == 3
    refused = [json.loads(line) for line in (tmp_path / "refused").read_bytes().splitlines()]
    assert [one["line"] for one in refused] == [1, 2, 3]
    assert all(one["problem"]["code"] in mixed["codes"] for one in refused)
    nothing = tmp_path / "nothing.ndjson"
    nothing.touch()
    assert cli("import", nothing, "--connection", "stripe", "--json").data["lines"] == 0
    assert not (tmp_path / "nothing.ndjson.rejects").exists()
    wrong: tuple[tuple[Path, tuple[str | Path, ...], str], ...] = (
        (tmp_path / "missing", (), "import.unreadable"),
        (tmp_path, (), "import.unreadable"),
        (bad, ("--rejects", bad), "import.rejects_unwritable"),
        (bad, ("--rejects", tmp_path / "no" / "where"), "import.rejects_unwritable"),
    )
    for file, options, code in wrong:
        cli.refused("import", file, "--connection", "stripe", *options, problem=code)
    assert bad.stat().st_size > 100
    for connection in ("nothing", "erp"):
        cli.refused("import", bad, "--connection", connection, problem="connection.unknown")


def test_from_files_to_a_mended_month(cli: Cli, folder: Path, files: tuple[Path, Path], erp: SimulatedErp) -> None:
    take_in(cli, folder, files)
    cli("worker", "--until-idle")
    (cause,) = cli("cases", "list", "--json").data
    assert (cause["connection"], cause["field"]) == ("erp", "accounts:revenue_product")
    held = cli("cases", "list", "--cause", cause["cause_id"], "--json").data
    assert len(held) == cause["cases"]
    assert {len(one["amount"].partition(".")[2]) for one in held} == {2}
    shown = cli("cases", "show", held[0]["case_id"]).data
    assert shown["case"]["state"] == "open"
    assert all(len(part.split()[0].partition(".")[2]) == 2 for part in cause["money_at_risk"].split(", "))
    said = cli("status").out
    assert len(said.splitlines()) == 2
    rejected = cli("deliveries", "list", "--state", "rejected", "--json").data
    assert len(rejected) == cause["cases"]
    assert {len(row["amount"].partition(".")[2]) for row in rejected} == {2}
    first = rejected[0]["document_id"]
    document = cli("deliveries", "show", first).data
    assert document["delivery"]["problem_code"] == "mapping.missing"
    assert cli("deliveries", "waive", first, "--reason", "sold back", "--json").data["state"] == "waived"
    cli.refused("deliveries", "waive", first, "--reason", "again", problem="document.finished")
    cli.refused("deliveries", "resend", first, problem="document.finished")
    assert "sold back" in json.dumps(cli("cases", "show", held_case(held, first)).data)
    add_missing_mapping(folder=folder)
    cli("config", "apply", folder, "--reason", "the account is there")
    assert cli("deliveries", "resend", rejected[1]["document_id"], "--json").data["state"] == "ready"
    retried = cli("cases", "retry", cause["cause_id"], "--json").data
    assert retried == {"asked": cause["cases"] - 2, "started": cause["cases"] - 2}
    cli("worker", "--until-idle")
    assert cli("cases", "list", "--json").data == []
    states = cli("status", "--json").data[0]["documents"]
    assert (states["waived"], set(states) <= {"posted", "waived", "ready"}) == (1, True)
    for command in ("retry", "show"):
        cli.refused("cases", command, "nothing", problem="case.unknown")
    for command in ("show", "resend"):
        cli.refused("deliveries", command, "nothing", problem="document.unknown")
    for name in ("nobody", "a'; DROP TABLE fact", "ä" * 300):
        cli.refused("status", "--tenant", name, problem="cli.tenant_unclear")


def held_case(held: list[dict[str, str]], document_id: str) -> str:
    return next(one["case_id"] for one in held if one["subject_id"] == document_id)


def test_keys_addresses_and_the_audit_chain(cli: Cli, folder: Path, files: tuple[Path, Path], owner_dsn: str) -> None:
    take_in(cli, folder, files)
    made = cli("keys", "issue", "--role", "auditor", "--json").data
    listed = cli("keys", "list", "--json").data
    assert [one["key_id"] for one in listed] == [made["key_id"]]
    assert made["key"] not in json.dumps(listed)
    assert cli("keys", "issue", "--role", "operator", "--days", "0").out.strip().startswith("rk_")
    assert cli("keys", "revoke", made["key_id"], "--json").data["revoked"]
    cli.refused("keys", "revoke", made["key_id"], problem="key.unknown")
    assert cli("webhooks", "address", "stripe").out.startswith("/v1/webhooks/stripe/")
    assert cli("webhooks", "address", "stripe", "--json").data["path"].startswith("/v1/webhooks/stripe/")
    assert cli("webhooks", "revoke", "stripe", "--json").data["revoked"] == 2
    for command in ("address", "revoke"):
        cli.refused("webhooks", command, "nothing", problem="connection.unknown")
    whole = cli("audit", "verify", "--json").data
    assert (whole["holds"], whole["findings"]) == (True, [])
    assert "holds" in cli("audit", "verify").said
    tampered = "UPDATE fact SET content = replace(content, 'Birch', 'Beech') WHERE tenant_id = 'birch'"
    with psycopg.connect(owner_dsn, autocommit=True) as connection:
        connection.execute("ALTER TABLE fact NO FORCE ROW LEVEL SECURITY")
        try:
            assert connection.execute(tampered.encode()).rowcount > 0
        finally:
            connection.execute("ALTER TABLE fact FORCE ROW LEVEL SECURITY")
    broken = cli("audit", "verify", "--json", code=1).data
    assert not broken["holds"]
    assert broken["findings"]
    assert "IS BROKEN" in cli("audit", "verify", code=1).said


def test_the_exported_journals_pass_bean_check(
    cli: Cli, folder: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    add_missing_mapping(folder=folder)
    take_in(cli, folder, files)
    cli("worker", "--until-idle")
    told = cli("export", "beancount", "--book", "us-gaap").out
    file = tmp_path / "books.beancount"
    file.write_text(told, encoding="utf-8")
    assert bean_check(file) == ""
    assert " EUR @@ " in told
    lines = told.splitlines()
    place = next(number for number, line in enumerate(lines) if " EUR @@ " in line)
    head, amount, rest = lines[place].rsplit("@@", 1)[0], *lines[place].rsplit("@@", 1)[1].split()
    lines[place] = f"{head}@@ {Decimal(amount) + Decimal('0.01')} {rest}"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "does not balance" in bean_check(file)
    cli("export", "beancount", "--book", "nothing", code=1)


def bean_check(file: Path) -> str:
    """What bean-check says; "" when it is content."""
    program = shutil.which("bean-check", path=str(Path(sys.executable).parent))
    assert program is not None
    done = subprocess.run([program, "--no-cache", str(file)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode == 0) == (not done.stdout + done.stderr)
    return done.stdout + done.stderr
