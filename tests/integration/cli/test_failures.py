"""What the program says when it can't work at all: through real processes, since that is where a traceback would show."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases import TestServer
from tests.integration.cli.conftest import Cli

NOWHERE = "postgresql://revline_app:secret-word@127.0.0.1:1/revline"


def revline(*arguments: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REVLINE_")}
    done = subprocess.run(
        [sys.executable, "-m", "revline", *map(str, arguments)],
        env=kept | {"REVLINE_DATA_FOLDER": str(folder / "data")} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "secret-word" not in done.stderr + done.stdout
    return done


@pytest.mark.parametrize(
    "arguments", [("status",), ("db", "upgrade", "--check"), ("worker", "--until-idle"), ("config", "versions")]
)
def test_without_a_database_the_next_step_is_told(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = revline(*arguments, folder=tmp_path, REVLINE_DSN=NOWHERE)
    assert (done.returncode, done.stdout) == (1, "")
    assert "[database.unreachable]" in done.stderr
    assert "revline up" in done.stderr


def test_without_a_database_the_problem_is_json_when_asked_for(tmp_path: Path) -> None:
    done = revline("deliveries", "list", "--json", folder=tmp_path, REVLINE_DSN=NOWHERE)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "database.unreachable")


def test_before_the_first_start_the_embedded_database_is_asked_for(tmp_path: Path) -> None:
    done = revline("cases", "list", folder=tmp_path)
    assert done.returncode == 1
    assert "revline up" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [("REVLINE_PORT", "abc"), ("REVLINE_DSN", "postgresql://revline_app@127.0.0.1:abc/x"), ("REVLINE_HOST", "nowhere")],
)
def test_a_setting_that_makes_no_sense_is_named(variable: str, value: str, tmp_path: Path) -> None:
    done = revline("status", folder=tmp_path, **{variable: value})
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{variable}: " in done.stderr
    assert "write: " in done.stderr


def test_wrong_use_ends_with_two_and_names_what_there_is(cli: Cli, tmp_path: Path) -> None:
    done = revline("nothing", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: " in done.stderr
    for arguments in (("import",), ("deliveries", "list", "--state", "lost"), ("cases", "list", "--limit", "0")):
        answer = cli(*arguments, code=2)
        assert answer.out == ""
        assert "Usage: " in answer.said


def test_an_empty_database_is_told_to_be_migrated(test_server: TestServer, database_name: str, tmp_path: Path) -> None:
    name = f"empty_{database_name}"
    test_server.new_database(name, template=None)
    try:
        dsn = test_server.server.dsn("revline_app", name)
        for arguments in (("status",), ("worker", "--until-idle")):
            done = revline(*arguments, folder=tmp_path, REVLINE_DSN=dsn)
            assert done.returncode == 1
            assert "[database.behind]" in done.stderr
            assert "revline db upgrade" in done.stderr
        owner = test_server.owner_dsn(name)
        done = revline("db", "upgrade", folder=tmp_path, REVLINE_DSN=dsn, REVLINE_OWNER_DSN=owner)
        assert done.returncode == 0
        assert revline("db", "upgrade", "--check", folder=tmp_path, REVLINE_DSN=dsn).returncode == 0
        assert "revline init" in revline("status", folder=tmp_path, REVLINE_DSN=dsn).stderr
    finally:
        test_server.server.drop_database(name)


def test_a_port_that_is_taken_is_told(app_dsn: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = revline("serve", folder=tmp_path, REVLINE_DSN=app_dsn, REVLINE_PORT=port)
    assert done.returncode == 1
    assert port in done.stderr
    assert "next: " in done.stderr


def test_up_once_makes_the_database_in_a_fresh_folder_and_stops_it(tmp_path: Path) -> None:
    for _ in range(2):
        done = revline("up", "--once", folder=tmp_path)
        assert done.returncode == 0
        assert "PostgreSQL runs" in done.stderr
    assert "[database.unreachable]" in revline("status", folder=tmp_path).stderr
    (tmp_path / "a-file").touch()
    refused = revline("up", "--once", folder=tmp_path, REVLINE_DATA_FOLDER=str(tmp_path / "a-file"))
    assert refused.returncode == 1
    assert "next: " in refused.stderr
