"""What goes into a usage log, what comes back, and what those who follow it are told. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec

from revline.core.problem import Mender, Retryable, define, problem
from revline.subledger.usage.decoding.values import Decoded, Rows
from revline.subledger.usage.events import EventAnswer, Verdict

VIRTUAL_SHARDS: Final = 64
"""Identities are spread over so many; a process owns one or several of them and has one log for all it owns."""
ACCEPTED: Final = 0
DUPLICATE: Final = 1
CONFLICT: Final = 2
_VERDICTS: Final = (Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.CONFLICT)


class LogLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Where a log says stop.

    waiting_events_max: events submitted and not yet answered; beyond it a submission is refused with usage.busy. group_events_max:
    events of one commit (one submission may be larger). file_bytes_max: a file of the log is finished beyond it. hot_events_max:
    events whose identities are kept in memory before they are written to a key run. behind_events_max: committed events the
    subscribers have not taken; beyond it submissions are refused too.
    """

    waiting_events_max: int = 200_000
    group_events_max: int = 20_000
    file_bytes_max: int = 256 * 1024 * 1024
    hot_events_max: int = 1_000_000
    behind_events_max: int = 1_000_000


class Offset(msgspec.Struct, frozen=True, kw_only=True):
    """Where a consumer of a stream goes on: kept in the same record as the events read before it."""

    topic: str
    partition: int
    next_offset: int


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """The events of one tenant that are to be committed together, and the stream positions that they cover."""

    decoded: Decoded
    offsets: tuple[Offset, ...] = ()


class Answers(msgspec.Struct, frozen=True, gc=False):
    """What became of a submission. verdicts: a byte for each storable event. first_sequence: of the first accepted one."""

    decoded: Decoded
    verdicts: bytes
    first_sequence: int
    received_at: datetime

    @property
    def accepted(self) -> int:
        return self.verdicts.count(ACCEPTED)

    @property
    def duplicates(self) -> int:
        return self.verdicts.count(DUPLICATE)

    @property
    def conflicts(self) -> int:
        return self.verdicts.count(CONFLICT)

    def each(self) -> list[EventAnswer]:
        """The answer to each event, in the order they were sent."""
        answers: list[EventAnswer] = []
        invalid = {one.index: one for one in self.decoded.invalid}
        storable = iter(zip(self.decoded.ids, self.verdicts, strict=True))
        sequence = self.first_sequence
        for index in range(self.decoded.count):
            bad = invalid.get(index)
            if bad is not None:
                answers.append(EventAnswer(id=bad.id, verdict=Verdict.INVALID, problem=bad.problem))
                continue
            event_id, verdict = next(storable)
            if verdict == ACCEPTED:
                answers.append(EventAnswer(id=event_id, verdict=Verdict.ACCEPTED, sequence=sequence))
                sequence += 1
            else:
                told = None if verdict == DUPLICATE else CONFLICTS
                answers.append(EventAnswer(id=event_id, verdict=_VERDICTS[verdict], problem=told))
        return answers


class CommittedBatch(msgspec.Struct, frozen=True, gc=False):
    """Events of one tenant that are on disk: count of them, with first_sequence, first_sequence + 1 and so on.

    rows: what was decoded; kept: the places in it that were accepted, None when all were. rows is None where they are few: then the
    accepted ones stand in events. A batch may be as small as one event; make columns of many at once with `rows.to_table`, some
    hundreds of events at a time or more.
    """

    tenant_id: str
    shard: int
    first_sequence: int
    received_at: datetime
    count: int
    rows: Rows | None
    kept: Sequence[int] | None = None
    events: Sequence[Any] = ()

    @property
    def last_sequence(self) -> int:
        return self.first_sequence + self.count - 1

    def fields(self) -> Collection[str]:
        """The stored columns of fields that its events have."""
        if self.rows is not None:
            return self.rows.columns.keys()
        kinds: set[Any] = set(map(type, self.events))
        return {name for kind in kinds for name in kind.shape.columns}


class Subscriber(Protocol):
    """Who follows a log. Called from one thread of the log's own, after the acknowledgement, in order of the sequences."""

    def on_committed(self, batches: Sequence[CommittedBatch]) -> None:
        """Takes what was committed since the last call. It must not block for long: a follower far behind stops the intake."""
        ...


class Sealed(Protocol):
    """Up to which sequence of a shard each tenant's events are in sealed files."""

    def __call__(self, tenant_id: str) -> int: ...


Offsets = Mapping[tuple[str, int], int]


for _code, _title, _status, _retryable, _mender, _remedy in (
    (
        "usage.conflict",
        "Same id, other content",
        409,
        Retryable.NO,
        Mender.SENDER,
        "Nothing was stored. Give a new event a new id; to change an event, send an amendment that names it.",
    ),
    (
        "usage.busy",
        "The usage log is full",
        429,
        Retryable.YES,
        Mender.NOBODY,
        "Send again after the seconds that Retry-After gives.",
    ),
    (
        "usage.log_stopped",
        "The usage log stopped",
        503,
        Retryable.AFTER_FIX,
        Mender.OPERATOR,
        "A write to disk failed. Check the disk, then start the process again: it reads every checksum before it goes on.",
    ),
    (
        "usage.log_owned",
        "Another process owns this shard",
        503,
        Retryable.AFTER_FIX,
        Mender.OPERATOR,
        "Stop the other process, or give this one another shard.",
    ),
    (
        "usage.log_damaged",
        "The usage log is damaged",
        500,
        Retryable.AFTER_FIX,
        Mender.OPERATOR,
        "A record that was acknowledged can't be read. Restore the named file from a backup; nothing was changed.",
    ),
):
    define(code=_code, title=_title, status=_status, retryable=_retryable, mender=_mender, remedy=_remedy)
CONFLICTS: Final = problem(
    "usage.conflict", "an event of this source and id with another content is on disk", field="id"
)
"""Why an event whose identity has another content is refused."""
