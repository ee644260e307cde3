"""What the doors of usage need from outside, wired in app."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from revline.core.clock import Clock
from revline.core.problem import FieldError, Mender, Problem, Retryable, define
from revline.doors.api.ports import Threads
from revline.platform.access.roles import Principal
from revline.subledger.usage.events import EventAnswer
from revline.subledger.usage.kinds import FieldKind
from revline.subledger.usage.log.values import Offset

KIBIBYTE: Final = 1024


class Taken(Protocol):
    """A submission that was taken in. Whoever asks makes its answers, so that the log does not wait for it."""

    def each(self) -> Sequence[EventAnswer]:
        """One answer for each event, in the order they were sent."""
        ...


class Given(msgspec.Struct, frozen=True):
    """Answers that are made already."""

    answers: Sequence[EventAnswer]

    def each(self) -> Sequence[EventAnswer]:
        """As `Taken` says."""
        return self.answers


Answers = Taken | Problem
"""What became of a submission, or why nothing of it was taken."""
Told = Callable[[Answers], None]


class UsageSink(Protocol):
    """Where events go: the usage log this process owns, or the process that owns it."""

    def submit(self, *, tenant_id: str, body: bytes, told: Told) -> None:
        """Hands over one JSON event or an array of them. told: called once, from any thread, also before this returns: with the
        answers when all that is accepted is on disk, or with a problem, such as `usage.busy`, when nothing was taken."""
        ...

    def submit_each(
        self, *, tenant_id: str, texts: Sequence[bytes], told: Told, offsets: Sequence[Offset] = ()
    ) -> None:
        """The same for many texts of one event each: lines of a file, messages of a stream. offsets: the stream positions they
        cover, written in the same record."""
        ...

    def not_ready(self) -> Sequence[FieldError]:
        """What keeps it from taking events; empty when nothing does."""
        ...


@dataclass(frozen=True, kw_only=True)
class UsageRoom:
    """What a process has of the usage room. sink: where its doors hand events. owned: the shards whose log it has. fields_of: what
    the fields of a tenant's type of event hold, empty for a type nobody knows."""

    sink: UsageSink
    owned: frozenset[int]
    fields_of: Callable[[str, str], Mapping[str, FieldKind]]
    close: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class UsageLimits:
    """What bites at the door. body_bytes_max: of a request, packed and unpacked. under_way_bytes_max: of all requests that wait for
    their answer. requests_per_second, requests_burst: of one key, counted by each process for itself."""

    body_bytes_max: int = 8 * KIBIBYTE * KIBIBYTE
    under_way_bytes_max: int = 256 * KIBIBYTE * KIBIBYTE
    requests_per_second: int = 20_000
    requests_burst: int = 40_000
    threads: int = 4


@dataclass(frozen=True, kw_only=True)
class UsagePorts:
    """Everything the HTTP door calls. verify: whose an `Authorization` header is; tenant_active: whether a tenant is registered and
    not closed; both may ask a database and are remembered for a short time. seconds: a monotonic clock."""

    sink: UsageSink
    verify: Callable[[str], Principal | Problem]
    tenant_active: Callable[[str], bool]
    clock: Clock
    random_bytes: Callable[[int], bytes]
    problem_base: str = "urn:revline:problem:"
    limits: UsageLimits = field(default_factory=UsageLimits)
    seconds: Callable[[], float] = time.monotonic

    def threads(self) -> Threads:
        """The bounded threads that ask the database whose a key is."""
        return Threads(self.limits.threads)


define(
    code="usage.content_type",
    title="Not usage events by their content type",
    status=415,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send application/json, application/cloudevents+json or application/cloudevents-batch+json in UTF-8.",
)
define(
    code="usage.content_encoding",
    title="Not packed in a way that is known here",
    status=415,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Send the body as it is, or packed once by gzip or zstd as `Content-Encoding` says.",
)
define(
    code="usage.body_damaged",
    title="The packed body can't be unpacked",
    status=400,
    retryable=Retryable.NO,
    mender=Mender.SENDER,
    remedy="Pack the whole body as `Content-Encoding` says and send it again.",
)
define(
    code="usage.body_slow",
    title="The body came too slowly",
    status=408,
    retryable=Retryable.YES,
    mender=Mender.SENDER,
    remedy="Send smaller requests, or the same again over a faster way.",
)
define(
    code="usage.under_way",
    title="Too many events wait for their answer",
    status=429,
    retryable=Retryable.YES,
    mender=Mender.NOBODY,
    remedy="Send the same again after `Retry-After` seconds; nothing of it was taken in.",
)
