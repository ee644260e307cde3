"""A tenant that charges usage: its meters and prices, a log in memory, its worker and its books, told in domain words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import text

from revline.app.charging import ChargingDirectory, CreditBooks
from revline.app.subscribed import SubscriptionFacts
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.intake.values import Outcome
from revline.platform.store.engine import Database
from revline.subledger.usage.calendar import instant_of
from revline.subledger.usage.charges import queries
from revline.subledger.usage.charges.desk import ChargeDesk
from revline.subledger.usage.charges.ports import Meters
from revline.subledger.usage.charges.queries import ChargeFilter
from revline.subledger.usage.charges.service import Charging
from revline.subledger.usage.charges.ticking import Ticker
from revline.subledger.usage.charges.values import Charge
from tests.fakes.usage_meters import MemoryUsage
from tests.harness import Harness, counted_bytes

TENANT = "birch"
CONNECTION = "billing"
ZONE = "America/New_York"
ADA = SourceObject(connection=CONNECTION, kind="customer", outside_id="ada")
BOB = SourceObject(connection=CONNECTION, kind="customer", outside_id="bob")
CONFIGURATION = """
---
apiVersion: revline/v1
kind: Connection
metadata: {name: billing, tenant: birch}
spec: {connector: direct, entity: birch-us}
---
apiVersion: revline/v1
kind: EventType
metadata: {name: api-call, tenant: birch}
spec:
  title: An API call
  type: api.call
  fields: {calls: {kind: decimal, precision: 18, scale: 6}, region: {kind: text}}
---
apiVersion: revline/v1
kind: Meter
metadata: {name: calls, tenant: birch}
spec: {title: Calls, eventType: api-call, aggregation: sum, field: calls, unit: call}
---
apiVersion: revline/v1
kind: Meter
metadata: {name: storage, tenant: birch}
spec: {title: Storage, eventType: api-call, aggregation: sum, field: calls, unit: gigabyte}
"""
CALLS = """
---
apiVersion: revline/v1
kind: UsagePrice
metadata: {name: calls, tenant: birch}
spec:
  title: Calls
  meter: calls
  entity: birch-us
  productFamily: api
  terms:
    currency: USD
    unit: call
    model:
      graduated:
        tiers:
          - {upTo: "100", unitAmount: "0.10"}
          - {unitAmount: "0.05"}
"""
STORAGE = """
---
apiVersion: revline/v1
kind: UsagePrice
metadata: {name: storage, tenant: birch}
spec:
  title: Storage
  meter: storage
  entity: birch-us
  productFamily: storage
  terms: {currency: USD, unit: gigabyte, model: {perUnit: {unitAmount: "2.00"}}}
"""


def policy(**given: Any) -> str:
    """A UsagePolicy for everything."""
    spec = {"title": "All usage", "accrual": "month_end", **given}
    return "\n---\n" + json.dumps(
        {
            "apiVersion": "revline/v1",
            "kind": "UsagePolicy",
            "metadata": {"name": "all", "tenant": TENANT},
            "spec": spec,
        }
    )


def at(day: str, hours: int = 0) -> datetime:
    """So many hours into a day in New York."""
    return instant_of(day=date.fromisoformat(day), time_zone=ZONE) + timedelta(hours=hours)


@dataclass(frozen=True)
class Seen:
    """A line as tests look at it."""

    customer: str
    kind: str
    price: str
    month: str
    quantity: str
    amount: str
    revision: int
    events: int


class Shop:
    """The tenant, its usage and its worker."""

    def __init__(
        self, database: Database, folder: Path, *documents: str, meters: Meters | None = None, versions: Any = None
    ) -> None:
        """meters, versions: those of a real usage store; of the log in memory when left out."""
        self.database, self.folder = database, folder
        self.harness = Harness(database=database, folder=folder)
        self.place = folder / TENANT / "20-connections.yaml"
        self.base = self.place.read_text(encoding="utf-8") + CONFIGURATION
        self.usage = MemoryUsage()
        self.configure(*(documents or (CALLS, STORAGE, policy())))
        self.setups = ChargingDirectory(
            directory=self.harness.directory, database=database, registry=self.harness.registry
        )
        self.charging = Charging(
            database=database,
            setups=self.setups,
            meters=meters or self.usage,
            channels=self.harness.directory,
            clock=self.harness.clock,
            random_bytes=counted_bytes(),
            owner="test",
            paying=CreditBooks(),
            subscriptions=SubscriptionFacts(setups=self.setups),
        )
        self.ticker = Ticker(
            database=database,
            setups=self.setups,
            meters=meters or self.usage,
            versions=versions or self.usage,
            clock=self.harness.clock,
            owner="test",
            paying=CreditBooks(),
            subscriptions=SubscriptionFacts(setups=self.setups),
        )
        self.meters: Meters = meters or self.usage
        self.desk = ChargeDesk(database=database, setups=self.setups, meters=self.meters)
        self.go("2026-01-01")
        for name in ("ada", "bob"):
            self.tell("customer", {"outside_id": name, "name": name.title()})

    def configure(self, *documents: str) -> None:
        """Apply a configuration with these documents beside the meters."""
        self.place.write_text(self.base + "".join(documents), encoding="utf-8")
        self.harness.apply()

    def go(self, day: str, hours: int = 0) -> None:
        """It is so many hours into a day."""
        self.harness.clock.moment = at(day, hours)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """An event arrives at the direct source."""
        now = self.harness.clock.now()
        event = {
            "specversion": "1.0",
            "id": f"{kind}-{data['outside_id']}-{now.isoformat()}",
            "source": "/billing",
            "type": f"revline.{kind}.v1",
            "time": now.astimezone(UTC).isoformat(),
            "data": data,
        }
        verdicts = self.harness.accept(TENANT, CONNECTION, [json.dumps(event).encode()])
        assert [one.outcome for one in verdicts] == [Outcome.ACCEPTED], verdicts

    def use(self, day: str, value: str = "1", *, customer: SourceObject = ADA, meter: str = "calls") -> int:
        """A customer uses something at noon of a day."""
        return self.usage.use(customer, meter, at(day, 12), value)

    def rate(self, day: str = "", hours: int = 0) -> int:
        """A tick, then everything that is due, and what derive makes of it; gives how many customers were computed."""
        if day:
            self.go(day, hours)
        ticked = self.ticker.tick(tenant_id=TENANT, actor="test", reason="a test")
        assert not isinstance(ticked, Problem), ticked
        return self.work()

    def work(self) -> int:
        """Everything due, until nothing is."""
        done = 0
        for _ in range(20):
            found = self.charging.turn()
            done += found
            derived = self.harness.derive_all()
            if not found and not derived:
                return done
        raise AssertionError("it does not end")

    def charges(self, **wanted: Any) -> tuple[Charge, ...]:
        """The newest revision of each line."""
        with self.database.read(tenants=[TENANT]) as connection:
            return queries.charges(connection, tenant_id=TENANT, wanted=ChargeFilter(**wanted), limit=1_000)

    def lines(self, **wanted: Any) -> list[Seen]:
        """The newest revision of each line, to look at."""
        return [seen(charge) for charge in self.charges(**wanted)]

    def revisions(self, charge: Charge) -> list[tuple[int, str]]:
        """Every revision of a line: its number and amount, oldest first."""
        with self.database.read(tenants=[TENANT]) as connection:
            found = queries.revisions_of(connection, tenant_id=TENANT, charge_id=charge.charge_id)
        return [(one.revision, str(one.amount)) for one in reversed(found)]

    def journals(self) -> list[tuple[str, str, str]]:
        """Every journal line of the books by date: day, account, signed amount (debit positive)."""
        rows = self.rows(
            "SELECT journal.accounting_date, line.account, line.debit - line.credit FROM journal_line AS line JOIN journal"
            " USING (tenant_id, journal_id) WHERE line.tenant_id = :tenant AND line.book = 'us-gaap'"
            " ORDER BY journal.accounting_date, line.position, line.ordinal"
        )
        return [(str(day), account, f"{amount:.2f}") for day, account, amount in rows]

    def books(self) -> dict[str, dict[str, str]]:
        """Net debit of each account by month."""
        found: dict[str, dict[str, Decimal]] = {}
        for (_, book, account, _, month), (amount, _) in self.harness.totals(TENANT).items():
            if book == "us-gaap":
                found.setdefault(month, {})[account] = Decimal(amount)
        return {
            month: {account: str(amount) for account, amount in sorted(accounts.items()) if amount}
            for month, accounts in sorted(found.items())
        }

    def cases(self) -> list[str]:
        """Codes of the open cases."""
        rows = self.rows(
            "SELECT cause.code FROM exception_case JOIN cause USING (tenant_id, cause_id)"
            " WHERE exception_case.tenant_id = :tenant AND exception_case.state = 'open' ORDER BY 1"
        )
        return [row[0] for row in rows]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the tenant."""
        with self.database.read(tenants=[TENANT]) as connection:
            return [tuple(row) for row in connection.execute(text(statement), {"tenant": TENANT})]

    def close(self) -> None:
        """Let go of everything."""
        self.harness.close()


def seen(charge: Charge) -> Seen:
    """A line as tests look at it; the month of its period in New York."""
    start = charge.subject.window.start - timedelta(hours=4)
    return Seen(
        customer=charge.subject.customer.outside_id,
        kind=charge.subject.kind.value,
        price=charge.subject.price,
        month=f"{start:%Y-%m}",
        quantity=str(charge.quantity),
        amount=str(charge.amount),
        revision=charge.revision,
        events=charge.events,
    )


def amounts(lines: Iterable[Seen]) -> dict[tuple[str, str, str, str], str]:
    """What each line costs, by customer, kind, price and month."""
    return {(each.customer, each.kind, each.price, each.month): each.amount for each in lines}
