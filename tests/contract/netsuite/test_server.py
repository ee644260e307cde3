"""The simulated account's process: over a socket, through a power cut, with more calls at once than it takes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from revline.connectors.netsuite.conformance import rehearsal, world
from revline.connectors.netsuite.connector import NetSuiteConnector, build
from revline.connectors.netsuite.simulator.faults import Fault, FaultRule
from revline.connectors.netsuite.simulator.launcher import SimulatedNetSuite
from revline.connectors.sdk import conformance_documents as make
from revline.connectors.sdk.conformance_run import Run
from revline.core.clock import SystemClock
from revline.core.farside import Posted, Throttled, Uncertain
from revline.platform.tenancy.kinds import Connection

WORLD = world(nonce="process")


class Processed:
    """A connector to the process, as an adapter of the kit's documents."""

    def __init__(self, connector: NetSuiteConnector) -> None:
        self.connector = connector
        self.world = WORLD


@pytest.fixture
def netsuite(tmp_path: Path) -> Iterator[SimulatedNetSuite]:
    with SimulatedNetSuite(folder=tmp_path / "account") as process:
        process.set_up(body=rehearsal())
        yield process


def connected(netsuite: SimulatedNetSuite) -> NetSuiteConnector:
    connection = Connection(connector="netsuite", settings=netsuite.settings, secrets={"privateKey": "secret://env/X"})
    return build(
        connection=connection,
        secrets={"privateKey": netsuite.private_key},
        transport=None,
        clock=SystemClock(),
        random=random.Random(1),
    )


def test_documents_arrive_over_a_socket_and_survive_a_power_cut(netsuite: SimulatedNetSuite) -> None:
    async def send() -> None:
        connector = connected(netsuite)
        run = Run(Processed(connector))  # type: ignore[arg-type]
        buyer = make.customer(world=WORLD)
        await run.posted(buyer)
        await run.posted(make.invoice(world=WORLD, buyer=buyer))
        before = netsuite.trial_balance(subsidiary="1")
        netsuite.kill()
        netsuite.start()
        assert netsuite.trial_balance(subsidiary="1") == before
        # The token from before the restart is stale; the next call renews it. What is there is found, not made again.
        again = await connector.submit(steps=[run.prepared(make.invoice(world=WORLD, buyer=buyer))])
        assert isinstance(again[0], Posted)
        assert netsuite.trial_balance(subsidiary="1") == before
        await connector.close()

    asyncio.run(send())
    made = [(effect.kind, effect.external_reference) for effect in netsuite.effects() if effect.action == "create"]
    assert [kind for kind, _ in made] == ["customer", "invoice"]
    assert len(set(made)) == 2


def test_a_lost_answer_leaves_one_effect(netsuite: SimulatedNetSuite) -> None:
    async def send() -> None:
        connector = connected(netsuite)
        run = Run(Processed(connector))  # type: ignore[arg-type]
        entry = make.journal(world=WORLD, name="lost")
        netsuite.add_fault(rule=FaultRule(fault=Fault.ANSWER_LOST, operation="journalEntry.create"))
        assert isinstance(await run.first_step(entry), Uncertain)
        assert isinstance(await run.first_step(entry), Posted)
        await connector.close()

    asyncio.run(send())
    assert sum(effect.kind == "journalEntry" for effect in netsuite.effects()) == 1


def test_more_calls_at_once_than_the_account_takes_are_throttled_and_leave_nothing(
    netsuite: SimulatedNetSuite,
) -> None:
    async def send() -> list[object]:
        connector = connected(netsuite)
        run = Run(Processed(connector))  # type: ignore[arg-type]
        await run.posted(make.journal(world=WORLD, name="first"))
        netsuite.add_fault(rule=FaultRule(fault=Fault.SLOW, operation="journalEntry.create", count=None, seconds=1))
        others = [connected(netsuite) for _ in range(7)]
        steps = [run.prepared(make.journal(world=WORLD, name=f"crowd-{number}")) for number in range(7)]
        found = await asyncio.gather(*(other.submit(steps=[step]) for other, step in zip(others, steps, strict=True)))
        for one in (connector, *others):
            await one.close()
        return [outcome for outcomes in found for outcome in outcomes]

    outcomes = asyncio.run(send())
    posted = [each for each in outcomes if isinstance(each, Posted)]
    throttled = [each for each in outcomes if isinstance(each, Throttled)]
    assert len(posted) + len(throttled) == 7
    assert throttled
    assert netsuite.counters().records["journalEntry"] == 1 + len(posted)
