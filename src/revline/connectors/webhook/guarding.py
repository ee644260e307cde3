"""Keeps messages out of our own network: an endpoint's name is resolved once and only a public address is connected to.

The address that was checked is the one connected to, so a name that changes its answer in between gains nothing. TLS still
verifies the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpcore2
import httpx2

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
ADDRESSES_MAX: Final = 16
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
NOT_FOR_THE_INTERNET: Final = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
)
"""What IANA's special-purpose registries keep apart and the standard library, by version, does not, and site-local IPv6."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host, in the resolver's order."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))[:ADDRESSES_MAX]


def is_public(address: str) -> bool:
    """Whether an IP address is out in the public Internet: no loopback, private, link-local, shared, multicast or reserved one,
    also not inside an IPv6 address that carries an IPv4 one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is None and found in NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    if any(found.version == kept.version and found in kept for kept in NOT_FOR_THE_INTERNET):
        return False
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to public addresses only. resolving: passed in by tests."""

    def __init__(self, *, inner: httpcore2.AsyncNetworkBackend, resolving: Resolve = resolve) -> None:
        self._inner = inner
        self._resolving = resolving

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to the first address of the host; ConnectError when any of its addresses is not public."""
        try:
            addresses = await asyncio.wait_for(self._resolving(host, port), timeout)
        except (OSError, TimeoutError) as failure:
            raise httpcore2.ConnectError(f"the name is not resolved: {type(failure).__name__}") from None
        if not addresses or not all(is_public(address) for address in addresses):
            raise httpcore2.ConnectError("the endpoint is not at a public address; see the setting allowPrivate")
        return await self._inner.connect_tcp(addresses[0], port, timeout, local_address, socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Never: an endpoint is out on the network."""
        raise httpcore2.ConnectError("an endpoint is no socket of this machine")

    async def sleep(self, seconds: float) -> None:
        """As the library asks between its own tries."""
        await self._inner.sleep(seconds)


class _Body(httpx2.AsyncByteStream):
    """The answer's body as it comes, so that whoever reads it can stop."""

    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _translated() -> Iterator[None]:
    """What the pool raises, as what a caller of a transport knows."""
    try:
        yield
    except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failure:
        raise httpx2.ConnectError(str(failure)) from failure
    except httpcore2.PoolTimeout as failure:
        raise httpx2.PoolTimeout(str(failure)) from failure
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as failure:
        raise httpx2.ReadError(f"{type(failure).__name__}: {failure}") from failure


class GuardedTransport(httpx2.AsyncBaseTransport):
    """An HTTP/1.1 transport over a guarded backend, one pool of connections."""

    def __init__(self, *, slots: int, resolving: Resolve = resolve) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=slots,
            max_keepalive_connections=slots,
            keepalive_expiry=30.0,
            network_backend=GuardedBackend(inner=httpcore2.AnyIOBackend(), resolving=resolving),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One exchange."""
        asked = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=await request.aread(),
            extensions=request.extensions,
        )
        with _translated():
            answer = await self._pool.handle_async_request(asked)
        return httpx2.Response(status_code=answer.status, headers=answer.headers, stream=_Body(answer), request=request)

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._pool.aclose()
