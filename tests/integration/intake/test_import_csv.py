"""`revline import` of CSV: good rows in, refused rows with their line numbers, and the same file again is duplicates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Cli

INVOICES = """\
outside_id,number,status,customer,currency,created_at,finalized_at,line_description,line_amount
i-1,A-1,open,c-1,USD,2026-01-05T09:00:00Z,2026-01-06T09:00:00Z,Seats,100.05
i-1,A-1,open,c-1,USD,2026-01-05T09:00:00Z,2026-01-06T09:00:00Z,Set-up,0.10
i-2,A-2,open,c-1,USD,2026-01-05T09:00:00Z,2026-01-06T09:00:00Z,Seats,"1,50"
"""


@pytest.fixture
def cli(app_dsn: str, owner_dsn: str, tmp_path: Path) -> Cli:
    one = Cli({"REVLINE_DSN": app_dsn, "REVLINE_OWNER_DSN": owner_dsn, "REVLINE_DATA_FOLDER": str(tmp_path / "data")})
    one("init", tmp_path / "starter")
    text = "apiVersion: revline/v1\nkind: Connection\nmetadata: {name: books, tenant: acme}\n"
    text += "spec: {connector: direct, entity: acme-inc}\n"
    entity = (
        next((tmp_path / "starter").rglob("*20-connections*"))
        .read_text(encoding="utf-8")
        .split("entity: ")[1]
        .split()[0]
    )
    place = next((tmp_path / "starter").rglob("*20-connections*")).with_name("21-books.yaml")
    place.write_text(text.replace("acme-inc", entity), encoding="utf-8")
    one("config", "apply", tmp_path / "starter")
    return one


def test_invoices_come_in_by_rows_and_refused_ones_are_named(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "invoices.csv"
    file.write_text(INVOICES, encoding="utf-8")
    summary = cli("import", file, "--connection", "books", "--json", code=1).data
    assert (summary["counts"], summary["codes"]) == ({"accepted": 1, "invalid": 1}, {"import.csv_invalid": 1})
    refused = json.loads((tmp_path / "invoices.csv.rejects").read_text(encoding="utf-8"))
    assert refused["line"] == 4
    assert "1,50" in refused["raw"]

    file.write_text(INVOICES.replace('"1,50"', "1.50"), encoding="utf-8")
    again = cli("import", file, "--connection", "books", "--json").data
    assert again["counts"] == {"accepted": 1, "duplicate": 1}


def test_a_file_that_is_not_what_it_should_be_is_refused_before_anything_is_taken(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "things.csv"
    file.write_text(INVOICES, encoding="utf-8")
    cli.refused("import", file, "--connection", "books", problem="import.csv_invalid")
    cli.refused("import", file, "--connection", "books", "--kind", "refunds", problem="import.csv_invalid")
    file.write_bytes(INVOICES.encode("utf-16"))
    cli.refused("import", file, "--connection", "books", "--kind", "invoices", problem="import.csv_invalid")
    assert cli("status", "--json").data[0]["facts"] == 0
