"""Opaque page cursors: the last place seen, signed for one list of one tenant with one set of filters. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from revline.core.hashing import digest
from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.doors.api.ports import Key

TAG_BYTES: Final = 16
CURSOR_LENGTH_MAX: Final = 1_000


def _tag(payload: bytes, *, key: bytes, listing: str, tenant_id: str, filters: Mapping[str, str]) -> bytes:
    scope = digest({"listing": listing, "tenant": tenant_id, "filters": dict(filters)})
    return hmac.new(key, scope + payload, hashlib.sha256).digest()[:TAG_BYTES]


def make_cursor(place: Key, *, key: bytes, listing: str, tenant_id: str, filters: Mapping[str, str]) -> str:
    """The cursor that goes on after a place."""
    payload = msgspec.json.encode(place)
    tag = _tag(payload, key=key, listing=listing, tenant_id=tenant_id, filters=filters)
    return base64.urlsafe_b64encode(tag + payload).decode().rstrip("=")


def read_cursor(text: str, *, key: bytes, listing: str, tenant_id: str, filters: Mapping[str, str]) -> Key | Problem:
    """The place of a cursor, or `cursor.invalid` when it was made for another list, tenant or filter, or made up."""
    refused = problem("cursor.invalid", "the cursor was not given out for this list and these filters", field="cursor")
    if len(text) > CURSOR_LENGTH_MAX or not text.isascii():
        return refused
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return refused
    tag, payload = data[:TAG_BYTES], data[TAG_BYTES:]
    expected = _tag(payload, key=key, listing=listing, tenant_id=tenant_id, filters=filters)
    if not hmac.compare_digest(tag, expected):
        return refused
    return msgspec.json.decode(payload, type=tuple[str | int, ...])


define(
    code="cursor.invalid",
    title="Not a cursor of this list",
    status=400,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Start again without cursor.",
)
