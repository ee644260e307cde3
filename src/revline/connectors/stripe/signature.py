"""The proof of a Stripe webhook: HMAC-SHA256 over the time and the raw bytes. Pure; it must not know what the bytes say.

Source: docs.stripe.com/webhooks/signature ("Verify webhook signatures manually").
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from revline.core.problem import Problem, problem

HEADER: Final = "stripe-signature"
TOLERANCE_SECONDS: Final = 300
HEADER_LENGTH_MAX: Final = 4_096
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}\Z", re.ASCII)
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
_REFUSED: Final = "the signature, its time or the secret does not fit"


def signature_header(*, body: bytes, secret: str, timestamp: int) -> str:
    """The `Stripe-Signature` header that proves `body` at `timestamp` (unix seconds). The secret counts with its prefix."""
    return f"t={timestamp},v1={_signature(body=body, secret=secret, timestamp=str(timestamp))}"


def verify(*, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> Problem | None:
    """None when any v1 signature fits any of the secrets (two while one is being rotated) and the time is within 300 s of `now`.

    Old and future times are refused alike: a clock far off is somebody's mistake or somebody's replay. One problem,
    `webhook.signature_invalid`, says nothing about which part was wrong.
    """
    header = next((value for name, value in headers.items() if name.lower() == HEADER), "")
    timestamp, signatures = _parts(header)
    accepted = False
    for secret in filter(None, secrets):
        expected = _signature(body=body, secret=secret, timestamp=timestamp)
        for signature in signatures:
            accepted |= hmac.compare_digest(expected, signature)
    if not accepted or abs(int(timestamp) - now.timestamp()) > TOLERANCE_SECONDS:
        return problem("webhook.signature_invalid", _REFUSED)
    return None


def _parts(header: str) -> tuple[str, tuple[str, ...]]:
    """The time as written and the v1 signatures; nothing when the header is malformed, so nothing can fit."""
    if len(header) > HEADER_LENGTH_MAX:
        return "", ()
    pairs = [part.strip().partition("=") for part in header.split(",")]
    timestamps = [value for name, _, value in pairs if name == "t"]
    if len(timestamps) != 1 or not _TIMESTAMP.match(timestamps[0]):
        return "", ()
    return timestamps[0], tuple(value for name, _, value in pairs if name == "v1" and _SIGNATURE.match(value))


def _signature(*, body: bytes, secret: str, timestamp: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
