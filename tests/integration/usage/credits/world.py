"""A tenant that grants credits: its plan, its charge lines in words, grants as facts, and the ledger kept by a worker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, text

from revline.app.crediting import CreditDirectory
from revline.core.canonical import CreditGrant
from revline.core.ids import SourceObject
from revline.core.problem import Problem
from revline.intake.values import Outcome
from revline.platform.store.engine import Database
from revline.subledger.usage.calendar import instant_of
from revline.subledger.usage.charges.values import Charge, ChargeKind, ChargeSubject
from revline.subledger.usage.credits.ports import Charged
from revline.subledger.usage.credits.running import CreditKeeper
from revline.subledger.usage.credits.service import CreditDesk, Wanted
from revline.subledger.usage.versions import UsageVersion, Window
from tests.harness import Harness, counted_bytes

TENANT = "birch"
CONNECTION = "billing"
ZONE = "America/New_York"
CUSTOMER = SourceObject(connection=CONNECTION, kind="customer", outside_id="cus_1")
CONFIGURATION = """
---
apiVersion: revline/v1
kind: Connection
metadata: {name: billing, tenant: birch}
spec: {connector: direct, entity: birch-us}
---
apiVersion: revline/v1
kind: CreditPlan
metadata: {name: prepaid, tenant: birch}
spec: {title: Prepaid credits, currency: USD, amount: "1000.00", costBasis: "0.8", lasts: {months: 3}}
---
apiVersion: revline/v1
kind: CreditPlan
metadata: {name: auto, tenant: birch}
spec:
  title: Credits that are topped up
  currency: USD
  amount: "100.00"
  topUp: {threshold: "50.00", amount: "200.00", cost: "180.00"}
---
apiVersion: revline/v1
kind: Commitment
metadata: {name: promise, tenant: birch}
spec:
  {title: A promise, connection: billing, customer: cus_1, currency: USD, promised: "500.00", startsOn: 2026-01-01,
   endsOn: 2027-01-01}
"""


def at(day: str) -> datetime:
    """The moment a day begins in New York."""
    return instant_of(day=date.fromisoformat(day), time_zone=ZONE)


class Shop:
    """The tenant, its worker and its desk."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.harness = Harness(database=database, folder=folder)
        place = folder / TENANT / "20-connections.yaml"
        place.write_text(place.read_text(encoding="utf-8") + CONFIGURATION, encoding="utf-8")
        self.harness.apply()
        self.charges: dict[str, Charge] = {}
        self.database = database
        setups, random_bytes = CreditDirectory(self.harness.directory), counted_bytes()
        self.keeper = CreditKeeper(
            database=database, setups=setups, channels=self.harness.directory, clock=self.harness.clock,
            random_bytes=random_bytes, owner="test", charges=self._charges,
        )  # fmt: skip
        self.desk = CreditDesk(
            database=database, intake=self.harness.intake, channels=self.harness.directory, setups=setups,
            clock=self.harness.clock, random_bytes=random_bytes, charges=self._charges,
        )  # fmt: skip
        self.go("2026-01-01")
        self.tell("customer", {"outside_id": "cus_1", "name": "Acme"})

    def go(self, day: str) -> None:
        """It is the beginning of a day."""
        self.harness.clock.moment = at(day)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """An event arrives at the direct source."""
        event = {
            "specversion": "1.0",
            "id": f"{kind}-{data['outside_id']}-{self.harness.clock.now().isoformat()}",
            "source": "/billing",
            "type": f"revline.{kind}.v1",
            "time": self.harness.clock.now().astimezone(UTC).isoformat(),
            "data": data,
        }
        verdicts = self.harness.accept(TENANT, CONNECTION, [json.dumps(event).encode()])
        assert [one.outcome for one in verdicts] == [Outcome.ACCEPTED], verdicts

    def grant(self, outside_id: str, plan: str = "prepaid", **more: Any) -> CreditGrant:
        """Somebody grants credits."""
        wanted = Wanted(customer=CUSTOMER, plan=plan, outside_id=outside_id, method="bank_transfer", **more)
        found = self.desk.grant(tenant_id=TENANT, wanted=wanted, actor="person:ada", reason="sold")
        assert isinstance(found, CreditGrant), found
        return found

    def charge(self, name: str, month: int, amount: str, **more: Any) -> None:
        """A line of a month costs so much now."""
        window = Window(start=at(f"2026-{month:02d}-01"), end=at(f"2026-{month + 1:02d}-01"))
        subject = ChargeSubject(customer=CUSTOMER, kind=ChargeKind.USAGE, price=name, window=window)
        charge_id = subject.charge_id(TENANT)
        values: dict[str, Any] = {
            "charge_id": charge_id,
            "revision": 1,
            "subject": subject,
            "entity": "birch-us",
            "product_family": "usage",
            "meter": "calls",
            "unit": "call",
            "quantity": Decimal(1),
            "currency": "USD",
            "amount": Decimal(amount),
            "events": 1,
            "usage_version": UsageVersion(watermarks=()),
            "configuration": 1,
            "digest": "",
        }
        self.charges[charge_id] = msgspec.convert({**values, **more}, Charge, from_attributes=True)

    def work(self) -> int:
        """Everything due is derived and settled, until nothing is; gives how many customers were settled."""
        settled = 0
        for _ in range(20):
            derived = self.harness.derive_all()
            self.keeper.sweep(tenant_id=TENANT)
            found = self.keeper.turn()
            settled += found
            if not derived and not found:
                return settled
        raise AssertionError("it does not end")

    def ledger(self) -> list[tuple[str, str, str, str, str]]:
        """What was posted: day, grant, rule, credits, cost."""
        rows = self.desk.ledger(tenant_id=TENANT, customer=CUSTOMER)
        return [(one.day.isoformat(), one.grant, one.rule.value, str(one.amount), str(one.cost)) for one in rows]

    def books(self) -> dict[str, str]:
        """Net debit of each account."""
        found: dict[str, Decimal] = {}
        for (_, book, account, _, _), (amount, _) in self.harness.totals(TENANT).items():
            if book == "us-gaap":
                found[account] = found.get(account, Decimal(0)) + Decimal(amount)
        return {account: str(amount) for account, amount in sorted(found.items()) if amount}

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self.database.read(tenants=[TENANT]) as connection:
            return [tuple(row) for row in connection.execute(text(statement), {"tenant": TENANT})]

    def close(self) -> None:
        self.harness.close()

    def _charges(self, connection: Connection, /, *, tenant_id: str, customer: SourceObject) -> Charged:
        del connection, tenant_id
        found = tuple(one for one in self.charges.values() if one.subject.customer == customer)
        return Charged(charges=found)


def refused(found: Any) -> str:
    """The code of a problem."""
    assert isinstance(found, Problem), found
    return found.code


def sums(rows: Iterable[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    return [tuple(f"{value:f}" if isinstance(value, Decimal) else str(value) for value in row) for row in rows]
