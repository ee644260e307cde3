"""`revline usage rate-one` and `check-price` over a folder: no database, every step, and what a price needs of its meter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from revline.app.kinds import registry
from revline.doors.cli.main import build

FOLDER = """
apiVersion: revline/v1
kind: Tenant
metadata: {name: acme}
spec: {title: Acme}
---
apiVersion: revline/v1
kind: LegalEntity
metadata: {name: us, tenant: acme}
spec: {title: Acme Inc, functionalCurrency: USD, timeZone: America/New_York}
---
apiVersion: revline/v1
kind: EventType
metadata: {name: call, tenant: acme}
spec: {title: Call, type: api.call, fields: {tokens: {kind: decimal}, region: {kind: text}}}
---
apiVersion: revline/v1
kind: Meter
metadata: {name: tokens, tenant: acme}
spec: {title: Tokens, eventType: call, aggregation: sum, field: tokens}
---
apiVersion: revline/v1
kind: Meter
metadata: {name: tokens-by-region, tenant: acme}
spec: {title: Tokens, eventType: call, aggregation: sum, field: tokens, groupBy: [region]}
---
apiVersion: revline/v1
kind: UsagePrice
metadata: {name: tokens, tenant: acme}
spec:
  title: Tokens
  meter: tokens
  entity: us
  terms:
    currency: USD
    unit: token
    model:
      volume:
        tiers:
          - {upTo: "1000", unitAmount: "0.01"}
          - {unitAmount: "0.005", flatAmount: "2.50"}
---
apiVersion: revline/v1
kind: UsagePrice
metadata: {name: regions, tenant: acme}
spec:
  title: Tokens by region
  meter: tokens-by-region
  entity: us
  terms:
    currency: USD
    model: {matrix: {fields: [region], cells: [{values: [eu], unitAmount: "0.02"}]}}
---
apiVersion: revline/v1
kind: UsagePrice
metadata: {name: payments, tenant: acme}
spec:
  title: Payments
  meter: tokens
  entity: us
  product: payments
  terms:
    currency: USD
    model: {percentage: {percent: "2.9", fixedAmount: "0.30"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "usage.yaml").write_text(FOLDER, encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> Result:
    program = build(program=None, registry=registry())  # type: ignore[arg-type]
    return CliRunner().invoke(program, ["usage", *arguments])


def test_one_quantity_with_every_step(folder: Path) -> None:
    found = run("rate-one", "tokens", "--folder", str(folder), "--quantity", "1001", "--share", "1/2")

    assert found.exit_code == 0
    assert found.stdout.splitlines() == [
        "quantity: 1,001",
        "tier 2 (above 1,000): 1,001 at 0.005 = 5.005",
        "tier 2 (above 1,000), flat amount, 1 of 2 days: 1.25",
        "rounded to 6.26 USD: 0.005",
        "= 6.26 USD",
    ]


def test_groups_and_transactions(folder: Path) -> None:
    region = run("rate-one", "regions", "--folder", str(folder), "--group", "eu=150", "--json")
    paid = run("rate-one", "payments", "--folder", str(folder), "--transaction", "100", "--transaction", "10", "--json")

    assert json.loads(region.stdout)["amount"] == "3.00"
    assert json.loads(paid.stdout)["amount"] == "3.79"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("tokens",), "cli.usage_unclear"),
        (("tokens", "--quantity", "1e5"), "amount.invalid"),
        (("tokens", "--quantity", "1", "--share", "3/2"), "cli.usage_unclear"),
        (("regions", "--quantity", "5"), "cli.usage_unclear"),
        (("regions", "--group", "eu,large=5"), "cli.usage_unclear"),
        (("regions", "--group", "us=5"), "usage.price_unmatched"),
        (("seats", "--quantity", "5"), "cli.price_unknown"),
    ],
)
def test_what_can_not_be_rated_says_why(folder: Path, arguments: tuple[str, ...], code: str) -> None:
    found = run("rate-one", *arguments, "--folder", str(folder), "--json")

    assert found.exit_code == 1
    assert json.loads(found.stdout)["code"] == code


def test_a_price_is_shown_at_its_bounds_and_where_more_costs_less(folder: Path) -> None:
    found = json.loads(run("check-price", "tokens", "--folder", str(folder), "--json").stdout)

    assert [(each["given"], each["amount"], each["falls"]) for each in found["tried"]] == [
        ("0", "0.00", False),
        ("1", "0.01", False),
        ("1000", "10.00", False),
        ("1001", "7.51", True),
    ]


def test_a_folder_with_errors_tells_them(folder: Path) -> None:
    (folder / "usage.yaml").write_text(FOLDER.replace("groupBy: [region]", "groupBy: []"), encoding="utf-8")
    found = run("check-price", "regions", "--folder", str(folder), "--json")

    assert found.exit_code == 1
    assert "the meter tokens-by-region groups by nothing" in found.stdout
