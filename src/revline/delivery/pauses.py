"""When a document is tried again: pauses that grow, with randomness that is passed in. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from revline.delivery.values import Head, Timing
from revline.platform.work.lanes import full_jitter

Uniform = Callable[[float, float], float]


class Pauses(msgspec.Struct, frozen=True, kw_only=True):
    """When to try again."""

    now: datetime
    timing: Timing
    uniform: Uniform

    def retry_at(self, head: Head, *, at_least: timedelta = timedelta(0)) -> datetime:
        """Full jitter by the failures in a row."""
        pause = full_jitter(
            attempts=head.loaded.standing.failures,
            base=self.timing.retry_base,
            cap=self.timing.retry_cap,
            uniform=self.uniform,
        )
        again: datetime = self.now + at_least + pause
        return again

    def poll_at(self, poll_after: timedelta) -> datetime:
        """When a far-side job is asked for again: as it wants, within bounds."""
        again: datetime = self.now + min(max(poll_after, self.timing.poll_min), self.timing.poll_max)
        return again

    def hold_at(self, head: Head) -> datetime:
        """The next look at a closed period: double the last pause, up to the cap, and up to a tenth more."""
        pause = min(self.timing.hold_cap, self.timing.hold_base * 2 ** min(head.loaded.standing.failures, 20))
        again: datetime = self.now + pause * self.uniform(1.0, 1.1)
        return again
