"""Signatures of Standard Webhooks 1.0 (standardwebhooks, spec/standard-webhooks.md, "Symmetric"). Pure.

The signed content is `id.timestamp.body`; the header holds `v1,<base64>` for each secret, separated by spaces, so that an endpoint
that still has the old secret and one that has the new both find theirs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

PREFIX: Final = "whsec_"
KEY_BYTES_MIN: Final = 24
KEY_BYTES_MAX: Final = 64


def key_of(secret: str) -> bytes:
    """The key of a `whsec_` secret. ValueError, without the secret in it, when it is none of 24 to 64 bytes."""
    if not secret.startswith(PREFIX):
        raise ValueError("a signing secret starts with whsec_")
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a signing secret is base64 after whsec_") from None
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise ValueError(f"a signing secret holds {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes")
    return key


def headers_of(*, message_id: str, at: datetime, body: bytes, keys: Sequence[bytes]) -> Mapping[str, str]:
    """The three headers of one attempt. at: the moment of the attempt, whole seconds count."""
    timestamp = str(int(at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode() for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
