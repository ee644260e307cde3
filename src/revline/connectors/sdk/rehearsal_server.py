"""A simulated system's HTTP/1.1 on the loopback address, with nothing but the standard library, because a server that may drop a
connection after it has committed is what is being simulated.

Knows sockets, limits, threads, signals and the ready file; what a request means is the simulator's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final, Generic, TypeVar

from revline.connectors.sdk.rehearsal_calls import Answer, ArrivalT, CallT_contra, Request, SimulatedSystem

HOST: Final = "127.0.0.1"
HEADER_BYTES_MAX: Final = 32_768
CONNECTIONS_MAX: Final = 512
IDLE_SECONDS: Final = 60.0
READ_SECONDS: Final = 30.0
START_SECONDS: Final = 10.0
ACT_SECONDS: Final = 30.0
T = TypeVar("T")


class BadRequestError(Exception):
    """What came in is not a request this server reads."""


class Exchange:
    """One request on its connection, to be answered once."""

    def __init__(
        self, *, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content_type: str
    ) -> None:
        self.request = request
        self.keep = request.headers.get("connection", "").lower() != "close"
        self._reader, self._writer, self._content_type = reader, writer, content_type

    @property
    def gone(self) -> bool:
        """Whether the caller is no longer there."""
        return self._reader.at_eof() or self._writer.transport.is_closing()

    async def answer(self, answer: Answer) -> None:
        """Send the answer, or close the connection when it is lost. ConnectionError: the caller is gone."""
        if answer.lost:
            self.keep = False
            self._writer.transport.abort()
            return
        self._writer.write(_response(answer, content_type=self._content_type, keep=self.keep))
        await self._writer.drain()


class LoopbackServer:
    """Reads requests and has each answered by `handle`. malformed: what is answered to anything else, None closes the connection.
    content_type: of answers that name none."""

    def __init__(
        self,
        *,
        handle: Callable[[Exchange], Awaitable[None]],
        body_bytes_max: int,
        header_bytes_max: int = HEADER_BYTES_MAX,
        malformed: Answer | None = None,
        content_type: str = "application/json",
    ) -> None:
        self._handle, self._malformed, self._content_type = handle, malformed, content_type
        self._body_bytes_max, self._header_bytes_max = body_bytes_max, header_bytes_max
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, *, port: int, stopping: asyncio.Event, tell: Callable[[int], None]) -> None:
        """Serve until `stopping` is set. port: 0 takes a free one; `tell` hears which, once it listens."""
        listener = await asyncio.start_server(
            self._connection, HOST, port, limit=self._header_bytes_max, backlog=CONNECTIONS_MAX
        )
        tell(listener.sockets[0].getsockname()[1])
        try:
            await stopping.wait()
        finally:
            listener.close()
            for task in tuple(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            pass
        except (BadRequestError, asyncio.LimitOverrunError, ValueError):
            if self._malformed is not None:
                with contextlib.suppress(ConnectionError):
                    writer.write(_response(self._malformed, content_type=self._content_type, keep=False))
                    await writer.drain()
        finally:
            self._connections.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(IDLE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(READ_SECONDS):
            request = await _read(head, reader, self._body_bytes_max)
        exchange = Exchange(request=request, reader=reader, writer=writer, content_type=self._content_type)
        await self._handle(exchange)
        return exchange.keep


class EffectsServer(Generic[CallT_contra, ArrivalT]):
    """Answers exchanges for a simulated system. A call's effects are on the disk before it is answered; concurrent calls share a
    flush. read: the system's own call from a request, ValueError for what is none."""

    def __init__(
        self, *, system: SimulatedSystem[CallT_contra, ArrivalT], read: Callable[[Request], CallT_contra]
    ) -> None:
        self._system, self._read = system, read
        self._flush = asyncio.Lock()

    async def handle(self, exchange: Exchange) -> None:
        """One call, from its arrival until it is answered, dropped or its caller is gone."""
        arrival = self._system.arrive(call=self._read(exchange.request))
        gone = False
        try:
            answer = await self._answer(arrival)
            gone = exchange.gone
            await exchange.answer(answer)
        except ConnectionError:
            gone = True
            raise
        finally:
            self._system.leave(arrival=arrival, client_gone=gone)
            if gone:
                await self._durable()

    async def _answer(self, arrival: ArrivalT) -> Answer:
        if arrival.wait_before:
            await asyncio.sleep(arrival.wait_before.total_seconds())
        answer = self._system.process(arrival=arrival)
        await self._durable()
        if arrival.wait_after:
            await asyncio.sleep(arrival.wait_after.total_seconds())
        return answer

    async def _durable(self) -> None:
        file = self._system.file
        if file is None:
            return
        target = file.appended
        while file.synced < target:
            async with self._flush:
                if file.synced < target:
                    await asyncio.to_thread(file.sync)


class ServingThread:
    """A server in a thread of this process, so that a test can act on what it serves between two calls.

    serving: serves until the event is set, and tells its port once it listens. name: of the system, for errors.
    """

    def __init__(
        self, *, name: str, serving: Callable[[asyncio.Event, Callable[[int], None]], Awaitable[None]]
    ) -> None:
        self.port = 0
        self._name, self._serving = name, serving
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def start(self) -> None:
        """Start the thread and wait until it listens; TimeoutError when it does not."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise TimeoutError(f"the {self._name} did not start in time")

    def stop(self) -> None:
        """End it in good order."""
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_SECONDS)

    def do(self, act: Callable[[], T]) -> T:
        """Act in its thread, between two calls. RuntimeError before it was started."""

        async def acting() -> T:
            return act()

        if self._loop is None:
            raise RuntimeError(f"the {self._name} does not run")
        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(ACT_SECONDS)

    async def _run(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await self._serving(self._stopping, self._tell)

    def _tell(self, port: int) -> None:
        self.port = port
        self._ready.set()


def until_signalled() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, of the running loop."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def announce(*, port: int, facts: Mapping[str, object], secrets: Mapping[str, str], ready_file: Path | None) -> None:
    """Say where it listens: a line of JSON, and the same with the secrets in a file only its owner can read."""
    ready = {"base_url": f"http://{HOST}:{port}", "port": port, "pid": os.getpid(), **facts}
    if ready_file is not None:
        write_private(path=ready_file, data=json.dumps({**ready, **secrets}).encode())
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()


def write_private(*, path: Path, data: bytes) -> None:
    """Write a file only its owner can read, whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)


async def _read(head: bytes, reader: asyncio.StreamReader, body_bytes_max: int) -> Request:
    lines = head[:-4].decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.partition(" ")
    if version != "HTTP/1.1":
        raise BadRequestError
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise BadRequestError
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdecimal() or len(length) > 9 or int(length) > body_bytes_max:
        raise BadRequestError
    body = await reader.readexactly(int(length)) if length != "0" else b""
    base_url = f"http://{headers.get('host', HOST)}"
    return Request(method=method, base_url=base_url, target=target, headers=headers, body=body)


def _response(answer: Answer, *, content_type: str, keep: bool) -> bytes:
    headers = {"content-type": content_type, **{name.lower(): value for name, value in answer.headers}}
    headers |= {"content-length": str(len(answer.body)), "connection": "keep-alive" if keep else "close"}
    if answer.status == 204:
        headers.pop("content-length")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n{head}\r\n".encode("latin-1") + answer.body
