"""A wire over a transport that is given from outside: a simulator in this process, a rehearsal, a guarded connection. Knows no
far system."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx2

from revline.connectors.sdk import wire
from revline.connectors.sdk.wire import (
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

_BEFORE_SENDING: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)


class _NoLongerOursError(Exception):
    """Whoever asked for the call may not make it any more; its body did not leave."""


class _HeldBack(httpx2.AsyncByteStream):
    """A body that is handed out only if it still may be sent."""

    def __init__(self, *, body: bytes, may_send: Callable[[], bool]) -> None:
        self._body, self._may_send = body, may_send

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self._may_send():
            raise _NoLongerOursError
        yield self._body


class CarriedWire:
    """connectors.sdk.wire.Wire over httpx2's port, whose exceptions say whether anything left."""

    def __init__(self, *, transport: httpx2.AsyncBaseTransport) -> None:
        self._transport = transport

    async def exchange(self, request: HttpRequest) -> HttpAnswer | NotSent | Uncertain:
        """As the port says."""
        whole, connect = request.call_seconds, request.connect_seconds
        given = httpx2.Request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            extensions={"timeout": httpx2.Timeout(whole, connect=connect, pool=connect).as_dict()},
        )
        if request.may_send is not None:
            given.stream = _HeldBack(body=request.content, may_send=request.may_send)
        try:
            async with asyncio.timeout(whole):
                return await self._carry(given)
        except _NoLongerOursError:
            return no_longer_ours()
        except httpx2.PoolTimeout:
            return no_slot()
        except _BEFORE_SENDING as failure:
            return not_left(failure)
        except (httpx2.HTTPError, httpx2.StreamError, OSError, TimeoutError) as failure:
            return left(failure)

    async def _carry(self, request: httpx2.Request) -> HttpAnswer | Uncertain:
        response = await self._transport.handle_async_request(request)
        try:
            if "," in response.headers.get("content-encoding", ""):
                return packed_too_often(response.status_code)
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > wire.ANSWER_BYTES_MAX:
                    return too_long(response.status_code)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(status=response.status_code, headers=headers, body=bytes(body))
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Close the transport."""
        await self._transport.aclose()
