"""Connections to one far side, one a slot. Knows no request's meaning and no far system.

A pool of many connections looks at every one of them for every request: whether it is open, whether it has expired, whether the
far side closed it, a system call each. With as many connections as slots that cost a third of a call. Here each slot has a
transport of a single connection, and the one used last is used next.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import cast

import httpx2


class SlotTransport(httpx2.AsyncBaseTransport):
    """At most `slots` requests at once; another waits for one to end, as long as its pool time-out says.

    make: a transport of one connection. A slot is free again when the answer is closed.
    """

    def __init__(self, *, slots: int, make: Callable[[], httpx2.AsyncBaseTransport]) -> None:
        self._slots, self._make = slots, make
        self._made: list[httpx2.AsyncBaseTransport] = []
        self._idle: list[httpx2.AsyncBaseTransport] = []
        self._waiting: deque[asyncio.Future[httpx2.AsyncBaseTransport]] = deque()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        transport = await self._take(request.extensions.get("timeout", {}).get("pool"))
        try:
            answer = await transport.handle_async_request(request)
        except BaseException:
            self._give(transport)
            raise
        stream = _Giving(stream=cast(httpx2.AsyncByteStream, answer.stream), give=lambda: self._give(transport))
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=stream, extensions=answer.extensions)

    async def aclose(self) -> None:
        made, self._made, self._idle = self._made, [], []
        for transport in made:
            await transport.aclose()

    async def _take(self, wait_seconds: float | None) -> httpx2.AsyncBaseTransport:
        if self._idle:
            return self._idle.pop()
        if len(self._made) < self._slots:
            self._made.append(self._make())
            return self._made[-1]
        waiter: asyncio.Future[httpx2.AsyncBaseTransport] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(wait_seconds):
                return await waiter
        except BaseException as failure:
            if waiter.done() and not waiter.cancelled():
                self._give(waiter.result())
            waiter.cancel()
            if isinstance(failure, TimeoutError):
                raise httpx2.PoolTimeout("all slots are in use") from None
            raise

    def _give(self, transport: httpx2.AsyncBaseTransport) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(transport)
                return
        self._idle.append(transport)


class _Giving(httpx2.AsyncByteStream):
    """An answer's body that gives its slot back when it is closed."""

    def __init__(self, *, stream: httpx2.AsyncByteStream, give: Callable[[], None]) -> None:
        self._stream = stream
        self._give: Callable[[], None] | None = give

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            give, self._give = self._give, None
            if give is not None:
                give()


def network_transport(*, slots: int) -> SlotTransport:
    """Over the network: no proxy or certificate of the environment, connections kept for half a minute."""
    one = httpx2.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
    return SlotTransport(
        slots=slots, make=lambda: httpx2.AsyncHTTPTransport(verify=_trust(), limits=one, trust_env=False)
    )


@cache
def _trust() -> ssl.SSLContext:
    """Reading the authorities takes a tenth of a second, so all far sides of a process share them."""
    return httpx2.create_ssl_context(trust_env=False)
