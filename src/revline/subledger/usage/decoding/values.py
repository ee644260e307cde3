"""What decoding gives: events that can be stored, column by column, and why others can't. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from revline.core.problem import Problem
from revline.subledger.usage.kinds import EventType, UsageField


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


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One field of the events that have it. places: where they stand among all, None when all have it.

    values: one for each of them; of a field that is written as the text of a number, the canonical texts joined by line breaks,
    empty where there is none.
    """

    field: UsageField
    places: Sequence[int] | None
    values: Sequence[Any]


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Events column by column: what all have, a column for each field, and those that need a row of their own, by their place.

    kinds: the Struct of each event's type, None for a loose one. columns: by the name of the stored column.
    """

    ids: list[str]
    sources: list[str]
    subjects: list[str]
    times: list[datetime | None]
    kinds: list[Any]
    columns: Mapping[str, Column] = {}
    loose: Sequence[tuple[int, LooseEvent]] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def chosen(self, places: Sequence[int]) -> Rows:
        """Some of the events, by their places, in that order."""
        at = {place: index for index, place in enumerate(places)}
        total = len(self)
        return Rows(
            ids=[self.ids[place] for place in places],
            sources=[self.sources[place] for place in places],
            subjects=[self.subjects[place] for place in places],
            times=[self.times[place] for place in places],
            kinds=[self.kinds[place] for place in places],
            columns={name: _column_of(column, at, total) for name, column in self.columns.items()},
            loose=[(at[place], event) for place, event in self.loose if place in at],
        )


def _column_of(column: Column, at: Mapping[int, int], total: int) -> Column:
    places = range(total) if column.places is None else column.places
    mine = [index for index, place in enumerate(places) if place in at]
    new = [at[places[index]] for index in mine]
    if isinstance(column.values, bytes):
        texts = column.values.split(b"\n")
        return Column(field=column.field, places=new, values=b"\n".join([texts[index] for index in mine]))
    return Column(field=column.field, places=new, values=[column.values[index] for index in mine])


class Invalid(msgspec.Struct, frozen=True, kw_only=True):
    """An event that can't be stored: its index in the body, its id ("" where it has none) and why."""

    index: int
    id: str
    problem: Problem


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """The events of one tenant's body.

    count: events in the body. rows: those that can be stored, in order; None where they are few, and stand in events as Structs.
    lines: the canonical line of each (JSON, without its line break): its content, and what the log keeps. text: the lines with
    their line breaks. keys: 16 bytes each: the identity, hash of source and id under the tenant's seed. digests: 8 bytes each: hash
    of the line under the seed. invalid: the others, in order.
    """

    tenant_id: str
    count: int
    rows: Rows | None
    events: Sequence[Any]
    lines: list[bytes]
    text: bytes
    keys: list[bytes]
    digests: list[bytes]
    invalid: tuple[Invalid, ...] = ()

    @property
    def ids(self) -> Sequence[str]:
        """The ids of those that can be stored."""
        return [event.id for event in self.events] if self.rows is None else self.rows.ids

    @property
    def storable(self) -> int:
        """How many events can be stored."""
        return len(self.keys)

    def part(self, places: Sequence[int]) -> Decoded:
        """Some of the storable events alone, by their places: what one of several shards is given."""
        lines = [self.lines[place] for place in places]
        return Decoded(
            tenant_id=self.tenant_id,
            count=len(places),
            rows=None if self.rows is None else self.rows.chosen(places),
            events=[self.events[place] for place in places] if self.rows is None else (),
            lines=lines,
            text=b"\n".join([*lines, b""]),
            keys=[self.keys[place] for place in places],
            digests=[self.digests[place] for place in places],
        )

    def virtual_shards(self) -> list[int]:
        """The virtual shard of each storable event, 0 to 63: the first six bits of its identity."""
        return [key[0] >> 2 for key in self.keys]
