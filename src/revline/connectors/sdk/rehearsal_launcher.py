"""Starting, steering and stopping a simulated system's process from a demo, a rehearsal or a test.

Knows its process, its ready file and the way of a control call; which controls there are is the simulator's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Generic, Self, TypeVar

import httpx2
import msgspec

import revline
from revline.connectors.sdk.effects import Effect, read_effects
from revline.core.hashing import canonical_bytes

CALL_SECONDS: Final = 30.0
END_SECONDS: Final = 10.0


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What the process wrote when it began to listen."""

    base_url: str
    port: int
    pid: int
    control_token: str


ReadyT = TypeVar("ReadyT", bound=Ready)


class RehearsalProcess(Generic[ReadyT]):
    """A simulated system's process. Use as a context manager, or call `start` and `stop`.

    module: what is run, with `--port`, `--data`, `--ready-file` and `options`. name: of the system, for errors. folder: its data;
    the same folder again is the same system. port: 0 takes a free one; a restart keeps the one it had.
    """

    def __init__(
        self,
        *,
        module: str,
        name: str,
        ready_type: type[ReadyT],
        folder: Path,
        port: int,
        start_seconds: float,
        options: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.port = port
        self.start_seconds = start_seconds
        self.ready: ReadyT | None = None
        self._module, self._name, self._options = module, name, tuple(options)
        self._ready_type = ready_type
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return self._started().base_url

    def start(self) -> None:
        """Start the process and wait until it listens. TimeoutError, or RuntimeError when it ends instead."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ready_file = self.folder / "ready.json"
        ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", self._module, "--port", str(self.port), "--data", str(self.folder)]
        command += ["--ready-file", str(ready_file), *self._options]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=os.environ | {"PYTHONPATH": _search_path()}
            )
        deadline = time.monotonic() + self.start_seconds
        while not ready_file.exists():
            if self._process.poll() is not None:
                raise RuntimeError(f"the {self._name} ended at once; see {self.folder / 'server.log'}")
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"the {self._name} did not start in time")
            time.sleep(0.02)
        self.ready = msgspec.json.decode(ready_file.read_bytes(), type=self._ready_type)
        self.port = self.ready.port

    def stop(self) -> None:
        """End it in good order; kill it if it does not end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=END_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=END_SECONDS)

    def lift_faults(self, *, rule_id: str = "") -> None:
        """End one fault rule, or all."""
        self._control("POST", "lift", {"rule_id": rule_id})

    def effects(self) -> tuple[Effect, ...]:
        """Every line of its append-only file, even while it runs or after it was killed."""
        return tuple(read_effects(folder=self.folder))

    def _started(self) -> ReadyT:
        if self.ready is None:
            raise RuntimeError(f"the {self._name} was not started")
        return self.ready

    def _control(self, method: str, verb: str, body: object) -> Any:
        ready = self._started()
        answer = httpx2.request(
            method,
            f"{ready.base_url}/control/{verb}",
            content=canonical_bytes(body) if body is not None else b"",
            headers={"authorization": f"Bearer {ready.control_token}"},
            timeout=CALL_SECONDS,
            trust_env=False,
        )
        if answer.status_code != 200:
            raise RuntimeError(f"the {self._name} refused {verb}: {answer.text[:500]}")
        return msgspec.json.decode(answer.content)


def _search_path() -> str:
    """The child must find the package this process runs, installed or not."""
    here = str(Path(revline.__file__).resolve().parents[1])
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH", "")])])
