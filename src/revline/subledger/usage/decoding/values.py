"""What decoding gives: events that can be stored, column by column, and why others can't. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from revline.core.problem import Problem
from revline.subledger.usage.decoding.content import Content, complete
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

    types: of each event. columns: by the name of the stored column.
    """

    ids: list[str]
    sources: list[str]
    subjects: list[str]
    times: list[datetime | None]
    types: list[str]
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
            types=[self.types[place] for place in places],
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


class Decoded(msgspec.Struct):
    """The events of one tenant's body.

    count: events in the body. storable: how many of them can be stored. rows: those, in order; None where they are few, and stand
    in events as Structs. seed: the tenant's. invalid: the others, in order. content: made when it is asked for; the log makes that
    of many bodies together.
    """

    tenant_id: str
    count: int
    storable: int
    rows: Rows | None
    events: Sequence[Any]
    seed: int
    content: Content | None = None
    invalid: tuple[Invalid, ...] = ()

    def made(self) -> Content:
        """The content of those that can be stored."""
        if self.content is None:
            complete([self])
        assert self.content is not None
        return self.content

    @property
    def lines(self) -> list[bytes]:
        """The canonical line of each storable event."""
        return self.made().lines

    @property
    def keys(self) -> list[bytes]:
        """The identity of each storable event, 16 bytes."""
        return self.made().keys

    @property
    def digests(self) -> list[bytes]:
        """The content digest of each storable event, 8 bytes."""
        return self.made().digests

    @property
    def ids(self) -> Sequence[str]:
        """The ids of those that can be stored."""
        return [event.id for event in self.events] if self.rows is None else self.rows.ids

    def part(self, places: Sequence[int]) -> Decoded:
        """Some of the storable events alone, by their places: what one of several shards is given."""
        content = self.made()
        lines = [content.lines[place] for place in places]
        return Decoded(
            tenant_id=self.tenant_id,
            count=len(places),
            storable=len(places),
            rows=None if self.rows is None else self.rows.chosen(places),
            events=[self.events[place] for place in places] if self.rows is None else (),
            seed=self.seed,
            content=Content(
                lines,
                b"\n".join([*lines, b""]),
                [content.keys[place] for place in places],
                [content.digests[place] for place in places],
            ),
        )

    def virtual_shards(self) -> list[int]:
        """The virtual shard of each storable event, 0 to 63: the first six bits of its identity."""
        return [key[0] >> 2 for key in self.keys]
