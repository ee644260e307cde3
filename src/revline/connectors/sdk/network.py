"""The wire over the network: HTTP/1.1, one connection a slot. Knows no far system.

No proxy, netrc or cookie is read, no redirect followed, and no request leaves twice: the library would repeat some on a connection
that broke, of which nobody knows what came of the first.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from functools import cache
from typing import Final

import aiohttp
import httpx2
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from yarl import URL

from revline.connectors.sdk import wire
from revline.connectors.sdk.slots import Slots
from revline.connectors.sdk.wire import (
    HARMLESS,
    HttpAnswer,
    HttpRequest,
    left,
    no_longer_ours,
    no_slot,
    not_left,
    packed_too_often,
    too_long,
)
from revline.core.farside import NotSent, Uncertain

KEPT_SECONDS: Final = 30.0
"""How long a connection that nobody uses is kept."""
HEADER_BYTES_MAX: Final = 64 * 1024
"""Of one line of an answer's head."""
_BEFORE_SENDING: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_FAILURES: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError, RuntimeError)


class NetworkWire:
    """connectors.sdk.wire.Wire, to be used and closed in one event loop, and made in any place."""

    def __init__(self, *, slots: int) -> None:
        self._slots = Slots(slots=slots, make=_Channel)

    async def exchange(self, request: HttpRequest) -> HttpAnswer | NotSent | Uncertain:
        """As the port says."""
        body = _Body(request)
        try:
            async with asyncio.timeout(request.call_seconds):
                channel = await self._slots.take(wait_seconds=request.connect_seconds)
                if channel is None:
                    return no_slot()
                try:
                    return await _exchange(channel.session, request, body)
                finally:
                    self._slots.give(channel)
        except _FAILURES as failure:
            if body.refused:
                return no_longer_ours()
            # The library wraps what happened in words that differ from run to run.
            cause = (failure.__cause__ if isinstance(failure, aiohttp.ClientError) else None) or failure
            return left(cause) if body.left and not isinstance(failure, _BEFORE_SENDING) else not_left(cause)

    async def close(self) -> None:
        """Close every connection; what is under way on one fails."""
        for channel in self._slots.close():
            await channel.session.close()


class _StaleError(aiohttp.ClientError):
    """A kept connection has ended; nothing left on it."""


class _BrokenError(aiohttp.ClientError):
    """A connection broke: of a kind that the library does not answer with a second try."""


class _Body(aiohttp.BytesPayload):
    """A request's content, which leaves together with the head if it still may.

    left: whether any byte may have left. A request that only asks has no content to hold back, and counts as having left.
    """

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request.content)
        self._may_send = request.may_send
        self.needed = bool(request.content) or request.method not in HARMLESS
        self.left = not self.needed
        self.refused = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """As the library asks, once the connection stands. What is raised here ends the call, and the connection."""
        if self._may_send is not None and not self._may_send():
            self.refused = True
            raise aiohttp.ClientError
        self.left = True
        await super().write_with_length(writer, content_length)


class _Request(aiohttp.ClientRequest):
    """A request that does not leave on a connection that was kept and has ended meanwhile."""

    kept = False

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """As the library asks, once the connection stands."""
        if self.kept and _speaks(conn):
            raise _StaleError
        return await super().send(conn)


def _speaks(connection: Connection) -> bool:
    """Whether a connection that is to be silent has something to read: its end, of which this loop has not heard yet."""
    socket = None if connection.transport is None else connection.transport.get_extra_info("socket")
    if socket is None:
        return False
    poll = select.poll()
    poll.register(socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class _Channel:
    """One connection at a time, opened anew when it ended."""

    def __init__(self) -> None:
        self._kept = False
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=_trust(), keepalive_timeout=KEPT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("content-type",),
            trust_env=False,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            request_class=_Request,
            middlewares=(self._once,),
        )

    async def _once(self, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Try a kept connection, or else a new one; what breaks on it is not tried again."""
        assert isinstance(request, _Request)
        request.kept = self._kept
        try:
            try:
                answer = await send(request)
            except _StaleError:
                request.kept = False
                answer = await send(request)
        except _BEFORE_SENDING:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as failure:
            raise _BrokenError from failure
        self._kept = True
        return answer


async def _exchange(session: aiohttp.ClientSession, request: HttpRequest, body: _Body) -> HttpAnswer | Uncertain:
    async with session.request(
        request.method,
        URL(request.url, encoded=True),
        headers=request.headers,
        data=body if body.needed else None,
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=request.connect_seconds),
    ) as answer:
        if "," in ",".join(answer.headers.getall("content-encoding", ())):
            return packed_too_often(answer.status)
        found = await answer.content.readany()
        if not answer.content.at_eof():
            parts = bytearray(found)
            while part := await answer.content.readany():
                parts += part
                if len(parts) > wire.ANSWER_BYTES_MAX:
                    return too_long(answer.status)
            found = bytes(parts)
        if len(found) > wire.ANSWER_BYTES_MAX:
            return too_long(answer.status)
        return HttpAnswer(status=answer.status, headers=_headers(answer), body=found)


def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    """Names in lower case; a header that comes more than once has its values joined (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for name, value in answer.headers.items():
        # Bytes that are no UTF-8 come as surrogates, which nothing can store.
        shown = value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        key = name.lower()
        headers[key] = f"{headers[key]}, {shown}" if key in headers else shown
    return headers


@cache
def _trust() -> ssl.SSLContext:
    """Reading the authorities takes a tenth of a second, so all far sides of a process share them."""
    context = httpx2.create_ssl_context(trust_env=False)
    context.set_alpn_protocols(["http/1.1"])
    return context
