"""The conformance kit against a real Tryton 8.2."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date

import pytest

from revline.connectors.sdk.conformance import cases_for
from revline.connectors.sdk.conformance_run import Case, Trouble
from revline.connectors.tryton.manifest import manifest_of
from revline.sim.tryton import TrytonServer
from tests.real.running_tryton import TROUBLES, TrytonSystem, running_tryton

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.xdist_group("tryton")]

CASES = cases_for(manifest=manifest_of(settings={}), troubles=TROUBLES)


@pytest.fixture(scope="module")
def tryton() -> Iterator[TrytonServer]:
    with running_tryton() as server:
        yield server


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_connector_conforms(case: Case, tryton: TrytonServer) -> None:
    # A month of its own: drafts of other cases would keep Tryton from closing the period.
    day = date(2025, 6, 16) if Trouble.PERIOD_CLOSED in case.troubles else date(2026, 3, 16)

    async def run() -> None:
        system = TrytonSystem(tryton, day=day)
        try:
            await case.run(system)
        finally:
            await system.connector.close()

    asyncio.run(run())


def test_most_cases_apply() -> None:
    assert len(CASES) >= 19
