"""Serves an ASGI application from this process: one address, bounded drain on SIGTERM and SIGINT."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from revline.platform.logs import log

DRAIN_SECONDS: Final = 20
THREADS: Final = Path("/proc/self/task")
BACKPRESSURE: Final = 256
HEADER_TIMEOUT_MILLISECONDS: Final = 10_000
BUFFER_BYTES_MAX: Final = 256 * 1024


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free just now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.bind((host, 0))
        return int(taken.getsockname()[1])


def serve(
    app_factory: Callable[[], Any],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    drain_seconds: int = DRAIN_SECONDS,
    public: bool = False,
    on_started: Callable[[int], None] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then takes no new connection, lets requests under way end for at most `drain_seconds`, and
    returns.

    port 0 takes a free one; on_started hears which. public: allow an address that is not loopback (ValueError otherwise).
    Raises OSError when the address can't be listened on.
    """
    if not public and not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} is not a loopback address")
    if port:
        _try_address(host, port)
    asyncio.run(_serve(app_factory(), host, port or free_port(host), drain_seconds, on_started))


def _try_address(host: str, port: int) -> None:
    """The server library aborts with a trace of its own when it can't bind, so the address is tried before."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind((host, port))
        trial.listen(1)


async def _serve(app: Any, host: str, port: int, drain_seconds: int, on_started: Callable[[int], None] | None) -> None:
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backpressure=BACKPRESSURE,
        http1_settings=HTTP1Settings(
            header_read_timeout=HEADER_TIMEOUT_MILLISECONDS, max_buffer_size=BUFFER_BYTES_MAX, pipeline_flush=False
        ),
        log_enabled=False,
    )
    native_before = _native_threads()
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    running = asyncio.ensure_future(server.serve())
    log().info("api.serving", host=host, port=port, process_id=os.getpid())
    if on_started is not None:
        await _listening(host, port, running)
        on_started(port)
    waiting = asyncio.ensure_future(asked.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    log().info("api.draining", port=port)
    server.stop()  # type: ignore[no-untyped-call]
    try:
        await asyncio.wait_for(running, timeout=drain_seconds)
    except TimeoutError:
        log().warning("api.drain_cut", limit=drain_seconds)
    waiting.cancel()
    await _threads_gone(native_before)


async def _listening(host: str, port: int, running: asyncio.Future[None]) -> None:
    for _ in range(500):
        if running.done():
            return
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


def _native_threads() -> set[int]:
    """Threads of this process that Python did not start; none where the system has no way to tell."""
    known = {thread.native_id for thread in threading.enumerate()}
    return {int(task.name) for task in THREADS.iterdir()} - known if THREADS.is_dir() else set()


async def _threads_gone(before: set[int]) -> None:
    """The server library's threads outlive its stop by moments and abort the process if the interpreter ends under them."""
    for _ in range(100):
        await asyncio.sleep(0.01)
        if THREADS.is_dir() and not _native_threads() - before:
            return
