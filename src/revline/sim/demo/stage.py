"""The demonstration's processes on loopback: PostgreSQL, Tryton, the simulated ERP, Revline's server and worker.

Every process it starts it ends, by its handle, whatever happens.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

import httpx2

from revline.connectors.simulated.launcher import SimulatedErp
from revline.connectors.simulated.setup import Account, CompanySetup, SetupBody
from revline.doors.api.server import free_port
from revline.platform.store.embedded import EmbeddedServer
from revline.platform.store.migrate import upgrade
from revline.sim.demo.folder import TENANTS, write_folder
from revline.sim.tryton import TrytonServer
from revline.sim.tryton_books import TrytonBooks, TrytonCompany, TrytonRate

START_LIMIT_SECONDS: Final = 30
YEAR: Final = 2026
SIGNING: Final = {"stripe-us": "US", "stripe-de": "DE", "stripe": "BIRCH"}
TRYTON_BOOKS: Final = TrytonBooks(
    companies=(
        TrytonCompany(code="AURORA-US", title="Aurora Analytics Inc.", currency="USD"),
        TrytonCompany(code="AURORA-DE", title="Aurora Analytics GmbH", currency="EUR"),
    ),
    # 1 EUR is 1.25 USD: Tryton divides units by units, so the currency converted from is the whole number.
    rates=(
        TrytonRate(currency="EUR", first_day=date(YEAR - 1, 1, 1), units=Decimal(1)),
        TrytonRate(currency="USD", first_day=date(YEAR - 1, 1, 1), units=Decimal("1.25")),
    ),
    year=YEAR,
)
BIRCH_ACCOUNTS: Final = (
    *("1000", "1010", "1050", "1150", "1160", "1170"),
    *("2200", "2300", "2400", "2450"),
    *("4000", "4010", "4100", "4900", "4910", "4920"),
    *("6100", "6110", "6500"),
)


class Stage:
    """Everything the demonstration runs on. Use as a context manager."""

    def __init__(self, *, folder: Path, with_tryton: bool, report: Callable[[str], None]) -> None:
        self.folder = folder.resolve()
        self.with_tryton = with_tryton
        self.report = report
        self.configuration = self.folder / "configuration"
        self.signing = {name: f"whsec_{secrets.token_hex(16)}" for name in SIGNING}
        self.tokens: dict[str, str] = {}
        self.simulated: SimulatedErp
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

    def run(self, *arguments: str) -> str:
        """Run a `revline` command to its end as a user would; its stdout. RuntimeError with its stderr when it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "revline", *arguments], env=self._environment(), capture_output=True, check=False
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
        self.report("starting the simulated ERP")
        self.simulated = self._stack.enter_context(SimulatedErp(folder=self.folder / "erp"))
        self.simulated.set_up(body=birch_books())
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
            "simulated_base_url": self.simulated.base_url,
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
            "REVLINE_SECRET_DEMO_SIMULATED": self.simulated.token,
            "REVLINE_SECRET_DEMO_TRYTON": "unused" if self.tryton is None else self.tryton.password,
        }
        signing = {f"REVLINE_SECRET_DEMO_SIGNING_{SIGNING[name]}": secret for name, secret in self.signing.items()}
        return {**kept, **mine, **signing}


def birch_books() -> SetupBody:
    """The simulated ERP's company: its chart and two years of open periods."""
    accounts = (Account(code="1100", kind="receivable"), *(Account(code=code) for code in BIRCH_ACCOUNTS))
    company = CompanySetup(
        code="BIRCH-US",
        functional_currency="USD",
        accounts=accounts,
        first_period=f"{YEAR - 1}-01",
        period_count=24,
    )
    return SetupBody(companies=(company,))
