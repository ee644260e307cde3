"""A session for the client library that leads to a simulated org: simple-salesforce itself knows https and Salesforce's hosts only.

`Salesforce(session=loopback_session(base_url=...), consumer_key=..., consumer_secret=..., domain="acme.my")` works unchanged.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter


class _Loopback(HTTPAdapter):
    def __init__(self, *, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        request.url = self._base_url + parts.path + (f"?{parts.query}" if parts.query else "")
        return super().send(request, *arguments, **options)


def loopback_session(*, base_url: str) -> requests.Session:
    """A session whose https requests, log-in included, all go to `base_url` on this machine."""
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", _Loopback(base_url=base_url))
    return session
