"""One HTTP call to a far system, and what its failure means. Knows no single far system and no document.

The line that matters: an error before the request left is `NotSent`; any error after that is `Uncertain`, because the far side
may have done what it was asked. Redirects are not followed, no proxy or netrc of the environment is read, every answer has a
size limit, and whatever is kept as evidence has its secrets masked.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

import httpx2
import msgspec

from revline.connectors.sdk.carried import CarriedWire
from revline.connectors.sdk.network import NetworkWire
from revline.connectors.sdk.wire import EVIDENCE_MAX, HARMLESS, HttpAnswer, HttpRequest, Wire
from revline.core.farside import NotSent, Uncertain
from revline.core.problem import Problem, problem
from revline.core.sending import MAY_SEND

RETRY_AFTER_MAX: Final = timedelta(hours=1)
MASK: Final = "***"
_NAMED_SECRET: Final = re.compile(
    r"""(?ix) ( ["']? (?: [a-z_-]{0,30} (?: token | password | secret | api[_-]?key ) | authorization ) ["']? \s* [:=] \s*
    (?: ["']? (?: bearer | basic | session ) \s+ )? ) ( "[^"]*" | '[^']*' | [^\s,;}&"']+ )"""
)

_HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}\Z", re.ASCII)
_HEADER_VALUE: Final = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?\Z", re.ASCII)
_METHOD: Final = re.compile(r"[A-Z]{1,20}\Z", re.ASCII)
_PLAIN_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+\Z", re.ASCII)
"""A path that is encoded as it stands."""


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
        self._connect_seconds = min(connect_timeout, call_timeout).total_seconds()
        self._base = httpx2.URL(checked_base_url(url=base_url) + "/")
        self._plain_base = str(self._base).rstrip("/")
        self._headers = _HEADERS | _lowered(headers)
        self._wire: Wire = NetworkWire(slots=slots) if transport is None else CarriedWire(transport=transport)

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

        What may have an effect leaves only if core.sending.MAY_SEND, where there is one, says so once the connection stands.
        """
        try:
            request = HttpRequest(
                method=_checked_method(method),
                url=self._url(path, query),
                headers=_checked(self._headers | _lowered(headers) if headers else self._headers),
                content=content,
                may_send=MAY_SEND.get() if content or method not in HARMLESS else None,
                call_seconds=self._call_seconds,
                connect_seconds=self._connect_seconds,
            )
        except (httpx2.InvalidURL, ValueError) as failure:
            return NotSent(problem=problem("erp.unreachable", self.mask(f"not a request: {failure}")))
        found = await self._wire.exchange(request)
        if isinstance(found, NotSent):
            return NotSent(problem=msgspec.structs.replace(found.problem, detail=self.mask(found.problem.detail)))
        if isinstance(found, Uncertain):
            return Uncertain(evidence=self.mask(f"{method} {path}: {found.evidence}"))
        return found

    async def close(self) -> None:
        """Let go of the connections."""
        await self._wire.close()

    def _url(self, path: str, query: Sequence[tuple[str, str]]) -> str:
        """A path below the base address, or a whole address; a query takes the place of the path's own."""
        if _PLAIN_PATH.match(path):
            return f"{self._plain_base}{path}?{urlencode(query)}" if query else self._plain_base + path
        url = httpx2.URL(path)
        if url.is_relative_url:
            url = self._base.copy_with(raw_path=self._base.raw_path + url.raw_path.lstrip(b"/"))
        if url.scheme not in {"http", "https"} or url.userinfo:
            raise ValueError("an address is https://host[:port][/path], without a user")
        return str(url.copy_with(fragment=None, **({"query": urlencode(query).encode()} if query else {})))


_HEADERS: Final = {"user-agent": "revline", "accept": "application/json", "accept-encoding": "gzip, deflate"}


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _checked(headers: dict[str, str]) -> dict[str, str]:
    """The headers. ValueError for one that would end early and begin another, or a body."""
    for name, value in headers.items():
        if not _HEADER_NAME.match(name) or not _HEADER_VALUE.match(value):
            raise ValueError(f"the header {name[:100]!r} has characters that no header has")
    return headers


def _checked_method(method: str) -> str:
    if not _METHOD.match(method):
        raise ValueError(f"{method[:20]!r} is no method")
    return method
