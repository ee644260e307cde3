"""The simulated Stripe on a free port of the loopback address, in a thread of its own or a process of its own.

`python -m revline.connectors.stripe.simulator.server` prints its address and its key and runs until a signal. Knows sockets and
time; what a call means is `api`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qs

import httpx2

from revline.connectors.sdk.http import checked_base_url
from revline.connectors.stripe.simulator.account import Rules
from revline.connectors.stripe.simulator.api import Answer, SimulatedStripe
from revline.connectors.stripe.simulator.webhooks import Delivery
from revline.core.clock import SystemClock

T = TypeVar("T")
HOST: Final = "127.0.0.1"
HEADER_BYTES_MAX: Final = 32_768
BODY_BYTES_MAX: Final = 1_000_000
IDLE_SECONDS: Final = 60.0
DELIVER_EVERY_SECONDS: Final = 0.02
CONTROL: Final = "/_simulator/"


class Server:
    """Serves one simulated account and delivers its webhooks."""

    def __init__(self, *, stripe: SimulatedStripe) -> None:
        self._stripe = stripe
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it closes."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, asyncio.LimitOverrunError, ValueError):
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()

    async def deliver(self, stopping: asyncio.Event) -> None:
        """Deliver webhooks until told to stop. Addresses outside the loopback must be https, as everywhere."""
        async with httpx2.AsyncClient(trust_env=False, timeout=10.0) as client:
            while not stopping.is_set():
                for delivery in self._stripe.outbox.due():
                    await self._deliver(client, delivery)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), DELIVER_EVERY_SECONDS)

    async def _deliver(self, client: httpx2.AsyncClient, delivery: Delivery) -> None:
        try:
            url = checked_base_url(url=delivery.url)
            headers = self._stripe.outbox.headers(delivery)
            answer = await client.post(url, content=delivery.body, headers=headers)
            taken = 200 <= answer.status_code < 300
        except (httpx2.HTTPError, OSError, ValueError):
            taken = False
        self._stripe.outbox.done(delivery, taken=taken)

    async def close(self) -> None:
        """Drop every connection."""
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(IDLE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        lines = head[:-4].decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= BODY_BYTES_MAX:
            raise ValueError("the body is too long")
        body = await reader.readexactly(length) if length else b""
        if target.startswith(CONTROL):
            answer = control(self._stripe, verb=target.removeprefix(CONTROL), headers=headers, body=body)
        else:
            answer = self._stripe.call(method=method, target=target, headers=headers, body=body)
        if answer.lost:
            writer.transport.abort()
            return False
        writer.write(_response(answer))
        await writer.drain()
        return headers.get("connection", "").lower() != "close"


def control(stripe: SimulatedStripe, *, verb: str, headers: dict[str, str], body: bytes) -> Answer:
    """Steering from another process, under the API key: fault (kind, times, path), advance (seconds), payout, counters."""
    probe = stripe.call(method="GET", target="/v1/events?limit=1", headers=headers, body=b"")
    if probe.status != 200:
        return probe
    given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    said: dict[str, Any] = {"done": True}
    try:
        if verb == "fault":
            stripe.add_fault(given["kind"], times=int(given.get("times", "1")), path=given.get("path", ""))
        elif verb == "advance":
            stripe.advance(int(given["seconds"]))
        elif verb == "counters":
            said = {"calls": stripe.calls, "waiting": len(stripe.outbox.waiting), "lost": stripe.outbox.lost}
        else:
            return Answer(status=404, body=b'{"error": {"message": "there is no such verb"}}')
    except (KeyError, ValueError) as error:
        return Answer(status=400, body=json.dumps({"error": {"message": str(error)}}).encode())
    return Answer(status=200, body=json.dumps(said).encode())


def _response(answer: Answer) -> bytes:
    headers = {**dict(answer.headers), "content-length": str(len(answer.body)), "connection": "keep-alive"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n{head}\r\n".encode("latin-1") + answer.body


class RunningStripe:
    """A simulated Stripe in a thread of this process. Use as a context manager. clock: unix seconds, the system's by default."""

    def __init__(
        self, *, key: str = "sk_test_simulated", clock: Callable[[], int] | None = None, rules: Rules | None = None
    ) -> None:
        self.key = key
        self.stripe = SimulatedStripe(key=key, clock=clock or _system_seconds, rules=rules)
        self.base_url = ""
        self._thread = threading.Thread(target=self._run, name="simulated-stripe", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise TimeoutError("the simulated Stripe did not start in time")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def do(self, act: Callable[[SimulatedStripe], T]) -> T:
        """Act on the account between two calls, as what happens at Stripe without a call does."""

        async def acting() -> T:
            return act(self.stripe)

        if self._loop is None:
            raise RuntimeError("the simulated Stripe does not run")
        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result(30)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()

        def tell(port: int) -> None:
            self.base_url = f"http://{HOST}:{port}"
            self._ready.set()

        await serve(self.stripe, port=0, stopping=self._stopping, tell=tell)


async def serve(stripe: SimulatedStripe, *, port: int, stopping: asyncio.Event, tell: Callable[[int], None]) -> None:
    """Serve until told to stop; `tell` hears the port."""
    server = Server(stripe=stripe)
    listener = await asyncio.start_server(server.serve, HOST, port, limit=HEADER_BYTES_MAX)
    tell(listener.sockets[0].getsockname()[1])
    delivering = asyncio.create_task(server.deliver(stopping))
    try:
        await stopping.wait()
    finally:
        listener.close()
        await server.close()
        await delivering


def _system_seconds() -> int:
    return int(SystemClock().now().timestamp())


async def _run(*, port: int, ready_file: Path | None) -> None:
    stripe_key = f"sk_test_{secrets.token_urlsafe(24)}"
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    def tell(bound: int) -> None:
        ready = {"base_url": f"http://{HOST}:{bound}", "pid": os.getpid()}
        if ready_file is not None:
            descriptor = os.open(ready_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(json.dumps({**ready, "key": stripe_key}))
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()

    stripe = SimulatedStripe(key=stripe_key, clock=_system_seconds)
    await serve(stripe, port=port, stopping=stopping, tell=tell)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated Stripe on the loopback address.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--ready-file", type=Path, help="written once it listens, readable by its owner: address and key"
    )
    options = parser.parse_args(arguments)
    asyncio.run(_run(port=options.port, ready_file=options.ready_file))


if __name__ == "__main__":
    main()
