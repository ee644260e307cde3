"""The sender: takes events into the outbox, and sends what waits in batches from a thread of its own."""

from __future__ import annotations

import atexit
import json
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

from revline_usage.events import VOID_TYPE, Refused, event_bytes, new_id
from revline_usage.outbox import Kept, Outbox
from revline_usage.transport import HttpTransport, Reply, Transport

LEASE_SECONDS: Final = 60.0
"""Longer than one request may take, so that nobody else sends what is under way; if one does, nothing counts twice."""
IDLE_SECONDS: Final = 1.0
BACK_OFF_FIRST_SECONDS: Final = 0.5
BACK_OFF_MOST_SECONDS: Final = 60.0
EXIT_SECONDS: Final = 5.0
DONE: Final = frozenset({"accepted", "duplicate"})
KEY_REFUSED: Final = frozenset({401, 403})
"""Somebody must mend the key or the tenant; the events are good."""
PASSING: Final = frozenset({0, 408, 425, 429, 500, 502, 503, 504})

_log = logging.getLogger("revline_usage")


@dataclass(frozen=True, slots=True)
class SenderProblem:
    """Why nothing could be sent just now. Events stay in the outbox and are tried again. status: 0 when nobody answered."""

    status: int
    code: str
    detail: str
    again_after_seconds: float


class Sender:
    """Sends usage events to one Revline.

    url, key: see `HttpTransport`. outbox: a file on a local disk. source: of every event, unless one names its own.
    events_max: how many may wait. batch_events, batch_bytes: of one request. linger_seconds: how long an event may wait for others.
    durable: an event is safe from a power cut when `send` returns (one fsync each); else from the end of the process.
    on_refused: told of each event that Revline will not take; on_problem: told when nothing can be sent. Both are called from the
    sending thread. background: False when the program calls `step` by itself. transport: instead of HTTP.
    """

    def __init__(
        self,
        *,
        url: str = "",
        key: str | Callable[[], str] = "",
        outbox: str | os.PathLike[str],
        source: str,
        events_max: int = 1_000_000,
        batch_events: int = 1_000,
        batch_bytes: int = 1024 * 1024,
        linger_seconds: float = 0.2,
        durable: bool = False,
        on_refused: Callable[[Refused], None] | None = None,
        on_problem: Callable[[SenderProblem], None] | None = None,
        background: bool = True,
        transport: Transport | None = None,
        seconds: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport or HttpTransport(url=url, key=key)
        self._outbox = Outbox(outbox, events_max=events_max, durable=durable)
        self._source = source
        self._batch_events, self._batch_bytes = batch_events, batch_bytes
        self._events_now = batch_events
        self._linger = linger_seconds
        self._on_refused, self._on_problem = on_refused, on_problem
        self._seconds = seconds
        self._background = background
        self._failures = 0
        self._begin()
        _LIVING.add(self)

    def _begin(self) -> None:
        """What a process has of its own: its name, its thread."""
        self._holder = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._wake = threading.Condition()
        self._hurry = self._closing = False
        self._thread: threading.Thread | None = None
        if self._background:
            self._thread = threading.Thread(target=self._run, name="revline-usage", daemon=True)
            self._thread.start()

    # ---- taking events

    def send(
        self,
        *,
        type: str,
        subject: str,
        data: Mapping[str, Any] | None = None,
        id: str | None = None,
        time: datetime | None = None,
        source: str | None = None,
    ) -> str:
        """Takes one event into the outbox and gives its id. Raises `NotAnEvent`, and `OutboxFull` when too much waits."""
        identity = id or new_id()
        body = event_bytes(
            id=identity, source=source or self._source, type=type, subject=subject, time=time, data=data or {}
        )
        self._outbox.add([(identity, body)])
        self._rouse(hurry=False)
        return identity

    def void(self, *, id: str, subject: str, source: str | None = None, reason: str = "") -> str:
        """Takes an event back, by its id; gives the id of the void. An event that is taken back twice is taken back once."""
        data = {"source": source or self._source, "id": id, "reason": reason}
        return self.send(type=VOID_TYPE, subject=subject, data=data)

    # ---- what waits, what was refused

    def waiting(self) -> int:
        """How many events wait in the outbox, those of other processes too."""
        return self._outbox.waiting()

    def refused(self, *, limit: int = 1_000) -> list[Refused]:
        """Events that Revline will not take, oldest first."""
        rows = self._outbox.refused(limit=limit)
        return [Refused(identity, verdict, json.loads(text), body) for identity, verdict, text, body in rows]

    def forget_refused(self) -> int:
        """Drops them; how many there were."""
        return self._outbox.forget_refused()

    def flush(self, *, timeout: float = 10.0) -> bool:
        """Waits until nothing waits any more; False when the time was up first."""
        end = time.monotonic() + timeout
        while self.waiting():
            if time.monotonic() >= end:
                return False
            if self._background:
                self._rouse(hurry=True)
                time.sleep(0.02)
            else:
                self.step()
        return True

    def close(self, *, timeout: float = EXIT_SECONDS) -> bool:
        """Sends what waits for at most `timeout` seconds and ends; False when something still waits, for the next start."""
        _LIVING.discard(self)
        done = self.flush(timeout=timeout)
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=timeout + 1)
        self._outbox.release(holder=self._holder)
        self._transport.close()
        self._outbox.close()
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- sending

    def _rouse(self, *, hurry: bool) -> None:
        if self._thread is not None:
            with self._wake:
                self._hurry = self._hurry or hurry
                self._wake.notify()

    def _run(self) -> None:
        pause = 0.0
        while not self._closing:
            try:
                pause = self.step()
            except Exception:  # noqa: BLE001 - the thread goes on: what waits is on disk
                _log.exception("sending usage failed")
                pause = IDLE_SECONDS
            with self._wake:
                if pause and not self._closing and not (self._hurry and not self._failures):
                    self._wake.wait(pause)
                self._hurry = False
            if pause and not self._failures and not self._closing:
                time.sleep(min(self._linger, pause))

    def step(self) -> float:
        """Sends one batch if something waits; gives the seconds until it makes sense to call it again."""
        if not self._outbox.hold(holder=self._holder, now=self._seconds(), seconds=LEASE_SECONDS):
            return IDLE_SECONDS
        batch = self._outbox.first(events_max=self._events_now, bytes_max=self._batch_bytes)
        if not batch:
            return IDLE_SECONDS
        reply = self._transport.post(b"[" + b",".join(one.body for one in batch) + b"]")
        events = reply.value.get("events")
        if reply.status == 200 and isinstance(events, list) and len(events) == len(batch):
            self._settle(batch, events)
            self._failures = 0
            self._events_now = min(self._batch_events, self._events_now * 2)
            return 0.0
        return self._not_taken(batch, reply)

    def _not_taken(self, batch: Sequence[Kept], reply: Reply) -> float:
        """Nothing of a batch was taken: it is sent later; or, where the request itself is refused, in halves down to the event."""
        passing = reply.status in PASSING or 200 <= reply.status < 400
        if not passing and reply.status not in KEY_REFUSED:
            if len(batch) > 1:
                self._events_now = max(1, len(batch) // 2)
            else:
                self._settle(batch, [{"verdict": "invalid", "problem": dict(reply.value)}])
            return 0.0
        self._failures += 1
        most = min(BACK_OFF_MOST_SECONDS, BACK_OFF_FIRST_SECONDS * 2 ** min(self._failures, 10))
        pause = max(reply.retry_after or 0.0, random.uniform(0.05, most))  # noqa: S311 - jitter only
        if self._on_problem is not None:
            code, detail = str(reply.value.get("code", "")), str(reply.value.get("detail", ""))
            self._on_problem(SenderProblem(reply.status, code, detail, pause))
        return pause

    def _settle(self, batch: Sequence[Kept], events: Sequence[Any]) -> None:
        done: list[int] = []
        refused: list[tuple[int, Refused]] = []
        for one, told in zip(batch, events, strict=True):
            verdict = str(told.get("verdict", "")) if isinstance(told, dict) else ""
            if verdict in DONE:
                done.append(one.position)
            elif verdict:
                why = told.get("problem") or {}
                refused.append((one.position, Refused(one.id, verdict, why, one.body)))
        problems = [json.dumps(dict(each.problem)) for _, each in refused]
        self._outbox.settle(done=done, refused=refused, problems=problems)
        for _, each in refused:
            _log.warning("usage event refused: %s (%s)", each.verdict, each.problem.get("code", ""))
            if self._on_refused is not None:
                self._on_refused(each)

    def _after_fork(self) -> None:
        self._transport.close()
        self._outbox.reopen()
        self._begin()


_LIVING: Final[weakref.WeakSet[Sender]] = weakref.WeakSet()


def _close_all() -> None:
    for sender in list(_LIVING):
        sender.close(timeout=EXIT_SECONDS)


def _reopen_all() -> None:
    for sender in list(_LIVING):
        sender._after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reopen_all)
