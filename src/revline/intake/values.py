"""The values intake works with: what comes in, by which channel, and what became of it. Pure.

`Channel` is the port to source connectors: app makes one of a configured connection; intake calls its functions and knows no
vendor behind them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from revline.core.facts import Incomplete, TranslatedFact
from revline.core.problem import Mender, Problem, Retryable, define

INPUTS_PER_UNIT_MAX = 500
"""Inputs one unit of work takes: a position counter gives about 1,600 units a second, so bulk comes in batches."""


class Form(StrEnum):
    """How an input stands: a message the source pushes, or an object as its own API returns it (imports, re-reads)."""

    MESSAGE = "message"
    OBJECT = "object"


class WhenUnreadable(StrEnum):
    """What becomes of an input that no translation fits: refused (its sender hears it), or kept with a case (a verified push)."""

    REFUSE = "refuse"
    KEEP = "keep"


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One input as it came. body: the raw bytes; received_at: when Revline took it in."""

    body: bytes
    content_type: str
    received_at: datetime


class Translate(Protocol):
    """Bytes to facts, pure; a problem when it can't be done."""

    def __call__(self, *, body: bytes) -> tuple[TranslatedFact | Incomplete, ...] | Problem: ...


class Verify(Protocol):
    """Whether the source's own proof of a push holds at `now`; pure."""

    def __call__(self, *, headers: Mapping[str, str], body: bytes, now: datetime) -> Problem | None: ...


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A configured source connection, ready to take input. translator: connector and version, kept on every fact.

    pool_id: the capacity pool of calls to the source. simulated_time: it is the source's test side, where clocks are set ahead, so
    what happens in a time to come is no error.
    """

    tenant_id: str
    connection: str
    connector: str
    entity: str
    translator: str
    translate: Translate
    translate_object: Translate
    verify: Verify
    pool_id: str = ""
    simulated_time: bool = False


class Channels(Protocol):
    """Where doors get channels: the tenant's active configuration."""

    def channel(self, *, tenant_id: str, connection: str) -> Channel | Problem:
        """The source connection of that name; `connection.unknown` when the tenant has none (or is none itself)."""
        ...

    def names(self, *, tenant_id: str, connector: str) -> tuple[str, ...]:
        """The tenant's connections of one connector, sorted."""
        ...


class Outcome(StrEnum):
    """What became of an input. kept: no fact, but the bytes are kept and a case is open."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    INVALID = "invalid"
    KEPT = "kept"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one input. source_event: the message's id, "" when it could not be read. fact_ids: what it made now."""

    outcome: Outcome
    source_event: str = ""
    fact_ids: tuple[str, ...] = ()
    problem: Problem | None = None


class Awaited(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A name a root waits for: an object of a kind on a connection, known by (name_kind, name_value)."""

    connection: str
    object_kind: str
    name_kind: str
    name_value: str


define(
    code="intake.conflict",
    title="The same message came with other content",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Ask the sender which content is right; send a correction under a new id. What came first stands.",
)
define(
    code="intake.awaited_overdue",
    title="A record that others refer to never came",
    status=409,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.SENDER,
    remedy="Send or import the missing record; whatever waits goes on by itself.",
)
define(
    code="intake.too_many",
    title="Too many events in one request",
    status=413,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send fewer events in one request, or use `revline import` for bulk.",
)
define(
    code="connection.unknown",
    title="No such source connection",
    status=422,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.CONFIGURATION,
    remedy="Name a source connection of this tenant's active configuration, or add it there.",
)
