"""The conformance kit against a real Tryton 8.2."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from revline.connectors.sdk.conformance import CASES, Verdict, judge, unclaimed, untried
from revline.connectors.sdk.conformance_run import Case
from revline.connectors.tryton.manifest import manifest_of
from revline.sim.tryton import TrytonServer
from revline.sim.tryton_conformance import TROUBLES, TrytonBench
from tests.real.running_tryton import running_tryton

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("tryton")]

MANIFEST = manifest_of(settings={})
APPLYING = [
    case for case in CASES if not unclaimed(manifest=MANIFEST, case=case) and not untried(troubles=TROUBLES, case=case)
]
NOT_TRIED = {
    "a dimension reaches the record",
    "a missing dimension is named",
    "an edited record differs",
}
"""Tryton has no dimensions here, and does not let anybody edit a posted move."""


@pytest.fixture(scope="module")
def tryton() -> Iterator[TrytonServer]:
    with running_tryton() as server:
        yield server


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in APPLYING])
def test_the_connector_conforms(case: Case, tryton: TrytonServer) -> None:
    async def run() -> tuple[Verdict, str]:
        async with TrytonBench(tryton).system(variant="", case=case) as system:
            return await judge(adapter=system, case=case)

    verdict, reason = asyncio.run(run())
    assert verdict is (Verdict.NOT_TRIED if case.name in NOT_TRIED else Verdict.GREEN), reason


def test_most_cases_apply() -> None:
    assert len(APPLYING) >= 40
