"""Events that their types' Structs hold: from objects to columns, with the checks a Struct can't make. Pure.

Everything here runs once for each event of the fast way, so it works on whole columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from operator import attrgetter
from typing import Any, Final

from msgspec.structs import astuple

from revline.subledger.usage.decoding.catalogue import members_of
from revline.subledger.usage.decoding.values import Column, Rows
from revline.subledger.usage.events import ID_BYTES_MAX, SOURCE_BYTES_MAX, SUBJECT_BYTES_MAX
from revline.subledger.usage.kinds import TEXT_BYTES_MAX

_zone: Final = attrgetter("tzinfo")


def rows_of(events: Sequence[Any]) -> Rows | None:
    """The events as columns, their numbers and times in canonical form in the events too; None when one needs a closer look."""
    times = [event.time for event in events]
    if set(map(_zone, times)) != {UTC}:
        times = _in_utc(events)
    kinds = list(map(type, events))
    columns = _columns([event.data for event in events], kinds)
    if columns is None:
        return None
    return Rows(
        ids=[event.id for event in events],
        sources=[event.source for event in events],
        subjects=[event.subject for event in events],
        times=times,
        types=[event.type for event in events],
        columns=columns,
    )


def are_plain(events: Sequence[Any]) -> bool:
    """As `rows_of`, without the columns: for a few events, whose columns are made with others' later."""
    for event in events:
        if event.time.tzinfo is not UTC:
            event.time = event.time.astimezone(UTC)
        for value_of, matches, member in event.shape.checked:
            if not matches(value_of(event.data)) and not member.mends(event.data):
                return False
    return True


def _in_utc(events: Sequence[Any]) -> list[Any]:
    for event in events:
        event.time = event.time.astimezone(UTC)
    return [event.time for event in events]


def _columns(datas: Sequence[Any], kinds: Sequence[Any]) -> dict[str, Column] | None:
    columns: dict[str, Column] = {}
    for member in members_of(frozenset(kinds)):
        places, mine = None, datas
        if member.kinds is not None:
            places = [place for place, kind in enumerate(kinds) if kind in member.kinds]
            mine = [datas[place] for place in places]
        values = member.of(mine)
        if values is None:
            return None
        columns[member.column] = Column(field=member.field, places=places, values=values)
    return columns


def are_short(events: Sequence[Any]) -> bool:
    """Whether texts keep their limits in bytes, and hold no NUL (which stands between source and id in an identity).

    Needed only where a text may have a character beyond ASCII: else its length in characters, which decoding checks, is enough.
    """
    return (
        _fit([event.id for event in events], ID_BYTES_MAX)
        and _fit([event.source for event in events], SOURCE_BYTES_MAX)
        and _fit([event.subject for event in events], SUBJECT_BYTES_MAX)
        and all(
            _fit([text for text in astuple(event.data) if isinstance(text, str)], TEXT_BYTES_MAX) for event in events
        )
    )


def _fit(texts: Sequence[str], most: int) -> bool:
    return all(len(text.encode()) <= most and "\0" not in text for text in texts)
