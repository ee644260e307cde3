"""Messages of a stream as usage events: whose they are, what is in them, and which can't be read. Pure; knows no broker.

A message holds one CloudEvent, an array of them, or the data of one whose attributes are headers `ce_...`. Its header `tenant` says
whose it is; a stream that is one tenant's needs none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from revline.core.problem import Mender, Problem, Retryable, define, problem

TENANT_HEADER: Final = "tenant"
BINARY_MARK: Final = "ce_id"
BINARY_PREFIX: Final = "ce_"
ATTRIBUTES: Final = ("specversion", "id", "source", "type", "subject", "time")
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODE: Final = msgspec.json.Encoder().encode

define(
    code="usage.message_unreadable",
    title="Not a message of usage events",
    status=422,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send one CloudEvent or an array of them as JSON, with the header `tenant` where a stream is of several.",
)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it came. headers: by name, the last of each."""

    partition: int
    offset: int
    value: bytes
    headers: Mapping[str, str] = {}


class Rejected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was refused of a stream: where it stood, why, and what it was."""

    partition: int
    offset: int
    problem: Problem
    tenant: str = ""
    event: str = ""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of one partition, by tenant. events: (offset, text) of each event. through: the last offset in it."""

    events: Mapping[str, Sequence[tuple[int, bytes]]]
    rejected: Sequence[Rejected]
    through: int


def chunk_of(messages: Iterable[Message], *, tenant: str = "") -> Chunk:
    """Messages of one partition in their order. tenant: of those that name none."""
    events: dict[str, list[tuple[int, bytes]]] = {}
    rejected: list[Rejected] = []
    through = -1
    for message in messages:
        through = message.offset
        whose = message.headers.get(TENANT_HEADER, tenant)
        found = texts_of(message) if whose else problem("usage.message_unreadable", "the message names no tenant")
        if isinstance(found, Problem):
            rejected.append(reject(message.partition, message.offset, found, tenant=whose, event=message.value))
        else:
            events.setdefault(whose, []).extend((message.offset, text) for text in found)
    return Chunk(events=events, rejected=rejected, through=through)


def texts_of(message: Message) -> Sequence[bytes] | Problem:
    """The events of a message, one text each."""
    value = message.value.strip(b" \t\r\n")
    if BINARY_MARK in message.headers:
        return [_structured(message.headers, value)]
    if value[:1] == b"[":
        try:
            return [bytes(raw) for raw in _RAWS.decode(value)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return problem("usage.message_unreadable", "the message is no JSON array")
    return [value] if value else problem("usage.message_unreadable", "the message is empty")


def _structured(headers: Mapping[str, str], data: bytes) -> bytes:
    """The event of a message whose attributes are headers; what is wrong with it shows when it is decoded."""
    named = {name: headers[BINARY_PREFIX + name] for name in ATTRIBUTES if BINARY_PREFIX + name in headers}
    return _ENCODE(named)[:-1] + b',"data":' + (data or b"{}") + b"}"


def reject(partition: int, offset: int, why: Problem, *, tenant: str, event: bytes) -> Rejected:
    """A refused event with as much of it as is worth keeping."""
    shown = event[:EVENT_SHOWN_MAX].decode("utf-8", "replace")
    return Rejected(partition=partition, offset=offset, problem=why, tenant=tenant, event=shown)


EVENT_SHOWN_MAX: Final = 64 * 1024
