"""A whole Revline that tells back: derive, delivery and the way back over one database, far systems in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from revline.app.directory import pool_id
from revline.app.feeding import FeedbackDirectory
from revline.app.worker import journals_by_id
from revline.connectors.webhook.connector import WebhookConnector, build
from revline.core.documents import Document, FeedbackContent
from revline.core.farside import EntityMapping, ErpConnector, ErpRecord, Idempotency, Outcome, Posted, PreparedStep
from revline.core.problem import Problem
from revline.delivery import queries, standings
from revline.delivery.loop import DeliveryLoop
from revline.delivery.ports import inline
from revline.delivery.service import Desk
from revline.delivery.values import FarSide
from revline.derive.service import Derive
from revline.feedback.ports import FeedbackConfiguration
from revline.feedback.service import Feedback
from revline.platform.store.engine import Database
from revline.platform.tenancy.kinds import Connection
from tests.fakes.far_side import FakeConnector, FarSystem
from tests.harness import Harness
from tests.integration.delivery.world import shift_database

TENANT = "aurora"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIGURATION = """
apiVersion: revline/v1
kind: Feedback
metadata: {name: invoices, tenant: aurora}
spec:
  connection: stripe-us
  sourceKind: invoice
  fields:
    posting_state: revline_state
    erp_number: erp_number
    amount_open: erp_open
    amount_applied: erp_applied
    problem_code: erp_problem
---
apiVersion: revline/v1
kind: Connection
metadata: {name: hooks, tenant: aurora}
spec:
  connector: webhook
  secrets: {signing: secret://env/REVLINE_SECRET_HOOKS}
  settings: {url: "https://hooks.example/in"}
---
apiVersion: revline/v1
kind: WebhookSubscription
metadata: {name: everything, tenant: aurora}
spec: {connection: hooks, events: ["document.*", payment.applied, "case.*"]}
"""


class PlainErp(FakeConnector):
    """Posts what it is sent and reads no entries back."""

    def prepare(self, *, document: Document, step: str, context: Any) -> PreparedStep | Problem:
        self.documents = {**getattr(self, "documents", {}), document.document_id: document}
        return super().prepare(document=document, step=step, context=context)

    def _outcome(self, record: ErpRecord, step: PreparedStep) -> Outcome:
        return Posted(record=record)


class EveryKey(dict[str, str]):
    """A mapping in which nothing is missing."""

    def __contains__(self, key: object) -> bool:
        return True


class Endpoint:
    """Somebody's endpoint: keeps what it got, answers as it is told."""

    def __init__(self) -> None:
        self.got: list[httpx2.Request] = []
        self.answers: list[int] = []
        self.always = 200

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.got.append(request)
        return httpx2.Response(self.answers.pop(0) if self.answers else self.always)

    def messages(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(request.content) for request in self.got]

    def types(self) -> list[str]:
        return [message["type"] for message in self.messages()]


class Routes:
    """The directory of far sides: the endpoint, the told source and the ERP."""

    def __init__(self, far_sides: dict[str, ErpConnector]) -> None:
        self.far_sides = far_sides

    def far_side(self, *, tenant_id: str, connection: str, entity: str) -> FarSide | Problem:
        return FarSide(
            connector=self.far_sides.get(connection, self.far_sides["erp"]),
            mapping=EntityMapping(company="1", accounts=EveryKey()),
            functional_currency="USD",
            pool_id=pool_id(tenant_id=tenant_id, name=connection, pool=""),
            configuration_version=1,
        )

    def held(self, *, tenant_id: str, document: Document) -> Problem | None:
        return None


class World:
    """The rooms wired; `run` lets everything happen that is due."""

    def __init__(self, *, database: Database, folder: Path, configuration: str = CONFIGURATION) -> None:
        self.harness = Harness(database=database, folder=folder)
        self.database = database
        (folder / TENANT / "90-feedback.yaml").write_text(configuration, encoding="utf-8")
        self.harness.apply()
        self.told = FeedbackDirectory(self.harness.directory)
        self.clock = self.harness.clock
        self.erp, self.source = PlainErp(FarSystem()), PlainErp(FarSystem(), idempotency=Idempotency.KEY)
        self.endpoint = Endpoint()
        self.routes = Routes({"erp": self.erp, "stripe-us": self.source, "hooks": self._hooks()})
        asking = self.told.asking()
        self.derive = Derive(
            database=database,
            configurations=self.harness.directory,
            clock=self.clock,
            owner="test",
            epoch=1,
            told=asking.derived,
        )
        self.harness.derive = self.derive
        self.feedback = Feedback(database=database, configurations=self.told, clock=self.clock, owner="test", epoch=1)
        self.desk = Desk(
            database=database,
            directory=self.routes,
            journals=journals_by_id,
            clock=self.clock,
            owner="test",
            epoch=1,
            uniform=random.Random(1).uniform,
            told=asking.settled,
        )

    def _hooks(self) -> WebhookConnector:
        async def public(host: str, port: int) -> Sequence[str]:
            return ("203.0.114.7",)

        return build(
            connection=Connection(connector="webhook", settings={"url": "https://hooks.example/in"}),
            secrets={"signing": SECRET},
            transport=httpx2.MockTransport(self.endpoint),
            clock=self.clock,
            random=random.Random(1),
            resolving=public,
        )

    def configuration(self) -> FeedbackConfiguration:
        found = self.told.feedback_configuration(tenant_id=TENANT)
        assert not isinstance(found, Problem), found
        return found

    def apply(self, change: Callable[[str], str]) -> None:
        path = self.harness.folder / TENANT / "90-feedback.yaml"
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
        self.harness.apply()

    def run(self, rounds: int = 20) -> None:
        """Derive, deliver and tell until nothing is due."""
        for _ in range(rounds):
            self.harness.derive_all()
            done = self.deliver()
            told = self.tell()
            if not done and not told:
                return
        raise AssertionError(f"still busy after {rounds} rounds")

    def deliver(self) -> int:
        return asyncio.run(self._deliver())

    async def _deliver(self) -> int:
        loop, quiet, worked = DeliveryLoop(desk=self.desk, blocking=inline), 0, 0
        self.clock.moment += self.desk.timing.idle  # pools that are new are looked for this often
        for _ in range(200):
            done = await loop.turn()
            await loop.settled()
            quiet = 0 if done.busy else quiet + 1
            worked += done.busy
            if quiet >= len(self.routes.far_sides) + 1:  # a claim looks at one pool of a tenant at a time
                return worked
        raise AssertionError("delivery does not end")

    def tell(self) -> int:
        count = 0
        while found := self.feedback.turn():
            count += found
        return count

    def pass_time(self, by: timedelta) -> None:
        self.clock.moment += by
        shift_database(self.database, by)

    def messages(self) -> tuple[standings.Message, ...]:
        with self.database.read(tenants=[TENANT]) as connection:
            return standings.messages(connection, tenant_id=TENANT, connections=["hooks"], limit=1_000)

    def write_backs(self) -> list[dict[str, str]]:
        """The fields of each write-back the source took, in order."""
        told = []
        for document_id in self.source.far.order():
            content = self.source.documents[document_id].content
            assert isinstance(content, FeedbackContent)
            told.append({"_target": content.target.outside_id, **dict(content.fields)})
        return told

    def deliveries(self, connection: str = "") -> tuple[queries.Delivery, ...]:
        with self.database.read(tenants=[TENANT]) as reading:
            return queries.deliveries(reading, tenant_id=TENANT, far_connection=connection, limit=1_000)
