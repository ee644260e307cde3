"""A whole Revline in one process for tests: configuration applied, input accepted, roots derived, on a real database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection as SqlConnection

from revline.app.directory import Directory
from revline.app.kinds import registry
from revline.core.problem import Problem
from revline.derive.service import Derive
from revline.intake.service import Intake
from revline.intake.values import Channel, Form, Input, Outcome, Verdict, WhenUnreadable
from revline.platform.config import service as configuration
from revline.platform.config.loader import load_folder
from revline.platform.store.engine import Database
from revline.platform.tenancy.record import register_tenant
from revline.platform.tenancy.secrets import SecretResolver
from revline.subledger.posting import queries as posting
from tests.rehearsal import write_folder

SIGNING_SECRET = "whsec_demo"
ADDRESSES = {
    "tryton_base_url": "http://127.0.0.1:1",
    "tryton_database": "tryton",
    "tryton_user": "revline",
    "simulated_base_url": "http://127.0.0.1:1",
}
SECRETS = {
    "REVLINE_SECRET_DEMO_SIGNING_US": f"{SIGNING_SECRET}_us",
    "REVLINE_SECRET_DEMO_SIGNING_DE": f"{SIGNING_SECRET}_de",
    "REVLINE_SECRET_DEMO_SIGNING_BIRCH": f"{SIGNING_SECRET}_birch",
    "REVLINE_SECRET_DEMO_TRYTON": "tryton-password",
    "REVLINE_SECRET_DEMO_SIMULATED": "simulated-token",
}


class SteppingClock:
    """A clock that moves a millisecond each time it is asked, so that a run is the same every time."""

    def __init__(self, start: datetime = datetime(2026, 2, 5, tzinfo=UTC)) -> None:
        self.moment = start

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment


def counted_bytes() -> Callable[[int], bytes]:
    """Random bytes that are the same in every run."""
    counter = itertools.count(1)
    return lambda count: next(counter).to_bytes(count, "big")


class Harness:
    """The rooms wired for a test. `folder` keeps the configuration it applied."""

    def __init__(self, *, database: Database, folder: Path, addresses: Mapping[str, str] = ADDRESSES) -> None:
        self.database, self.folder = database, folder
        self.clock = SteppingClock()
        self.registry = registry()
        self.directory_database = Database(dsn=database.engine.url.render_as_string(hide_password=False), pool_size=2)
        self.directory = Directory(
            database=self.directory_database,
            registry=self.registry,
            secrets=SecretResolver(folder=None, environment={**SECRETS}),
            clock=self.clock,
            seed=1,
        )
        self.intake = Intake(database=database, clock=self.clock, random_bytes=counted_bytes())
        self.derive = Derive(database=database, configurations=self.directory, clock=self.clock, owner="test", epoch=1)
        write_folder(folder=folder, addresses=addresses)

    def apply(self) -> None:
        """Apply the configuration folder."""
        loaded = load_folder(self.folder, self.registry)
        assert not loaded.errors, loaded.errors
        applied = configuration.apply(
            database=self.database,
            registry=self.registry,
            loaded=loaded,
            clock=self.clock,
            register_tenant=register,
            actor="test",
            reason="a test",
        )
        assert not isinstance(applied, Problem), applied
        self.directory.forget()

    def channel(self, tenant_id: str, connection: str) -> Channel:
        """A source connection of the applied configuration."""
        channel = self.directory.channel(tenant_id=tenant_id, connection=connection)
        assert isinstance(channel, Channel), channel
        return channel

    def accept(
        self, tenant_id: str, connection: str, bodies: Iterable[bytes], *, form: Form = Form.MESSAGE, batch: int = 100
    ) -> list[Verdict]:
        """Take input in, `batch` in a unit."""
        channel = self.channel(tenant_id, connection)
        verdicts: list[Verdict] = []
        pending = list(bodies)
        for start in range(0, len(pending), batch):
            inputs = [
                Input(body=body, content_type="application/json", received_at=self.clock.now())
                for body in pending[start : start + batch]
            ]
            answer = self.intake.accept(
                channel=channel,
                inputs=inputs,
                actor="test",
                reason="a test",
                form=form,
                when_unreadable=WhenUnreadable.KEEP,
            )
            verdicts += answer
        return verdicts

    def derive_all(self, limit: int = 10_000) -> int:
        """Derive until nothing is due; gives the number of roots derived."""
        done = 0
        while done < limit:
            result = self.derive.turn()
            if not result.roots:
                return done
            done += result.roots
        raise AssertionError(f"derive does not end after {limit} roots")

    def totals(self, tenant_id: str) -> dict[tuple[str, str, str, str, str], tuple[str, str]]:
        """Control totals: (entity, book, account, currency, period) to (amount, functional amount) as text."""
        with self.database.read(tenants=[tenant_id]) as connection:
            found = posting.control_totals(connection, tenant_id=tenant_id)
        return {
            (one.entity, one.book, one.account, one.currency, one.period): (
                f"{one.debit - one.credit:f}",
                f"{one.functional_debit - one.functional_credit:f}",
            )
            for one in found
        }

    def close(self) -> None:
        self.directory_database.dispose()


def register(connection: SqlConnection, tenant_id: str, now: datetime) -> None:
    """Enters a tenant when its configuration is applied."""
    register_tenant(connection, tenant_id=tenant_id, created_at=now)


__all__ = ["Harness", "Outcome", "SteppingClock"]
