"""The conformance kit against the simulated ERP, in each of its modes."""

from __future__ import annotations

import asyncio

import pytest

from revline.connectors.sdk.conformance import cases_for
from revline.connectors.sdk.conformance_run import Case, Trouble
from revline.connectors.simulated.records import Mode
from tests.contract.simulated.world import SimulatedSystem

VARIANTS = {
    "unique": {"mode": Mode.UNIQUE},
    "lookup": {"mode": Mode.LOOKUP},
    "neither": {"mode": Mode.NEITHER},
    "two steps": {"mode": Mode.UNIQUE, "two_step": "journal,invoice"},
}


def _matrix() -> list[tuple[str, Case]]:
    return [
        (variant, case)
        for variant, settings in VARIANTS.items()
        for case in cases_for(
            manifest=SimulatedSystem(**settings).connector.manifest,
            troubles=frozenset(Trouble),  # type: ignore[arg-type]
        )
    ]


@pytest.mark.parametrize(
    ("variant", "case"), [pytest.param(*each, id=f"{each[0]}: {each[1].name}") for each in _matrix()]
)
def test_the_connector_conforms(variant: str, case: Case) -> None:
    asyncio.run(case.run(SimulatedSystem(**VARIANTS[variant])))  # type: ignore[arg-type]


def test_most_cases_apply_where_references_can_be_searched() -> None:
    assert sum(variant == "unique" for variant, _ in _matrix()) == 24
    assert sum(variant == "neither" for variant, _ in _matrix()) >= 14
