"""A Revline that reads a simulated Stripe: configuration, readers, the reading loop, and Stripe's own library to tell the story."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import stripe

from revline.app.readers import Readers
from revline.app.reading import ReadingLoop
from revline.connectors.stripe.simulator.account import Rules
from revline.connectors.stripe.simulator.server import RunningStripe
from revline.intake import following
from revline.intake import queries as fact_log
from revline.intake.following import Cursor
from revline.intake.readings import Readings
from revline.platform.cases import queries as cases
from revline.platform.store.engine import Database
from revline.platform.tenancy.secrets import SecretResolver
from revline.platform.work import queries as work
from tests.harness import SECRETS, Harness

TENANT = "birch"
CONNECTION = "stripe"
KEY = "sk_test_simulated"
FEBRUARY = 1_769_904_000
"""2026-02-01, before the harness's day."""
T = TypeVar("T")
SIGNING = "secrets: {webhookSigningSecret: secret://env/REVLINE_SECRET_DEMO_SIGNING_BIRCH}"


class Clockwork:
    """Stripe's clock, in the tests' hands."""

    def __init__(self) -> None:
        self.seconds = FEBRUARY

    def __call__(self) -> int:
        return self.seconds


class World:
    """One tenant with one Stripe connection that can be read."""

    def __init__(
        self, *, database: Database, folder: Path, rules: Rules | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.database = database
        self.clock = Clockwork()
        self.running = RunningStripe(key=KEY, clock=self.clock, rules=rules)
        self.running.__enter__()
        self.library = stripe.StripeClient(KEY, base_addresses={"api": self.running.base_url}, max_network_retries=0).v1
        self.harness = Harness(database=database, folder=folder)
        self._configure(folder, settings or {})
        self.harness.apply()
        resolver = SecretResolver(folder=None, environment={**SECRETS, "REVLINE_SECRET_STRIPE_KEY": KEY})
        self.readers = Readers(directory=self.harness.directory, secrets=resolver, clock=self.harness.clock, seed=1)

    def _configure(self, folder: Path, more: Mapping[str, str]) -> None:
        path = folder / TENANT / "20-connections.yaml"
        with_key = SIGNING.replace("}", ", apiKey: secret://env/REVLINE_SECRET_STRIPE_KEY}")
        values = {"baseUrl": self.running.base_url, **more}
        settings = f"  settings: {json.dumps(values)}"
        text = path.read_text(encoding="utf-8")
        assert SIGNING in text
        path.write_text(text.replace(f"  {SIGNING}", f"  {with_key}\n{settings}"), encoding="utf-8")

    def close(self) -> None:
        self.running.__exit__()
        self.harness.close()

    def loop(self, owner: str = "reader-1") -> ReadingLoop:
        readings = Readings(database=self.database, intake=self.harness.intake, clock=self.harness.clock, owner=owner)
        return ReadingLoop(
            database=self.database,
            directory=self.harness.directory,
            readers=self.readers,
            readings=readings,
            owner=owner,
            blocking=_blocking,
            uniform=lambda low, high: low,
        )

    def read(self, *, turns: int = 400, owners: tuple[str, ...] = ("reader-1",)) -> None:
        """Read until nothing is due; what waits for its next look, or for a person, may stay."""

        async def work_through() -> None:
            loops = [self.loop(owner) for owner in owners]
            for _ in range(turns):
                done = await asyncio.gather(*(each.turn() for each in loops))
                if not any(done) and self._is_quiet():
                    break
                if not any(done):
                    await asyncio.sleep(0.05)
            else:
                raise AssertionError("reading does not end")
            await self.readers.close()

        asyncio.run(work_through())

    def _is_quiet(self) -> bool:
        kinds = {"reread", "changes", "backfill"}
        with self.database.control() as connection:
            return all(one.parked_code or one.waiting for one in work.counts(connection) if one.kind in kinds)

    def ask_backfill(self, *kinds: str, cursor: str | None = None) -> None:
        side = self.readers.side(tenant_id=TENANT, connection=CONNECTION)
        with self._unit() as unit:
            following.ask_backfill(
                unit, tenant_id=TENANT, source_connection=CONNECTION, object_kinds=kinds,
                now=self.harness.clock.now(), pool_id=side.pool_id, cursor=cursor,
            )  # fmt: skip

    def ask_changes(self) -> None:
        side = self.readers.side(tenant_id=TENANT, connection=CONNECTION)
        with self._unit() as unit:
            following.ask_changes(
                unit, tenant_id=TENANT, source_connection=CONNECTION, now=self.harness.clock.now(), pool_id=side.pool_id
            )

    def _unit(self) -> Any:
        return self.database.unit(
            tenants=[TENANT], kind="test", actor="test", reason="test", recorded_at=self.harness.clock.now()
        )

    def cursors(self) -> dict[str, Cursor]:
        """By object kind; "" is the change stream."""
        with self.database.read(tenants=[TENANT]) as connection:
            return {one.object_kind: one for one in following.cursors_of(connection, tenant_id=TENANT)}

    def facts(self, kind: str) -> list[Any]:
        with self.database.read(tenants=[TENANT]) as connection:
            return [
                fact.translated for fact in fact_log.facts_page(connection, tenant_id=TENANT, kind=kind, limit=1000)
            ]

    def cases(self) -> list[tuple[str, str]]:
        with self.database.read(tenants=[TENANT]) as connection:
            return [(one.code, one.detail) for one in cases.cases(connection, tenant_id=TENANT)]

    def event_body(self, kind: str, thing: str = "") -> bytes:
        """The newest event of a type, as a webhook brings it."""
        found = self.running.do(lambda stripe: _newest_event(stripe.account.events, kind, thing))
        return found.replace(b'"pending_webhooks": 0', b'"pending_webhooks": 1')


def _newest_event(events: list[dict[str, Any]], kind: str, thing: str) -> bytes:

    for event in reversed(events):
        if event["type"] == kind and thing in {"", event["data"]["object"]["id"]}:
            return json.dumps(event).encode()
    raise AssertionError(f"no event {kind}")


async def _blocking(call: Callable[[], T], /) -> T:
    return await asyncio.to_thread(call)
