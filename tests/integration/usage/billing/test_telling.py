"""Charges told to billing through delivery: once in effect, whatever becomes of the answers, and billed from what was told."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx2
import pytest

from revline.app.directory import pool_id
from revline.app.worker import journals_by_id
from revline.connectors.file.connector import build as build_file
from revline.connectors.stripe.farside import build as build_stripe
from revline.connectors.stripe.simulator.meters import used
from revline.core.documents import Document
from revline.core.farside import EntityMapping, ErpConnector
from revline.core.ids import SourceObject
from revline.core.problem import Problem, problem
from revline.delivery import queries
from revline.delivery.loop import DeliveryLoop
from revline.delivery.ports import inline
from revline.delivery.service import Desk
from revline.delivery.values import FarSide
from revline.feedback.usage import UsageTelling
from revline.platform.store.engine import Database
from revline.platform.tenancy.kinds import Connection
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.outward.record import request_tellings
from revline.subledger.usage.versions import UsageVersion, Window
from tests.integration.delivery.world import shift_database
from tests.integration.usage.billing.world import SOURCE, TENANT, World


class StripeTransport(httpx2.AsyncBaseTransport):
    """Carries calls to the simulated account in this process."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._world.stripe.simulated.call(
            method=request.method,
            target=request.url.raw_path.decode(),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.aread(),
        )
        if answer.lost:
            raise httpx2.ReadError("the connection broke", request=request)
        return httpx2.Response(answer.status, headers=list(answer.headers), content=answer.body, request=request)


class Telling:
    """A world that tells: its far sides, its worker's telling and delivery."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        world.harness.clock.moment = world.harness.clock.moment.replace(month=1, day=2)
        world.stripe.pass_days(1)
        stripe = build_stripe(
            connection=Connection(connector="stripe", settings={"baseUrl": "http://127.0.0.1:1"}),
            secrets={"apiKey": "sk_test"},
            transport=StripeTransport(world),
            clock=world.harness.clock,
            random=random.Random(1),
        )
        files = build_file(
            connection=Connection(connector="file"),
            secrets={"folder": str(folder)},
            transport=None,
            clock=world.harness.clock,
            random=random.Random(1),
        )
        self.far_sides: dict[str, ErpConnector] = {SOURCE: stripe, "files": files}
        self.folder = folder
        self.configure()
        self.customer = world.stripe.customer()
        world.run()
        self.desk = Desk(
            database=world.database,
            directory=self,
            journals=journals_by_id,
            clock=world.harness.clock,
            owner="test",
            epoch=1,
            uniform=random.Random(1).uniform,
        )

    def configure(self) -> None:
        price = """
---
apiVersion: revline/v1
kind: UsagePrice
metadata: {name: calls, tenant: aurora}
spec:
  title: Calls
  meter: calls
  entity: aurora-us
  terms: {currency: USD, unit: call, model: {perUnit: {unitAmount: "0.10"}}}
---
apiVersion: revline/v1
kind: Connection
metadata: {name: files, tenant: aurora}
spec: {connector: file, secrets: {folder: secret://env/REVLINE_SECRET_BILLING_FOLDER}}
---
apiVersion: revline/v1
kind: UsageBilling
metadata: {name: files, tenant: aurora}
spec: {connection: files, reports: {calls: {meter: api-calls, measure: amount}}}
"""
        (self.world.folder / TENANT / "91-price.yaml").write_text(price, encoding="utf-8")
        self.world.configure(reports={"calls": {"meter": "calls"}})
        self.telling = UsageTelling(
            database=self.world.database,
            configurations=self.world.configurations,
            charges=self.world.charges_of,
            pool_of=lambda tenant, name: pool_id(tenant_id=tenant, name=name, pool=""),
            clock=self.world.harness.clock,
            owner="test",
            epoch=1,
        )

    def far_side(self, *, tenant_id: str, connection: str, entity: str) -> FarSide | Problem:
        if connection not in self.far_sides:
            return problem("connection.unusable", "not of this test", field=connection)
        return FarSide(
            connector=self.far_sides[connection],
            mapping=EntityMapping(company="", accounts={}),
            functional_currency="USD",
            pool_id=pool_id(tenant_id=tenant_id, name=connection, pool=""),
            configuration_version=1,
        )

    def held(self, *, tenant_id: str, document: Document) -> Problem | None:
        return None

    def charge(self, quantity: str, amount: str) -> None:
        """The customer's charge of January is this now."""
        now = self.world.harness.clock.now()
        start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        customer = SourceObject(connection=SOURCE, kind="customer", outside_id=self.customer)
        subject = ChargeSubject(
            customer=customer, kind=ChargeKind.USAGE, price="calls",
            window=Window(start=start, end=start.replace(month=2)),
        )  # fmt: skip
        revision = len(self.world.charges) + 1
        self.world.charges = [
            Charge(
                charge_id=subject.charge_id(TENANT), revision=revision, subject=subject, entity="aurora-us",
                product_family="", meter="calls", unit="call", quantity=Decimal(quantity), currency="USD",
                amount=Decimal(amount), events=1, usage_version=UsageVersion(watermarks=()), configuration=1, digest="",
            )
        ]  # fmt: skip
        with self.world.database.unit(
            tenants=[TENANT], kind="test", actor="test", reason="a test", recorded_at=now
        ) as unit:
            request_tellings(unit, tenant_id=TENANT, customers=[customer])

    def run(self) -> None:
        while self.telling.turn():
            pass
        asyncio.run(self._deliver())

    async def _deliver(self) -> None:
        loop, quiet = DeliveryLoop(desk=self.desk, blocking=inline), 0
        self.world.harness.clock.moment += self.desk.timing.idle
        for _ in range(200):
            done = await loop.turn()
            await loop.settled()
            quiet = 0 if done.busy else quiet + 1
            if quiet > len(self.far_sides) + 1:
                return
        raise AssertionError("delivery does not end")

    def pass_time(self, by: timedelta) -> None:
        self.world.harness.clock.moment += by
        self.world.stripe.simulated.advance(int(by.total_seconds()))
        shift_database(self.world.database, by)

    def metered(self) -> Decimal | None:
        """What Stripe's meter says the customer used."""
        stripe = self.world.stripe
        return used(stripe.account, meter=stripe.meter, customer=self.customer, start=0, end=2_000_000_000)

    def states(self, connection: str) -> list[str]:
        with self.world.database.read(tenants=[TENANT]) as reading:
            found = queries.deliveries(reading, tenant_id=TENANT, far_connection=connection, limit=100)
        return sorted(each.state for each in found)

    def rows(self) -> list[dict[str, str]]:
        return [
            json.loads(line)
            for path in sorted(self.folder.glob("*.ndjson"))
            for line in path.read_text(encoding="utf-8").splitlines()
        ]


@pytest.fixture
def telling(database: Database, tmp_path: Path) -> Iterator[Telling]:
    folder = tmp_path / "out"
    folder.mkdir()
    world = World(database=database, folder=tmp_path / "configuration")
    yield Telling(world, folder)
    world.harness.close()


def test_a_charge_is_told_to_every_billing_connection_once(telling: Telling) -> None:
    telling.charge("100", "10.00")
    telling.run()
    assert (telling.metered(), telling.states(SOURCE)) == (Decimal(100), ["posted"])
    (row,) = telling.rows()
    assert (row["value"], row["measure"], row["meter"], row["customer"]) == (
        "1000",
        "amount",
        "api-calls",
        telling.customer,
    )
    telling.charge("100", "10.00")
    telling.run()
    assert (telling.metered(), len(telling.rows())) == (Decimal(100), 1)


def test_later_revisions_tell_the_difference_up_and_down(telling: Telling) -> None:
    for quantity, amount in (("100", "10.00"), ("130.5", "13.05"), ("90", "9.00")):
        telling.charge(quantity, amount)
        telling.run()
        telling.pass_time(timedelta(hours=1))
    assert telling.metered() == 90
    assert [row["value"] for row in telling.rows()] == ["1000", "305", "-405"]
    assert telling.states(SOURCE) == ["posted"] * 3


def test_an_answer_that_was_lost_counts_once(telling: Telling) -> None:
    telling.world.stripe.simulated.add_fault("lose_answer", times=2, path="/v1/billing")
    telling.charge("100", "10.00")
    telling.run()
    telling.pass_time(timedelta(minutes=10))
    telling.run()
    assert (telling.metered(), telling.states(SOURCE)) == (Decimal(100), ["posted"])


def test_what_was_told_is_what_billing_bills_and_the_line_agrees(telling: Telling) -> None:
    world = telling.world
    world.stripe.subscribe(telling.customer, world.stripe.price(unit_amount="10"))
    telling.charge("100", "10.00")
    telling.run()
    world.used[telling.customer] = Decimal(100)
    world.stripe.pass_days(32)
    world.run()
    (found,) = world.findings(all=True)
    assert (found.finding.billed_quantity, found.finding.difference) == (Decimal(100), Decimal("0.00"))
