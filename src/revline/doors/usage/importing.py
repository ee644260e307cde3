"""Takes a file of usage events in: batches handed to the log, a few under way at once, what was refused into a rejects file.

An import that broke off is run again: what was taken is a duplicate. Or it goes on from the line it names. Memory is bounded by the
batches under way. Knows no command line and no format.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Final

import msgspec

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.usage.ports import Answers, Given, UsageSink
from revline.intake.imports import Line, rejected
from revline.subledger.usage.events import EventAnswer, Verdict

BATCH_EVENTS: Final = 2_000
BATCH_BYTES: Final = 4 * 1024 * 1024
UNDER_WAY: Final = 4
"""Batches that wait for their answer: the log writes one while the next is read."""
BUSY_SECONDS: Final = 0.2
ANSWER_SECONDS: Final = 120.0

define(
    code="usage.import_stopped",
    title="The import stopped before the end of the file",
    status=503,
    retryable=Retryable.YES,
    mender=Mender.OPERATOR,
    remedy="Mend what is named and run it again, from the line it names or from the beginning: what was taken is a duplicate.",
)


class UsageImported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did. events: lines or rows that were answered. through: the last one of the file that was, and all before it.
    counts: by verdict. rejected: in the rejects file; codes: those by problem code. stopped: why it ended early."""

    events: int
    through: int
    counts: dict[str, int]
    rejected: int
    codes: dict[str, int]
    stopped: Problem | None = None


class _Batch:
    """Lines under way and their answers when they come."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.sent = [line for line in lines if line.problem is None]
        self.done = threading.Event()
        self.answers: Answers = Given(())

    def told(self, answers: Answers) -> None:
        self.answers = answers
        self.done.set()


class UsageImporter:
    """Imports files of one tenant. sleep: how time passes while the log is full."""

    def __init__(
        self,
        *,
        sink: UsageSink,
        tenant_id: str,
        rejects: BinaryIO,
        progress: Callable[[int], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sink, self._tenant_id, self._rejects = sink, tenant_id, rejects
        self._progress, self._sleep = progress, sleep
        self._under_way: deque[_Batch] = deque()
        self._counts: dict[str, int] = {}
        self._codes: dict[str, int] = {}
        self._events = self._through = self._rejected = 0
        self._stopped: Problem | None = None

    def run(self, lines: Iterable[Line]) -> UsageImported:
        """Imports to the end, or until the log can take no more."""
        for batch in _batches(lines):
            self._under_way.append(_Batch(batch))
            self._send(self._under_way[-1])
            while len(self._under_way) >= UNDER_WAY:
                self._settle()
            if self._stopped is not None:
                break
        while self._under_way:
            self._settle()
        self._rejects.flush()
        return UsageImported(
            events=self._events,
            through=self._through,
            counts=dict(self._counts),
            rejected=self._rejected,
            codes=dict(self._codes),
            stopped=self._stopped,
        )

    def _send(self, batch: _Batch) -> None:
        texts = [line.data for line in batch.sent]
        if texts:
            self._sink.submit_each(tenant_id=self._tenant_id, texts=texts, told=batch.told)
        else:
            batch.told(Given(()))

    def _settle(self) -> None:
        """Counts the oldest batch under way. After one that failed nothing more counts: `through` names a line without gaps."""
        batch = self._under_way.popleft()
        while True:
            if not batch.done.wait(ANSWER_SECONDS):
                batch.answers = problem("usage.unanswered", f"no answer within {ANSWER_SECONDS:.0f} seconds")
            if self._stopped is not None or not isinstance(batch.answers, Problem) or batch.answers.code not in PASSING:
                break
            self._sleep(BUSY_SECONDS)
            batch.done.clear()
            self._send(batch)
        if isinstance(batch.answers, Problem):
            self._stopped = self._stopped or batch.answers
        if self._stopped is not None:
            return
        answers: Iterator[EventAnswer] = iter(() if isinstance(batch.answers, Problem) else batch.answers.each())
        for line in batch.lines:
            found = EventAnswer(id="", verdict=Verdict.INVALID, problem=line.problem) if line.problem else next(answers)
            self._counts[found.verdict.value] = self._counts.get(found.verdict.value, 0) + 1
            if found.problem is not None:
                self._rejected += 1
                self._codes[found.problem.code] = self._codes.get(found.problem.code, 0) + 1
                self._rejects.write(msgspec.json.encode(rejected(line, found.problem)) + b"\n")
        self._events += len(batch.lines)
        self._through = batch.lines[-1].number
        self._progress(self._events)


PASSING: Final = frozenset({"usage.busy", "usage.under_way"})


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    waiting: list[Line] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line.data)
        if len(waiting) >= BATCH_EVENTS or size >= BATCH_BYTES:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting
