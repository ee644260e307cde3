"""Revline follows an org: the reading loop lists it, hears its changes and reads what they name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from revline.app.readers import Readers
from revline.app.reading import ReadingLoop
from revline.connectors.salesforce.simulator import Org, SimulatedSalesforce, quote_to_order
from revline.connectors.salesforce.simulator.server import CONSUMER_KEY, CONSUMER_SECRET
from revline.core.canonical import Customer, Order
from revline.intake import following
from revline.intake import queries as fact_log
from revline.intake.readings import Readings
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from revline.platform.tenancy.secrets import SecretResolver
from revline.platform.work import queries as work
from tests.contract.salesforce.orgs import HandClock, an_org
from tests.harness import SECRETS, Harness

TENANT = "aurora"
T = TypeVar("T")
CRM = """
---
apiVersion: revline/v1
kind: Connection
metadata: {{name: crm, tenant: aurora}}
spec:
  connector: salesforce
  entity: aurora-us
  sandbox: true
  secrets: {{consumerSecret: secret://env/REVLINE_SECRET_CRM}}
  settings: {{consumerKey: "{key}", domain: acme.my, baseUrl: "{base_url}"}}
"""


async def at_once(call: Callable[[], T]) -> T:
    return await asyncio.to_thread(call)


class Following:
    """One tenant with one org."""

    def __init__(self, *, database: Database, folder: Path) -> None:
        self.org: Org
        self.clock: HandClock
        self.org, self.clock = an_org()
        self.server = SimulatedSalesforce(org=self.org)
        self.server.__enter__()
        self.database = database
        self.harness = Harness(database=database, folder=folder)
        self.harness.clock.moment = datetime(2026, 11, 21, tzinfo=UTC)
        path = folder / TENANT / "20-connections.yaml"
        crm = CRM.format(key=CONSUMER_KEY, base_url=self.server.base_url)
        path.write_text(path.read_text(encoding="utf-8") + crm, encoding="utf-8")
        self.harness.apply()
        resolver = SecretResolver(folder=None, environment={**SECRETS, "REVLINE_SECRET_CRM": CONSUMER_SECRET})
        self.readers = Readers(directory=self.harness.directory, secrets=resolver, clock=self.clock, seed=1)

    def close(self) -> None:
        self.server.__exit__()
        self.harness.close()

    def ask(self, *kinds: str) -> None:
        """Have these kinds listed, or, without any, the change stream read."""
        side = self.readers.side(tenant_id=TENANT, connection="crm")
        assert not hasattr(side, "code"), side
        given: dict[str, Any] = {
            "tenant_id": TENANT,
            "source_connection": "crm",
            "now": self.harness.clock.now(),
            "pool_id": side.pool_id,
        }
        with self.database.unit(
            tenants=[TENANT], kind="test", actor="test", reason="test", recorded_at=self.harness.clock.now()
        ) as unit:
            if kinds:
                following.ask_backfill(unit, object_kinds=kinds, **given)
            else:
                following.ask_changes(unit, **given)

    def read(self) -> None:
        """Read until nothing is due."""

        async def work_through() -> None:
            readings = Readings(
                database=self.database, intake=self.harness.intake, clock=self.harness.clock, owner="reader"
            )
            loop = ReadingLoop(
                database=self.database,
                directory=self.harness.directory,
                readers=self.readers,
                readings=readings,
                owner="reader",
                blocking=at_once,
                uniform=lambda low, high: low,
            )
            for _ in range(300):
                if not await loop.turn() and self._is_quiet():
                    break
            else:
                raise AssertionError("reading does not end")
            await self.readers.close()

        asyncio.run(work_through())

    def listed(self) -> tuple[str, ...]:
        side = self.readers.side(tenant_id=TENANT, connection="crm")
        return side.reader.manifest.listed

    def newest(self, kind: str) -> list[Any]:
        with self.database.read(tenants=[TENANT]) as connection:
            facts = [one.translated for one in fact_log.facts_page(connection, tenant_id=TENANT, kind=kind, limit=1000)]
        groups = {fact.source: fact for fact in sorted(facts, key=lambda one: one.order_key)}
        return [fact.snapshot for _, fact in sorted(groups.items())]

    def cases(self) -> list[tuple[str, str]]:
        with self.database.read(tenants=[TENANT]) as connection:
            return [(one.code, one.detail) for one in cases.cases(connection, tenant_id=TENANT)]

    def _is_quiet(self) -> bool:
        kinds = {"reread", "changes", "backfill"}
        with self.database.control() as connection:
            return all(one.parked_code or one.waiting for one in work.counts(connection) if one.kind in kinds)


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[Following]:
    one = Following(database=database, folder=tmp_path / "configuration")
    yield one
    one.close()


def test_a_first_listing_takes_everything_in_and_its_totals_are_equal(world: Following) -> None:
    told = quote_to_order(org=world.org)
    gone = world.org.create(object_name="Account", values={"Name": "Gone"})
    world.org.delete(object_name="Account", record_id=gone)
    world.clock.pass_seconds(5)
    world.ask(*world.listed())
    world.read()
    assert [one.total for one in world.newest("order")] == [4500]
    assert {one.name for one in world.newest("customer")} == {"Northwind Traders", "Northwind Traders Holding", "Gone"}
    assert world.cases() == []
    line = next(iter(world.org.records["OrderItem"]))
    world.clock.pass_seconds(5)
    world.org.update(object_name="OrderItem", record_id=line, values={"Description": "thirty seats soon"})
    world.clock.pass_seconds(5)
    world.ask(*world.listed())
    world.read()
    (order,) = world.newest("order")
    assert isinstance(order, Order)
    assert order.outside_id == told.order
    assert "thirty seats soon" in {one.description for one in order.lines}
    assert world.cases() == []


def test_changes_are_heard_and_what_they_name_is_read(world: Following) -> None:
    told = quote_to_order(org=world.org)
    world.clock.pass_seconds(5)
    world.ask()
    world.read()
    assert [one.total for one in world.newest("order")] == [4500]
    world.org.changes.gap = "GAP"
    world.org.update(object_name="Account", record_id=told.account, values={"Name": "Renamed in a gap"})
    world.org.changes.gap = "OVERFLOW"
    world.org.update(object_name="Account", record_id=told.parent_account, values={"Name": "Renamed in a flood"})
    world.clock.pass_seconds(5)
    world.ask()
    world.read()
    accounts = world.newest("customer")
    assert all(isinstance(one, Customer) for one in accounts)
    assert {one.name for one in accounts} == {"Renamed in a gap", "Renamed in a flood"}
    assert world.cases() == []
