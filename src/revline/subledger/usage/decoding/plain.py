"""Events that their types' Structs hold: from objects to columns, with the checks a Struct can't make. Pure.

Everything here runs once for each event of the fast way, so it works on whole columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from operator import attrgetter
from typing import Any, Final

from revline.subledger.usage.decoding.catalogue import TypeShape
from revline.subledger.usage.decoding.loose import moment
from revline.subledger.usage.decoding.numbers import improper, mended
from revline.subledger.usage.decoding.values import Block, Rows
from revline.subledger.usage.events import ID_BYTES_MAX, SOURCE_BYTES_MAX, SUBJECT_BYTES_MAX
from revline.subledger.usage.kinds import TEXT_BYTES_MAX

_zone: Final = attrgetter("tzinfo")


def rows_of(events: Sequence[Any], *, ascii_only: bool) -> Rows | None:
    """The events as columns, their numbers and times in canonical form in the events too; None when one needs a closer look.

    ascii_only: no text among them has a character beyond ASCII, or NUL: then lengths in characters are lengths in bytes.
    """
    times = [event.time for event in events]
    if set(map(_zone, times)) != {UTC}:
        times = _in_utc(events)
    blocks = _blocks(events)
    if blocks is None:
        return None
    rows = Rows(
        ids=[event.id for event in events],
        sources=[event.source for event in events],
        subjects=[event.subject for event in events],
        times=times,
        blocks=blocks,
    )
    return rows if ascii_only or _are_short(rows) else None


def _in_utc(events: Sequence[Any]) -> list[Any]:
    for event in events:
        event.time = event.time.astimezone(UTC)
    return [event.time for event in events]


def _blocks(events: Sequence[Any]) -> list[Block] | None:
    kinds = list(map(type, events))
    blocks = []
    distinct: dict[Any, None] = dict.fromkeys(kinds)
    for kind in distinct:
        places = None if len(distinct) == 1 else [place for place, one in enumerate(kinds) if one is kind]
        mine = events if places is None else [events[place] for place in places]
        columns = _columns([event.data for event in mine], kind.shape)
        if columns is None:
            return None
        blocks.append(Block(shape=kind.shape, count=len(mine), places=places, columns=columns))
    return blocks


def _columns(datas: Sequence[Any], shape: TypeShape) -> list[Sequence[Any]] | None:
    columns: list[Sequence[Any]] = []
    for name in shape.fields:
        values = _numbers(datas, name, shape) if name in shape.numbers else list(map(attrgetter(name), datas))
        if values is None or (name in shape.moments and not all(map(_is_moment, values))):
            return None
        columns.append(values)
    return columns


def _numbers(datas: Sequence[Any], name: str, shape: TypeShape) -> Sequence[Any] | None:
    texts = list(map(attrgetter(name), datas))
    joined = b"\n".join(texts)
    rule = shape.numbers[name]
    places = improper(texts, joined, rule)
    for place in places:
        text = mended(bytes(texts[place]), rule)
        if text is None:
            return None
        texts[place] = text
        setattr(datas[place], name, text)
    return b"\n".join(texts) if places else joined


def _is_moment(text: str | None) -> bool:
    return text is None or moment(text) is not None


def _are_short(rows: Rows) -> bool:
    """Whether texts keep their limits in bytes, and hold no NUL (which stands between source and id in an identity)."""
    fits = (
        _fit(rows.ids, ID_BYTES_MAX) and _fit(rows.sources, SOURCE_BYTES_MAX) and _fit(rows.subjects, SUBJECT_BYTES_MAX)
    )
    return fits and all(
        _fit(values, TEXT_BYTES_MAX)
        for block in rows.blocks
        for name, values in zip(block.shape.fields, block.columns, strict=True)
        if name in block.shape.texts
    )


def _fit(texts: Sequence[str | None], most: int) -> bool:
    return all(text is None or (len(text.encode()) <= most and "\0" not in text) for text in texts)
