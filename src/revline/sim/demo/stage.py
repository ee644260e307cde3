"""The demonstration's processes on loopback: PostgreSQL, Tryton, NetSuite, Salesforce, Stripe's API, an endpoint that subscribed,
Revline's server and worker.

Every process it starts it ends, by its handle, whatever happens.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx2

from revline.connectors.netsuite.simulator.launcher import SimulatedNetSuite
from revline.connectors.salesforce.simulator.server import CONSUMER_KEY, CONSUMER_SECRET
from revline.connectors.stripe.simulator.server import RunningStripe
from revline.doors.api.server import free_port
from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.migrate import upgrade
from revline.sim.demo.folder import TENANTS, write_folder
from revline.sim.demo.profiles import TRYTON_BOOKS, birch_books
from revline.sim.demo.receiver import Receiver
from revline.sim.demo.selling import new_org
from revline.sim.tryton import TrytonServer

START_LIMIT_SECONDS: Final = 30
SIGNING: Final = {"stripe-us": "US", "stripe-de": "DE", "stripe": "BIRCH"}


class Stage:
    """Everything the demonstration runs on. Use as a context manager."""

    def __init__(self, *, folder: Path, with_tryton: bool, report: Callable[[str], None]) -> None:
        self.folder = folder.resolve()
        self.with_tryton = with_tryton
        self.report = report
        self.configuration = self.folder / "configuration"
        self.signing = {name: f"whsec_{secrets.token_hex(16)}" for name in SIGNING}
        self.tokens: dict[str, str] = {}
        self.netsuite: SimulatedNetSuite
        self.org = new_org()
        self.stripe = RunningStripe(key=f"sk_test_{secrets.token_urlsafe(24)}")
        self.hooks_secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.receiver = Receiver(secret=self.hooks_secret)
        self.tryton: TrytonServer | None = None
        self._stack = ExitStack()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants of this run."""
        return TENANTS if self.with_tryton else ("birch",)

    def __enter__(self) -> Stage:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in tuple(self._processes):
            self.stop(name)
        self._stack.close()

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Run a `revline` command to its end as a user would; its stdout. RuntimeError with its stderr when it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "revline", *arguments],
            env=self._environment(),
            input=stdin.encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"revline {' '.join(arguments)}: {done.stderr.decode(errors='replace')[-2_000:]}")
        return done.stdout.decode()

    def start(self, name: str, *arguments: str) -> None:
        """Start a long-running `revline` command under a name; its log is in the folder."""
        log = self._stack.enter_context((self.folder / f"{name}.log").open("ab"))
        self._processes[name] = subprocess.Popen(
            [sys.executable, "-m", "revline", *arguments], env=self._environment(), stdout=log, stderr=log
        )

    def stop(self, name: str) -> None:
        """Ask a process to drain and end; end it at once when it does not."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=START_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, name: str) -> None:
        """End a process as a power cut would."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def wait_until_served(self) -> None:
        """Until the API answers that it is ready."""
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while time.monotonic() < deadline:
            try:
                if httpx2.get(f"{self.api}/readyz", timeout=2.0, trust_env=False).status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.1)
        raise TimeoutError(f"the API did not start in time; see {self.folder / 'server.log'}")

    def _start(self) -> None:
        self.report("starting PostgreSQL")
        server = EmbeddedServer(self.folder / "postgres")
        server.start()
        self._stack.callback(server.stop)
        server.drop_database("revline")
        server.create_database("revline")
        upgrade(owner_dsn=server.dsn("revline_owner"))
        self.dsn = server.dsn("revline_app")
        shutil.rmtree(self.folder / "erp", ignore_errors=True)
        shutil.rmtree(self.configuration, ignore_errors=True)
        self.report("starting the simulated NetSuite, Salesforce and Stripe")
        self.netsuite = self._stack.enter_context(SimulatedNetSuite(folder=self.folder / "erp"))
        self.netsuite.set_up(body=birch_books())
        for one in (self.org, self.stripe, self.receiver):
            self._stack.enter_context(one)
        if self.with_tryton:
            self.tryton = TrytonServer(self.folder.parent / "tryton", books=TRYTON_BOOKS, report=self.report)
            self.tryton.start()
            self._stack.callback(self.tryton.stop)
        self._write_configuration()
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}"

    def _write_configuration(self) -> None:
        tryton = self.tryton
        addresses = {
            "netsuite_base_url": self.netsuite.base_url,
            "netsuite_client_id": self.netsuite.settings["clientId"],
            "netsuite_certificate_id": self.netsuite.settings["certificateId"],
            "salesforce_base_url": self.org.base_url,
            "salesforce_consumer_key": CONSUMER_KEY,
            "stripe_base_url": self.stripe.base_url,
            "hooks_url": self.receiver.url,
            "tryton_base_url": "" if tryton is None else tryton.base_url,
            "tryton_database": "" if tryton is None else tryton.database,
            "tryton_user": "" if tryton is None else tryton.user,
        }
        write_folder(folder=self.configuration, addresses=addresses, tenants=self.tenants)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("REVLINE_")}
        mine = {
            "REVLINE_DSN": self.dsn,
            "REVLINE_DATA_FOLDER": str(self.folder),
            "REVLINE_PORT": str(self.port),
            "REVLINE_SECRET_DEMO_NETSUITE": self.netsuite.private_key,
            "REVLINE_SECRET_DEMO_SALESFORCE": CONSUMER_SECRET,
            "REVLINE_SECRET_DEMO_STRIPE_KEY": self.stripe.key,
            "REVLINE_SECRET_DEMO_HOOKS": self.hooks_secret,
            "REVLINE_SECRET_DEMO_TRYTON": "unused" if self.tryton is None else self.tryton.password,
        }
        signing = {f"REVLINE_SECRET_DEMO_SIGNING_{SIGNING[name]}": secret for name, secret in self.signing.items()}
        return {**kept, **mine, **signing}
