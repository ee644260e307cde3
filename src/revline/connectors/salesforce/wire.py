"""The one door to the wire for the official-style client: its requests leave through Revline's own HTTP caller.

simple-salesforce speaks through a `requests` session, blocking, and always to https://<host>. Its session gets an adapter that
hands each request to the event loop's caller: one transport given from outside, one set of limits, no redirect followed, no proxy
or netrc of the environment read. Knows no record and no query.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from revline.connectors.sdk.http import HttpCaller, checked_base_url
from revline.core.farside import NotSent, Uncertain

_NOT_PASSED: Final = frozenset({"content-length", "accept-encoding", "connection", "host"})
_DECODED: Final = frozenset({"content-encoding", "content-length", "location"})
SALESFORCE: Final = ".salesforce.com"


class CallFailedError(Exception):
    """A request that got no answer. failure: whether it may have had an effect."""

    def __init__(self, failure: NotSent | Uncertain) -> None:
        super().__init__("no answer")
        self.failure = failure


class LoopAdapter(BaseAdapter):
    """Sends what a session asks from a thread, through the caller on the event loop.

    base_url: "" for Salesforce itself; a loopback address takes the place of every host, for a simulator.
    """

    def __init__(self, *, caller: HttpCaller, loop: asyncio.AbstractEventLoop, base_url: str, seconds: float) -> None:
        super().__init__()
        self._caller = caller
        self._loop = loop
        self._base_url = base_url
        self._seconds = seconds
        self._seen = threading.local()

    @property
    def answered_at(self) -> datetime | None:
        """The Date of the last answer this thread got, None when it named none."""
        return getattr(self._seen, "answered_at", None)

    @property
    def status(self) -> int:
        """The status of the last answer this thread got, 0 before the first."""
        return int(getattr(self._seen, "status", 0))

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 -- the session's own signature
        timeout: Any = None,
        verify: Any = True,  # noqa: FBT002
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """One request. CallFailedError when nothing came back."""
        del stream, timeout, verify, cert, proxies
        body = request.body or b""
        if not isinstance(body, str | bytes):
            raise CallFailedError(Uncertain(evidence="a body that is no text"))
        given = {str(name): str(value) for name, value in (request.headers or {}).items()}
        coroutine = self._caller.send(
            method=request.method or "GET",
            path=self._address(request.url or ""),
            content=body.encode() if isinstance(body, str) else body,
            headers={name: value for name, value in given.items() if name.lower() not in _NOT_PASSED},
        )
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            answer = future.result(timeout=self._seconds)
        except (TimeoutError, concurrent.futures.CancelledError) as error:
            future.cancel()
            raise CallFailedError(Uncertain(evidence=f"{request.method}: {type(error).__name__}")) from None
        if isinstance(answer, NotSent | Uncertain):
            raise CallFailedError(answer)
        self._seen.answered_at = _date(answer.headers.get("date", ""))
        self._seen.status = answer.status
        return _response(request, answer.status, answer.headers, answer.body)

    def close(self) -> None:
        """The caller is closed by whoever made it."""

    def _address(self, url: str) -> str:
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        if self._base_url:
            return self._base_url + path
        # The token's answer names the host of every later call: it must be one of Salesforce's, or a token would leave.
        if parts.scheme != "https" or not (parts.hostname or "").endswith(SALESFORCE) or parts.username:
            raise CallFailedError(Uncertain(evidence="the log-in named an address that is none of Salesforce's"))
        return url


def session_of(*, adapter: LoopAdapter, client: str) -> requests.Session:
    """A session that only this adapter serves. client: what change events name as the origin of its writes."""
    session = requests.Session()
    session.trust_env = False  # a netrc of the environment would take the place of the token
    session.adapters.clear()
    session.mount("https://", adapter)
    session.headers["Sforce-Call-Options"] = f"client={client}"
    return session


def loopback_of(*, base_url: str) -> str:
    """The address of a simulator, checked to be on this machine; "" for Salesforce itself. ValueError for any other."""
    if not base_url:
        return ""
    checked = checked_base_url(url=base_url)
    host = urlsplit(checked).hostname or ""
    if urlsplit(checked).scheme != "http" and not host.endswith(SALESFORCE):
        raise ValueError("baseUrl is for a simulator on this machine; Salesforce itself is named by the setting domain")
    return checked


def _response(
    request: requests.PreparedRequest, status: int, headers: Mapping[str, str], body: bytes
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict({name: value for name, value in headers.items() if name not in _DECODED})
    response.url = request.url or ""
    response.request = request
    response.encoding = "utf-8"
    response._content = body
    return response


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
