"""Bytes to events: one typed pass where every event of a body is plain, one event at a time where some are not. Pure.

The canonical line of an event is its content: two bodies that differ in key order, white space, escapes, the writing of numbers and
of instants, or in attributes that don't count, have the same line. It knows nothing of what is stored already.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from itertools import repeat
from typing import Any, Final

import msgspec
import xxhash

from revline.core.problem import Mender, Problem, Retryable, define, problem
from revline.subledger.usage.decoding.catalogue import TypeCatalogue, TypeShape
from revline.subledger.usage.decoding.loose import loose_event, moment
from revline.subledger.usage.decoding.values import Decoded, Invalid
from revline.subledger.usage.events import EVENT_BYTES_MAX, ID_BYTES_MAX, SOURCE_BYTES_MAX, SUBJECT_BYTES_MAX
from revline.subledger.usage.kinds import TEXT_BYTES_MAX

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
    events = _plain_events(body, types)
    if events is None:
        try:
            raws = _raws.decode(body)
        except msgspec.DecodeError as error:
            return problem("usage.body_invalid", f"the body is not a JSON array of events: {error}")
        if len(raws) > events_max:
            return _too_many(len(raws), events_max)
        return _one_by_one([bytes(raw) for raw in raws], types)
    if len(events) > events_max:
        return _too_many(len(events), events_max)
    return _of_plain(events, types)


def decode_each(texts: Sequence[bytes], types: TypeCatalogue) -> Decoded:
    """The events of many texts, one event in each: lines of a file, messages of a stream, lines of the log."""
    events = _plain_events(b"[" + b",".join(texts) + b"]", types)
    if events is None or len(events) != len(texts):
        return _one_by_one(texts, types)
    return _of_plain(events, types)


def _too_many(count: int, most: int) -> Problem:
    return problem("usage.too_many_events", f"the body holds {count} events; at most {most} are taken at once")


def _plain_events(body: bytes, types: TypeCatalogue) -> list[Any] | None:
    """All events by the typed decoder; None when one of them needs a closer look."""
    if types.many is None:
        return None
    try:
        events = types.many.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if types.has_checks and not all(_is_plain(event, types.shape_of[type(event)]) for event in events):
        return None
    if (not body.isascii() or b"\\u" in body) and not all(map(_is_short, events)):
        return None
    for event in events:
        if event.time.tzinfo is not UTC:
            event.time = event.time.astimezone(UTC)
    return events


def _is_plain(event: Any, shape: TypeShape) -> bool:
    data = event.data
    for name, matches in shape.numbers.items():
        text = bytes(getattr(data, name))
        if text and not matches(text):
            return False
    return all(_is_moment(getattr(data, name)) for name in shape.moments)


def _is_moment(text: str | None) -> bool:
    return text is None or moment(text) is not None


def _is_short(event: Any) -> bool:
    """Whether texts keep their limits in bytes, and hold no NUL (which stands between source and id in an identity)."""
    if "\0" in event.source or "\0" in event.id or "\0" in event.subject:
        return False
    texts = (value for value in msgspec.structs.astuple(event.data) if isinstance(value, str))
    return (
        len(event.id.encode()) <= ID_BYTES_MAX
        and len(event.source.encode()) <= SOURCE_BYTES_MAX
        and len(event.subject.encode()) <= SUBJECT_BYTES_MAX
        and all(len(text.encode()) <= TEXT_BYTES_MAX and "\0" not in text for text in texts)
    )


def _of_plain(events: list[Any], types: TypeCatalogue) -> Decoded:
    lines = _encoder.encode_lines(events).split(b"\n")
    lines.pop()
    return _decoded(events, lines, types, count=len(events))


def _decoded(
    events: list[Any], lines: list[bytes], types: TypeCatalogue, *, count: int, invalid: Sequence[Invalid] = ()
) -> Decoded:
    seed = types.seed
    return Decoded(
        tenant_id=types.tenant_id,
        count=count,
        events=events,
        lines=lines,
        keys=b"".join([_key(f"{event.source}\0{event.id}".encode(), seed) for event in events]),
        digests=b"".join(map(_digest, lines, repeat(types.content_seed))),
        invalid=tuple(invalid),
    )


def _one_by_one(texts: Sequence[bytes], types: TypeCatalogue) -> Decoded:
    events: list[Any] = []
    lines: list[bytes] = []
    invalid: list[Invalid] = []
    for index, text in enumerate(texts):
        plain = _plain_event(text, types)
        if plain is not None:
            events.append(plain)
            lines.append(_encoder.encode(plain))
            continue
        found = _too_long(text) or loose_event(text, types)
        if isinstance(found, Problem):
            invalid.append(Invalid(index=index, id=_id_of(text), problem=found))
            continue
        event, line = found
        events.append(_plain_event(line, types) or event)
        lines.append(line)
    return _decoded(events, lines, types, count=len(texts), invalid=invalid)


def _plain_event(text: bytes, types: TypeCatalogue) -> Any:
    if len(text) > EVENT_BYTES_MAX:
        return None
    found = _plain_events(b"[" + text + b"]", types)
    return found[0] if found and len(found) == 1 else None


def _too_long(text: bytes) -> Problem | None:
    if len(text) <= EVENT_BYTES_MAX:
        return None
    return problem("usage.event_invalid", f"{len(text)} bytes are more than the {EVENT_BYTES_MAX} one event may have")


class _Identified(msgspec.Struct):
    id: str = ""


def _id_of(text: bytes) -> str:
    try:
        return msgspec.json.decode(text, type=_Identified).id[:ID_BYTES_MAX]
    except (msgspec.DecodeError, UnicodeDecodeError):
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
