"""A usage log in memory: exact answers, no disk. What a door is told is what the real log would tell it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.doors.usage.ports import Told
from revline.subledger.usage.events import EventAnswer, Verdict

define(
    code="usage.test_conflict",
    title="Another content",
    status=409,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Give it another id.",
)


class MemoryLog:
    """A `UsageSink`. full: it refuses as a full queue does. silent: answers are kept back until `answer()`."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str, str], Any] = {}
        self.submitted: list[tuple[str, bytes]] = []
        self.refusal: Problem | None = None
        self.unready: list[FieldError] = []
        self.silent = False
        self._kept: list[tuple[Told, Sequence[EventAnswer]]] = []
        self._lock = threading.Lock()

    def submit(self, *, tenant_id: str, body: bytes, told: Told) -> Problem | None:
        if self.refusal is not None:
            return self.refusal
        try:
            value = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return problem("json.invalid", "the body is not JSON")
        with self._lock:
            self.submitted.append((tenant_id, body))
            answers = [self._one(tenant_id, each) for each in (value if isinstance(value, list) else [value])]
            if self.silent:
                self._kept.append((told, answers))
                return None
        threading.Thread(target=told, args=(answers,)).start()
        return None

    def answer(self) -> None:
        """Tells what was kept back."""
        self.silent = False
        for told, answers in self._kept:
            told(answers)
        self._kept.clear()

    def not_ready(self) -> Sequence[FieldError]:
        return self.unready

    def _one(self, tenant_id: str, event: Any) -> EventAnswer:
        if not isinstance(event, dict) or "id" not in event:
            found = problem("json.invalid", "no event")
            return EventAnswer(id="", verdict=Verdict.INVALID, problem=found)
        key = (tenant_id, event.get("source", ""), event["id"])
        if key not in self.stored:
            self.stored[key] = event
            return EventAnswer(id=event["id"], verdict=Verdict.ACCEPTED, sequence=len(self.stored))
        if self.stored[key] == event:
            return EventAnswer(id=event["id"], verdict=Verdict.DUPLICATE)
        found = problem("usage.test_conflict", "the id is taken by another content")
        return EventAnswer(id=event["id"], verdict=Verdict.CONFLICT, problem=found)
