"""Revline's workers as real processes: started, killed, stopped and continued, drained. Knows no story."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

WAIT_LIMIT_SECONDS: Final = 240.0
NO_DATABASE: Final = "[database.unreachable]"
SKEW_FILE: Final = "CHAOS_SKEW_FILE"
"""Names the file that says by how many seconds the clock of `tests.chaos.skewed` is wrong."""


class WorkerProcess:
    """`revline worker` in a process of its own. Whoever starts one ends it by `kill`, `end` or `wait`.

    name: of its log in `folder`. module: what is run; `tests.chaos.skewed` is Revline with a clock that is wrong.
    """

    def __init__(
        self,
        *,
        folder: Path,
        environment: Mapping[str, str],
        until_idle: bool = False,
        name: str = "worker",
        module: str = "revline",
    ) -> None:
        # Without compiled modules every start would take a third longer.
        dropped = ("REVLINE_", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        self._log_path = folder / f"{name}.log"
        self.paused = False
        command = [sys.executable, "-m", module, "worker", *(["--until-idle"] if until_idle else [])]
        with self._log_path.open("ab") as log:
            self._began_at = log.tell()
            self._process = subprocess.Popen(command, env={**kept, **environment}, stdout=log, stderr=log)

    @property
    def process_id(self) -> int:
        """The process's number."""
        return self._process.pid

    def kill(self) -> None:
        """As a power cut would."""
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stop it in the middle of whatever it does."""
        self._process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        """Let it go on, as if no time had passed for it."""
        self._process.send_signal(signal.SIGCONT)
        self.paused = False

    def end(self) -> None:
        """Drain: SIGTERM, and it ends in order and in bounded time; one that had not come up yet ends by the signal."""
        self._process.terminate()
        self.wait(or_by=signal.SIGTERM)

    def wait(self, *, or_by: signal.Signals | None = None) -> None:
        """Until it ends by itself, in order and in bounded time. or_by: a signal that may end it before it has written a word."""
        try:
            code = self._process.wait(timeout=WAIT_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker did not come to an end:\n{self.log()}") from None
        early = or_by is not None and code == -or_by and not self._written()
        assert code == 0 or early, f"the worker ended with {code}:\n{self.log()}"

    @property
    def found_no_database(self) -> bool:
        """It ended at its start, having said so: whoever runs it starts it again."""
        return self._process.poll() == 1 and NO_DATABASE in self._written()

    def check(self) -> None:
        """AssertionError when it ended where it should run."""
        assert self._process.poll() is None, f"the worker ended by itself:\n{self.log()}"

    def log(self) -> str:
        """The end of what it wrote."""
        return self._written()[-3_000:]

    def _written(self) -> str:
        return self._log_path.read_bytes()[self._began_at :].decode("utf-8", errors="replace")


class Crew:
    """So many workers on one database at the same time, with a supervisor: whoever is killed is replaced, whoever finds no database
    when it starts is started again; whoever ends by itself once it is up is a failure."""

    def __init__(self, *, folder: Path, environments: Sequence[Mapping[str, str]], module: str = "revline") -> None:
        self._folder, self._environments, self._module = folder, environments, module
        self.members: list[WorkerProcess] = []

    def start(self) -> None:
        """All of them."""
        self.members = [self._start(place) for place in range(len(self._environments))]

    def check(self) -> None:
        """AssertionError when one ended by itself."""
        for place, member in enumerate(self.members):
            if member.found_no_database:
                self.replace(place)
            else:
                member.check()

    def kill(self, place: int) -> None:
        """Kill one; it is replaced by `replace`."""
        self.members[place].kill()

    def replace(self, place: int) -> None:
        """Start another one in its place."""
        self.members[place] = self._start(place)

    def end(self) -> None:
        """Drain all of them."""
        self.check()
        for member in self.members:
            member.end()
        self.members = []

    def kill_all(self) -> None:
        """Whatever still runs."""
        for member in self.members:
            member.kill()
        self.members = []

    def told(self, event: str) -> int:
        """How often their logs have an event."""
        return sum(
            path.read_text(encoding="utf-8", errors="replace").count(f'"{event}"')
            for path in self._folder.glob("worker-*.log")
        )

    def _start(self, place: int) -> WorkerProcess:
        environment = self._environments[place]
        return WorkerProcess(
            folder=self._folder, environment=environment, name=f"worker-{place + 1}", module=self._module
        )
