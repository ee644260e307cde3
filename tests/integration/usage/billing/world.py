"""A Revline that compares usage: the simulated Stripe bills what it metered, a test says what our meter counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from revline.app.usage_billing import BillingDirectory
from revline.connectors.stripe.simulator import catalogue, invoicing, meters, subscriptions
from revline.connectors.stripe.simulator.api import SimulatedStripe
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.derive.service import Derive
from revline.platform.store.engine import Database
from revline.platform.store.unit import Unit
from revline.subledger.usage.charges.accruing import Billing
from revline.subledger.usage.charges.values import Charge
from revline.subledger.usage.metering.values import CustomerWindow
from revline.subledger.usage.outward import queries
from revline.subledger.usage.outward.expecting import MeteredExpectations
from revline.subledger.usage.outward.queries import CauseTotal, FindingFilter, StoredFinding
from revline.subledger.usage.outward.shadow import Asking, Shadow
from tests.harness import Harness

TENANT = "aurora"
SOURCE = "stripe-us"
JANUARY = 1_767_225_600
DAY = 86_400
EVENT_TYPE = """
apiVersion: revline/v1
kind: EventType
metadata: {name: calls, tenant: aurora}
spec: {title: Calls, type: api.call}
---
apiVersion: revline/v1
kind: Meter
metadata: {name: calls, tenant: aurora}
spec: {title: Calls, eventType: calls, aggregation: count, unit: call}
"""


class Stripe:
    """The simulated account, with one meter and its time."""

    def __init__(self) -> None:
        self.simulated = SimulatedStripe(key="sk_test", clock=lambda: JANUARY)
        self.account = self.simulated.account
        formula = {"formula": "sum"}
        self.meter = meters.create_meter(
            self.account, {"display_name": "Calls", "event_name": "calls", "default_aggregation": formula}
        )["id"]
        self.product = catalogue.create_product(self.account, {"name": "Calls"})["id"]
        self._told = 0

    def customer(self, name: str = "Ada") -> str:
        return str(catalogue.create_customer(self.account, {"name": name, "email": "ada@example.com"})["id"])

    def price(self, **given: Any) -> str:
        recurring = {"interval": "month", "usage_type": "metered", "meter": self.meter}
        given = {"product": self.product, "currency": "usd", "recurring": recurring, **given}
        return str(catalogue.create_price(self.account, given)["id"])

    def subscribe(self, customer: str, *prices: str) -> str:
        given = {
            "customer": customer,
            "items": [{"price": price} for price in prices],
            "collection_method": "send_invoice",
            "days_until_due": "30",
        }
        return str(subscriptions.create_subscription(self.account, given)["id"])

    def use(self, customer: str, value: str) -> None:
        payload = {"stripe_customer_id": customer, "value": value}
        meters.create_event(self.account, {"event_name": "calls", "payload": payload})

    def pass_days(self, days: float) -> None:
        self.simulated.advance(int(days * DAY))

    def last_invoice(self) -> dict[str, Any]:
        return list(self.account.objects["invoice"].values())[-1]

    def void(self) -> None:
        invoicing.void(self.account, self.last_invoice())

    def news(self) -> list[bytes]:
        """Every message since the last time."""
        found = self.account.events[self._told :]
        self._told = len(self.account.events)
        return [json.dumps(event).encode() for event in found if not event["type"].startswith("billing.meter")]


class World:
    """used: what our meter says a customer used of a meter, whatever the window; asked: windows it was asked for."""

    def __init__(self, *, database: Database, folder: Path) -> None:
        self.stripe = Stripe()
        self.harness = Harness(database=database, folder=folder)
        self.database = database
        self.folder = folder
        self.used: dict[str, Decimal] = {}
        self.asked: list[CustomerWindow] = []
        self.charges: list[Charge] = []
        self.billings: dict[str, Billing | None] = {}
        self.configure()

    def configure(self, **spec: Any) -> None:
        meters_of = {"meters": {self.stripe.meter: "calls"}}
        billing = {
            "apiVersion": "revline/v1",
            "kind": "UsageBilling",
            "metadata": {"name": "stripe", "tenant": TENANT},
            "spec": {"connection": SOURCE, **meters_of, **spec},
        }
        text = f"{EVENT_TYPE}---\n{json.dumps(billing)}\n"
        (self.folder / TENANT / "90-usage.yaml").write_text(text, encoding="utf-8")
        self.harness.apply()
        configurations = BillingDirectory(self.harness.directory)
        self.configurations = configurations
        self.derive = Derive(
            database=self.database,
            configurations=self.harness.directory,
            clock=self.harness.clock,
            owner="test",
            epoch=1,
            told=Asking(compares=configurations).derived,
        )
        self.shadow = Shadow(
            database=self.database,
            configurations=configurations,
            expectations=MeteredExpectations(
                database=self.database, quantities=self.quantities, prices=configurations.prices
            ),
            clock=self.harness.clock,
            owner="test",
            charges=self.charges_of,
            linked=self.linked,
        )

    def quantities(
        self, *, tenant_id: str, meter: str, windows: Sequence[CustomerWindow]
    ) -> Mapping[CustomerWindow, Decimal] | Problem:
        self.asked += windows
        return {one: self.used[one.customer.outside_id] for one in windows if one.customer.outside_id in self.used}

    def linked(
        self, unit: Unit, /, *, tenant_id: str, customer: SourceObject, billings: Mapping[str, Billing | None]
    ) -> None:
        self.billings.update(billings)

    def charges_of(self, connection: Connection, /, *, tenant_id: str, customer: SourceObject) -> Sequence[Charge]:
        return [one for one in self.charges if one.subject.customer == customer]

    def run(self) -> None:
        """Take in what Stripe told, derive it, compare it."""
        self.harness.accept(TENANT, SOURCE, self.stripe.news())
        while self.derive.turn().roots:
            pass
        while self.shadow.turn():
            pass

    def later(self, **given: float) -> None:
        self.harness.clock.moment += timedelta(**given)

    def findings(self, **wanted: Any) -> list[StoredFinding]:
        with self.database.read(tenants=[TENANT]) as connection:
            return list(queries.findings(connection, tenant_id=TENANT, wanted=FindingFilter(**wanted)))

    def totals(self, **wanted: Any) -> tuple[CauseTotal, ...]:
        with self.database.read(tenants=[TENANT]) as connection:
            return queries.totals(connection, tenant_id=TENANT, wanted=FindingFilter(**wanted))

    def cases(self) -> dict[str, tuple[str, str]]:
        """Code -> (state, money) of the cases of findings."""
        statement = (
            "SELECT cause.code, exception_case.state, exception_case.amount FROM exception_case JOIN cause USING"
            " (tenant_id, cause_id) WHERE subject_kind = 'usage_finding' AND tenant_id = 'aurora'"
        )
        with self.database.read(tenants=[TENANT]) as connection:
            rows = connection.exec_driver_sql(statement).all()
        return {row.code: (row.state, f"{row.amount:.2f}") for row in rows}
