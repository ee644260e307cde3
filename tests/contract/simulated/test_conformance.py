"""The conformance kit against the simulated ERP, in each of its modes."""

from __future__ import annotations

import asyncio

import pytest

from revline.connectors.sdk.conformance import CASES, Verdict, judge, unclaimed
from revline.connectors.sdk.conformance_run import Case
from revline.connectors.simulated.conformance import VARIANTS, SimulatedBench

BENCH = SimulatedBench()
CLAIMED = [
    (variant, case)
    for variant, manifest in BENCH.variants.items()
    for case in CASES
    if not unclaimed(manifest=manifest, case=case)
]


@pytest.mark.parametrize(
    ("variant", "case"), [pytest.param(*each, id=f"{each[0]}: {each[1].name}") for each in CLAIMED]
)
def test_the_connector_conforms(variant: str, case: Case) -> None:
    async def run() -> tuple[Verdict, str]:
        async with BENCH.system(variant=variant, case=case) as system:
            return await judge(adapter=system, case=case)

    verdict, reason = asyncio.run(run())
    assert verdict is Verdict.GREEN, reason


def test_every_case_is_claimed_by_some_mode() -> None:
    assert {case.name for _, case in CLAIMED} == {case.name for case in CASES}
    assert {variant for variant, _ in CLAIMED} == set(VARIANTS)
