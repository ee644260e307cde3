"""How a connection logs in, from its settings and secrets. Pure.

JWT bearer: settings consumerKey and username, secret privateKey (PEM); domain login (the default) or test, myDomain for the host.
Client credentials: setting consumerKey, secret consumerSecret, domain the org's My Domain such as acme.my.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,200}[A-Za-z0-9])?\Z", re.ASCII)
SHARED: Final = frozenset({"login", "test"})
JWT_BEARER: Final = "jwt_bearer"
CLIENT_CREDENTIALS: Final = "client_credentials"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What the client library is given. method: which of the two flows."""

    method: str
    domain: str
    consumer_key: str
    consumer_secret: str = ""
    username: str = ""
    private_key: str = ""
    my_domain: str = ""

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the client library's log-in."""
        if self.method == CLIENT_CREDENTIALS:
            return {
                "consumer_key": self.consumer_key,
                "consumer_secret": self.consumer_secret,
                "domain": self.domain,
            }
        return {
            "username": self.username,
            "consumer_key": self.consumer_key,
            "privatekey": self.private_key,
            "domain": self.domain,
            "instance_url": self.my_domain or None,
        }

    def secrets(self) -> tuple[str, ...]:
        """What no evidence may show."""
        return tuple(filter(None, (self.consumer_secret, self.private_key)))


def login_of(*, settings: Mapping[str, str], secrets: Mapping[str, str]) -> Login:
    """The log-in of a connection. KeyError or ValueError names what is missing or wrong."""
    consumer_key = settings["consumerKey"]
    if secrets.get("privateKey", "").strip():
        domain = settings.get("domain", "login")
        if domain not in SHARED:
            raise ValueError("domain is login or test with a private key; the org's host goes to myDomain")
        my_domain = _host("myDomain", settings.get("myDomain", ""))
        return Login(
            method=JWT_BEARER,
            domain=domain,
            consumer_key=consumer_key,
            username=settings["username"],
            private_key=secrets["privateKey"],
            my_domain=my_domain,
        )
    domain = _host("domain", settings["domain"])
    if not domain or domain in SHARED:
        raise ValueError("domain is the org's My Domain, such as acme.my, for client credentials")
    secret = secrets["consumerSecret"]
    if not secret.strip():
        raise ValueError("the secret consumerSecret is empty")
    return Login(method=CLIENT_CREDENTIALS, domain=domain, consumer_key=consumer_key, consumer_secret=secret)


def _host(setting: str, text: str) -> str:
    text = text.strip().removesuffix(".salesforce.com")
    if text and not _HOST.match(text):
        raise ValueError(f"{setting}: {text[:60]!r} is not a host of Salesforce's")
    return text
