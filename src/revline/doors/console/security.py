"""What keeps pages safe: headers, cookies, and proofs that a form or a note is ours. Pure; knows no page and no session store."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from litestar.datastructures import Cookie

from revline.core.problem import Mender, Retryable, define
from revline.doors.console.values import Redirect

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
STATIC_HEADERS: Final = {
    "cache-control": "public, max-age=31536000, immutable",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
TLS_HEADERS: Final = {"strict-transport-security": "max-age=31536000"}
SESSION: Final = "revline"
NOTE: Final = "revline_note"
VISITOR: Final = "revline_visitor"
TENANT: Final = "revline_tenant"
THEME: Final = "revline_theme"
"""Set by the browser's own script, so it is read as it is sent; it chooses colours only."""
THEMES: Final = ("auto", "light", "dark")
TEXT_LENGTH_MAX: Final = 400
TAG_BYTES: Final = 16

define(
    code="console.form_forged",
    title="The form could not be proved to be from this page",
    status=403,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Open the page again and send the form from there.",
)
define(
    code="console.reason_missing",
    title="A reason is needed",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Say why in a few words; it is kept in the audit chain.",
)


class Cookies:
    """Makes the console's cookies. secure: TLS is in front, so names get the `__Host-` prefix, which binds them to this host."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure

    def name(self, name: str) -> str:
        """A cookie's name as it is sent."""
        return f"__Host-{name}" if self._secure else name

    def make(self, name: str, value: str, *, seconds: int | None = None) -> Cookie:
        """A cookie scripts can't read, sent back to us only; without seconds it ends with the browser."""
        return Cookie(
            key=self.name(name),
            value=value,
            max_age=seconds,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def drop(self, name: str) -> Cookie:
        """Ends a cookie."""
        return self.make(name, "", seconds=0)


def from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that another site sent this."""
    return headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}


def proof(*, key: bytes, purpose: str, value: str) -> str:
    """What only we can say about a value."""
    return hmac.new(key, f"{purpose}\0{value}".encode(), hashlib.sha256).hexdigest()[:40]


def same(one: str, other: str) -> bool:
    """Equal, in time that says nothing about where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def seal_note(redirect: Redirect, *, key: bytes) -> str:
    """What a redirect has to say, for the next page, signed."""
    payload = msgspec.json.encode([redirect.tone, redirect.said[:TEXT_LENGTH_MAX]])
    tag = hmac.new(key, b"note\0" + payload, hashlib.sha256).digest()[:TAG_BYTES]
    return base64.urlsafe_b64encode(tag + payload).decode().rstrip("=")


def open_note(sealed: str, *, key: bytes) -> tuple[str, str] | None:
    """(tone, text) of a note of ours; None for anything else."""
    try:
        data = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    except (binascii.Error, ValueError):
        return None
    tag, payload = data[:TAG_BYTES], data[TAG_BYTES:]
    if not hmac.compare_digest(tag, hmac.new(key, b"note\0" + payload, hashlib.sha256).digest()[:TAG_BYTES]):
        return None
    tone, text = msgspec.json.decode(payload, type=tuple[str, str])
    return tone, text


def safe_return(path: str) -> str:
    """Where to go after a log-in: a path of ours, or the start. Never another host; letters of other scripts as a header takes
    them."""
    fine = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and len(path) < 2_000
    return quote(path, safe="/?#[]@!$&'()*+,;=%:~") if fine and "\\" not in path else "/"
