"""From bytes to answers: decodes what a door took by the tenant's event types, gives each event to the shard of its identity,
and puts the answers together in the order the events were sent.

It knows shards by the port `Shard` alone: one is a log of this process or another process that owns it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol

import msgspec

from revline.core.problem import FieldError, Mender, Problem, Retryable, define, problem
from revline.doors.usage.ports import Answers, Taken, Told
from revline.doors.usage.singles import Singles
from revline.platform.logs import log
from revline.subledger.usage.decoding.catalogue import TypeCatalogue
from revline.subledger.usage.decoding.decode import decode, decode_each
from revline.subledger.usage.decoding.values import Decoded
from revline.subledger.usage.events import EventAnswer, Verdict
from revline.subledger.usage.log.values import VIRTUAL_SHARDS, Offset

LOADING_THREADS: Final = 2
SMALL_BYTES: Final = 16 * 1024
"""One event of so many bytes at the most is taken together with others that come at the same time."""
LARGE_BYTES: Final = 64 * 1024
"""A body of so many bytes is a commit of its own: it is decoded and committed by one thread, away from the door's."""
LARGE_THREADS: Final = 2
"""One decodes while the other waits for the disk."""


class Catalogues(Protocol):
    """What is known of tenants' event types."""

    def remembered(self, tenant_id: str) -> TypeCatalogue | None:
        """From memory; None when it must be read first."""
        ...

    def read(self, tenant_id: str) -> TypeCatalogue | Problem:
        """Read now; may ask a database."""
        ...


class Shard(Protocol):
    """Who keeps the events of some virtual shards."""

    def take(self, decoded: Decoded, *, offsets: Sequence[Offset], told: Told) -> None:
        """Commits the storable events; told their answers, in order."""
        ...

    def take_here(self, decoded: Decoded, *, offsets: Sequence[Offset], told: Told) -> None:
        """The same on a thread that has nothing else to do than to wait for the disk."""
        ...

    def not_ready(self) -> Sequence[FieldError]:
        """What keeps it from taking events."""
        ...


def shard_of(virtual: int, *, shards: int) -> int:
    """The shard that keeps a virtual one."""
    return virtual * shards // VIRTUAL_SHARDS


class Receiver:
    """Implements the doors' port `UsageSink`. shards: by number, 0 to one less than their count. events_max: of one submission."""

    def __init__(self, *, catalogues: Catalogues, shards: Mapping[int, Shard], events_max: int) -> None:
        self._catalogues, self._shards, self._events_max = catalogues, shards, events_max
        self._loading = ThreadPoolExecutor(max_workers=LOADING_THREADS, thread_name_prefix="usage-types")
        self._singles = Singles(types_of=self._types_of, commit=self._commit_here)
        self._large = ThreadPoolExecutor(max_workers=LARGE_THREADS, thread_name_prefix="usage-large")

    def submit(self, *, tenant_id: str, body: bytes, told: Told) -> None:
        """As the port says. What must be read of a tenant first is read by threads of its own, so that nobody else waits for it."""
        known = self._catalogues.remembered(tenant_id) is not None
        if known and len(self._shards) == 1 and len(body) <= SMALL_BYTES and body[:1] == b"{":
            self._singles.submit(tenant_id, body, told)
        elif known and len(body) >= LARGE_BYTES:
            self._large.submit(self._take_large, tenant_id, body, told)
        else:
            decoding = partial(decode, body, events_max=self._events_max)
            self._with_types(tenant_id, told, lambda types: self._decoded(decoding(types), (), told))

    def submit_each(
        self, *, tenant_id: str, texts: Sequence[bytes], told: Told, offsets: Sequence[Offset] = ()
    ) -> None:
        """As the port says."""
        self._with_types(tenant_id, told, lambda types: self._decoded(decode_each(texts, types), offsets, told))

    def not_ready(self) -> Sequence[FieldError]:
        """As the port says."""
        return tuple(error for _, shard in sorted(self._shards.items()) for error in shard.not_ready())

    def close(self) -> None:
        """Lets go of threads; shards are closed by who opened them."""
        self._loading.shutdown(wait=True)
        self._large.shutdown(wait=True)
        self._singles.close()

    def _types_of(self, tenant_id: str) -> TypeCatalogue | Problem:
        return self._catalogues.remembered(tenant_id) or self._catalogues.read(tenant_id)

    def _commit_here(self, decoded: Decoded, told: Told) -> None:
        (shard,) = self._shards.values()
        storable = decoded if not decoded.invalid else decoded.part(range(decoded.storable))
        shard.take_here(storable, offsets=(), told=told)

    def _take_large(self, tenant_id: str, body: bytes, told: Told) -> None:
        try:
            types = self._types_of(tenant_id)
            decoded = types if isinstance(types, Problem) else decode(body, types, events_max=self._events_max)
            if not isinstance(decoded, Problem) and len(self._shards) == 1:
                (shard,) = self._shards.values()
                shard.take_here(decoded, offsets=(), told=told)
            else:
                self._decoded(decoded, (), told)
        except Exception as failure:  # noqa: BLE001 - whoever waits must hear of it
            told(_failed(failure))

    def _with_types(self, tenant_id: str, told: Told, go: Callable[[TypeCatalogue], None]) -> None:
        types = self._catalogues.remembered(tenant_id)
        if types is not None:
            go(types)
        else:
            self._loading.submit(self._read_then, tenant_id, told, go)

    def _read_then(self, tenant_id: str, told: Told, go: Callable[[TypeCatalogue], None]) -> None:
        try:
            types = self._catalogues.read(tenant_id)
            if isinstance(types, Problem):
                told(types)
            else:
                go(types)
        except Exception as failure:  # noqa: BLE001 - whoever waits must hear of it
            told(_failed(failure))

    def _decoded(self, decoded: Decoded | Problem, offsets: Sequence[Offset], told: Told) -> None:
        if isinstance(decoded, Problem):
            told(decoded)
            return
        if len(self._shards) == 1:
            (shard,) = self._shards.values()
            shard.take(decoded, offsets=offsets, told=told)
            return
        self._split(decoded, offsets, told)

    def _split(self, decoded: Decoded, offsets: Sequence[Offset], told: Told) -> None:
        """Each shard its events. Stream positions can't be split: a stream is read where all of it belongs to one shard."""
        chosen: dict[int, list[int]] = {}
        for index, virtual in enumerate(decoded.virtual_shards()):
            chosen.setdefault(shard_of(virtual, shards=len(self._shards)), []).append(index)
        if offsets:
            told(problem("usage.offsets_split", "a stream's positions belong to one shard"))
            return
        if not chosen:
            told(_Merged(decoded=decoded, chosen={}, parts={}))
            return
        gathering = _Gathering(decoded, chosen, told)
        for number, indexes in chosen.items():
            self._shards[number].take(decoded.part(indexes), offsets=(), told=partial(gathering.told, number))


class _Gathering:
    """Answers of several shards to one submission. If one could not take its part, the sender hears of that and sends all of it
    again; what the others took is a duplicate then."""

    def __init__(self, decoded: Decoded, chosen: Mapping[int, Sequence[int]], told: Told) -> None:
        self._decoded, self._chosen, self._told = decoded, chosen, told
        self._parts: dict[int, Taken] = {}
        self._problem: Problem | None = None
        self._missing = len(chosen)
        self._lock = threading.Lock()

    def told(self, number: int, answers: Answers) -> None:
        """What a shard says of its part: on the thread that commits, so nothing is put together here."""
        with self._lock:
            if isinstance(answers, Problem):
                self._problem = self._problem or answers
            else:
                self._parts[number] = answers
            self._missing -= 1
            if self._missing:
                return
        self._told(self._problem or _Merged(decoded=self._decoded, chosen=self._chosen, parts=self._parts))


class _Merged(msgspec.Struct, frozen=True, kw_only=True):
    """The answers to all events of a body: of the storable ones by the shard that has them, and of those that can't be stored."""

    decoded: Decoded
    chosen: Mapping[int, Sequence[int]]
    parts: Mapping[int, Taken]

    def each(self) -> Sequence[EventAnswer]:
        """As `Taken` says."""
        answers: dict[int, EventAnswer] = {}
        for number, places in self.chosen.items():
            answers.update(zip(places, self.parts[number].each(), strict=True))
        invalid = {
            one.index: EventAnswer(id=one.id, verdict=Verdict.INVALID, problem=one.problem)
            for one in self.decoded.invalid
        }
        storable = iter(range(self.decoded.storable))
        return [invalid[index] if index in invalid else answers[next(storable)] for index in range(self.decoded.count)]


def _failed(failure: Exception) -> Problem:
    log().error("usage.unread", exc_info=failure)
    return problem("service.unavailable", "the events could not be read just now")


define(
    code="usage.offsets_split",
    title="A stream of several shards",
    status=500,
    retryable=Retryable.AFTER_FIX,
    mender=Mender.OPERATOR,
    remedy="Spread the stream by identity first: `revline usage-spread`.",
)
