"""The conformance kit against NetSuite's simulated account, with batches and without."""

from __future__ import annotations

import asyncio

import pytest

from revline.connectors.netsuite.conformance import NOT_HERE, NetSuiteBench
from revline.connectors.sdk.conformance import CASES, Verdict, judge, unclaimed, untried
from revline.connectors.sdk.conformance_run import Case

BENCH = NetSuiteBench()
TRIED = [
    (variant, case)
    for variant, manifest in BENCH.variants.items()
    for case in CASES
    if not unclaimed(manifest=manifest, case=case) and not untried(troubles=BENCH.troubles, case=case)
]


@pytest.mark.parametrize(("variant", "case"), [pytest.param(*each, id=f"{each[0]}: {each[1].name}") for each in TRIED])
def test_the_connector_conforms(variant: str, case: Case) -> None:
    async def run() -> tuple[Verdict, str]:
        async with BENCH.system(variant=variant, case=case) as system:
            return await judge(adapter=system, case=case)

    verdict, reason = asyncio.run(run())
    assert verdict is Verdict.GREEN, reason


def test_what_is_not_tried_is_what_netsuite_has_no_answer_for() -> None:
    tried = {case.name for _, case in TRIED}
    left = [case for case in CASES if case.name not in tried]
    manifest = BENCH.variants["batches"]
    assert all(unclaimed(manifest=manifest, case=case) or NOT_HERE.intersection(case.troubles) for case in left)
