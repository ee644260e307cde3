"""Asynchronous jobs of the simulated account: what was asked, when it runs, what came of each record. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec


class Task(msgspec.Struct, kw_only=True):
    """One record of a job. status, body, location: as the call would have been answered."""

    status: int = 0
    body: bytes = b""
    location: str = ""


class Job(msgspec.Struct, kw_only=True):
    """A job. hangs: it never runs. silent: it runs and never says so."""

    id: str
    due: datetime
    bodies: list[Any]
    record: str
    hangs: bool = False
    silent: bool = False
    tasks: list[Task] = []
    ran: bool = False

    def completed(self) -> bool:
        """What it says of itself."""
        return self.ran and not self.silent


class Jobs:
    """Every job ever started."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._keys: dict[str, str] = {}

    def known(self, *, key: str) -> Job | None:
        """The job an idempotency key started."""
        return self.jobs.get(self._keys.get(key, ""))

    def start(
        self, *, record: str, bodies: list[Any], key: str, now: datetime, seconds: int, hangs: bool, silent: bool
    ) -> Job:
        """A new job, due after `seconds`."""
        job = Job(
            id=str(len(self.jobs) + 1),
            due=now + timedelta(seconds=seconds),
            bodies=bodies,
            record=record,
            hangs=hangs,
            silent=silent,
            tasks=[],
        )
        self.jobs[job.id] = job
        if key:
            self._keys[key] = job.id
        return job

    def run_due(self, *, now: datetime, run: Callable[[Job], list[Task]]) -> None:
        """Let every job work whose time has come."""
        for job in self.jobs.values():
            if not job.ran and not job.hangs and job.due <= now:
                job.ran = True
                job.tasks = run(job)
