"""The proof of a change event that a relay pushes. Salesforce itself pushes nothing: its change events are pulled. Pure.

A relay that subscribes on its own signs as Standard Webhooks says (standardwebhooks.com, "Signature scheme"): HMAC-SHA256 over
"<id>.<unix seconds>.<body>", base64, after "v1,"; the secret is "whsec_" and base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from revline.core.problem import Problem, problem

TOLERANCE_SECONDS: Final = 300
HEADER_LENGTH_MAX: Final = 4_096
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 -- the beginning every such secret has
_SECONDS: Final = re.compile(r"[0-9]{1,12}\Z", re.ASCII)


def signature_header(*, identifier: str, timestamp: int, body: bytes, secret: str) -> str:
    """The `webhook-signature` header of a message."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


def verify(*, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Problem | None:
    """None when a relay's signature fits one of the secrets and its time is within 300 s of `now`; else one problem for all."""
    given = {name.lower(): value for name, value in headers.items()}
    identifier = given.get("webhook-id", "")
    timestamp = given.get("webhook-timestamp", "")
    signatures = given.get("webhook-signature", "")[:HEADER_LENGTH_MAX].split()
    accepted = False
    if identifier and _SECONDS.match(timestamp):
        for secret in filter(None, secrets):
            expected = signature_header(identifier=identifier, timestamp=int(timestamp), body=body, secret=secret)
            for signature in signatures:
                accepted |= hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
    if not accepted or abs(int(timestamp) - now.timestamp()) > TOLERANCE_SECONDS:
        return problem("webhook.signature_invalid", "the signature, its time or the secret does not fit")
    return None


def _key(secret: str) -> bytes:
    text = secret.removeprefix(SECRET_PREFIX)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return secret.encode()
