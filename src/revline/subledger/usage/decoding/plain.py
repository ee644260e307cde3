"""Events that their types' Structs hold: from objects to columns, with the checks a Struct can't make. Pure.

Everything here runs once for each event of the fast way, so it works on whole columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from operator import attrgetter
from typing import Any, Final

from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.loose import moment
from revline.subledger.usage.decoding.values import Column, Rows
from revline.subledger.usage.events import ID_BYTES_MAX, SOURCE_BYTES_MAX, SUBJECT_BYTES_MAX
from revline.subledger.usage.kinds import TEXT_BYTES_MAX, FieldKind

_zone: Final = attrgetter("tzinfo")


def rows_of(events: Sequence[Any], types: TypeCatalogue, *, ascii_only: bool) -> Rows | None:
    """The events as columns, their numbers and times in canonical form in the events too; None when one needs a closer look.

    ascii_only: no text among them has a character beyond ASCII, or NUL: then lengths in characters are lengths in bytes.
    """
    times = [event.time for event in events]
    if set(map(_zone, times)) != {UTC}:
        times = _in_utc(events)
    kinds = list(map(type, events))
    columns = _columns([event.data for event in events], kinds, types)
    if columns is None:
        return None
    rows = Rows(
        ids=[event.id for event in events],
        sources=[event.source for event in events],
        subjects=[event.subject for event in events],
        times=times,
        kinds=kinds,
        columns=columns,
    )
    return rows if ascii_only or _are_short(rows) else None


def _in_utc(events: Sequence[Any]) -> list[Any]:
    for event in events:
        event.time = event.time.astimezone(UTC)
    return [event.time for event in events]


def _columns(datas: Sequence[Any], kinds: Sequence[Any], types: TypeCatalogue) -> dict[str, Column] | None:
    columns: dict[str, Column] = {}
    for member in types.members_of(frozenset(kinds)):
        places, mine = None, datas
        if member.kinds is not None:
            places = [place for place, kind in enumerate(kinds) if kind in member.kinds]
            mine = [datas[place] for place in places]
        values = member.of(mine)
        if values is None or (member.field.kind is FieldKind.TIME and not all(map(_is_moment, values))):
            return None
        columns[member.column] = Column(field=member.field, places=places, values=values)
    return columns


def _is_moment(text: str | None) -> bool:
    return text is None or moment(text) is not None


def _are_short(rows: Rows) -> bool:
    """Whether texts keep their limits in bytes, and hold no NUL (which stands between source and id in an identity)."""
    fits = (
        _fit(rows.ids, ID_BYTES_MAX) and _fit(rows.sources, SOURCE_BYTES_MAX) and _fit(rows.subjects, SUBJECT_BYTES_MAX)
    )
    return fits and all(
        _fit(column.values, TEXT_BYTES_MAX) for column in rows.columns.values() if column.field.kind is FieldKind.TEXT
    )


def _fit(texts: Sequence[str | None], most: int) -> bool:
    return all(text is None or (len(text.encode()) <= most and "\0" not in text) for text in texts)
