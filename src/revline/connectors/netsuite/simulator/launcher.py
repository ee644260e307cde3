"""Starting, steering and stopping the simulated account from a demo, a rehearsal or a test. Knows its process and its control."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import httpx2
import msgspec

import revline
from revline.connectors.netsuite.simulator.control import Counters
from revline.connectors.netsuite.simulator.faults import FaultRule
from revline.connectors.netsuite.simulator.setup import PeriodChange, RecordEdit, SetupBody
from revline.connectors.sdk.effects import Effect, read_effects
from revline.core.hashing import canonical_bytes


def _search_path() -> str:
    """The child must find the package this process runs, installed or not."""
    here = str(Path(revline.__file__).resolve().parents[1])
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH", "")])])


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What the process wrote when it began to listen."""

    base_url: str
    port: int
    pid: int
    control_token: str
    client_id: str
    certificate_id: str
    private_key: str


class SimulatedNetSuite:
    """A simulated account's process. Use as a context manager, or call `start` and `stop`.

    folder: its data; the same folder again is the same account. port: 0 takes a free one; a restart keeps the one it had.
    """

    def __init__(self, *, folder: Path, port: int = 0, start_seconds: float = 20.0) -> None:
        self.folder = folder
        self.port = port
        self.start_seconds = start_seconds
        self.ready: Ready | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return self._ready().base_url

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a connection to it, but for what one wants to change."""
        ready = self._ready()
        return {
            "baseUrl": ready.base_url,
            "clientId": ready.client_id,
            "certificateId": ready.certificate_id,
            "algorithm": "ES256",
        }

    @property
    def private_key(self) -> str:
        """The secret privateKey of a connection to it."""
        return self._ready().private_key

    def start(self) -> None:
        """Start the process and wait until it listens. TimeoutError, or RuntimeError when it ends instead."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ready_file = self.folder / "ready.json"
        ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "revline.connectors.netsuite.simulator.server", "--port", str(self.port)]
        command += ["--data", str(self.folder), "--ready-file", str(ready_file)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=os.environ | {"PYTHONPATH": _search_path()}
            )
        deadline = time.monotonic() + self.start_seconds
        while not ready_file.exists():
            if self._process.poll() is not None:
                raise RuntimeError(f"the simulated account ended at once; see {self.folder / 'server.log'}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError("the simulated account did not start in time")
            time.sleep(0.02)
        self.ready = msgspec.json.decode(ready_file.read_bytes(), type=Ready)
        self.port = self.ready.port

    def stop(self) -> None:
        """End it in good order; kill it if it does not end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)

    def set_up(self, *, body: SetupBody) -> None:
        """Currencies, subsidiaries, chart, items, rates, periods and settings."""
        self._control("POST", "setup", body)

    def add_fault(self, *, rule: FaultRule) -> str:
        """Put a fault in force; its id."""
        return str(self._control("POST", "faults", rule)["rule_id"])

    def lift_faults(self, *, rule_id: str = "") -> None:
        """End one fault rule, or all."""
        self._control("POST", "lift", {"rule_id": rule_id})

    def revoke_tokens(self) -> None:
        """Every access token given out is stale from now on."""
        self._control("POST", "revoke", {})

    def set_period(self, *, period: str, state: str, subsidiary: str = "") -> None:
        """Open, close or lock a month."""
        self._control("POST", "period", PeriodChange(period=period, state=state, subsidiary=subsidiary))

    def edit(self, *, change: RecordEdit) -> None:
        """Change a transaction as a person in the user interface would."""
        self._control("POST", "edit", change)

    def counters(self) -> Counters:
        """Calls, unanswered calls, records, tokens and faults, counted."""
        return msgspec.convert(self._control("GET", "counters", None), Counters)

    def trial_balance(self, *, subsidiary: str) -> dict[tuple[str, str, str], Decimal]:
        """(account id, currency, YYYY-MM) -> functional debit less credit, from its own books."""
        rows = self._control("GET", f"trial-balance?subsidiary={subsidiary}", None)
        return {(row["account"], row["currency"], row["period"]): Decimal(row["net"]) for row in rows}

    def effects(self) -> tuple[Effect, ...]:
        """Every line of its append-only file, even while it runs or after it was killed."""
        return tuple(read_effects(folder=self.folder))

    def _ready(self) -> Ready:
        if self.ready is None:
            raise RuntimeError("the simulated account was not started")
        return self.ready

    def _control(self, method: str, verb: str, body: object) -> Any:
        ready = self._ready()
        answer = httpx2.request(
            method,
            f"{ready.base_url}/control/{verb}",
            content=canonical_bytes(body) if body is not None else b"",
            headers={"authorization": f"Bearer {ready.control_token}"},
            timeout=30.0,
            trust_env=False,
        )
        if answer.status_code != 200:
            raise RuntimeError(f"the simulated account refused {verb}: {answer.text[:500]}")
        return msgspec.json.decode(answer.content)
