"""The content of events: canonical lines, identities and digests, made for many bodies at once where bodies are small. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any, Final, Protocol

import msgspec
import xxhash

_encoder: Final = msgspec.json.Encoder()
_key: Final = xxhash.xxh3_128_digest
_digest: Final = xxhash.xxh3_64_digest


def content_seed(seed: int) -> int:
    """The seed of a tenant's content digests, made from that of its identities."""
    return seed ^ 0x9E3779B97F4A7C15


class Content(msgspec.Struct, frozen=True):
    """What the log keeps of events and knows them by.

    lines: the canonical line of each (JSON, without its line break). text: the lines with their line breaks. keys: 16 bytes each:
    the identity, hash of source and id under the tenant's seed. digests: 8 bytes each: hash of the line under the seed.
    """

    lines: list[bytes]
    text: bytes
    keys: list[bytes]
    digests: list[bytes]


class Waiting(Protocol):
    """Events whose content is made when it is asked for. seed: their tenant's."""

    events: Sequence[Any]
    seed: int
    content: Content | None


def keys_of(sources: Sequence[str], ids: Sequence[str], seed: int) -> list[bytes]:
    """The identity of each event."""
    return [_key(f"{source}\0{id_}".encode(), seed) for source, id_ in zip(sources, ids, strict=True)]


def digests_of(lines: Sequence[bytes], seed: int) -> list[bytes]:
    """The digest of each line."""
    return list(map(_digest, lines, repeat(content_seed(seed))))


def content_of(events: Sequence[Any], *, sources: Sequence[str], ids: Sequence[str], seed: int) -> Content:
    """The content of events that are in canonical form."""
    text = _encoder.encode_lines(events)
    lines = text.split(b"\n")
    lines.pop()
    return Content(lines, text, keys_of(sources, ids, seed), digests_of(lines, seed))


def complete(several: Sequence[Waiting]) -> None:
    """Makes the content of all that have none yet, in one go."""
    waiting = [one for one in several if one.content is None]
    if not waiting:
        return
    counts = [len(one.events) for one in waiting]
    events = list(chain.from_iterable([one.events for one in waiting]))
    seeds = list(chain.from_iterable(map(repeat, [one.seed for one in waiting], counts)))
    lines = _encoder.encode_lines(events).split(b"\n")
    keys = [_key(f"{event.source}\0{event.id}".encode(), seed) for event, seed in zip(events, seeds, strict=True)]
    others = chain.from_iterable(map(repeat, [content_seed(one.seed) for one in waiting], counts))
    digests = list(map(_digest, lines, others))
    start = 0
    for one, count in zip(waiting, counts, strict=True):
        end = start + count
        mine = lines[start:end]
        one.content = Content(mine, b"\n".join(mine) + b"\n" if mine else b"", keys[start:end], digests[start:end])
        start = end
