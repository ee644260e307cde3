"""Bytes to events: one typed pass where every event of a body is plain, one event at a time where some are not. Pure.

The canonical line of an event is its content: two bodies that differ in key order, white space, escapes, the writing of numbers and
of instants, or in attributes that don't count, have the same line. It knows nothing of what is stored already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.content import Content, content_of, digests_of, keys_of
from revline.subledger.usage.decoding.loose import loose_event
from revline.subledger.usage.decoding.plain import are_plain, are_short, rows_of
from revline.subledger.usage.decoding.values import Column, Decoded, Invalid, LooseEvent, Rows
from revline.subledger.usage.events import EVENT_BYTES_MAX, ID_BYTES_MAX

EVENTS_MAX: Final = 50_000
"""Events one body may hold, unless told otherwise."""
_FEW: Final = 48
"""Events of which columns are made at once; those of fewer are made with others' later."""
_encoder: Final = msgspec.json.Encoder()
_raws: Final = msgspec.json.Decoder(list[msgspec.Raw])


def decode(body: bytes, types: TypeCatalogue, *, events_max: int = EVENTS_MAX) -> Decoded | Problem:
    """The events of a body: one event, or a JSON array of events.

    An event that can't be stored is in `invalid` with its problem; the others are taken. The whole body is a problem when it is not
    JSON or holds more than events_max.
    """
    if body.lstrip(b" \t\r\n")[:1] == b"{":
        body = b"[" + body + b"]"
    found = _all_plain(body, types, events_max)
    if found is not None:
        return found
    try:
        raws = _raws.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return problem("usage.body_invalid", f"the body is not a JSON array of events: {error}")
    except RecursionError:
        return problem("usage.body_invalid", "the body nests too deep")
    if len(raws) > events_max:
        return problem(
            "usage.too_many_events", f"the body holds {len(raws)} events; at most {events_max} are taken at once"
        )
    return _one_by_one([bytes(raw) for raw in raws], types)


def decode_each(texts: Sequence[bytes], types: TypeCatalogue) -> Decoded:
    """The events of many texts, one event in each: lines of a file, messages of a stream, lines of the log."""
    found = _all_plain(b"[" + b",".join(texts) + b"]", types, len(texts))
    if found is None or found.count != len(texts):
        return _one_by_one(texts, types)
    return found


def _all_plain(body: bytes, types: TypeCatalogue, events_max: int) -> Decoded | None:
    """All events by the typed decoder; None when one of them needs a closer look."""
    events = _plain(body, types)
    if events is None or len(events) > events_max:
        return None
    tenant_id, seed, count = types.tenant_id, types.seed, len(events)
    if count < _FEW:
        return Decoded(tenant_id, count, count, None, events, seed) if are_plain(events) else None
    rows = rows_of(events)
    if rows is None:
        return None
    content = content_of(events, sources=rows.sources, ids=rows.ids, seed=seed)
    return Decoded(tenant_id, count, count, rows, (), seed, content)


def _plain(body: bytes, types: TypeCatalogue) -> list[Any] | None:
    if types.many is None:
        return None
    try:
        events = types.many.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not events or not ((body.isascii() and b"\\" not in body) or are_short(events)):
        return None
    return events


def _plain_one(text: bytes, types: TypeCatalogue) -> Any:
    """The event of one text, in canonical form; None when it needs a closer look."""
    events = _plain(b"[" + text + b"]", types) if len(text) <= EVENT_BYTES_MAX else None
    return events[0] if events and len(events) == 1 and are_plain(events) else None


def _one_by_one(texts: Sequence[bytes], types: TypeCatalogue) -> Decoded:
    lines: list[bytes] = []
    loose: list[LooseEvent | None] = []
    invalid: list[Invalid] = []
    plain: list[Any] = []
    for index, text in enumerate(texts):
        event = _plain_one(text, types)
        if event is not None:
            plain.append(event)
            loose.append(None)
            lines.append(_encoder.encode(event))
            continue
        found = _too_long(text) or loose_event(text, types)
        if isinstance(found, Problem):
            invalid.append(Invalid(index=index, id=_id_of(text), problem=found))
            continue
        loosened, line = found
        event = _plain_one(line, types)
        loose.append(loosened if event is None else None)
        plain.extend([event] if event is not None else [])
        lines.append(line)
    rows = _rows_among(plain, loose)
    return Decoded(
        tenant_id=types.tenant_id,
        count=len(texts),
        storable=len(lines),
        rows=rows,
        events=(),
        seed=types.seed,
        content=Content(
            lines,
            b"\n".join([*lines, b""]),
            keys_of(rows.sources, rows.ids, types.seed),
            digests_of(lines, types.seed),
        ),
        invalid=tuple(invalid),
    )


def _rows_among(plain: Sequence[Any], loose: Sequence[LooseEvent | None]) -> Rows:
    """Columns of events of which some are loose."""
    places = [place for place, event in enumerate(loose) if event is None]
    rows = rows_of(plain) if plain else None
    rows = rows or Rows(ids=[], sources=[], subjects=[], times=[], types=[])
    apart = [(place, event) for place, event in enumerate(loose) if event is not None]
    if not apart:
        return rows
    mine = iter(plain)
    every = [next(mine) if event is None else event for event in loose]
    return Rows(
        ids=[event.id for event in every],
        sources=[event.source for event in every],
        subjects=[event.subject for event in every],
        times=[event.time for event in every],
        types=[event.type for event in every],
        columns={name: _moved(column, places) for name, column in rows.columns.items()},
        loose=apart,
    )


def _moved(column: Column, places: Sequence[int]) -> Column:
    mine = places if column.places is None else [places[place] for place in column.places]
    return Column(field=column.field, places=mine, values=column.values)


def _too_long(text: bytes) -> Problem | None:
    if len(text) <= EVENT_BYTES_MAX:
        return None
    return problem("usage.event_invalid", f"{len(text)} bytes are more than the {EVENT_BYTES_MAX} one event may have")


class _Identified(msgspec.Struct):
    id: str = ""


def _id_of(text: bytes) -> str:
    try:
        return msgspec.json.decode(text, type=_Identified).id[:ID_BYTES_MAX]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


for _code, _title, _status, _remedy in (
    ("usage.body_invalid", "Not a body of usage events", 400, "Send one CloudEvents event or a JSON array of them."),
    ("usage.too_many_events", "Too many events at once", 413, "Send smaller batches."),
    (
        "usage.event_invalid",
        "The event breaks its type",
        422,
        "Correct the field that is named and send the event again.",
    ),
    (
        "usage.not_usage",
        "This type is a business fact",
        422,
        "Send events of this type to POST /v1/events; usage goes to POST /v1/usage.",
    ),
):
    define(code=_code, title=_title, status=_status, retryable=Retryable.NO, mender=Mender.SENDER, remedy=_remedy)
