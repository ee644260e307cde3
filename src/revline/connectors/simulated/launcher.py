"""Starting, steering and stopping the simulated ERP from a demo, a rehearsal or a test. Knows its process and its control calls."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx2
import msgspec

import revline
from revline.connectors.sdk.effects import Effect, read_effects
from revline.connectors.simulated import wire
from revline.connectors.simulated.control import Counters, PeriodChange, RecordEdit
from revline.connectors.simulated.faults import FaultRule
from revline.connectors.simulated.records import Mode
from revline.connectors.simulated.setup import SetupBody
from revline.connectors.simulated.wire import TrialBalanceAnswer


def _search_path() -> str:
    """The child must find the package this process runs, installed or not."""
    here = str(Path(revline.__file__).resolve().parents[1])
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH", "")])])


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What the process wrote when it began to listen."""

    base_url: str
    port: int
    pid: int
    mode: str
    token: str
    control_token: str


class SimulatedErp:
    """A simulated ERP's process. Use as a context manager, or call `start` and `stop`.

    folder: its data; the same folder again is the same ERP. port: 0 takes a free one; a restart keeps the one it had.
    """

    def __init__(self, *, folder: Path, mode: Mode = Mode.UNIQUE, port: int = 0, start_seconds: float = 20.0) -> None:
        self.folder = folder
        self.mode = mode
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
    def token(self) -> str:
        """The API token, for the connection's secret `token`."""
        return self._ready().token

    def start(self) -> None:
        """Start the process and wait until it listens. TimeoutError, or RuntimeError when it ends instead."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ready_file = self.folder / "ready.json"
        ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "revline.connectors.simulated.server", "--port", str(self.port)]
        command += ["--data", str(self.folder), "--mode", self.mode.value, "--ready-file", str(ready_file)]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=os.environ | {"PYTHONPATH": _search_path()}
            )
        deadline = time.monotonic() + self.start_seconds
        while not ready_file.exists():
            if self._process.poll() is not None:
                raise RuntimeError(f"the simulated ERP ended at once; see {self.folder / 'server.log'}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError("the simulated ERP did not start in time")
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
        """Companies, charts, rates, periods and house rules."""
        self._control("POST", "setup", body)

    def add_fault(self, *, rule: FaultRule) -> str:
        """Put a fault in force; its id."""
        return str(self._control("POST", "faults", rule)["rule_id"])

    def lift_faults(self, *, rule_id: str = "") -> None:
        """End one fault rule, or all."""
        self._control("POST", "lift", {"rule_id": rule_id})

    def set_period(self, *, company: str, period: str, state: str) -> None:
        """Open, soft-close or close a period."""
        self._control("POST", "period", PeriodChange(company=company, period=period, state=state))

    def edit(self, *, change: RecordEdit) -> None:
        """Change a record as a person in the ERP would."""
        self._control("POST", "edit", change)

    def counters(self) -> Counters:
        """Calls, unanswered calls, records and faults, counted."""
        return msgspec.convert(self._control("GET", "counters", None), Counters)

    def trial_balance(self, *, company: str) -> TrialBalanceAnswer:
        """The ERP's own balances."""
        ready = self._ready()
        answer = httpx2.get(
            f"{ready.base_url}/v1/companies/{company}/trial-balance",
            headers={"authorization": f"Bearer {ready.token}"},
            timeout=30.0,
            trust_env=False,
        )
        answer.raise_for_status()
        balance: TrialBalanceAnswer = wire.decode(answer.content, TrialBalanceAnswer)
        return balance

    def effects(self) -> tuple[Effect, ...]:
        """Every line of its append-only file, even while it runs or after it was killed."""
        return tuple(read_effects(folder=self.folder))

    def _ready(self) -> Ready:
        if self.ready is None:
            raise RuntimeError("the simulated ERP was not started")
        return self.ready

    def _control(self, method: str, verb: str, body: object) -> Any:
        ready = self._ready()
        answer = httpx2.request(
            method,
            f"{ready.base_url}/control/{verb}",
            content=wire.encode(body) if body is not None else b"",
            headers={"authorization": f"Bearer {ready.control_token}"},
            timeout=30.0,
            trust_env=False,
        )
        if answer.status_code != 200:
            raise RuntimeError(f"the simulated ERP refused {verb}: {answer.text[:500]}")
        return msgspec.json.decode(answer.content)
