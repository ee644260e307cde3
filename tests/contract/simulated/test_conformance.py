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
NOT_TRIED = {
    "unique": {"every record of a reference is shown"},
    "lookup": {"sending twice makes one record", "look-up sees a commit after its lag"},
    "neither": {"sending twice makes one record"},
    "two steps": {"every record of a reference is shown", "look-up sees a commit after its lag"},
}
"""Cases that ask what this mode does otherwise; each is green in another one."""


@pytest.mark.parametrize(
    ("variant", "case"), [pytest.param(*each, id=f"{each[0]}: {each[1].name}") for each in CLAIMED]
)
def test_the_connector_conforms(variant: str, case: Case) -> None:
    async def run() -> tuple[Verdict, str]:
        async with BENCH.system(variant=variant, case=case) as system:
            return await judge(adapter=system, case=case)

    verdict, reason = asyncio.run(run())
    wanted = Verdict.NOT_TRIED if case.name in NOT_TRIED[variant] else Verdict.GREEN
    assert verdict is wanted, reason


def test_every_case_is_green_in_some_mode() -> None:
    green = {case.name for variant, case in CLAIMED if case.name not in NOT_TRIED[variant]}
    assert green == {case.name for case in CASES}
    assert set(VARIANTS) == set(NOT_TRIED)
