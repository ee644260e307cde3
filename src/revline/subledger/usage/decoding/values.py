"""What decoding gives: events that can be stored, and why others can't. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from revline.core.problem import Problem
from revline.subledger.usage.kinds import EventType


class LooseEvent(msgspec.Struct, kw_only=True, gc=False):
    """An event that its type's Struct can't hold: of an unknown type, without a time, a void or an amendment, with fields its type
    does not name, or with numbers sent as text.

    type: its own, of an amendment that of the new event. time: None where none was sent. values: the fields its type names.
    rest: the other fields as JSON; the whole data where the type is unknown. spec: None where the type is unknown.
    """

    id: str
    source: str
    type: str
    subject: str
    time: datetime | None
    values: dict[str, Decimal | str | bool | datetime]
    rest: str | None = None
    spec: EventType | None = None
    voids_source: str | None = None
    voids_id: str | None = None


class Invalid(msgspec.Struct, frozen=True, kw_only=True):
    """An event that can't be stored: its index in the body, its id ("" where it has none) and why."""

    index: int
    id: str
    problem: Problem


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """The events of one tenant's body.

    count: events in the body. events: those that can be stored, in order, each a Struct of its `TypeShape` or a `LooseEvent`.
    lines: the canonical line of each (JSON, without its line break): the content, and what the log keeps. keys: 16 bytes each: the
    identity, hash of source and id under the tenant's seed. digests: 8 bytes each: hash of the line under the seed.
    invalid: the others, in order.
    """

    tenant_id: str
    count: int
    events: Sequence[Any]
    lines: Sequence[bytes]
    keys: bytes
    digests: bytes
    invalid: tuple[Invalid, ...] = ()

    def part(self, chosen: Sequence[int]) -> Decoded:
        """The chosen storable events alone, by their index among `events`: what one of several shards is given."""
        return Decoded(
            tenant_id=self.tenant_id,
            count=len(chosen),
            events=[self.events[index] for index in chosen],
            lines=[self.lines[index] for index in chosen],
            keys=b"".join([self.keys[16 * index : 16 * index + 16] for index in chosen]),
            digests=b"".join([self.digests[8 * index : 8 * index + 8] for index in chosen]),
        )

    def virtual_shards(self) -> list[int]:
        """The virtual shard of each storable event, 0 to 63: the first six bits of its identity."""
        return [byte >> 2 for byte in self.keys[::16]]
