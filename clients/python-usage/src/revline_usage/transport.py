"""One request to Revline and its reply, over a connection that is kept open. Knows no outbox."""

from __future__ import annotations

import gzip
import http.client
import ipaddress
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

PATH: Final = "/v1/usage"
CONTENT_TYPE: Final = "application/cloudevents-batch+json"
PACKED_FROM_BYTES: Final = 4_096
REPLY_BYTES_MAX: Final = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. status: 0 when nothing did. retry_after: seconds, None where none are said. value: its JSON, {} without."""

    status: int
    value: Mapping[str, Any]
    retry_after: float | None = None


class Transport(Protocol):
    """Sends one body of events; never raises for what a network does."""

    def post(self, body: bytes) -> Reply: ...

    def close(self) -> None: ...


class HttpTransport:
    """HTTP/1.1 by the standard library. url: https://, or http:// on this machine. key: the API key, or a function that gives it
    anew for each request (rotation)."""

    def __init__(self, *, url: str, key: str | Callable[[], str], timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        if not parts.hostname or parts.scheme not in {"http", "https"} or parts.query or parts.fragment:
            raise ValueError("url is the address of Revline, such as https://revline.example.com")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise ValueError("a key is sent over https:// only; http:// is for this machine")
        self._host, self._port, self._secure = parts.hostname, parts.port, parts.scheme == "https"
        self._path = parts.path.rstrip("/") + PATH
        self._key, self._timeout = key, timeout
        self._connection: http.client.HTTPConnection | None = None

    def post(self, body: bytes) -> Reply:
        """One request. A connection that the far side closed in between is opened once more."""
        headers = {
            "Authorization": f"Bearer {self._key if isinstance(self._key, str) else self._key()}",
            "Content-Type": CONTENT_TYPE,
            "User-Agent": "revline-usage/0.1",
        }
        if len(body) >= PACKED_FROM_BYTES:
            body, headers["Content-Encoding"] = gzip.compress(body, compresslevel=1), "gzip"
        fresh = self._connection is None
        reply = self._try(body, headers)
        return reply if reply.status or fresh else self._try(body, headers)

    def _try(self, body: bytes, headers: Mapping[str, str]) -> Reply:
        connection = self._connection or self._open()
        self._connection = connection
        try:
            connection.request("POST", self._path, body=body, headers=dict(headers))
            response = connection.getresponse()
            raw = response.read(REPLY_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return Reply(0, {"detail": f"{error.__class__.__name__}: {error}"[:200]})
        if response.will_close:
            self.close()
        return Reply(response.status, _object(raw), _seconds(response.getheader("Retry-After")))

    def _open(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)

    def close(self) -> None:
        """Closes the connection; the next request opens one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(raw)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None
