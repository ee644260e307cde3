"""A proxy between workers and an ERP that breaks connections on demand, and knows which calls of whom are unanswered.

It takes whole requests and whole answers, so that what it cuts is cut at a known place. It knows HTTP's framing and nothing of
what the calls mean, but which of them are marked: as a rule those with documents, which are POSTs with an X-Request-Id.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import msgspec

END_SECONDS: Final = 10.0
HOLD_SECONDS: Final = 0.01
HEAD_BYTES_MAX: Final = 65_536
LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
DOCUMENTS: Final = re.compile(rb"\APOST .*?\r\nx-request-id: *([^\r]+)", re.IGNORECASE | re.DOTALL)
"""A call with documents, and its request id."""


class Break(StrEnum):
    """What becomes of one call's connection.

    reset_unsent: reset (RST) before anything is passed on. cut_request: half of the request is passed on, then both sides are
    reset. reset_answer: reset once the request is passed on; the ERP carries it out. cut_answer: half of the answer, then reset.
    silent_request, silent_answer: nothing is passed on, or no answer comes back, and the connection stays open.
    """

    RESET_UNSENT = "reset_unsent"
    CUT_REQUEST = "cut_request"
    RESET_ANSWER = "reset_answer"
    CUT_ANSWER = "cut_answer"
    SILENT_REQUEST = "silent_request"
    SILENT_ANSWER = "silent_answer"


class UnderWay(msgspec.Struct, frozen=True, kw_only=True):
    """A marked call that is not answered. since: by the monotonic clock."""

    request_id: str
    since: float


class Proxy:
    """Listens on loopback in a thread of its own and passes calls on to `target`. Use as a context manager.

    marks: which calls are marked, and what names one. holding: while it is set, no answer to a marked call is passed back, so that
    whoever is to be struck still waits for one. abandoned: marked calls whose caller went away before the answer, but for those the
    proxy broke itself. broken: how many calls it broke, by how. passed: requests that were answered.
    """

    def __init__(self, *, target: str, marks: re.Pattern[bytes] = DOCUMENTS) -> None:
        parts = urlsplit(target)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_come: list[Break] = []
        self._chance = random.Random(0)
        self._percent = 0
        self._unanswered: dict[int, UnderWay] = {}
        self.marks = marks
        self.holding = False
        self.passed: list[bytes] = []
        self.abandoned: list[str] = []
        self.broken: Counter[Break] = Counter()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(END_SECONDS)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self.base_url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(END_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=END_SECONDS)
        self._loop.close()

    def break_next(self, breaks: Sequence[Break]) -> None:
        """Break the next marked calls, one each."""
        self._to_come.extend(breaks)

    def disturb(self, *, seed: int, percent: int) -> None:
        """From now on break so many calls in a hundred, whatever they carry; drawn from the seed."""
        self._chance, self._percent = random.Random(seed), percent

    def unanswered(self) -> dict[int, UnderWay]:
        """Marked calls that are not answered, by their caller's port, the oldest first."""
        return dict(self._unanswered)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)

    async def _end(self) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _break_of(self, *, marked: bool) -> Break | None:
        found: Break | None = None
        if marked and self._to_come:
            found = self._to_come.pop(0)
        elif self._percent and self._chance.randrange(100) < self._percent:
            found = self._chance.choice(list(Break))
        if found is not None:
            self.broken[found] += 1
        return found

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        port = int(writer.get_extra_info("peername")[1])
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while (request := await _message(reader)) is not None:
                named = self.marks.search(request)
                found = self._break_of(marked=named is not None)
                if far is None:
                    far = await asyncio.open_connection(self._host, self._port, limit=HEAD_BYTES_MAX)
                passage = _Passage(reader=reader, writer=writer, far_reader=far[0], far_writer=far[1])
                if found is not None:
                    await passage.broken(request, found)
                    return
                if named is not None:
                    request_id = named.group(1).decode()
                    self._unanswered[port] = UnderWay(request_id=request_id, since=time.monotonic())
                try:
                    answered = await passage.through(request, held=lambda: self.holding and port in self._unanswered)
                    if named is not None and passage.caller_gone:
                        self.abandoned.append(request_id)
                finally:
                    self._unanswered.pop(port, None)
                if not answered:
                    return
                self.passed.append(request)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in (writer, far[1] if far else None):
                if each is not None:
                    each.transport.abort()
            self._tasks.discard(task)


class _Passage:
    """One call on its way there and back."""

    def __init__(
        self,
        *,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._far_reader, self._far_writer = far_reader, far_writer
        self.caller_gone = False

    async def through(self, request: bytes, *, held: Callable[[], bool]) -> bool:
        """False when the caller went away before the answer came, or the ERP gave none. held: whether the answer is kept back."""
        self._far_writer.write(request)
        answer = asyncio.ensure_future(self._answer(held))
        gone = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                self.caller_gone = True
                return False
            body = answer.result()
        finally:
            for task in (answer, gone):
                task.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)
        if body is None:
            return False
        self._writer.write(body)
        await self._writer.drain()
        return True

    async def _answer(self, held: Callable[[], bool]) -> bytes | None:
        body = await _message(self._far_reader)
        while held():
            await asyncio.sleep(HOLD_SECONDS)
        return body

    async def broken(self, request: bytes, how: Break) -> None:
        """Break the call; both connections are of no use afterwards."""
        match how:
            case Break.RESET_UNSENT:
                _reset(self._writer)
            case Break.CUT_REQUEST:
                self._far_writer.write(request[: len(request) // 2])
                await self._far_writer.drain()
                _reset(self._far_writer)
                _reset(self._writer)
            case Break.RESET_ANSWER:
                self._far_writer.write(request)
                await self._far_writer.drain()
                _reset(self._writer)
                await _message(self._far_reader)
            case Break.CUT_ANSWER:
                self._far_writer.write(request)
                body = await _message(self._far_reader) or b""
                self._writer.write(body[: len(body) // 2])
                await self._writer.drain()
                _reset(self._writer)
            case Break.SILENT_REQUEST:
                await self._reader.read(1)
            case Break.SILENT_ANSWER:
                self._far_writer.write(request)
                await _message(self._far_reader)
                await self._reader.read(1)


def holder_of(*, port: int, processes: Sequence[int]) -> int | None:
    """Which of these processes holds the connection from this local port; None when none does (any more)."""
    local = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[1] == local}
    for process in processes:
        try:
            links = [str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir()]
        except OSError:
            continue
        if sockets & set(links):
            return process
    return None


async def _message(reader: asyncio.StreamReader) -> bytes | None:
    """One whole request or answer; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = LENGTH.search(head)
        return head + await reader.readexactly(int(length.group(1)) if length else 0)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST: what was not read is lost on the other side."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
