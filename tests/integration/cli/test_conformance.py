"""`revline conformance`: a table and its exit code; a red cell, an unknown connector and one that can't run end with 1."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import EntryPoint, EntryPoints

import pytest
import typer
from typer.testing import CliRunner, Result

from revline.connectors.sdk.conformance_run import Adapter, Bench, Case, Missing
from revline.connectors.simulated.conformance import SimulatedBench
from revline.core.farside import Manifest
from revline.doors.cli import conformance
from tests.contract.conformance.mutants import MUTANTS
from tests.contract.conformance.wrapping import planted

BLIND = next(mutant for mutant in MUTANTS if mutant.name == "blind resend")


class FlawedBench(SimulatedBench):
    """A bench whose connector sends again blindly."""

    @property
    def variants(self) -> Mapping[str, Manifest]:
        return {"": super().variants[BLIND.variant]}

    def system(self, *, variant: str, case: Case) -> AbstractAsyncContextManager[Adapter]:
        return _flawed()


@asynccontextmanager
async def _flawed() -> AsyncIterator[Adapter]:
    yield planted(BLIND)


@asynccontextmanager
async def flawed() -> AsyncIterator[Bench]:
    """An open bench of it."""
    yield FlawedBench()


@asynccontextmanager
async def absent() -> AsyncIterator[Bench]:
    """A bench that can't open."""
    raise Missing("no such server on this machine; install it")
    yield


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    conformance.add_conformance(app)
    return CliRunner().invoke(app, ["conformance", *arguments])


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    here = "tests.integration.cli.test_conformance"
    known = EntryPoints(
        EntryPoint(name=name, group=conformance.GROUP, value=value)
        for name, value in (
            ("simulated", "revline.connectors.simulated.conformance:bench"),
            ("flawed", f"{here}:flawed"),
            ("absent", f"{here}:absent"),
        )
    )
    monkeypatch.setattr(conformance, "entry_points", known.select)


def test_a_connector_that_conforms_is_all_green() -> None:
    answer = run("simulated")
    assert answer.exit_code == 0, answer.output
    assert "a lost answer is uncertain and found" in answer.stdout
    assert "not claimed" in answer.stdout
    assert "RED" not in answer.stdout


def test_a_red_cell_ends_with_one_and_its_reason() -> None:
    answer = run("flawed", "--json")
    assert answer.exit_code == 1
    red = {cell["case"]: cell["reason"] for cell in json.loads(answer.stdout)["cells"] if cell["verdict"] == "red"}
    assert "answer_lost came to Posted" in red[BLIND.caught_by]
    shown = run("flawed")
    assert shown.exit_code == 1
    assert f"RED  flawed: {BLIND.caught_by}" in shown.stderr


def test_what_can_not_run_says_what_is_missing() -> None:
    answer = run("absent")
    assert answer.exit_code == 1
    assert "no such server on this machine; install it" in answer.stderr
    assert "[conformance.cannot_run]" in answer.stderr


def test_a_connector_nobody_knows_is_named_with_those_there_are() -> None:
    answer = run("sap")
    assert answer.exit_code == 1
    assert "sap; there are: absent, flawed, simulated" in answer.stderr
