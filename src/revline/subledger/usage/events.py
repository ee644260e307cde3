"""A usage event as senders write it (CloudEvents 1.0, JSON), and the answer to each one. Pure; knows no log and no file."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.problem import Problem

VOID_TYPE: Final = "revline.usage.void"
"""An event of this type takes another one back: its data is a `Voided`."""
AMEND_TYPE: Final = "revline.usage.amend"
"""An event of this type replaces another one: its data is an `Amended`. It is stored as a void and a new event."""
ID_BYTES_MAX: Final = 256
SOURCE_BYTES_MAX: Final = 256
SUBJECT_BYTES_MAX: Final = 256
EVENT_BYTES_MAX: Final = 64 * 1024
UNCOUNTED: Final = frozenset({"traceparent", "tracestate", "specversion", "datacontenttype", "dataschema"})
"""Attributes that are no part of an event's content: a repeat that differs in these alone is a repeat."""


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event. source and id together are its identity for ever; subject names the customer; time is when it happened, the moment
    of receipt when it is left out."""

    id: str
    source: str
    type: str
    subject: str
    specversion: str = "1.0"
    time: datetime | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")


class Voided(msgspec.Struct, frozen=True, kw_only=True):
    """Data of a void: the identity of the event that is taken back, and why. The event may arrive later than its void."""

    source: str
    id: str
    reason: str = ""


class Amended(msgspec.Struct, frozen=True, kw_only=True):
    """Data of an amendment: the event that is replaced, why, and what stands instead of it."""

    source: str
    id: str
    type: str
    data: msgspec.Raw
    time: datetime | None = None
    reason: str = ""


class Verdict(StrEnum):
    """What became of one event.

    accepted: on disk, and counted as soon as its customer and a meter are known. duplicate: the same event is on disk already.
    conflict: another content is on disk under this identity; nothing was stored. invalid: it breaks its event type.
    """

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    INVALID = "invalid"


class EventAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one event, in the order they were sent. sequence: its receipt number in the shard when accepted. problem: why
    it is a conflict or invalid."""

    id: str
    verdict: Verdict
    sequence: int = 0
    problem: Problem | None = None
