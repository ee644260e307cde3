"""Identity. Derived ids are hashes of what a thing is, so a restore and a re-listing find the same one; received things get UUIDv7.

A derived id never depends on a fact id, a rule, a version or the order of arrival (design: identity).
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

DERIVED_ID_BYTES: Final = 16
EXTERNAL_REFERENCE_LENGTH: Final = 16


class SourceObject(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One object in a source system: which connection, what kind, and the id it has out there."""

    connection: str
    kind: str
    outside_id: str


def derived_id(*parts: str | int) -> str:
    """26 lower-case base32 characters of SHA-256 over the parts, each with its length in front so that no two lists collide."""
    hasher = hashlib.sha256()
    for part in parts:
        data = str(part).encode()
        hasher.update(len(data).to_bytes(4, "big") + data)
    return base64.b32encode(hasher.digest()[:DERIVED_ID_BYTES]).decode().rstrip("=").lower()


def root_id(*, tenant: str, source: SourceObject) -> str:
    """The id of a root: (tenant, connection, kind, outside id)."""
    return derived_id("root", tenant, source.connection, source.kind, source.outside_id)


def event_id(*, tenant: str, source: SourceObject, event_kind: str, ordinal: int) -> str:
    """The id of an accounting event of a root. ordinal counts events of one kind on one root (0 first)."""
    return derived_id("event", tenant, source.connection, source.kind, source.outside_id, event_kind, ordinal)


def reversal_id(*, reversed_id: str) -> str:
    """The id of the reversal of an event, journal or document."""
    return derived_id("reversal", reversed_id)


def rebooked_id(*, reversal: str) -> str:
    """The id of what is booked again after a reversal."""
    return derived_id("rebooked", reversal)


def journal_id(*, event: str, book: str) -> str:
    """The id of the journal entry that an accounting event makes in a book."""
    return derived_id("journal", event, book)


def document_id(*, subject: str, document_kind: str, connection: str) -> str:
    """The id of a document: what it is about (an event, a journal or a root), its kind and where it goes."""
    return derived_id("document", subject, document_kind, connection)


def lane_id(*, tenant: str, kind: str, key: str) -> str:
    """The id of a lane; a hash, so that a control table shows no business key."""
    return derived_id("lane", tenant, kind, key)


def external_reference(*, document: str) -> str:
    """What a document is called in an ERP: 16 upper-case base32 characters of its id, fit for the tightest field."""
    return document[:EXTERNAL_REFERENCE_LENGTH].upper()


def uuid7(*, now: datetime, random_bytes: Callable[[int], bytes]) -> uuid.UUID:
    """A UUIDv7 (RFC 9562, 5.7) for a received thing; the time and the randomness are passed in."""
    milliseconds = int(now.timestamp() * 1000)
    tail = random_bytes(10)
    value = bytearray(milliseconds.to_bytes(6, "big") + tail)
    value[6] = 0x70 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    return uuid.UUID(bytes=bytes(value))
