"""What of the usage log a figure was computed from. Pure."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Window(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A stretch of time [start, end): two instants in UTC. A billing period is cut in the entity's time zone and kept as this."""

    start: datetime
    end: datetime


class UsageVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A point of the usage log: every event up to a receipt sequence in each shard, and nothing after.

    watermarks: (shard, last sequence included), in order of the shards. erasure_epoch: how often personal fields had been replaced.
    The same version read again gives the same events, however their files were merged since.
    """

    watermarks: tuple[tuple[int, int], ...]
    erasure_epoch: int = 0

    def until(self, shard: int) -> int:
        """The last sequence of a shard that belongs to this version; 0 when none does."""
        return dict(self.watermarks).get(shard, 0)
