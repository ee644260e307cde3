"""Bytes to events: one typed pass where every event of a body is plain, one event at a time where some are not. Pure.

The canonical line of an event is its content: two bodies that differ in key order, white space, escapes, the writing of numbers and
of instants, or in attributes that don't count, have the same line. It knows nothing of what is stored already.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any, Final

import msgspec
import xxhash

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.loose import loose_event
from revline.subledger.usage.decoding.plain import rows_of
from revline.subledger.usage.decoding.values import Column, Decoded, Invalid, LooseEvent, Rows
from revline.subledger.usage.events import EVENT_BYTES_MAX, ID_BYTES_MAX

EVENTS_MAX: Final = 50_000
"""Events one body may hold, unless told otherwise."""
_encoder: Final = msgspec.json.Encoder()
_raws: Final = msgspec.json.Decoder(list[msgspec.Raw])
_key: Final = xxhash.xxh3_128_digest
_digest: Final = xxhash.xxh3_64_digest


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
    found = _plain(body, types)
    if found is None or not 0 < len(found[0]) <= events_max:
        return None
    events, rows = found
    text = _encoder.encode_lines(events)
    lines = text.split(b"\n")
    lines.pop()
    return _decoded(rows, lines, text, types, count=len(events))


def _plain(body: bytes, types: TypeCatalogue) -> tuple[list[Any], Rows] | None:
    if types.many is None:
        return None
    try:
        events = types.many.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not events:
        return None
    rows = rows_of(events, types, ascii_only=body.isascii() and b"\\" not in body)
    return None if rows is None else (events, rows)


def _decoded(
    rows: Rows, lines: list[bytes], text: bytes, types: TypeCatalogue, *, count: int, invalid: Sequence[Invalid] = ()
) -> Decoded:
    seed = types.seed
    return Decoded(
        tenant_id=types.tenant_id,
        count=count,
        rows=rows,
        lines=lines,
        text=text,
        keys=[_key(f"{source}\0{id_}".encode(), seed) for source, id_ in zip(rows.sources, rows.ids, strict=True)],
        digests=list(map(_digest, lines, repeat(types.content_seed))),
        invalid=tuple(invalid),
    )


def _one_by_one(texts: Sequence[bytes], types: TypeCatalogue) -> Decoded:
    lines: list[bytes] = []
    loose: list[LooseEvent | None] = []
    invalid: list[Invalid] = []
    for index, text in enumerate(texts):
        plain = _plain(b"[" + text + b"]", types) if len(text) <= EVENT_BYTES_MAX else None
        if plain is not None and len(plain[0]) == 1:
            lines.append(_encoder.encode(plain[0][0]))
            loose.append(None)
            continue
        found = _too_long(text) or loose_event(text, types)
        if isinstance(found, Problem):
            invalid.append(Invalid(index=index, id=_id_of(text), problem=found))
            continue
        event, line = found
        lines.append(line)
        loose.append(event if _plain(b"[" + line + b"]", types) is None else None)
    text = b"\n".join([*lines, b""])
    return _decoded(_rows_among(lines, loose, types), lines, text, types, count=len(texts), invalid=invalid)


def _rows_among(lines: Sequence[bytes], loose: Sequence[LooseEvent | None], types: TypeCatalogue) -> Rows:
    """Columns of events of which some are loose; the others are decoded together from their canonical lines."""
    places = [place for place, event in enumerate(loose) if event is None]
    plain = _plain(b"[" + b",".join([lines[place] for place in places]) + b"]", types)
    rows = plain[1] if plain else Rows(ids=[], sources=[], subjects=[], times=[], kinds=[])
    apart = [(place, event) for place, event in enumerate(loose) if event is not None]
    if not apart:
        return rows
    at = dict(zip(places, range(len(places)), strict=True))
    common = [
        (
            rows.ids[at[place]],
            rows.sources[at[place]],
            rows.subjects[at[place]],
            rows.times[at[place]],
            rows.kinds[at[place]],
        )
        if event is None
        else (event.id, event.source, event.subject, event.time, None)
        for place, event in enumerate(loose)
    ]
    return Rows(
        ids=[one[0] for one in common],
        sources=[one[1] for one in common],
        subjects=[one[2] for one in common],
        times=[one[3] for one in common],
        kinds=[one[4] for one in common],
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
