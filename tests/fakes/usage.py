"""A usage log in memory: exact answers, no disk. What a door is told is what the real log would tell it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from revline.core.problem import FieldError, Problem, problem
from revline.doors.usage.ports import Given, Told
from revline.subledger.usage.events import EventAnswer, Verdict
from revline.subledger.usage.log.values import Offset


class MemoryLog:
    """A `UsageSink`. full: it refuses as a full queue does. silent: answers are kept back until `answer()`."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str, str], Any] = {}
        self.submitted: list[tuple[str, bytes]] = []
        self.offsets: list[Offset] = []
        self.refusal: Problem | None = None
        self.unready: list[FieldError] = []
        self.silent = False
        self._kept: list[tuple[Told, Given]] = []
        self._lock = threading.Lock()

    def submit(self, *, tenant_id: str, body: bytes, told: Told) -> None:
        if self.refusal is not None:
            told(self.refusal)
            return
        try:
            value = msgspec.json.decode(body)
        except msgspec.DecodeError:
            told(problem("json.invalid", "the body is not JSON"))
            return
        with self._lock:
            self.submitted.append((tenant_id, body))
            answers = [self._one(tenant_id, each) for each in (value if isinstance(value, list) else [value])]
            if self.silent:
                self._kept.append((told, Given(answers)))
                return
        threading.Thread(target=told, args=(Given(answers),)).start()

    def submit_each(
        self, *, tenant_id: str, texts: Sequence[bytes], told: Told, offsets: Sequence[Offset] = ()
    ) -> None:
        self.offsets.extend(offsets)
        self.submit(tenant_id=tenant_id, body=b"[" + b",".join(texts) + b"]", told=told)

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
        found = problem("usage.conflict", "the id is taken by another content")
        return EventAnswer(id=event["id"], verdict=Verdict.CONFLICT, problem=found)
