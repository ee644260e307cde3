"""Jobs of the simulated ERP: a call that is taken in now and carried out later, to be asked for by the job's id.

A job whose time has come is carried out before the next call is looked at, as of the time it was due, so no timer is needed. Jobs
that wait are forgotten when the process ends, as they are by systems that keep their queue in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from revline.connectors.simulated import wire
from revline.connectors.simulated.calls import Answer, Arrival, fault_seconds, refusal
from revline.connectors.simulated.faults import Fault
from revline.connectors.simulated.wire import ErrorBody, ItemAnswer

MADE_BY: frozenset[str] = frozenset({"create", "batch"})
"""What can be taken in as a job."""


class Jobs:
    """Jobs by id: when each is due, and what it came to."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[datetime, Arrival]] = {}
        self._ended: dict[str, tuple[ItemAnswer, ...]] = {}

    def take(self, *, arrival: Arrival, now: datetime) -> Answer:
        """Take a call in as a job."""
        job = f"JOB-{len(self._waiting) + len(self._ended) + 1:06d}"
        due = now + fault_seconds(arrival.faults[Fault.JOB])
        self._waiting[job] = (due, msgspec.structs.replace(arrival, faults={}))
        return Answer(status=202, body=wire.encode(wire.JobAnswer(job=job)))

    def carry_out(self, *, now: datetime, run: Callable[[Arrival, datetime], Answer]) -> None:
        """Whatever is due by now, oldest first. run: does what a call asks, as of a moment."""
        for job, (due, arrival) in sorted(self._waiting.items(), key=lambda entry: entry[1][0]):
            if due <= now:
                del self._waiting[job]
                self._ended[job] = _items(run(arrival, due))

    def answer(self, *, job: str) -> Answer:
        """How a job stands."""
        if job in self._ended:
            return Answer(status=200, body=wire.encode(wire.JobState(job=job, state="ended", results=self._ended[job])))
        if job in self._waiting:
            return Answer(status=200, body=wire.encode(wire.JobState(job=job, state="running")))
        return refusal(404, "not_found", f"there is no job {job[:40]!r}", job[:40])


def _items(answer: Answer) -> tuple[ItemAnswer, ...]:
    try:
        batch: wire.BatchAnswer = wire.decode(answer.body, wire.BatchAnswer)
    except msgspec.MsgspecError:
        try:
            item: ItemAnswer = wire.decode(answer.body, ItemAnswer)
        except msgspec.MsgspecError:
            return (ItemAnswer(status=answer.status, error=ErrorBody(code="malformed", message="the call is none")),)
        return (item,)
    return batch.results
