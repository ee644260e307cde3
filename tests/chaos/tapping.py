"""A tap on the way to a far side: passes bytes on both ways and knows which call is unanswered when its caller dies.

It stays on the far side's end until the answer comes, so it also knows how long after its caller's death a call was done. The
answer to a call that is to be struck is kept back, so that its caller surely dies waiting for it.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import msgspec

METHOD: Final = re.compile(rb'"method":"([a-z_.]+)"')
CHUNK: Final = 65_536
END_SECONDS: Final = 10.0
HOLD_SECONDS: Final = 0.01


class Cut(msgspec.Struct):
    """A call whose caller went away. done_after_seconds: until the far side answered it, 0 when it had; None when it has not."""

    method: str
    done_after_seconds: float | None = None


class Tap:
    """Listens on loopback in a thread of its own and passes on to `target`. Use as a context manager.

    strikes: told each call as it goes out, in the tap's thread; where it says so, no answer to the call is passed back.
    """

    def __init__(self, *, target: str) -> None:
        parts = urlsplit(target)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tap", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self.strikes: Callable[[str], bool] = lambda _: False
        self.calls: list[str] = []
        self.cuts: list[Cut] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(END_SECONDS)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(END_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=END_SECONDS)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _end(self) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
            try:
                await _Passage(self).run(reader, writer, far_reader, far_writer)
            finally:
                far_writer.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)


class _Passage:
    """One connection through the tap."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._unanswered = ""
        self._held = False
        self._cut: Cut | None = None
        self._cut_at = 0.0

    async def run(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        back = asyncio.create_task(self._pass_back(far_reader, writer))
        try:
            await self._pass_on(reader, far_writer)
            if self._unanswered:
                self._cut, self._cut_at = Cut(method=self._unanswered), time.monotonic()
                self._tap.cuts.append(self._cut)
                await back
        finally:
            back.cancel()

    async def _pass_on(self, reader: asyncio.StreamReader, far_writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                far_writer.write(data)
                await far_writer.drain()
                # Noted after it is on its way: whoever waits for the call may kill its caller at once.
                if found := METHOD.search(data):
                    self._unanswered = found.group(1).decode()
                    self._tap.calls.append(self._unanswered)
                    self._held = self._held or self._tap.strikes(self._unanswered)
        except ConnectionError:
            return

    async def _pass_back(self, far_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await far_reader.read(CHUNK):
            answered_at = time.monotonic()
            while self._held and self._cut is None:
                await asyncio.sleep(HOLD_SECONDS)
            self._unanswered = ""
            if self._cut is not None:
                self._cut.done_after_seconds = max(0.0, answered_at - self._cut_at)
                return
            writer.write(data)
            await writer.drain()
