"""What the program says when it can't work at all: no traceback, no secret, and the next step.

In this process, by the program's own entry, where a traceback is an exception; in a real one where starting and ending is tested.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from revline.app import main
from tests.databases import TestServer
from tests.integration.cli.conftest import Cli

NOWHERE = "postgresql://revline_app:secret-word@127.0.0.1:1/revline"


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the program came to."""

    returncode: int
    stdout: str
    stderr: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.stderr, self.stderr
        assert "secret-word" not in self.stderr + self.stdout


class Here:
    """The program in this process, by the entry that the command has."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._monkeypatch, self._capsys, self._folder = monkeypatch, capsys, folder

    def __call__(self, *arguments: str, **environment: str) -> Done:
        self._capsys.readouterr()
        with self._monkeypatch.context() as patch:
            patch.chdir(self._folder)
            patch.setattr(sys, "argv", ["revline", *arguments])
            for name in [name for name in os.environ if name.startswith("REVLINE_")]:
                patch.delenv(name)
            for name, value in ({"REVLINE_DATA_FOLDER": str(self._folder / "data")} | environment).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        said = self._capsys.readouterr()
        return Done(returncode=ended.value.code or 0, stdout=said.out, stderr=said.err)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Here:
    return Here(monkeypatch, capsys, tmp_path)


def revline(*arguments: str | Path, folder: Path, **environment: str) -> Done:
    """The program in a process of its own."""
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
    return Done(returncode=done.returncode, stdout=done.stdout, stderr=done.stderr)


@pytest.mark.parametrize(
    "arguments", [("status",), ("db", "upgrade", "--check"), ("worker", "--until-idle"), ("config", "versions")]
)
def test_without_a_database_the_next_step_is_told(arguments: tuple[str, ...], here: Here) -> None:
    done = here(*arguments, REVLINE_DSN=NOWHERE)
    assert (done.returncode, done.stdout) == (1, "")
    assert "[database.unreachable]" in done.stderr
    assert "revline up" in done.stderr


def test_without_a_database_a_process_says_so_in_json_when_asked_for(tmp_path: Path) -> None:
    done = revline("deliveries", "list", "--json", folder=tmp_path, REVLINE_DSN=NOWHERE)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (1, "database.unreachable")


def test_before_the_first_start_the_embedded_database_is_asked_for(here: Here) -> None:
    done = here("cases", "list")
    assert done.returncode == 1
    assert "revline up" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [("REVLINE_PORT", "abc"), ("REVLINE_DSN", "postgresql://revline_app@127.0.0.1:abc/x"), ("REVLINE_HOST", "nowhere")],
)
def test_a_setting_that_makes_no_sense_is_named(variable: str, value: str, here: Here) -> None:
    done = here("status", **{variable: value})
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{variable}: " in done.stderr
    assert "write: " in done.stderr


def test_wrong_use_ends_with_two_and_names_what_there_is(cli: Cli, here: Here) -> None:
    done = here("nothing")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: " in done.stderr
    for arguments in (("import",), ("deliveries", "list", "--state", "lost"), ("cases", "list", "--limit", "0")):
        answer = cli(*arguments, code=2)
        assert answer.out == ""
        assert "Usage: " in answer.said


def test_an_empty_database_is_told_to_be_migrated(test_server: TestServer, database_name: str, here: Here) -> None:
    name = f"empty_{database_name}"
    test_server.new_database(name, template=None)
    try:
        dsn = test_server.server.dsn("revline_app", name)
        for arguments in (("status",), ("worker", "--until-idle")):
            done = here(*arguments, REVLINE_DSN=dsn)
            assert done.returncode == 1
            assert "[database.behind]" in done.stderr
            assert "revline db upgrade" in done.stderr
        owner = test_server.owner_dsn(name)
        done = here("db", "upgrade", REVLINE_DSN=dsn, REVLINE_OWNER_DSN=owner)
        assert done.returncode == 0
        assert here("db", "upgrade", "--check", REVLINE_DSN=dsn).returncode == 0
        assert "revline init" in here("status", REVLINE_DSN=dsn).stderr
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
