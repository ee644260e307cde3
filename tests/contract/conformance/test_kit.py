"""The conformance kit can fail: each planted defect turns the cell red that is named for it, and only a defect does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from revline.connectors.sdk.conformance import CASES, Verdict, judge, unclaimed
from tests.contract.conformance.mutants import MUTANTS
from tests.contract.conformance.wrapping import Mutant, case_named, planted

SHORT = timedelta(seconds=1)


def _verdict(mutant: Mutant, name: str) -> tuple[Verdict, str]:
    system = planted(mutant)
    case = case_named(CASES, name)
    assert not unclaimed(manifest=system.connector.manifest, case=case)
    return asyncio.run(judge(adapter=system, case=case, limit=SHORT))


@pytest.mark.parametrize("mutant", [pytest.param(each, id=each.name) for each in MUTANTS])
def test_a_planted_defect_turns_its_cell_red(mutant: Mutant) -> None:
    verdict, reason = _verdict(mutant, mutant.caught_by)
    assert verdict is Verdict.RED
    assert reason


@pytest.mark.parametrize("mutant", [pytest.param(each, id=each.name) for each in MUTANTS])
def test_a_planted_defect_leaves_most_cells_green(mutant: Mutant) -> None:
    """A defect that breaks everything would prove nothing of the case that catches it."""
    system = planted(mutant)
    manifest = system.connector.manifest
    claimed = [case.name for case in CASES if not unclaimed(manifest=manifest, case=case)]
    red = [name for name in claimed if _verdict(mutant, name)[0] is Verdict.RED]
    assert len(red) < len(claimed) / 2, red


def test_every_case_catches_something() -> None:
    assert {mutant.caught_by for mutant in MUTANTS} == {case.name for case in CASES}


def test_there_are_enough_defects_each_with_a_name_of_its_own() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
