"""The walk: records as references, hops between them, and the port each room implements for its own records. Pure.

A hop with more members than `HOP_MEMBERS_MAX` answers its count and a first page; nothing is walked beyond `WALK_RECORDS_MAX`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from sqlalchemy import Connection

HOP_MEMBERS_MAX: Final = 100
WALK_RECORDS_MAX: Final = 2_000


class Reference(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One record: its kind (fact, root, accounting_event, journal, document, erp_record, case ...) and its id."""

    kind: str
    record_id: str


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """A step from one record to another it was made from or that was made from it. relation: a word a reader understands."""

    source: Reference
    derived: Reference
    relation: str


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is shown of a record: a title, a moment or day as text, and fields."""

    reference: Reference
    title: str
    at: str
    fields: Mapping[str, Any]


class Hops(Protocol):
    """What a room answers about its own kinds of records, within one open connection that names one tenant."""

    def hops(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Sequence[Hop]:
        """Every hop between this record and another, in either direction, at most `HOP_MEMBERS_MAX`; () for foreign kinds."""
        ...

    def describe(self, connection: Connection, *, tenant_id: str, reference: Reference) -> Described | None:
        """The record for a person; None for a foreign kind or an unknown id."""
        ...


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Every record reached and every hop taken. truncated: the walk met its limit and did not go everywhere."""

    records: tuple[Reference, ...]
    hops: tuple[Hop, ...]
    truncated: bool


STOPS: Final = frozenset({"configuration_version", "connection"})
"""Kinds the walk shows and does not walk through: half the books hang on each."""


def walk(*, starts: Iterable[Reference], hops_of: Callable[[Reference], Iterable[Hop]]) -> Trace:
    """Everything connected to the starts, breadth first: from a start both ways, then on upstream and downstream only.

    Going up from a record that was reached by going down would end in every neighbour of a shared master record; so a walk
    keeps its direction, and a customer shows its invoices only when the walk starts there.
    """
    seen: dict[Reference, set[str]] = {}
    found: set[Hop] = set()
    queue: list[tuple[Reference, str]] = [(start, way) for start in starts for way in ("up", "down")]
    truncated = False
    while queue:
        current, way = queue.pop(0)
        if way in seen.setdefault(current, set()):
            continue
        if len(seen) > WALK_RECORDS_MAX:
            truncated = True
            break
        seen[current].add(way)
        if current.kind in STOPS:
            continue
        for hop in hops_of(current):
            if way == "up" and hop.derived == current:
                found.add(hop)
                queue.append((hop.source, "up"))
            elif way == "down" and hop.source == current:
                found.add(hop)
                queue.append((hop.derived, "down"))
    return Trace(
        records=tuple(seen), hops=tuple(sorted(found, key=lambda hop: (hop.source, hop.derived))), truncated=truncated
    )
