"""`revline init` and `revline config` as a person meets them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Cli
from tests.integration.cli.mistakes import BATCHES, MISTAKES, Mistake, make


def test_the_starter_is_written_once_and_is_without_errors(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert "revline config validate" in cli("init", folder).said
    kinds = {row["kind"]: row["documents"] for row in cli("config", "validate", folder, "--json").data}
    assert kinds["Tenant"] == 1
    assert kinds["PostingRule"] >= 5
    cli.refused("init", folder, problem="configuration.folder_taken")
    file = tmp_path / "a-file"
    file.touch()
    cli.refused("init", file, problem="configuration.folder_taken")


@pytest.mark.parametrize("batch", BATCHES)
def test_a_mistake_is_answered_with_its_place_and_what_to_write(
    cli: Cli, starter: Path, batch: tuple[Mistake, ...]
) -> None:
    wanted = make(starter, batch)
    errors = {error["pointer"]: error for error in cli("config", "validate", starter, "--json", code=1).data["errors"]}
    assert len(wanted) == len(batch)
    for place, word in wanted.items():
        assert word in errors[place]["instead"], errors[place]


def test_many_mistakes_are_all_told_at_once_each_with_a_line_and_a_way_out(cli: Cli, starter: Path) -> None:
    make(starter, [one for one in MISTAKES if "\t" not in one.bad])
    errors = cli("config", "validate", starter, "--json", code=1).data["errors"]
    assert len(errors) >= 12
    for error in errors:
        assert re.fullmatch(r"\S+\.yaml:[1-9][0-9]*", error["pointer"]), error
        assert error["instead"], error
    said = cli("config", "validate", starter, code=1).said
    assert all(f"{error['pointer']}: " in said for error in errors)
    cli("config", "apply", starter, code=1)
    assert cli("status", "--json").data == []


def test_an_empty_or_missing_folder_and_bytes_that_are_no_text_are_told(
    cli: Cli, starter: Path, tmp_path: Path
) -> None:
    cli.refused("config", "validate", tmp_path / "nowhere", problem="configuration.invalid")
    (tmp_path / "empty").mkdir()
    cli.refused("config", "apply", tmp_path / "empty", problem="configuration.invalid")
    (starter / "60-bytes.yaml").write_bytes(b"\xff\xfe\x00")
    told = cli.refused("config", "validate", starter, problem="configuration.invalid")
    assert told["errors"][0]["pointer"] == "60-bytes.yaml:1"


def test_applying_twice_changes_nothing_the_second_time(cli: Cli, starter: Path) -> None:
    dry = cli("config", "apply", starter, "--dry-run", "--detailed-exitcode", "--json", code=3).data
    assert dry[0]["tenant"] == "acme"
    assert cli("status", "--json").data == []
    first = cli("config", "apply", starter, "--reason", "the first day", "--json").data
    assert (first[0]["old_version"], first[0]["new_version"]) == (0, 1)
    again = cli("config", "apply", starter, "--detailed-exitcode", "--json").data
    assert (again[0]["new_version"], again[0]["changes"]) == (1, [])
    versions = cli("config", "versions", "--json").data
    assert [(one["version"], one["reason"]) for one in versions] == [(1, "the first day")]
    assert versions[0]["actor"].startswith("person:")


def test_a_change_is_shown_before_it_is_made_and_ends_with_three_when_asked(cli: Cli, starter: Path) -> None:
    cli("config", "apply", starter)
    mapping = starter / "40-mapping.yaml"
    mapping.write_text(mapping.read_text().replace('bank: "1000"', 'bank: "1001"'))
    shown = cli("config", "apply", starter, "--dry-run", "--detailed-exitcode", code=3)
    assert "Mapping" in shown.said
    assert "erp-us" in shown.said
    assert len(cli("config", "versions", "--json").data) == 1
    cli("config", "apply", starter, "--detailed-exitcode", code=3)
    assert [one["version"] for one in cli("config", "versions", "--json").data] == [2, 1]
    cli("config", "apply", starter, "--dry-run", "--detailed-exitcode", code=0)
