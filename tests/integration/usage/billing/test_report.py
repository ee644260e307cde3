"""The report of shadow rating: totals and single findings as plain values, a file, and the filters of all doors."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import openpyxl
import pytest

from revline.core.problem import Problem
from revline.doors import usage_shadow as shared
from revline.doors.services import Services
from revline.subledger.usage.outward.queries import FindingFilter
from tests.integration.usage.billing.test_shadow import billed
from tests.integration.usage.billing.world import SOURCE, TENANT, World


def services(world: World) -> Services:
    return cast("Services", SimpleNamespace(database=world.database, clock=world.harness.clock))


def wanted(**given: Any) -> FindingFilter:
    found = shared.filter_of(**given)
    assert isinstance(found, FindingFilter), found
    return found


def test_totals_and_each_say_the_same_money(world: World) -> None:
    customer = billed(world, billed_quantity="90", used="100")
    (total,) = shared.totals(services(world), tenant_id=TENANT, wanted=wanted())
    assert shared.plain_total(total) == {
        "connection": SOURCE,
        "currency": "USD",
        "cause": "quantity",
        "direction": "leakage",
        "tolerated": False,
        "findings": 1,
        "expected": "10.00",
        "billed": "9.00",
        "difference": "-1.00",
    }
    (one,) = shared.findings(services(world), tenant_id=TENANT, wanted=wanted(customer=customer))
    row = shared.plain_finding(one)
    assert (row["difference"], row["cause"], row["parts"][0]["quantity"]) == ("-1.00", "quantity", "-10")
    assert row["window_end"] == "2026-02-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({}, 1),
        ({"cause": "quantity"}, 1),
        ({"cause": "price"}, 0),
        ({"direction": "overbilled"}, 0),
        ({"since": "2026-01-31"}, 1),
        ({"since": "2026-02-01"}, 0),
        ({"until": "2026-02-01"}, 1),
        ({"until": "2026-01-31"}, 0),
        ({"connection": "elsewhere", "everything": True}, 0),
    ],
)
def test_filters(world: World, given: dict[str, Any], count: int) -> None:
    billed(world, billed_quantity="90", used="100")
    assert len(shared.findings(services(world), tenant_id=TENANT, wanted=wanted(**given))) == count


@pytest.mark.parametrize("given", [{"cause": "weather"}, {"direction": "up"}, {"since": "yesterday"}])
def test_a_filter_that_means_nothing_is_refused(given: dict[str, str]) -> None:
    found = shared.filter_of(**given)
    assert isinstance(found, Problem)
    assert found.field == next(iter(given))


def test_a_report_is_a_file_of_the_same_rows(world: World, tmp_path: Path) -> None:
    customer = billed(world, billed_quantity="90", used="100")
    found = shared.findings(services(world), tenant_id=TENANT, wanted=wanted())
    assert shared.write_report(tmp_path / "r.csv", found=found) is None
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["customer"], row["difference"], row["difference currency"]) == (customer, "-1.00", "USD")
    assert shared.write_report(tmp_path / "r.xlsx", found=found) is None
    sheet = openpyxl.load_workbook(tmp_path / "r.xlsx").active
    assert sheet is not None
    titles = [cell.value for cell in sheet[1]]
    assert sheet[2][titles.index("difference")].value == -1
    refused = shared.write_report(tmp_path / "r.pdf", found=found)
    assert isinstance(refused, Problem)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == ["r.csv", "r.xlsx"]


def test_everything_is_compared_again_on_demand(world: World) -> None:
    customer = billed(world, billed_quantity="90", used="100")
    world.used[customer] = world.used[customer] - 10
    asked = shared.again(services(world), tenant_id=TENANT, connection=SOURCE, actor="person:ada", reason="why not")
    world.run()
    assert (asked, world.findings()) == (1, [])
