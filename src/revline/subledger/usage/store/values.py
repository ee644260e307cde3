"""Values of sealed storage: segments, what partial aggregates are of, and the limits of sealing. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from revline.core.ids import derived_id
from revline.subledger.usage.versions import UsageVersion, Window

ADOPTED_SHARD: Final = 1_000
"""The shard of adopted events: see `adopting`. No log has this number."""
HOUR_MINUTES: Final = 60
QUARTER_MINUTES: Final = 15
DAY_MINUTES: Final = 24 * 60
GROUPS_MAX: Final = 4


class SegmentKind(StrEnum):
    """sealed: as events came. compacted: of one month, sorted. adopted: events that were typed after they came."""

    SEALED = "sealed"
    COMPACTED = "compacted"
    ADOPTED = "adopted"


class SegmentState(StrEnum):
    """live: part of every version that reaches it. replaced: other segments hold its rows, or nothing does after retention; its
    objects are removed after a while, so that whoever reads an older answer of the manifest can end."""

    LIVE = "live"
    REPLACED = "replaced"


class SequenceRange(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Sequences first to last (both included) of a shard, among them the tenant's own."""

    shard: int
    first: int
    last: int


class Condition(StrEnum):
    """What a filter asks of a column. in, not_in: one of the values, none of them (a missing one is in none). at_least, below: a
    number against the one value. present, absent: whether the event has it."""

    IN = "in"
    NOT_IN = "not_in"
    AT_LEAST = "at_least"
    BELOW = "below"
    PRESENT = "present"
    ABSENT = "absent"


class PartialFilter(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A condition on a stored column. values: texts, plain decimals, true and false."""

    column: str
    condition: Condition = Condition.IN
    values: tuple[str, ...] = ()


class PartialSpec(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What is aggregated ahead: events of a type that pass every filter, by subject, groups and bucket of time.

    value: a decimal column as `columns.field_column` names it, "" when events are only counted. groups: text or boolean columns,
    four at most. minutes: length of a bucket of UTC, 60, or 15 where a time zone needs it.
    """

    event_type: str
    value: str = ""
    filters: tuple[PartialFilter, ...] = ()
    groups: tuple[str, ...] = ()
    minutes: int = HOUR_MINUTES

    @property
    def spec_id(self) -> str:
        """Names what is aggregated, whoever asks for it."""
        filters = [
            part for one in self.filters for part in (one.column, one.condition.value, len(one.values), *one.values)
        ]
        return derived_id(
            "usage_partial", self.event_type, self.value, self.minutes, len(self.groups), *self.groups, *filters
        )

    @property
    def columns(self) -> frozenset[str]:
        """Field columns it reads."""
        return frozenset({self.value, *self.groups, *(one.column for one in self.filters)}) - {""}

    def without_value(self) -> PartialSpec:
        """The same events in the same groups."""
        return msgspec.structs.replace(self, value="")


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed file of a tenant, as the manifest knows it.

    key, partials_key: names of its objects in the store; partials_key is "" when it has none. partials: spec ids it holds partial
    aggregates of. buckets: their lengths in minutes. first_at, last_at: earliest and latest occurred_at, both included. voids:
    rows that take another event back. untyped: rows whose type was unknown when they came. digest: SHA-256 of the file, hex.
    """

    segment_id: str
    kind: SegmentKind
    key: str
    size_bytes: int
    digest: str
    rows: int
    voids: int
    untyped: int
    sequences: tuple[SequenceRange, ...]
    types: tuple[str, ...]
    columns: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    erasure_epoch: int = 0
    partials_key: str = ""
    partials_bytes: int = 0
    partials: tuple[str, ...] = ()
    buckets: tuple[int, ...] = ()

    def meets(self, window: Window) -> bool:
        """Whether it may hold events of a window."""
        return self.first_at < window.end and self.last_at >= window.start

    def within(self, version: UsageVersion) -> bool:
        """Whether every row of it belongs to a version."""
        return all(version.until(each.shard) >= each.last for each in self.sequences)

    def touches(self, version: UsageVersion) -> bool:
        """Whether any row of it may belong to a version."""
        return any(version.until(each.shard) >= each.first for each in self.sequences)


class SegmentFile(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that can be read now. path: of its Parquet file on this machine. whole: every row belongs to the version; where it
    doesn't, rows beyond the version's sequences must be left out. partials_path: "" when there are none, or it isn't whole."""

    segment: Segment
    path: str
    whole: bool
    partials_path: str = ""


class SealLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a tenant's waiting rows are written.

    rows: as soon as it has so many. age: as soon as its oldest has waited so long. tail_bytes: what all tenants together may hold
    in memory, about; beyond it the tenants with most rows are written, whatever their age. segment_rows: at most in one file.
    tenants: at most in one unit of work. turn: how often the sealer looks by itself.
    """

    rows: int = 250_000
    age: timedelta = timedelta(minutes=30)
    tail_bytes: int = 384 * 1024 * 1024
    segment_rows: int = 1_000_000
    tenants: int = 50
    turn: timedelta = timedelta(seconds=1)
