"""A small world for pages: two tenants with a month of facts, one of them posted to a simulated ERP but for the documents that wait
for an account nobody mapped; people of every role. Build it once a session; tests read it, or change it and say so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from revline.app.console import console_ports
from revline.app.processes import api_ports
from revline.app.runtime import Runtime, open_runtime
from revline.connectors.simulated.launcher import SimulatedErp
from revline.core.clock import Period
from revline.core.problem import Problem
from revline.core.secret import Secret
from revline.doors.api.app import create_app
from revline.doors.console.app import Site, create_console
from revline.platform.access.roles import Role
from revline.platform.settings import Settings
from revline.platform.store.engine import Database
from revline.sim.stripe_month import generate
from revline.sim.stripe_profile import StripeProfile
from tests.harness import ADDRESSES, SECRETS, Harness
from tests.posted import start_erp, take_in

PASSWORD = "correct horse battery"
KEY = b"a key of thirty-two bytes, or so"
CANARY = "Aurora-canary"
"""Stands in the names of Aurora's customers, so that a page of Birch that shows it has crossed the wall."""
PEOPLE = {
    "ada@example.com": ("Ada Lindqvist", Role.ADMINISTRATOR, "*"),
    "finn@example.com": ("Finn O'Hara", Role.FINANCE, "birch"),
    "olga@example.com": ("Olga Petrova", Role.OPERATOR, "birch"),
    "aud@example.com": ("Audrey Moss", Role.AUDITOR, "birch"),
    "nils@example.com": ("Nils Berg", Role.FINANCE, "aurora"),
}
"""E-mail -> name, role, tenant; all with PASSWORD."""
MONTH = Period(start=date(2026, 1, 1), end=date(2026, 2, 1))


@dataclass(frozen=True, kw_only=True)
class World:
    """What was built. harness: to bring in more. folder: of the configuration; the missing account is added there by
    `tests.rehearsal.add_missing_mapping`, then `harness.apply()`."""

    harness: Harness
    erp: SimulatedErp
    runtime: Runtime
    folder: Path
    dsn: str

    def site(self) -> Site:
        """Both doors, as `revline serve` puts them together."""
        api = api_ports(self.runtime)
        return Site(api=create_app(api), console=create_console(console_ports(self.runtime, key=KEY)))

    def work(self) -> None:
        """A worker in its own process until nothing is left to do: a browser's loop may run in this one."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REVLINE_")}
        environment |= {**SECRETS, "REVLINE_DSN": self.dsn, "REVLINE_SECRET_DEMO_SIMULATED": self.erp.token}
        command = [sys.executable, "-m", "revline", "worker", "--until-idle"]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2_000:]

    def close(self) -> None:
        """Stop what was started."""
        with ThreadPoolExecutor(max_workers=1) as pool:  # it runs a loop, and a browser's may run in this thread
            pool.submit(self.runtime.services.close).result()
        self.harness.close()
        self.erp.stop()


def build_world(*, dsn: str, folder: Path, invoices: int = 40, neighbour: bool = True) -> World:
    """Builds it in an empty database. dsn: as the application's role. neighbour: whether Aurora has a month, too; its ERP is away,
    so a worker would never be idle."""
    erp = start_erp(folder / "erp")
    harness = Harness(
        database=Database(dsn=dsn, pool_size=6),
        folder=folder / "configuration",
        addresses={**ADDRESSES, "simulated_base_url": erp.base_url},
    )
    harness.clock.moment = datetime.now(UTC) - timedelta(hours=3)
    harness.apply()
    settings = Settings(dsn=Secret(dsn), data_folder=folder / "data", cursor_key=Secret(KEY.decode()))
    runtime = open_runtime(settings)
    assert not isinstance(runtime, Problem), runtime
    world = World(harness=harness, erp=erp, runtime=runtime, folder=folder / "configuration", dsn=dsn)
    take_in(harness, "birch", "stripe", generate(seed=7, month=MONTH, profile=_profile("birch", "Birch", invoices)))
    world.work()
    if neighbour:
        take_in(harness, "aurora", "stripe-us", generate(seed=8, month=MONTH, profile=_profile("aurora", CANARY, 8)))
        harness.derive_all()
    _people(runtime)
    return world


def _profile(account: str, prefix: str, invoices: int) -> StripeProfile:
    return StripeProfile(
        account=account,
        customer_prefix=prefix,
        invoices=invoices,
        customers=max(4, invoices // 3),
        families=("subscription", "usage", "hardware"),
    )


def _people(runtime: Runtime) -> None:
    for email, (name, role, tenant) in PEOPLE.items():
        person = runtime.services.people.add(email=email, name=name, password=PASSWORD, actor="person:test")
        assert not isinstance(person, Problem), person
        refused = runtime.services.people.grant(
            person_id=person.person_id, tenant_id=tenant, role=role, actor="person:test", reason="a test"
        )
        assert refused is None


__all__ = ["CANARY", "PASSWORD", "PEOPLE", "World", "build_world"]
