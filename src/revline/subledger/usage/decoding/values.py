"""What decoding gives: events that can be stored, column by column, and why others can't. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from revline.core.problem import Problem
from revline.subledger.usage.kinds import EventType

if TYPE_CHECKING:
    from revline.subledger.usage.decoding.catalogue import TypeShape


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


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """The data of the events of one type. places: where they stand among all, None when they are all there are.

    columns: a sequence for each field of the shape, in its order; of the fields in `shape.numbers` the canonical texts joined by
    line breaks, empty where there is none.
    """

    shape: TypeShape
    count: int
    places: Sequence[int] | None
    columns: Sequence[Sequence[Any]]


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Events column by column: what all have, a block for each type, and those that need a row of their own by their place."""

    ids: list[str]
    sources: list[str]
    subjects: list[str]
    times: list[datetime | None]
    blocks: Sequence[Block] = ()
    loose: Sequence[tuple[int, LooseEvent]] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def chosen(self, places: Sequence[int]) -> Rows:
        """Some of the events, by their places, in that order."""
        at = {place: index for index, place in enumerate(places)}
        return Rows(
            ids=[self.ids[place] for place in places],
            sources=[self.sources[place] for place in places],
            subjects=[self.subjects[place] for place in places],
            times=[self.times[place] for place in places],
            blocks=[_block_of(block, at) for block in self.blocks],
            loose=[(at[place], event) for place, event in self.loose if place in at],
        )


def _block_of(block: Block, at: Mapping[int, int]) -> Block:
    places = range(block.count) if block.places is None else block.places
    mine = [index for index, place in enumerate(places) if place in at]
    columns: list[Sequence[Any]] = []
    for column in block.columns:
        if isinstance(column, bytes):
            texts = column.split(b"\n")
            columns.append(b"\n".join([texts[index] for index in mine]))
        else:
            columns.append([column[index] for index in mine])
    new = [at[places[index]] for index in mine]
    return Block(shape=block.shape, count=len(new), places=new, columns=columns)


class Invalid(msgspec.Struct, frozen=True, kw_only=True):
    """An event that can't be stored: its index in the body, its id ("" where it has none) and why."""

    index: int
    id: str
    problem: Problem


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """The events of one tenant's body.

    count: events in the body. rows: those that can be stored, in order. lines: the canonical line of each (JSON, without its line
    break): its content, and what the log keeps. text: the lines, each with its line break. keys: 16 bytes each: the identity, hash
    of source and id under the tenant's seed. digests: 8 bytes each: hash of the line under the seed. invalid: the others, in order.
    """

    tenant_id: str
    count: int
    rows: Rows
    lines: list[bytes]
    text: bytes
    keys: list[bytes]
    digests: list[bytes]
    invalid: tuple[Invalid, ...] = ()

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
            rows=self.rows.chosen(places),
            lines=lines,
            text=b"\n".join([*lines, b""]),
            keys=[self.keys[place] for place in places],
            digests=[self.digests[place] for place in places],
        )

    def virtual_shards(self) -> list[int]:
        """The virtual shard of each storable event, 0 to 63: the first six bits of its identity."""
        return [key[0] >> 2 for key in self.keys]
