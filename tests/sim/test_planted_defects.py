"""Worlds find what is planted: a few defects that show at once. All of them, and the table: `python -m tests.sim`."""

from __future__ import annotations

import pytest

from revline.sim.world.ground import Databases
from tests.sim.__main__ import find
from tests.sim.planting import defects

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("worlds")]
QUICK = {"blind-resend": 2, "tail-first": 1, "no-disposition": 1, "answers-swapped": 1}
"""Defect -> a seed whose world shows it."""


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_defect_is_found(databases: Databases, name: str) -> None:
    one = next(each for each in defects() if each.name == name)
    found = find(databases, one, first=QUICK[name], most=8)
    assert found.worlds, f"{name} was not found"


def test_every_defect_still_fits_the_code() -> None:
    for one in defects():
        with pytest.MonkeyPatch.context() as patch:
            one.apply(patch)
    assert len(defects()) >= 20
