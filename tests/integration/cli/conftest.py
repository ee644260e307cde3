"""The command line in this process over a real database, its answers checked for what holds of every command."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest
import typer.main
import typer.testing
from typer import Typer
from typer.testing import CliRunner

from revline.app import program_of
from revline.app.kinds import registry
from revline.doors.cli.context import Program
from revline.doors.cli.main import build
from revline.platform.settings import Settings, load


def _no_number(text: str) -> NoReturn:
    raise AssertionError(f"{text} is a bare number with a point; amounts are strings")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a command said. out is data, said is for people."""

    code: int
    out: str
    said: str

    @property
    def data(self) -> Any:
        """The JSON on stdout, without a bare fraction in it."""
        return json.loads(self.out, parse_float=_no_number, parse_constant=_no_number)


_now: list[Program] = []
"""What commands call at the moment."""


def _passed_on(name: str) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        return getattr(_now[-1], name)(*given)

    return call


@cache
def _app() -> Typer:
    """The command line over whatever program is meant at the moment."""
    passed: dict[str, Any] = {field.name: _passed_on(field.name) for field in fields(Program)}
    return build(program=Program(**passed), registry=registry())


@pytest.fixture(scope="session", autouse=True)
def commands_made_once() -> Iterator[None]:
    """Making its hundred commands takes the command line longer than carrying most of them out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.testing, "_get_command", cache(typer.main.get_command))
        yield


class Cli:
    """Runs commands under one environment. Whatever a command raises but its own exit fails the test."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def __call__(self, *arguments: str | Path, code: int = 0, **environment: str) -> Answer:
        settings = load(environment=self.environment | environment)
        assert isinstance(settings, Settings), settings
        _now.append(program_of(settings))
        try:
            done = CliRunner().invoke(_app(), [str(each) for each in arguments])
        finally:
            _now.pop()
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        answer = Answer(code=done.exit_code, out=done.stdout, said=done.stderr)
        assert answer.code == code, f"{arguments}: {answer}"
        assert "Traceback" not in done.output
        if "--json" in arguments and answer.code in {0, 1, 3}:
            assert answer.data is not None
        if code == 1 and "--json" not in arguments and not answer.out:
            assert "next: " in answer.said, f"{arguments} fails without the next step: {answer.said}"
        return answer

    def refused(self, *arguments: str | Path, problem: str, **environment: str) -> dict[str, Any]:
        """The problem a command ends with, as JSON and as text alike."""
        said = self(*arguments, code=1, **environment).said
        assert f"[{problem}]" in said, said
        told: dict[str, Any] = self(*arguments, "--json", code=1, **environment).data
        assert told["code"] == problem
        assert told["remedy"]
        return told


@pytest.fixture
def cli(app_dsn: str, owner_dsn: str, tmp_path: Path) -> Cli:
    """Over this test's clean database, with no tenant in it."""
    return Cli({"REVLINE_DSN": app_dsn, "REVLINE_OWNER_DSN": owner_dsn, "REVLINE_DATA_FOLDER": str(tmp_path / "data")})


@pytest.fixture
def starter(cli: Cli, tmp_path: Path) -> Path:
    """The starter's folder."""
    folder = tmp_path / "starter"
    cli("init", folder)
    return folder
