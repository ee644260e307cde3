"""A far side on the machine's own loopback that does what it is told with each request, and the callers to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from revline.connectors.sdk.http import HttpCaller

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RoughFarSide:
    """heard: head and body of every request, in order. connections: how many were opened. answer: what it does with one."""

    def __init__(self, behave: Behave | None = None) -> None:
        self.heard: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.behave = behave or answer(b"{}")
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def caller(self, *, headers: Mapping[str, str] | None = None, slots: int = 8, path: str = "",
               call_timeout: timedelta = timedelta(seconds=5), connect_timeout: timedelta = timedelta(seconds=5),
               ) -> HttpCaller:  # fmt: skip
        """Over the network."""
        return HttpCaller(
            base_url=self.url + path,
            transport=None,
            headers=headers or {},
            secrets=("s3cr3t-token-value",),
            call_timeout=call_timeout,
            connect_timeout=connect_timeout,
            slots=slots,
        )

    async def __aenter__(self) -> RoughFarSide:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *raised: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = header(head, "content-length") or "0"
                self.heard.append(head)
                self.heard[-1] += await reader.readexactly(int(length))
                await self.behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


def header(head: bytes, name: str) -> str | None:
    """One header of a request that was heard."""
    for line in head.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]:
        found, _, value = line.partition(": ")
        if found.lower() == name:
            return value
    return None


def raw(data: bytes, *, close: bool = False) -> Behave:
    """Say exactly this."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return behave


def answer(body: bytes, *, status: str = "200 OK", headers: str = "") -> Behave:
    """A whole answer."""
    return raw(f"HTTP/1.1 {status}\r\n{headers}content-length: {len(body)}\r\n\r\n".encode("latin-1") + body)


def reset() -> Behave:
    """Take the request, then cut the connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    return behave


def silent() -> Behave:
    """Never answer."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    return behave
