"""One HTTP call to a far system, and what its failure means. Knows no single far system and no document.

The line that matters: an error before the request left is `NotSent`; any error after that is `Uncertain`, because the far side
may have done what it was asked. Redirects are not followed, no proxy or netrc of the environment is read, every answer has a
size limit, and whatever is kept as evidence has its secrets masked.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import httpx2
import msgspec

from revline.connectors.sdk.slots import network_transport
from revline.core.farside import NotSent, Uncertain
from revline.core.problem import Problem, problem
from revline.core.sending import MAY_SEND

EVIDENCE_MAX: Final = 2_000
ANSWER_BYTES_MAX: Final = 16_000_000
RETRY_AFTER_MAX: Final = timedelta(hours=1)
MASK: Final = "***"
_NAMED_SECRET: Final = re.compile(
    r"""(?ix) ( ["']? (?: [a-z_-]{0,30} (?: token | password | secret | api[_-]?key ) | authorization ) ["']? \s* [:=] \s*
    (?: ["']? (?: bearer | basic | session ) \s+ )? ) ( "[^"]*" | '[^']*' | [^\s,;}&"']+ )"""
)

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


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back, whole. headers: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def evidence(self) -> str:
        """Status and the beginning of the body, for `masked`: longer than what is kept, so that no secret is cut in two."""
        return f"HTTP {self.status}: {self.body[: 4 * EVIDENCE_MAX].decode('utf-8', 'replace')}"


def masked(*, text: str, secrets: Sequence[str]) -> str:
    """The text with every known secret and every value that is called one replaced, cut to EVIDENCE_MAX characters."""
    for secret in sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _NAMED_SECRET.sub(rf"\1{MASK}", text[: 4 * EVIDENCE_MAX])[:EVIDENCE_MAX]


def checked_base_url(*, url: str) -> str:
    """The address without a final slash. ValueError unless it is https, or http to the machine's own loopback."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("an address is https://host[:port][/path], without a user, a query or a fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError("an address outside this machine's loopback starts with https://")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def retry_after(*, headers: Mapping[str, str], now: datetime, default: timedelta) -> timedelta:
    """How long a far side asks to wait (RFC 9110, 10.2.3: seconds or a date), between nothing and RETRY_AFTER_MAX."""
    value = headers.get("retry-after", "").strip()
    wait = default
    if value.isdecimal() and len(value) < 10:
        wait = timedelta(seconds=int(value))
    elif value:
        try:
            moment = parsedate_to_datetime(value)
        except ValueError:
            return default
        wait = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta(0)), RETRY_AFTER_MAX)


def failure_problem(failure: NotSent | Uncertain) -> Problem:
    """A failed call that only asked something, as a problem."""
    if isinstance(failure, NotSent):
        return failure.problem
    return problem("erp.unreachable", f"no usable answer: {failure.evidence[:300]}")


class HttpCaller:
    """A far system's address with the headers and limits of every call.

    transport: None for the network. headers: sent with every call, credentials among them. secrets: what evidence must not
    show. call_timeout: of one whole call, from its first byte to its last. slots: connections at once.
    """

    def __init__(
        self,
        *,
        base_url: str,
        transport: httpx2.AsyncBaseTransport | None,
        headers: Mapping[str, str],
        secrets: Sequence[str],
        call_timeout: timedelta,
        connect_timeout: timedelta = timedelta(seconds=5),
        slots: int = 8,
    ) -> None:
        self._secrets = tuple(secrets)
        self._call_seconds = call_timeout.total_seconds()
        connect = min(connect_timeout, call_timeout).total_seconds()
        self._transport = transport or network_transport(slots=slots)
        self._client = httpx2.AsyncClient(
            base_url=checked_base_url(url=base_url),
            transport=self._transport,
            headers={"user-agent": "revline", "accept": "application/json", **headers},
            timeout=httpx2.Timeout(self._call_seconds, connect=connect, pool=connect),
            trust_env=False,
        )

    def mask(self, text: str) -> str:
        """`masked` with this caller's secrets."""
        return masked(text=text, secrets=self._secrets)

    async def send(
        self,
        *,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer | NotSent | Uncertain:
        """One call. An answer of whatever status is an answer; only its reader knows whether it is success.

        A body leaves only if core.sending.MAY_SEND, where there is one, says so once the connection stands.
        """
        parameters = httpx2.QueryParams(list(query)) if query else None
        try:
            request = self._client.build_request(method, path, params=parameters, content=content, headers=headers)
        except (httpx2.InvalidURL, ValueError, TypeError) as failure:
            return NotSent(problem=problem("erp.unreachable", self.mask(f"not a request: {failure}")))
        may_send = MAY_SEND.get()
        if content and may_send is not None:
            request.stream = _HeldBack(body=content, may_send=may_send)
        try:
            async with asyncio.timeout(self._call_seconds):
                return await self._exchange(request)
        except _NoLongerOursError:
            return NotSent(problem=problem("erp.busy", "the lease ended before the request left"))
        except httpx2.PoolTimeout:
            return NotSent(problem=problem("erp.busy", "all connections of this process to the far side are in use"))
        except _BEFORE_SENDING as failure:
            return NotSent(problem=problem("erp.unreachable", self.mask(f"{type(failure).__name__}: {failure}")))
        except (httpx2.HTTPError, httpx2.StreamError, OSError, TimeoutError) as failure:
            return Uncertain(evidence=self.mask(f"{method} {path}: {type(failure).__name__}: {failure}"))

    async def _exchange(self, request: httpx2.Request) -> HttpAnswer | Uncertain:
        # Not through the client, which would look for redirects, cookies and who to log in as: a call has none of them.
        response = await self._transport.handle_async_request(request)
        try:
            if "," in response.headers.get("content-encoding", ""):
                # A few bytes packed twice can be gigabytes once unpacked, before any size is looked at.
                return Uncertain(evidence=f"HTTP {response.status_code} with a body that is packed more than once")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    return Uncertain(evidence=f"HTTP {response.status_code} with over {ANSWER_BYTES_MAX} bytes")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(status=response.status_code, headers=headers, body=bytes(body))
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()
