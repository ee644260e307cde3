"""The simulated org on loopback: HTTP/1.1 with nothing but the standard library, in a thread or in a process of its own.

`python -m revline.connectors.salesforce.simulator.server --ready-file FILE` serves the story of `story` until it is ended.
Knows sockets; what a call means is `api`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec

from revline.connectors.salesforce.simulator.api import BODY_BYTES_MAX, Answer, Api, Call
from revline.connectors.salesforce.simulator.login import Logins
from revline.connectors.salesforce.simulator.org import Org
from revline.connectors.salesforce.simulator.story import quote_to_order
from revline.core.clock import Clock, SystemClock

T = TypeVar("T")
HOST: Final = "127.0.0.1"
HEADER_BYTES_MAX: Final = 65_536
IDLE_SECONDS: Final = 60.0
HELD_STEP_SECONDS: Final = 0.05
CONSUMER_KEY: Final = "3MVG9simulated"
CONSUMER_SECRET: Final = "simulated-consumer-secret"  # noqa: S105 -- of a simulator that serves loopback only
USERNAME: Final = "integration@simulated.example"
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


class SimulatedSalesforce:
    """One org behind one address. As a context manager it serves from a thread; `api` may be steered meanwhile.

    public_key: of the connected app, for assertions. port: 0 takes a free one.
    """

    def __init__(
        self, *, org: Org | None = None, clock: Clock | None = None, public_key: str = "", port: int = 0
    ) -> None:
        self.clock = clock or (org.clock if org is not None else SystemClock())
        self.org = org or Org(clock=self.clock)
        logins = Logins(
            clock=self.clock,
            consumer_key=CONSUMER_KEY,
            consumer_secret=CONSUMER_SECRET,
            username=USERNAME,
            public_key=public_key,
            lifetime=self.org.behaviour.token_lifetime,
        )
        self.api = Api(org=self.org, logins=logins)
        self.port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve_in_thread, args=(ready,), daemon=True)
        self._thread.start()
        if not ready.wait(timeout=10):
            raise TimeoutError("the simulated org did not start in time")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            self._thread.join(timeout=10)

    def do(self, act: Callable[[Org], T]) -> T:
        """Act on the org between two calls, as people who work in it do, while it serves from its thread."""

        async def acting() -> T:
            return act(self.org)

        if self._loop is None:
            raise RuntimeError("the simulated org does not run")
        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(30)

    async def serve(self, *, ready: Callable[[], Any], stopping: asyncio.Event) -> None:
        """Serve until `stopping` is set; `ready` is called once it listens."""
        listener = await asyncio.start_server(self._connection, HOST, self.port, limit=HEADER_BYTES_MAX)
        self.port = listener.sockets[0].getsockname()[1]
        ready()
        try:
            await stopping.wait()
        finally:
            listener.close()
            for task in tuple(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def _serve_in_thread(self, ready: threading.Event) -> None:
        async def main() -> None:
            self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
            await self.serve(ready=ready.set, stopping=self._stopping)

        asyncio.run(main())

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(IDLE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head[:-4].decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            length = int(headers.get("content-length", "0"))
            if not 0 <= length <= BODY_BYTES_MAX:
                raise ValueError("too large")
            body = await reader.readexactly(length)
        url = urlsplit(target)
        query = dict(parse_qsl(url.query, keep_blank_values=True, max_num_fields=100))
        call = Call(method=method, path=url.path, query=query, headers=headers, body=body)
        answer = self.api.handle(call=call)
        waited = 0.0
        while answer.idle and waited < self.org.behaviour.connect_wait.total_seconds():
            await asyncio.sleep(HELD_STEP_SECONDS)
            waited += HELD_STEP_SECONDS
            answer = self.api.handle(call=call)
        if answer.lost:
            writer.transport.abort()
            return False
        writer.write(self._response(answer))
        await writer.drain()
        return headers.get("connection", "").lower() != "close"

    def _response(self, answer: Answer) -> bytes:
        body = (
            b""
            if answer.body is None
            else answer.body
            if isinstance(answer.body, bytes)
            else _ENCODER.encode(answer.body)
        )
        headers = {
            "Date": format_datetime(self.clock.now(), usegmt=True),
            "Content-Type": "application/json;charset=UTF-8",
            "Content-Length": str(len(body)),
            **answer.headers,
        }
        if answer.status == 204:
            headers.pop("Content-Length")
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n{head}\r\n".encode("latin-1") + body


async def run(*, port: int, ready_file: Path | None, told: bool) -> None:
    """Serve one org until SIGTERM or SIGINT. told: with the records of the story in it."""
    server = SimulatedSalesforce(port=port)
    if told:
        quote_to_order(org=server.org)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stopping.set)

    def ready() -> None:
        facts = {"base_url": server.base_url, "port": server.port, "consumer_key": CONSUMER_KEY}
        text = json.dumps(facts | {"consumer_secret": CONSUMER_SECRET})
        if ready_file is not None:
            part = ready_file.with_name(ready_file.name + ".part")
            part.write_text(text)
            part.replace(ready_file)
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    with contextlib.suppress(asyncio.CancelledError):
        await server.serve(ready=ready, stopping=stopping)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated Salesforce org on the loopback address.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, help="written once it listens: address and log-in")
    parser.add_argument("--empty", action="store_true", help="without the records of the story")
    options = parser.parse_args(arguments)
    asyncio.run(run(port=options.port, ready_file=options.ready_file, told=not options.empty))


if __name__ == "__main__":
    main()
